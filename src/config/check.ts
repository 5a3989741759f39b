/**
 * Mistakes of settings: those the Schema finds, and how all of them are told.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import { typeCalled } from "../backend/all.ts"
import { printable } from "../domain/printable.ts"
import { redactorOf } from "../domain/redact.ts"
import { nearest } from "./nearest.ts"
import { pathId, isTable, type KeyPath, showPath, showValue, type Table, valueAt } from "./path.ts"
import { keyEntries, expectedText, keysAt, schemaAt } from "./reference.ts"
import { Settings } from "./schema.ts"

const isType = (path: KeyPath): boolean => path[0] === "backends" && path.at(-1) === "type"

/** The allowed text that was most likely meant. */
const suggestedValue = (path: KeyPath, value: unknown, allowed: ReadonlyArray<unknown>): string | undefined => {
  if (typeof value !== "string") return undefined
  const texts = allowed.filter((each) => typeof each === "string")
  const known = isType(path) ? typeCalled(value) : undefined
  return known !== undefined && texts.includes(known) ? known : nearest(value.trim(), texts)
}

const secret = /^(api[_-]?key|key|api[_-]?token|token|access[_-]?token|auth|authorization|bearer|secret|password)$/i

/** Where a key is to be named that somebody wrote into the file; undefined when the name is not that of a key. */
const suggestedPlace = (path: KeyPath): string | undefined => {
  if (!secret.test(String(path.at(-1)))) return undefined
  if (path[0] === "backends" && path.length === 3) {
    return "a key does not stand in this file; api_key_env names the variable that holds it, api_key_file a file"
  }
  return path[0] === "auth"
    ? "a key does not stand in this file; sha256 holds its digest (nexus keys new prints both), env names the variable that holds it"
    : undefined
}

/** One mistake; with a `value` it is told as `key = value: reason`, else the reason stands alone. */
export interface Mistake {
  readonly path: KeyPath
  readonly reason: string
  readonly value?: unknown
}

/** Decodes settings, keeping every issue. */
export const decodeSettings = Schema.decodeUnknownResult(Settings, { errors: "all", onExcessProperty: "error" })

interface Leaf {
  readonly path: KeyPath
  readonly tag: SchemaIssue.Issue["_tag"]
  readonly message: string
}

const messageOf = (issue: SchemaIssue.Issue): string => {
  if (issue._tag !== "Filter") return ""
  const told = issue.filter.annotations?.["expected"]
  return typeof told === "string" ? told : ""
}

const leavesOf = (issue: SchemaIssue.Issue, path: KeyPath): ReadonlyArray<Leaf> => {
  switch (issue._tag) {
    case "Pointer":
      return leavesOf(issue.issue, [...path, ...issue.path.map((key) => (typeof key === "number" ? key : String(key)))])
    case "Encoding":
      return leavesOf(issue.issue, path)
    case "Composite":
      return issue.issues.flatMap((each) => leavesOf(each, path))
    default:
      return [{ path, tag: issue._tag, message: messageOf(issue) }]
  }
}

/** What keys of a table are called elsewhere: by other gateways, or in another table of ours. */
const elsewhereCalled: Readonly<Record<string, ReadonlyMap<string, string>>> = {
  "backends[]": new Map([
    ["address", "url"],
    ["api_base", "url"],
    ["base_url", "url"],
    ["endpoint", "url"],
    ["host", "url"],
    ["kind", "type"],
    ["provider", "type"],
    ["timeout", "request_timeout_seconds"]
  ]),
  "backends[].models[]": new Map([["name", "id"]]),
  "models[]": new Map([["id", "name"]]),
  "auth.keys[]": new Map([
    ["api_key_env", "env"],
    ["api_key_file", "key_file"],
    ["key_env", "env"]
  ])
}

// So few that they can be told where none of them is like what was written.
const mostTold = 16

