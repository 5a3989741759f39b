/**
 * Settings that are being made from those of another gateway: each knows the key it came from, and what finds no place
 * is noted.
 */
import { isTable, type KeyPath, type Table, valueAt } from "../path.ts"

/** Something that is not carried over, or not as it was. */
export interface Note {
  /** The key in the source. */
  readonly path: KeyPath
  readonly why: string
}

/** Settings in the making, in the form the file has: a `${` that stands for itself is written `$${`. */
export type DraftTable = Record<string, unknown>

/** A variable that has to be set before the result can be used. */
interface Needed {
  readonly name: string
  /** The key of the source that holds the secret itself; undefined when the source named the variable as well. */
  readonly instead: KeyPath | undefined
}

/** What an importer fills in. */
export interface Draft {
  readonly settings: DraftTable
  readonly notes: Array<Note>
  /** Keys of the source that have been carried over, each with all below it. */
  readonly used: Array<KeyPath>
  readonly needed: Array<Needed>
  /** Lines to write above a table. */
  readonly comments: WeakMap<object, Array<string>>
  /** Where the keys of a table come from; the empty key is the table itself. */
  readonly origins: WeakMap<object, Map<string | number, KeyPath>>
}

/** Nothing so far. */
export const emptyDraft = (): Draft => ({
  settings: {},
  notes: [],
  used: [],
  needed: [],
  comments: new WeakMap(),
  origins: new WeakMap()
})

/** Text that stands for itself, whatever it holds. */
export const literalText = (text: string): string => text.toWellFormed().replaceAll("${", () => "$${")

const remember = (draft: Draft, table: object, key: string | number, from: KeyPath): void => {
  const known = draft.origins.get(table) ?? new Map<string | number, KeyPath>()
  draft.origins.set(table, known.set(key, from))
}

/** The table at a path, made when it is not there. */
export const sectionAt = (settings: DraftTable, path: ReadonlyArray<string>): DraftTable => {
  let table = settings
  for (const key of path) {
    const below = Object.hasOwn(table, key) ? table[key] : undefined
    const next: DraftTable = isTable(below) ? (below as DraftTable) : Object.create(null) // reason: all tables are made here
    table[key] = next
    table = next
  }
  return table
}

/** Sets a key that came from a key of the source; undefined sets nothing. */
export const setKey = (draft: Draft, table: DraftTable, key: string, value: unknown, from: KeyPath): void => {
  if (value === undefined) return
  table[key] = value
  remember(draft, table, key, from)
  draft.used.push(from)
}

/** Adds an item to a list of tables. */
export const addItem = (draft: Draft, table: DraftTable, key: string, from: KeyPath): DraftTable => {
  const list: Array<DraftTable> = Array.isArray(table[key]) ? table[key] : []
  table[key] = list
  const item: DraftTable = Object.create(null)
  list.push(item)
  remember(draft, item, "", from)
  return item
}

/** Writes a line above a table. */
export const addComment = (draft: Draft, table: DraftTable, line: string): void => {
  draft.comments.set(table, [...(draft.comments.get(table) ?? []), line])
}

/** The key of the source that the setting at a path came from, or the nearest around it. */
export const sourceOf = (draft: Draft, path: KeyPath): KeyPath => {
  for (let length = path.length; length >= 0; length--) {
    const table = valueAt(draft.settings, path.slice(0, length))
    if (typeof table !== "object" || table === null) continue
    const known = draft.origins.get(table)
    const found = known?.get(path[length] ?? "") ?? known?.get("")
    if (found !== undefined) return found
  }
  return []
}

const asText = (value: unknown): string | undefined =>
  typeof value === "string" ? value : typeof value === "number" ? String(value) : undefined

const asNumber = (value: unknown): number | undefined => {
  const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value
  return typeof number === "number" && Number.isFinite(number) ? number : undefined
}

const asTexts = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.every((each) => asText(each) !== undefined) ? value.map(String) : undefined

/** Reads of the source, which note what has not the form it should have. */
export const makeReader = (tree: Table, draft: Draft) => {
  const at = (path: KeyPath): unknown => (path.length === 0 ? tree : valueAt(tree, path))
  const note = (path: KeyPath, why: string): void => {
    draft.notes.push({ path, why })
  }
  const typed =
    <A>(expected: string, as: (value: unknown) => A | undefined) =>
    (path: KeyPath): A | undefined => {
      const value = at(path)
      if (value === undefined || value === null) return undefined
      const found = as(value)
      if (found === undefined) note(path, `expected ${expected}`)
      return found
    }
  return {
    at,
    note,
    text: typed("text", asText),
    number: typed("a number", asNumber),
    flag: typed("true or false", (value) => (typeof value === "boolean" ? value : undefined)),
    texts: typed("a list of texts", asTexts),
    /** Names of the keys of a table. */
    keys: (path: KeyPath): ReadonlyArray<string> => {
      const value = at(path)
      return isTable(value) ? Object.keys(value) : []
    },
    /** Paths of the items of a list. */
    items: (path: KeyPath): ReadonlyArray<KeyPath> => {
      const value = at(path)
      return Array.isArray(value) ? value.map((_, index) => path.concat(index)) : []
    },
    used: (...paths: ReadonlyArray<KeyPath>): void => {
      draft.used.push(...paths)
    }
  }
}

/** Reads of one source. */
export type Reader = ReturnType<typeof makeReader>
