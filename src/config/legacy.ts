/**
 * Keys and values of the Rust Nexus that this one spells otherwise or does without, so that its nexus.toml is read as it
 * is. A row counts only as long as the Schema does not know its key or value.
 */
import { plainType, typeCalled } from "../backend/all.ts"
import type { Mistake } from "./check.ts"
import { isTable, type KeyPath, showPath, type Table } from "./path.ts"
import { schemaAt } from "./reference.ts"
import { logLevels } from "./telemetry-schema.ts"

interface Values {
  /** In words, or as TOML writes the one there is. */
  readonly shown: string
  readonly is: (value: unknown) => boolean
}

/** One key, section or value of the Rust Nexus. */
export interface LegacyKey {
  /** `0` stands for each item of a list; a section stands for all of its keys. */
  readonly path: KeyPath
  /** The values the row is about; any when absent. */
  readonly value?: Values
  /** A key of the Schema without which the row says nothing. */
  readonly given?: KeyPath
  readonly verdict:
    | { readonly _tag: "alias"; readonly of: (value: unknown) => string }
    | { readonly _tag: "renamed"; readonly to: KeyPath }
    | { readonly _tag: "unused"; readonly why: string }
    | { readonly _tag: "refused"; readonly instead: string }
}

const unused = (path: KeyPath, why: string): LegacyKey => ({ path, verdict: { _tag: "unused", why } })

const refused = (path: KeyPath, instead: string, value?: Values): LegacyKey => ({
  path,
  ...(value === undefined ? {} : { value }),
  verdict: { _tag: "refused", instead }
})

const exactly = (text: string): Values => ({ shown: `"${text}"`, is: (value) => value === text })

const restricts = (value: unknown): boolean =>
  isTable(value) && (value["privacy"] === "restricted" || value["min_tier"] !== undefined)

const isLevelInCapitals = (value: unknown): boolean =>
  typeof value === "string" && value !== value.toLowerCase() && logLevels.some((each) => each === value.toLowerCase())

/** All of them; for each place the first row that fits counts. */
export const legacyKeys: ReadonlyArray<LegacyKey> = [
  {
    ...unused(
      ["discovery", "service_types"],
      "servers that announce themselves are found with mdns = true, and types of your own with mdns_types"
    ),
    given: ["discovery", "mdns_types"]
  },
  {
    path: ["discovery", "grace_period_seconds"],
    given: ["discovery", "grace_seconds"],
    verdict: { _tag: "renamed", to: ["discovery", "grace_seconds"] }
  },
  unused(["discovery", "service_types"], "servers are found by their ports; name others with [[backends]]"),
  unused(["discovery", "grace_period_seconds"], "a found server goes when it has missed several looks in a row"),
  refused(
    ["routing", "policies", 0],
    "ignoring this would let requests out; give [[models]] with this name zones that its requests may go to, " +
      "then remove [[routing.policies]]",
    { shown: 'with privacy = "restricted" or min_tier', is: restricts }
  ),
  unused(["routing", "policies", 0], "it restricts nothing"),
  unused(["routing", "budget"], "what may be spent is said by [[budgets]]"),
  {
    ...unused(
      ["backends", 0, "zone"],
      "zones are local, lan, cloud and names of your own, and zones = [...] of keys, models and rules keeps requests to them"
    ),
    value: { shown: '"Restricted" or "Open"', is: (value) => value === "Restricted" || value === "Open" }
  },
  unused(["backends", 0, "tier"], "requests are not routed by tier; fallbacks say which model may stand in for which"),
  {
    path: ["backends", 0, "type"],
    value: exactly("google"),
    verdict: { _tag: "alias", of: () => typeCalled("google") ?? plainType }
  },
  {
    path: ["logging", "level"],
    value: { shown: "in capital letters", is: isLevelInCapitals },
    verdict: { _tag: "alias", of: (value) => String(value).toLowerCase() }
  },
  { path: ["logging", "format"], value: exactly("pretty"), verdict: { _tag: "alias", of: () => "text" } },
  unused(["logging", "component_levels"], "one level counts for all parts; set logging.level"),
  unused(["logging", "enable_content_logging"], "prompts and answers are never logged"),
  unused(["quality"], "backends that fail are left alone by circuits of their own, which need no settings"),
  { path: ["queue", "max_size"], verdict: { _tag: "renamed", to: ["queue", "max_queue"] } },
  { path: ["queue", "max_wait_seconds"], verdict: { _tag: "renamed", to: ["queue", "queue_timeout_seconds"] } },
  unused(
    ["lifecycle"],
    "models are loaded and unloaded by nexus models load and unload, and kept in memory by routing.keep_warm"
  ),
  unused(["fleet"], "Nexus gives no recommendations"),
  refused(
    ["traffic_policies"],
    "it never had an effect: remove it, and leave the backends that must not get requests out of this file"
  )
]

/** What became of the keys of one row. */
export interface LegacyNote {
  readonly paths: ReadonlyArray<KeyPath>
  readonly text: string
}

/** Settings in today's spelling, with what is worth a warning and what cannot be taken. */
export interface Modern {
  readonly tree: Table
  readonly notes: ReadonlyArray<LegacyNote>
  readonly mistakes: ReadonlyArray<Mistake>
}

interface Place {
  readonly path: KeyPath
  readonly value: unknown
}

const places = (value: unknown, path: KeyPath, at: KeyPath): ReadonlyArray<Place> => {
  const [key, ...rest] = path
  if (key === undefined) return [{ path: at, value }]
  if (key === 0) return Array.isArray(value) ? value.flatMap((each, index) => places(each, rest, [...at, index])) : []
  return isTable(value) && Object.hasOwn(value, key) ? places(value[key], rest, [...at, key]) : []
}

