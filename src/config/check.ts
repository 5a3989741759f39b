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

/** Whether a message of the Schema says more than the type and the bounds do. */
const saysMore = (message: string): boolean => /^Expected (1 to|12|64) /.test(message)

const messageOf = (issue: SchemaIssue.Issue): string => {
  if (issue._tag !== "Filter") return ""
  const told = issue.filter.annotations?.["expected"]
  return typeof told === "string" ? `Expected ${told}` : ""
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

/** What other gateways call the keys of a backend. */
const elsewhereCalled: ReadonlyMap<string, string> = new Map([
  ["address", "url"],
  ["api_base", "url"],
  ["base_url", "url"],
  ["endpoint", "url"],
  ["host", "url"],
  ["kind", "type"],
  ["provider", "type"],
  ["timeout", "request_timeout_seconds"]
])

const suggestion = (path: KeyPath): string | undefined => {
  const parent = path.slice(0, -1)
  const name = String(path.at(-1))
  const sibling = nearest(name, keysAt(parent) ?? [])
  const called = sibling ?? (path[0] === "backends" && path.length === 3 ? elsewhereCalled.get(name) : undefined)
  if (called !== undefined) return showPath([...parent, called])
  const elsewhere = keyEntries().find(
    (each) => each.path.at(-1) === name && each.path.length === 2 && !each.path.includes(0)
  )
  return elsewhere === undefined ? undefined : showPath(elsewhere.path)
}

const unknownKey = (path: KeyPath): Mistake => {
  const place = suggestedPlace(path)
  if (place !== undefined) return { path, reason: `unknown key ${showPath(path)}: ${place}` }
  const meant = suggestion(path)
  return { path, reason: `unknown key ${showPath(path)}${meant === undefined ? "" : `; did you mean ${meant}?`}` }
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
  const wanted = message === "" ? expectedText(node) : message.replace(/^Expected /, "")
  if (tag === "MissingKey") return { path, reason: `${showPath(path)} is missing: expected ${wanted}` }
  const value = valueAt(tree, path)
  const hint = isTable(value) && expectedText(node) === "a list of tables" ? `; write [[${showPath(path)}]]` : ""
  const meant = Array.isArray(node["enum"]) ? suggestedValue(path, value, node["enum"]) : undefined
  const question = meant === undefined ? "" : `; did you mean "${meant}"?`
  const reason = `expected ${saysMore(message) ? wanted : expectedText(node)}${hint}${question}`
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
