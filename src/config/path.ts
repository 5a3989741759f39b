/**
 * Places in a tree of settings: how they are walked, and how they and their values are written for a person.
 */
import { printable } from "../domain/printable.ts"

/** Keys and array indexes from the root to a value. */
export type KeyPath = ReadonlyArray<string | number>

/** A table of settings; keys are spelled as in the file. */
export type Table = Readonly<Record<string, unknown>>

/** Whether a value is a table: neither a list, nor a date, nor a plain value. */
export const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** The value at a path; undefined when nothing is there. */
export const valueAt = (tree: unknown, path: KeyPath): unknown => {
  let value = tree
  for (const key of path) {
    if (Array.isArray(value)) value = value[Number(key)]
    else if (isTable(value) && Object.hasOwn(value, key)) value = value[key]
    else return undefined
  }
  return value
}

/** One string for each path, for use as the key of a map. */
export const pathId = (path: KeyPath): string => JSON.stringify(path)

const part = (key: string | number): string => {
  if (typeof key === "number") return `[${key}]`
  return /^[A-Za-z0-9_-]+$/.test(key) ? `.${key}` : `.${printable(JSON.stringify(key))}`
}

/** A path as a person writes it, such as `backends[0].url` or `routing.aliases."gpt-3.5"`. */
export const showPath = (path: KeyPath): string => path.map(part).join("").replace(/^\./, "")

const longest = 80

const whole = (value: unknown): string => {
  if (typeof value === "string") return printable(JSON.stringify(value))
  if (Array.isArray(value)) return `[${value.map(whole).join(", ")}]`
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? "a date" : value.toISOString()
  if (isTable(value)) {
    const entries = Object.entries(value).map(([key, each]) => `${part(key).slice(1)} = ${whole(each)}`)
    return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`
  }
  if (typeof value === "number") return String(value).replace("Infinity", "inf").replace("NaN", "nan")
  return String(value)
}

/** A value as TOML writes it, in one line and cut after 80 characters. */
export const showValue = (value: unknown): string => {
  const text = whole(value)
  return text.length > longest ? `${text.slice(0, longest)}…` : text
}

/** The tables of a list, each with its path. */
export const tablesAt = (
  tree: Table,
  path: KeyPath
): ReadonlyArray<{ readonly at: KeyPath; readonly table: Table }> => {
  const list = valueAt(tree, path)
  if (!Array.isArray(list)) return []
  return list.flatMap((table: unknown, index) => (isTable(table) ? [{ at: [...path, index], table }] : []))
}
