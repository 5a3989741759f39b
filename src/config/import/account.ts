/**
 * What became of every key of a source: carried over, or named with the reason why not.
 */
import { isTable, type KeyPath, type Table } from "../path.ts"
import type { Draft, Note } from "./draft.ts"
import { type Format, isAt } from "./format.ts"

const startsWith = (path: KeyPath, prefix: KeyPath): boolean =>
  prefix.length <= path.length && prefix.every((key, at) => key === path[at])

const childrenOf = (value: unknown, path: KeyPath): ReadonlyArray<readonly [KeyPath, unknown]> => {
  if (Array.isArray(value)) return value.map((each, index) => [[...path, index], each])
  return isTable(value) ? Object.entries(value).map(([key, each]) => [[...path, key], each]) : []
}

/** Keys that are neither carried over nor noted, each with its reason; a table as a whole when it can be. */
export const unmapped = (tree: Table, format: Format, { used, notes }: Draft): ReadonlyArray<Note> => {
  const unknown = `no key of ${format.title}'s that can be carried over`
  const visit = (path: KeyPath, value: unknown, spoken: ReadonlyArray<KeyPath>): ReadonlyArray<Note> => {
    // Only what is below this place can speak of what is below it.
    const near = spoken.filter((each) => startsWith(each, path))
    if (path.length > 0 && near.some((each) => each.length === path.length)) return []
    const known = format.unsupported.find(({ key }) => isAt(path, key))
    if (known !== undefined && near.length === 0) return [{ path, why: known.why }]
    const children = childrenOf(value, path)
    if (children.length === 0) return path.length === 0 ? [] : [{ path, why: unknown }]
    const below = children.flatMap(([at, each]) => visit(at, each, near))
    const isAllUnknown = near.length === 0 && path.length > 0 && below.every(({ why }) => why === unknown)
    return isAllUnknown ? [{ path, why: unknown }] : below
  }
  return visit([], tree, [...used, ...notes.map(({ path }) => path)])
}