const suggestion = (path: KeyPath): string | undefined => {
  const parent = path.slice(0, -1)
  const name = String(path.at(-1))
  const sibling = nearest(name, keysAt(parent) ?? [])
  const called = sibling ?? elsewhereCalled[showPath(parent).replaceAll(/\d+/g, "")]?.get(name)
  if (called !== undefined) return showPath([...parent, called])
  if (path.length === 2 && keysAt([])?.includes(name) === true) return name
  const elsewhere = keyEntries().find(
    (each) => each.path.at(-1) === name && each.path.length === 2 && !each.path.includes(0)
  )
  return elsewhere === undefined ? undefined : showPath(elsewhere.path)
}

const unknownKey = (path: KeyPath): Mistake => {
  const place = suggestedPlace(path)
  if (place !== undefined) return { path, reason: `unknown key ${showPath(path)}: ${place}` }
  const meant = suggestion(path)
  const keys = keysAt(path.slice(0, -1)) ?? []
  const told = keys.length === 0 || keys.length > mostTold ? "" : `; there are ${keys.join(", ")}`
  return { path, reason: `unknown key ${showPath(path)}${meant === undefined ? told : `; did you mean ${meant}?`}` }
}

const named: ReadonlySet<string> = new Set(["routing.aliases", "routing.groups", "routing.fallbacks"])

/** An unquoted dot in a name, as in `gpt-3.5 = "x"`, makes a table of what was to be a name. */
const unquotedName = (path: KeyPath, value: unknown): Mistake | undefined => {
  if (!named.has(showPath(path.slice(0, 2))) || path.length !== 3 || !isTable(value)) return undefined
  const names: Array<string> = [String(path[2])]
  let below: unknown = value
  while (isTable(below)) {
    const [first] = Object.entries(below)
    if (first === undefined) return undefined
    names.push(first[0])
    below = first[1]
  }
  const at = [...path, ...names.slice(1)]
  return {
    path: at,
    reason: `${showPath(path.slice(0, 2))}: a name with a dot needs quotes: "${names.join(".")}" = ${showValue(below)}`
  }
}

const mistakeOf = (tree: Table, { path, tag, message }: Leaf): Mistake => {
  if (tag === "UnexpectedKey") return unknownKey(path)
  const node = schemaAt(path) ?? {}
  // The type and the bounds are told in words of our own, a form in those of the Schema.
  const wanted = message === "" || node["pattern"] === undefined ? expectedText(node) : message
  if (tag === "MissingKey" && typeof path.at(-1) === "number") {
    const list = path.slice(0, -1)
    return { path: list, value: valueAt(tree, list), reason: "expected at least one" }
  }
  if (tag === "MissingKey") return { path, reason: `${showPath(path)} is missing: expected ${wanted}` }
  const value = valueAt(tree, path)
  const hint = isTable(value) && expectedText(node) === "a list of tables" ? `; write [[${showPath(path)}]]` : ""
  const meant = Array.isArray(node["enum"]) ? suggestedValue(path, value, node["enum"]) : undefined
  const question = meant === undefined ? "" : `; did you mean "${meant}"?`
  const reason = `expected ${wanted}${hint}${question}`
  return unquotedName(path, value) ?? { path, value, reason }
}

/** What the Schema finds wrong with the settings of one source: one mistake for each key at fault. */
export const schemaMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  if (Object.keys(tree).length === 0) return []
  const decoded = decodeSettings(tree)
  if (Result.isSuccess(decoded)) return []
  const seen = new Set<string>()
  return leavesOf(decoded.failure.issue, [])
    .filter(({ path }) => !seen.has(pathId(path)) && seen.add(pathId(path)))
    .map((leaf) => mistakeOf(tree, leaf))
}

const withoutKnownKeys = redactorOf([])

/** Tells a mistake; `where` is such as `nexus.toml:12`, and `subject` what holds the value, the key when undefined. */
export const mistakeText = (
  { path, reason, ...rest }: Mistake,
  where: string | undefined,
  subject?: string
): string => {
  const text = "value" in rest ? `${subject ?? showPath(path)} = ${showValue(rest.value)}: ${reason}` : reason
  return printable(where === undefined ? withoutKnownKeys(text) : `${where}: ${withoutKnownKeys(text)}`)
}
