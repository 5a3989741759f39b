/**
 * What tells two configs apart, key by key and without a secret.
 */
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import type { LoadedConfig } from "./compile.ts"
import { isTable, type KeyPath, showPath, type Table, valueAt } from "./path.ts"
import type { ReadConfig } from "./read.ts"
import { effectiveSettings, isTableList, leafPaths, describeSettings } from "./show.ts"

/** A setting that differs; undefined where it is not there. */
export interface Difference {
  readonly key: string
  readonly before: unknown
  readonly after: unknown
  /** Whether the running gateway cannot take it over. */
  readonly restart: boolean
}

// Bound to the socket, to how many processes there are, or to a file that is open.
const fixed: ReadonlySet<string> = new Set([
  "server.host",
  "server.port",
  "server.workers",
  "server.wire",
  "admin.listen",
  "usage.enabled",
  "usage.path",
  "auth.store",
  "cache.store",
  "usage.prices_file"
])

/** Whether a setting counts from the next start alone: so does the link to what replicas share, and the file of what is captured. */
export const isFixed = (key: string): boolean =>
  fixed.has(key) || key.startsWith("capture.") || (key.startsWith("cluster.") && key !== "cluster.when_away")

const hidden = "(hidden)"

/** A place of the settings and where it is in each of two configs: entries of lists may stand elsewhere. */
interface Place {
  readonly key: KeyPath
  readonly before: KeyPath
  readonly after: KeyPath
}

const below = ({ key, before, after }: Place, name: string | number): Place => ({
  key: [...key, name],
  before: [...before, name],
  after: [...after, name]
})

const isSame = (a: unknown, b: unknown): boolean => a === b || (typeof a === "object" && Equal.equals(a, b))

const nameOf = (entry: Table, at: number): string => String(entry["name"] ?? entry["id"] ?? at)

const placesOf = (list: unknown): ReadonlyMap<string, number> =>
  new Map(isTableList(list) ? list.map((entry, at) => [nameOf(entry, at), at]) : [])

/** Every place where two trees of settings differ; entries of lists are known by their names. */
const differing = (before: unknown, after: unknown, place: Place): ReadonlyArray<Place> => {
  if (isSame(before, after)) return []
  if (isTableList(before) || isTableList(after)) {
    const was = placesOf(before)
    const is = placesOf(after)
    return [...new Set([...was.keys(), ...is.keys()])].flatMap((name) => {
      const from = was.get(name) ?? -1
      const to = is.get(name) ?? -1
      const at = { key: [...place.key, name], before: [...place.before, from], after: [...place.after, to] }
      return differing(valueAt(before, [from]), valueAt(after, [to]), at)
    })
  }
  if (isTable(before) && isTable(after)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)])
    return [...keys].flatMap((key) =>
      before[key] === after[key] ? [] : differing(before[key], after[key], below(place, key))
    )
  }
  const whole = before === undefined ? after : before
  return isTable(whole) ? leafPaths(whole, []).map((path) => path.reduce(below, place)) : [place]
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** Keys of all that has one, by what tells them apart; never to be shown. */
const secretsOf = (loaded: LoadedConfig): ReadonlyMap<string, unknown> => {
  const { authKeys, backends, captureSecret, hooks, issuers, store } = loaded
  return new Map<string, unknown>([
    ...backends.flatMap(({ name, apiKey }) =>
      apiKey === undefined ? [] : [[`backends.${name}.key`, apiKey] as const]
    ),
    ...backends.flatMap(({ name, tls }) => {
      const files = tls === undefined ? [] : [tls.ca, tls.cert, tls.key]
      return files.every((file) => file === undefined) ? [] : [[`backends.${name}.tls_files`, files] as const]
    }),
    ...(store?.password === undefined ? [] : [["cluster.password", store.password] as const]),
    ...(store?.tls === undefined
      ? []
      : [["cluster.tls_files", [store.tls.ca, store.tls.cert, store.tls.key]] as const]),
    ...issuers.flatMap(({ jwks, name, tls }) =>
      jwks === undefined && tls === undefined ? [] : [[`auth.issuers.${name}.files`, [jwks, tls?.ca]] as const]
    ),
    ...hooks.flatMap(({ key, name }) => (key === undefined ? [] : [[`hooks.${name}.key`, key] as const])),
    ...(captureSecret === undefined ? [] : [["capture.key", hex(Redacted.value(captureSecret))] as const]),
    ...authKeys.map(({ name, digest }) => [`auth.keys.${name}.key`, hex(digest)] as const)
  ])
}

const secretChanges = (before: LoadedConfig, after: LoadedConfig): ReadonlyArray<Difference> => {
  const was = secretsOf(before)
  const is = secretsOf(after)
  const shown = (value: unknown) => (value === undefined ? undefined : hidden)
  return [...new Set([...was.keys(), ...is.keys()])]
    .filter((key) => !isSame(was.get(key), is.get(key)))
    .map((key) => ({ key, before: shown(was.get(key)), after: shown(is.get(key)), restart: isFixed(key) }))
}

// Equal candidates go by the order of the config, and the first rule counts.
const reordered = (before: LoadedConfig, after: LoadedConfig): ReadonlyArray<Difference> =>
  [
    { key: "backends", was: before.backends, is: after.backends },
    { key: "routes", was: before.routing.rules, is: after.routing.rules }
  ].flatMap(({ is, key, was }) => {
    const inBoth = (entries: typeof was, others: typeof was) => {
      const known = new Set(others.map(({ name }) => name))
      return entries.map(({ name }) => name).filter((name) => known.has(name))
    }
    const names = (entries: typeof was) => entries.map(({ name }) => name)
    return isSame(inBoth(was, is), inBoth(is, was))
      ? []
      : [{ key, before: names(was), after: names(is), restart: false }]
  })

/** Every setting that differs, in the order of the file, and changed secrets last. */
export const difference = (before: ReadConfig, after: ReadConfig): ReadonlyArray<Difference> => {
  const was = effectiveSettings(before)
  const is = effectiveSettings(after)
  const top: Place = { key: [], before: [], after: [] }
  const tellBefore = describeSettings(before)
  const tellAfter = describeSettings(after)
  const told = differing(was, is, top).flatMap((place): ReadonlyArray<Difference> => {
    const key = showPath(place.key)
    const gone = valueAt(is, place.after) === undefined
    const fresh = valueAt(was, place.before) === undefined
    const from = fresh ? undefined : tellBefore(place.before)
    const to = gone ? undefined : tellAfter(place.after)
    // Defaults of an entry that only one of the two has are no news.
    if ((fresh && to?.origin === "default") || (gone && from?.origin === "default")) return []
    return [{ key, before: from?.value, after: to?.value, restart: isFixed(key) }]
  })
  return [...reordered(before.loaded, after.loaded), ...told, ...secretChanges(before.loaded, after.loaded)]
}

/** What differs, in few words: a backend, a client, a rule or a hook counts once, whatever differs of it. */
export const changedParts = (changes: ReadonlyArray<Difference>): string =>
  [
    ...new Set(
      changes.map(({ key }) =>
        key.replace(
          /^(backends|auth\.keys|auth\.issuers|models|routes|hooks)\.("(?:[^"\\]|\\.)*"|[^.[]+)[.[].*$/,
          "$1.$2"
        )
      )
    )
  ].join(", ")
