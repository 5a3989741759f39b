/**
 * The macros of llama-swap: names in `${…}` that stand for a text.
 */
import { isTable, type KeyPath } from "../path.ts"
import type { Reader } from "./draft.ts"

/** Macros by name; those of a model go before those of all. */
export type Macros = ReadonlyMap<string, string>

const asText = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : ""

const entriesOf = (value: unknown): ReadonlyArray<readonly [string, string]> =>
  isTable(value) ? Object.entries(value).map(([name, each]) => [name, asText(each)]) : []

/** The macros that hold at a place. */
export const macrosAt = (read: Reader, at: KeyPath): Macros =>
  new Map([...entriesOf(read.at(["macros"])), ...(at.length === 0 ? [] : entriesOf(read.at([...at, "macros"])))])

const used = /\$\{([A-Za-z0-9_-]+)\}/g

// Macros name macros that stand before them: what goes deeper, or grows without end, is no such file.
const deepest = 20
const longest = 10_000

/** A text with its macros written out; names that are no macros stay. */
export const expandMacros = (text: string, macros: Macros): string => {
  let result = text
  for (let depth = 0; depth < deepest; depth++) {
    const next = result.replace(used, (whole, name: string) => macros.get(name) ?? whole)
    if (next === result || next.length > longest) break
    result = next
  }
  return result
}

/** The macros a text uses, and those that these use. */
export const macrosIn = (text: string, macros: Macros): ReadonlySet<string> => {
  const found = new Set<string>()
  const visit = (each: string): void => {
    for (const [, name = ""] of each.matchAll(used)) {
      if (found.has(name) || !macros.has(name)) continue
      found.add(name)
      visit(macros.get(name) ?? "")
    }
  }
  visit(text)
  return found
}
