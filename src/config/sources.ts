/**
 * Where settings come from and which of them wins: default < file < environment < flag.
 */
import { pathId, isTable, type KeyPath, showPath, type Table, valueAt } from "./path.ts"
import { type KeyEntry, expectedText, lazy, scalarKeys } from "./reference.ts"
import { isServiceLink, type UnknownVariables, unknownVariables } from "./unknown-variables.ts"

/** Who gave a value; `name` is the variable or the flag. */
export type SettingOrigin =
  | { readonly _tag: "file" }
  | { readonly _tag: "variable"; readonly name: string }
  | { readonly _tag: "flag"; readonly name: string }

/** Settings of one source, nested and spelled as in the file. */
export interface SettingsSource {
  readonly tree: Table
  readonly originOf: (path: KeyPath) => SettingOrigin
}

/** All sources laid over each other; `origins` knows each value by {@link pathId} its path. */
export interface MergedSources {
  readonly tree: Table
  readonly origins: ReadonlyMap<string, SettingOrigin>
}

/** The same, and whether anything of one source lies hidden under another. */
export interface LaidSources extends MergedSources {
  readonly hides: boolean
}

const empty = (): Record<string, unknown> => Object.create(null)

interface Laying {
  readonly origins: Map<string, SettingOrigin>
  hides: boolean
}

const lay = (
  below: Table,
  source: SettingsSource,
  tree: Table,
  path: KeyPath,
  laying: Laying
): Record<string, unknown> => {
  const both = Object.assign(empty(), below)
  for (const [key, value] of Object.entries(tree)) {
    const at = [...path, key]
    const under = both[key]
    if (under !== undefined && !(isTable(under) && isTable(value))) laying.hides = true
    if (isTable(value)) {
      both[key] = lay(isTable(under) ? under : empty(), source, value, at, laying)
    } else {
      both[key] = value
      laying.origins.set(pathId(at), source.originOf(at))
    }
  }
  return both
}

/** Lays sources over each other, the last one on top; tables are joined, lists and plain values replaced. */
export const mergeSources = (sources: ReadonlyArray<SettingsSource>): LaidSources => {
  const laying: Laying = { origins: new Map(), hides: false }
  let tree: Table = empty()
  for (const source of sources) tree = lay(tree, source, source.tree, [], laying)
  return { tree, ...laying }
}

/** Settings of the file. */
export const fromFile = (tree: Table): SettingsSource => ({ tree, originOf: () => ({ _tag: "file" }) })

const flagNames: ReadonlyMap<string, string> = new Map([
  ["server.host", "--host"],
  ["server.port", "--port"],
  ["server.workers", "--workers"],
  ["server.insecure", "--insecure"],
  ["discovery.enabled", "--no-discovery"],
  ["health_check.enabled", "--no-health-check"],
  ["logging.level", "--log-level"]
])

/** Settings of flags. */
export const fromFlags = (tree: Table): SettingsSource => ({
  tree,
  originOf: (path) => ({ _tag: "flag", name: flagNames.get(showPath(path)) ?? `flag for ${showPath(path)}` })
})

const short: ReadonlyMap<string, string> = new Map([
  ["NEXUS_HOST", "server.host"],
  ["NEXUS_PORT", "server.port"],
  ["NEXUS_WORKERS", "server.workers"],
  ["NEXUS_LOG_LEVEL", "logging.level"],
  ["NEXUS_LOG_FORMAT", "logging.format"],
  ["NEXUS_DISCOVERY", "discovery.enabled"],
  ["NEXUS_HEALTH_CHECK", "health_check.enabled"]
])

const byName = lazy(
  (): ReadonlyMap<string, KeyEntry> =>
    new Map(
      scalarKeys().flatMap((entry) => {
        const key = showPath(entry.path)
        const names = [...short].filter(([, each]) => each === key).map(([name]) => name)
        return [...names, `NEXUS_${key.replaceAll(".", "_").toUpperCase()}`].map((name) => [name, entry] as const)
      })
    )
)