/** Whether the Schema takes neither the key nor, where it lists them or the row does, the value. */
const isForeign = ({ value: values }: LegacyKey, { path, value }: Place): boolean => {
  const node = schemaAt(path)
  return node === undefined || (Array.isArray(node["enum"]) ? !node["enum"].includes(value) : values !== undefined)
}

/** A copy with another value at a path; undefined takes the key away. */
const changed = (value: unknown, path: KeyPath, to: unknown): unknown => {
  const [key, ...rest] = path
  if (key === undefined) return to
  if (Array.isArray(value)) return value.map((each, index) => (index === key ? changed(each, rest, to) : each))
  if (!isTable(value)) return value
  const copy: Record<string, unknown> = Object.assign(Object.create(null), value)
  const next = changed(value[key], rest, to)
  if (next === undefined) delete copy[key]
  else copy[key] = next
  return copy
}

const listOf = (path: KeyPath): KeyPath => (typeof path.at(-1) === "number" ? path.slice(0, -1) : path)

const nameOf = ({ path, value }: Place): string =>
  isTable(value) && typeof path.at(-1) === "string" ? `[${showPath(path)}]` : showPath(path)

const textOf = ({ verdict }: LegacyKey, place: Place, others: number): string => {
  const more = others === 0 ? "" : ` (and ${others} more)`
  switch (verdict._tag) {
    case "alias":
      return `${showPath(place.path)} = "${String(place.value)}" is read as "${verdict.of(place.value)}"`
    case "renamed":
      return `${showPath(place.path)} is read as ${showPath(verdict.to)}`
    case "unused":
      return `${nameOf(place)}${more} has no effect here: ${verdict.why}`
    case "refused":
      return `${showPath(place.path)} is not taken: ${verdict.instead}`
  }
}

const isGiven = ({ given }: LegacyKey): boolean => given === undefined || schemaAt(given) !== undefined

/** The settings after a row has been applied to one place. */
const applied = (tree: unknown, { verdict }: LegacyKey, { path, value }: Place): unknown => {
  const without = changed(tree, listOf(path), verdict._tag === "alias" ? verdict.of(value) : undefined)
  if (verdict._tag !== "renamed" || places(tree, verdict.to, []).length > 0) return without
  return changed(without, verdict.to, value)
}

/** Reads settings of the Rust Nexus in today's spelling; other settings come back as they are. */
export const modernise = (tree: Table): Modern => {
  const done = new Set<string>()
  const notes: Array<LegacyNote> = []
  const mistakes: Array<Mistake> = []
  let modern: unknown = tree
  for (const row of legacyKeys) {
    const found = places(tree, row.path, [])
      .filter(({ path, value }) => !done.has(showPath(path)) && (row.value?.is(value) ?? true))
      .filter((place) => isForeign(row, place) && isGiven(row))
    const [first] = found
    if (first === undefined) continue
    for (const { path } of found) done.add(showPath(path))
    for (const place of found) modern = applied(modern, row, place)
    if (row.verdict._tag === "refused") {
      const { instead } = row.verdict
      mistakes.push(
        ...found.map(({ path, value }) =>
          typeof value === "string"
            ? { path, value, reason: instead }
            : { path, reason: textOf(row, { path, value }, 0) }
        )
      )
    } else notes.push({ paths: found.map(({ path }) => path), text: textOf(row, first, found.length - 1) })
  }
  return { tree: isTable(modern) ? modern : tree, notes, mistakes }
}

const labelOf = ({ path, value }: LegacyKey): string => {
  const isSection = path.length === 1 && value === undefined && path[0] !== "traffic_policies"
  const key = path[0] === "traffic_policies" ? "traffic_policies[]" : showPath(path).replaceAll("[0]", "[]")
  const name = isSection || key === "routing.budget" ? `[${key}]` : key
  if (value === undefined) return `\`${name}\``
  return value.shown.startsWith('"') ? `\`${name} = ${value.shown}\`` : `\`${name}\` ${value.shown}`
}

const meaningOf = ({ verdict }: LegacyKey): string => {
  switch (verdict._tag) {
    case "alias":
      return `read as \`"${verdict.of("INFO")}"\``
    case "renamed":
      return `read as \`${showPath(verdict.to)}\``
    case "unused":
      return `no effect, with a warning | ${verdict.why}`
    case "refused":
      return `refused | ${verdict.instead}`
  }
}

const isStillForeign = ({ path, value }: LegacyKey): boolean => {
  const node = schemaAt(path)
  return (
    node === undefined ||
    (value !== undefined && !(Array.isArray(node["enum"]) && node["enum"].some((each) => `"${each}"` === value.shown)))
  )
}

/** The table for the documentation, as Markdown. */
export const legacyMarkdown = (): string => {
  const rows = legacyKeys.filter((row) => isGiven(row) && isStillForeign(row))
  const told = rows.filter((row, at) => rows.findIndex((each) => labelOf(each) === labelOf(row)) === at)
  return [
    "| key or value | here | why, or what to do instead |",
    "| --- | --- | --- |",
    ...told.map((row) => {
      const meaning =
        row.verdict._tag === "alias" || row.verdict._tag === "renamed"
          ? `${meaningOf(row)} | the same meaning`
          : meaningOf(row)
      return `| ${labelOf(row)} | ${meaning} |`
    })
  ].join("\n")
}
