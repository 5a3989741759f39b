/**
 * What tells two configs apart, key by key and without a secret.
 */
import { Equal } from "effect"
import type { Loaded } from "./compile.ts"
import type { Read } from "./read.ts"
import { shown } from "./show.ts"

/** A setting that differs; undefined where it is not there. */
export interface Difference {
  readonly key: string
  readonly before: unknown
  readonly after: unknown
  /** Whether the running gateway cannot take it over. */
  readonly restart: boolean
}

// Bound to the socket, or to how many processes there are.
const fixed: ReadonlySet<string> = new Set(["server.host", "server.port", "server.workers"])

const hidden = "(hidden)"

/** Entries of lists are known by their names: their places change when one before them goes. */
const named = (key: string, { settings }: Loaded): string =>
  key
    .replace(/^backends\[(\d+)\]/, (all, at: string) => `backends.${settings.backends[Number(at)]?.name ?? all}`)
    .replace(/^auth\.keys\[(\d+)\]/, (all, at: string) => `auth.keys.${settings.auth.keys[Number(at)]?.name ?? all}`)

// Defaults of an entry that only one of the two has are no news.
const valuesOf = (read: Read, other: Read): ReadonlyMap<string, unknown> => {
  const known = new Set(other.loaded.backends.map(({ name }) => `backends.${name}.`))
  const isNews = (key: string, origin: string): boolean =>
    origin !== "default" || !key.startsWith("backends.") || [...known].some((prefix) => key.startsWith(prefix))
  return new Map(
    shown(read)
      .map(({ key, value, origin }) => ({ key: named(key, read.loaded), value, origin }))
      .filter(({ key, origin }) => isNews(key, origin))
      .map(({ key, value }) => [key, value])
  )
}

/** Keys of backends and clients, by what tells them apart; never to be shown. */
const secretsOf = ({ backends, authKeys }: Loaded): ReadonlyMap<string, unknown> =>
  new Map<string, unknown>([
    ...backends.flatMap(({ name, apiKey }) =>
      apiKey === undefined ? [] : [[`backends.${name}.key`, apiKey] as const]
    ),
    ...authKeys.map(({ name, digest }) => [`auth.keys.${name}.key`, Buffer.from(digest).toString("hex")] as const)
  ])

const differing = (
  before: ReadonlyMap<string, unknown>,
  after: ReadonlyMap<string, unknown>,
  show: (value: unknown) => unknown
): ReadonlyArray<Difference> =>
  [...new Set([...before.keys(), ...after.keys()])]
    .filter((key) => !Equal.equals(before.get(key), after.get(key)))
    .map((key) => ({ key, before: show(before.get(key)), after: show(after.get(key)), restart: fixed.has(key) }))

// Equal candidates go by the order of the config.
const reordered = (before: Loaded, after: Loaded): ReadonlyArray<Difference> => {
  const was = before.backends.map(({ name }) => name)
  const is = after.backends.map(({ name }) => name)
  const inBoth = (names: ReadonlyArray<string>, others: ReadonlyArray<string>) => {
    const known = new Set(others)
    return names.filter((name) => known.has(name))
  }
  return Equal.equals(inBoth(was, is), inBoth(is, was))
    ? []
    : [{ key: "backends", before: was, after: is, restart: false }]
}

/** Every setting that differs, in the order of the file, and changed secrets last. */
export const difference = (before: Read, after: Read): ReadonlyArray<Difference> => [
  ...reordered(before.loaded, after.loaded),
  ...differing(valuesOf(before, after), valuesOf(after, before), (value) => value),
  ...differing(secretsOf(before.loaded), secretsOf(after.loaded), (value) => (value === undefined ? undefined : hidden))
]

/** What differs, in few words: a backend or a client counts once, whatever differs of it. */
export const changedParts = (changes: ReadonlyArray<Difference>): string =>
  [...new Set(changes.map(({ key }) => key.replace(/^(backends|auth\.keys)\.(.+)\.[a-z_0-9[\].]+$/, "$1.$2")))].join(
    ", "
  )

/** Settings as a gateway goes by them that was started with others: what is fixed stays as it was. */
export const effective = (started: Loaded, next: Loaded): Loaded => {
  const { host, port, workers } = started.settings.server
  const { settings } = next
  return { ...next, settings: { ...settings, server: { ...settings.server, host, port, workers } } }
}