/** Variables that set the key of this name, such as `server.port`. */
export const variablesFor = (key: string): ReadonlyArray<string> =>
  [...byName()].flatMap(([name, { path }]) => (showPath(path) === key ? [name] : []))

/** Names of the variables that set a key. */
export const variableNames = (): ReadonlyArray<string> => [...byName().keys()]

// NEXUS_KEY is what the examples call the key a client sends; NEXUS_API_KEY is where Zed looks for it, of itself.
const reserved: ReadonlySet<string> = new Set(["NEXUS_CONFIG", "NEXUS_KEY", "NEXUS_API_KEY"])

const words: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["1", true],
  ["yes", true],
  ["on", true],
  ["false", false],
  ["0", false],
  ["no", false],
  ["off", false]
])

const number = /^[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?$/i

const isNumber = (node: Table): boolean =>
  node["type"] === "integer" ||
  node["type"] === "number" ||
  (Array.isArray(node["anyOf"]) && node["anyOf"].some((each) => isTable(each) && isNumber(each)))

/** The value a text stands for; the text itself when it is no such value. */
const valueOf = (text: string, { node }: KeyEntry): unknown => {
  const trimmed = text.trim()
  if (node["type"] === "boolean") return words.get(trimmed.toLowerCase()) ?? text
  if (isNumber(node)) return number.test(trimmed) ? Number(trimmed) : text
  return text
}

const put = (tree: Record<string, unknown>, path: KeyPath, value: unknown): void => {
  const [key, ...rest] = path.map(String)
  if (key === undefined) return
  if (rest.length === 0) {
    tree[key] = value
    return
  }
  const below = Object.assign(empty(), tree[key])
  put(below, rest, value)
  tree[key] = below
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Settings of the environment, what is wrong with them, and what is to be said of variables that are none. */
export interface FromEnvironment extends SettingsSource, UnknownVariables {
  readonly mistakes: ReadonlyArray<string>
}

/** Reads the environment; one that is empty counts as not set. `others` are names that the file speaks of. */
export const fromEnvironment = (env: Environment, others: ReadonlySet<string>): FromEnvironment => {
  const tree = empty()
  const givenBy = new Map<string, string>()
  const mistakes: Array<string> = []
  const strangers: Array<{ readonly name: string; readonly value: string }> = []
  for (const name of Object.keys(env).sort()) {
    if (!name.startsWith("NEXUS_") || reserved.has(name) || others.has(name)) continue
    const text = env[name]
    if (text === undefined || text.trim() === "") continue
    const entry = byName().get(name)
    if (entry === undefined || isServiceLink(name, text)) {
      strangers.push({ name, value: text })
      continue
    }
    const id = pathId(entry.path)
    const earlier = givenBy.get(id)
    const value = valueOf(text, entry)
    if (earlier !== undefined && valueAt(tree, entry.path) !== value) {
      mistakes.push(`${earlier} and ${name} both set ${showPath(entry.path)}, to different values`)
    }
    put(tree, entry.path, value)
    if (earlier === undefined) givenBy.set(id, name)
  }
  const originOf = (path: KeyPath): SettingOrigin => ({
    _tag: "variable",
    name: givenBy.get(pathId(path)) ?? "environment"
  })
  // Working out all names takes a while; most starts have no use for them.
  const known = strangers.length === 0 ? [] : [...variableNames(), "NEXUS_CONFIG", "NEXUS_KEY"]
  return { tree, originOf, mistakes, ...unknownVariables(strangers, known) }
}

/** What a variable for this key takes, in words. */
export const expectedOf = (origin: SettingOrigin, node: Table): string =>
  origin._tag === "variable" && node["type"] === "boolean"
    ? "true, false, 1, 0, yes, no, on or off"
    : expectedText(node)
