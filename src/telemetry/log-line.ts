/**
 * A log record as one line, text or JSON: control characters escaped, secrets hidden, length bounded.
 */
import * as Redacted from "effect/Redacted"
import { printable } from "../domain/printable.ts"
import { type LogLevel, type LogNaming, logNamings } from "./log-names.ts"

/** What a line is made of; `time` in milliseconds since 1970. */
export interface LogRecord {
  readonly time: number
  readonly level: LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Longest line, in UTF-16 units without the line feed; at most 8 KB of ASCII. */
export const maxLine = 8 * 1024

const maxValue = 2048

const short = (text: string): string => (text.length <= maxValue ? text : `${text.slice(0, maxValue)}…`)

const hidden = "<redacted>"

const replacer = (_key: string, value: unknown): unknown => {
  if (Redacted.isRedacted(value)) return hidden
  if (typeof value === "bigint") return String(value)
  if (value instanceof Error) return value.message
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  return typeof value === "string" ? short(value) : value
}

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value, replacer) ?? String(value)
  } catch {
    return '"<not representable>"'
  }
}

/** Any value in words; a Redacted one is never opened. */
export const valueText = (value: unknown): string => {
  if (Redacted.isRedacted(value)) return hidden
  if (typeof value === "string") return short(value)
  if (value instanceof Error) return short(value.message === "" ? value.name : value.message)
  return short(typeof value === "object" && value !== null ? json(value) : String(value))
}

const cut = (line: string): string => (line.length <= maxLine ? line : `${line.slice(0, maxLine - 1)}…`)

const plain = /^[^\s"=\\]+$/

const asText = (value: unknown): string => {
  const text = printable(valueText(value))
  return plain.test(text) ? text : JSON.stringify(text).replaceAll("\\\\u", "\\u")
}

/** `2026-01-31T12:00:00.000Z INFO  message key=value …` */
export const textLine = ({ time, level, message, fields }: LogRecord, naming: LogNaming = logNamings.nexus): string => {
  let line = `${new Date(time).toISOString()} ${level.toUpperCase().padEnd(5)} ${printable(short(message))}`
  for (const [field, given] of Object.entries(fields)) {
    for (const [name, value] of naming.field(field, given)) line += ` ${printable(name)}=${asText(value)}`
  }
  return cut(line)
}

const member = (key: string, value: unknown): string => printable(`${json(key)}:${json(value)}`)

/** What a JSON line begins with: its brace, when it was, how severe and what. */
export const headText = (time: number, level: LogLevel, message: string, naming: LogNaming): string => {
  const head = naming.head(new Date(time).toISOString(), level, message)
  return `{${head.map(([name, value]) => member(name, value)).join(",")}`
}

/** Fields as members of a JSON object, a comma before each; those that are undefined are left out. */
export const fieldsText = (fields: LogRecord["fields"], naming: LogNaming): string => membersOf(fields, naming).join("")

const membersOf = (fields: LogRecord["fields"], naming: LogNaming): ReadonlyArray<string> =>
  Object.entries(fields).flatMap(([field, given]) =>
    given === undefined ? [] : naming.field(field, given).map(([name, value]) => `,${member(name, value)}`)
  )

/** A JSON object with time, level, message and the fields; those that do not fit are left out and counted. */
export const jsonLine = ({ time, level, message, fields }: LogRecord, naming: LogNaming = logNamings.nexus): string => {
  let line = headText(time, level, message, naming)
  let left = 0
  for (const next of membersOf(fields, naming)) {
    if (line.length + next.length > maxLine - 32) left += 1
    else line += next
  }
  return left === 0 ? `${line}}` : `${line},"fields_left_out":${left}}`
}
