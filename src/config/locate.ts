/**
 * Where keys and tables stand in the text of a TOML document that parses; asked only when something is wrong or edited.
 */
import { pathId, type KeyPath } from "./path.ts"

/** First line of each key, each table and each item of a list, by {@link pathId} its path; lines count from 1. */
export type Lines = ReadonlyMap<string, number>

/** A header of a table, or a key with its value, as places in the text; a trailing comment is not part of it. */
export interface Statement {
  readonly kind: "table" | "item" | "pair"
  /** Of the table, of the new item of a list of tables, or of the value. */
  readonly path: KeyPath
  readonly at: number
  /** Where the value begins; that of a header is its end. */
  readonly valueAt: number
  readonly end: number
}

interface Cursor {
  readonly text: string
  at: number
}

const bare = /[A-Za-z0-9_-]+/y
const space = /[ \t]*/y
const blank = /(?:[ \t\r\n]+|#[^\n]*)*/y
const plain = /[^\s,\]}#]+(?: \d[^\s,\]}#]*)?/y

const take = (cursor: Cursor, pattern: RegExp): string => {
  pattern.lastIndex = cursor.at
  const found = pattern.exec(cursor.text)?.[0] ?? ""
  cursor.at += found.length
  return found
}

const escapes: ReadonlyMap<string, string> = new Map([
  ["b", "\b"],
  ["t", "\t"],
  ["n", "\n"],
  ["f", "\f"],
  ["r", "\r"],
  ["e", "\u001b"]
])

const unescape = (text: string): string =>
  text.replace(/\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))/g, (_, x, u, long, char) => {
    const code: string | undefined = x ?? u ?? long
    return code === undefined ? (escapes.get(char) ?? char) : String.fromCodePoint(Number.parseInt(code, 16))
  })

/** Passes over a string and gives its content; only those of one line are keys. */
const quoted = (cursor: Cursor): string => {
  const quote = cursor.text[cursor.at] ?? ""
  const triple = quote.repeat(3)
  const fence = cursor.text.startsWith(triple, cursor.at) ? triple : quote
  const start = cursor.at + fence.length
  let end = start
  while (end < cursor.text.length && !cursor.text.startsWith(fence, end)) {
    end += quote === '"' && cursor.text[end] === "\\" ? 2 : 1
  }
  // A multi-line string may end in one or two quotes of its own.
  if (fence === triple) while (cursor.text[end + 3] === quote) end++
  cursor.at = end + fence.length
  const content = cursor.text.slice(start, end)
  return quote === '"' ? unescape(content) : content
}

const keys = (cursor: Cursor): ReadonlyArray<string> => {
  const found: Array<string> = []
  do {
    if (cursor.text[cursor.at] === ".") cursor.at++
    take(cursor, space)
    const isQuoted = cursor.text[cursor.at] === '"' || cursor.text[cursor.at] === "'"
    found.push(isQuoted ? quoted(cursor) : take(cursor, bare))
    take(cursor, space)
  } while (cursor.text[cursor.at] === ".")
  return found
}

const lineCounter = (text: string) => {
  let line = 1
  let upTo = 0
  return (at: number): number => {
    for (; upTo < at; upTo++) if (text[upTo] === "\n") line++
    return line
  }
}

interface Scanned {
  readonly lines: Lines
  readonly statements: ReadonlyArray<Statement>
}

const scan = (text: string): Scanned => {
  const statements: Array<Statement> = []
  const lines = new Map<string, number>()
  const lengths = new Map<string, number>()
  const lineAt = lineCounter(text)
  const cursor: Cursor = { text, at: text.startsWith("\ufeff") ? 1 : 0 }

  const note = (path: KeyPath, line: number): void => {
    if (!lines.has(pathId(path))) lines.set(pathId(path), line)
  }

  const pair = (prefix: KeyPath): Statement => {
    const at = cursor.at
    const line = lineAt(cursor.at)
    const path = [...prefix]
    for (const key of keys(cursor)) {
      path.push(key)
      note(path, line)
    }
    if (text[cursor.at] === "=") cursor.at++
    take(cursor, space)
    const valueAt = cursor.at
    value(path)
    return { kind: "pair", path, at, valueAt, end: cursor.at }
  }

  const items = (close: string, item: (index: number) => void): void => {
    cursor.at++
    take(cursor, blank)
    for (let index = 0; cursor.at < text.length && text[cursor.at] !== close; index++) {
      const before = cursor.at
      item(index)
      take(cursor, blank)
      if (text[cursor.at] === ",") cursor.at++
      take(cursor, blank)
      if (cursor.at === before) cursor.at++
    }
    cursor.at++
  }

  const value = (path: KeyPath): void => {
    const first = text[cursor.at]
    if (first === "[") {
      items("]", (index) => {
        note([...path, index], lineAt(cursor.at))
        value([...path, index])
      })
    } else if (first === "{") items("}", () => pair(path))
    else if (first === '"' || first === "'") quoted(cursor)
    else take(cursor, plain)
  }

  /** The path that the keys of a header stand for: each list of tables on the way is at its last item. */
  const header = (names: ReadonlyArray<string>, isList: boolean): KeyPath => {
    const line = lineAt(cursor.at)
    const path: Array<string | number> = []
    for (const [at, name] of names.entries()) {
      path.push(name)
      note(path, line)
      const length = lengths.get(pathId(path))
      if (isList && at === names.length - 1) {
        lengths.set(pathId(path), (length ?? 0) + 1)
        path.push(length ?? 0)
        note(path, line)
      } else if (length !== undefined) path.push(length - 1)
    }
    return path
  }

  let table: KeyPath = []
  for (take(cursor, blank); cursor.at < text.length; take(cursor, blank)) {
    const before = cursor.at
    if (text[cursor.at] === "[") {
      const isList = text[cursor.at + 1] === "["
      cursor.at += isList ? 2 : 1
      table = header(keys(cursor), isList)
      cursor.at += isList ? 2 : 1
      statements.push({
        kind: isList ? "item" : "table",
        path: table,
        at: before,
        valueAt: cursor.at,
        end: cursor.at
      })
    } else statements.push(pair(table))
    if (cursor.at === before) cursor.at++
  }
  return { lines, statements }
}

/** Finds all lines of a document; one that does not parse gives some lines or none. */
export const linesOf = (text: string): Lines => scan(text).lines

/** The headers and pairs of a document in their order, without those inside values. */
export const statementsOf = (text: string): ReadonlyArray<Statement> => scan(text).statements

/** The line of a path, or of the nearest table around it; undefined when there is neither. */
export const lineOf = (lines: Lines, path: KeyPath): number | undefined => {
  for (let length = path.length; length > 0; length--) {
    const line = lines.get(pathId(path.slice(0, length)))
    if (line !== undefined) return line
  }
  return undefined
}
