/**
 * Changes to the text of a nexus.toml that leave every other line as it is: comments, order, blank lines and line ends.
 * Names and values are as Nexus reads them; a `${` in them is written so that it stands for itself.
 */
import * as Result from "effect/Result"
import { parse, stringify, TomlError } from "smol-toml"
import { printable } from "../domain/printable.ts"
import { type Statement, statementsOf } from "./locate.ts"
import { isTable, type KeyPath, type Table, valueAt } from "./path.ts"

/** A value that fits a line. */
type Scalar = string | number | boolean

/** The keys of a new `[[backends]]` table in the order they are written in; those that are undefined are left out. */
export type BackendKeys = { readonly name: string } & Readonly<Record<string, Scalar | undefined>>

type Edited = Result.Result<string, string>

interface Placed extends Statement {
  /** Indexes of its first and its last line. */
  readonly first: number
  readonly last: number
}

interface Document {
  readonly mark: string
  /** The text after the byte order mark. */
  readonly body: string
  /** Its lines with their ends. */
  readonly lines: ReadonlyArray<string>
  readonly statements: ReadonlyArray<Placed>
  readonly backends: ReadonlyArray<Table>
}

const isBlank = (line: string | undefined): boolean => line !== undefined && /^[ \t\r\n]*$/.test(line)
const isComment = (line: string | undefined): boolean => line !== undefined && /^[ \t]*#/.test(line)
const headerSwitchedOff = /^[ \t]*#[# \t]*\[+[^[\]]+\]+[ \t]*(#.*)?\r?\n?$/
const keySwitchedOff = /^[ \t]*#[# \t]*[\w."'-]+[ \t]*=/
const isHeaderSwitchedOff = (line: string | undefined): boolean => line !== undefined && headerSwitchedOff.test(line)
/** A header, or a key with a value, that was made a comment. */
const isSwitchedOff = (line: string | undefined): boolean =>
  isHeaderSwitchedOff(line) || (line !== undefined && keySwitchedOff.test(line))

const splitLines = (text: string): ReadonlyArray<string> => text.match(/[^\n]*\n|[^\n]+$/g) ?? []

const endOf = (line: string | undefined): string => /\r?\n$/.exec(line ?? "")?.[0] ?? ""

/** The line end in use at a line, or above it. */
const lineEnd = (lines: ReadonlyArray<string>, at: number): string =>
  endOf(lines.slice(0, at + 1).findLast((line) => endOf(line) !== "") ?? lines[0]) || "\n"

const place = (body: string, statements: ReadonlyArray<Statement>): ReadonlyArray<Placed> => {
  let line = 0
  let upTo = 0
  const lineAt = (at: number): number => {
    for (; upTo < at; upTo++) if (body[upTo] === "\n") line++
    return line
  }
  return statements.map((each) => ({ ...each, first: lineAt(each.at), last: lineAt(each.end) }))
}

const open = (text: string): Result.Result<Document, string> => {
  const mark = text.startsWith("\ufeff") ? "\ufeff" : ""
  const body = text.slice(mark.length)
  let tree: unknown
  try {
    tree = parse(body)
  } catch (error) {
    return Result.fail(error instanceof TomlError ? `line ${error.line} is no valid TOML` : "no valid TOML")
  }
  const statements = place(body, statementsOf(body))
  const list = valueAt(tree, ["backends"]) ?? []
  const items = statements.filter(({ kind, path }) => kind === "item" && path.length === 2 && path[0] === "backends")
  if (!Array.isArray(list) || (items.length === 0) !== (valueAt(tree, ["backends"]) === undefined)) {
    const line = (statements.find(({ path }) => path[0] === "backends")?.first ?? 0) + 1
    return Result.fail(
      `line ${line} does not write the backends as [[backends]] tables; only those can be edited. Write each backend as a [[backends]] table of its own first`
    )
  }
  return Result.succeed({ mark, body, lines: splitLines(body), statements, backends: list.filter(isTable) })
}

/** First line of the comments that speak of the header at an index: those right above it that are no settings. */
const commentsAbove = ({ lines, statements }: Document, at: number): number => {
  const floor = (statements[at - 1]?.last ?? -1) + 1
  let first = statements[at]?.first ?? 0
  while (first > floor && isComment(lines[first - 1]) && !isSwitchedOff(lines[first - 1])) first--
  return first
}

/** The line after the comments that hang on to the end of a table. */
const commentsBelow = (document: Document, at: number): number => {
  const { lines, statements } = document
  const ceiling = at + 1 < statements.length ? commentsAbove(document, at + 1) : lines.length
  let next = (statements[at]?.last ?? -1) + 1
  while (next < ceiling && isComment(lines[next]) && !isHeaderSwitchedOff(lines[next])) next++
  return next
}

/** A `${` as the file has to write it to mean itself. */
const plain = (value: Scalar): Scalar => (typeof value === "string" ? value.replaceAll("${", () => "$${") : value)

const pairOf = (key: string, value: Scalar): string => stringify({ [key.toWellFormed()]: plain(value) }).trimEnd()

const quote = (name: string): string => `'${printable(name)}'`

const indexOf = ({ backends }: Document, name: string): Result.Result<number, string> => {
  const found = backends.flatMap((table, index) => (table["name"] === plain(name) ? [index] : []))
  const [index] = found
  if (index === undefined) return Result.fail(`the file has no [[backends]] table named ${quote(name)}`)
  return found.length === 1
    ? Result.succeed(index)
    : Result.fail(`the file has ${found.length} [[backends]] tables named ${quote(name)}; give each a name of its own`)
}

const isWithin = (path: KeyPath, index: number): boolean => path[0] === "backends" && path[1] === index

/** The text, when it holds what was to be written; there are values that TOML has no way to write. */
const checked = (text: string, name: string, wanted: ReadonlyArray<readonly [string, Scalar]>): Edited => {
  const document = open(text)
  if (Result.isFailure(document)) return Result.fail("a key or value that TOML cannot hold")
  const table = document.success.backends.findLast((each) => each["name"] === plain(name))
  const lost = wanted.find(
    ([key, value]) => (table && Object.hasOwn(table, key) ? table[key] : undefined) !== plain(value)
  )
  return lost === undefined ? Result.succeed(text) : Result.fail(`TOML cannot hold the value of ${printable(lost[0])}`)
}

/** The text without some of its lines; without an end of its last line when it had none. */
const without = ({ mark, body, lines }: Document, isGone: (line: number) => boolean): string => {
  const kept = lines.filter((_, at) => !isGone(at)).join("")
  const isOpenEnded = endOf(body) === "" && isGone(lines.length - 1)
  return mark + (isOpenEnded ? kept.replace(/\r?\n$/, "") : kept)
}

/** Adds a `[[backends]]` table after the last one, or at the end of a file that has none. */
export const addBackend = (text: string, entry: BackendKeys): Edited =>
  Result.flatMap(open(text), (document) => {
    const { mark, lines, statements, backends } = document
    if (backends.some((each) => each["name"] === plain(entry.name))) {
      return Result.fail(`the file has a [[backends]] table named ${quote(entry.name)} already`)
    }
    const keys = Object.entries(entry).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]))
    const last = statements.findLastIndex(({ path }) => path[0] === "backends")
    const at = last === -1 ? lines.findLastIndex((line) => !isBlank(line)) + 1 : commentsBelow(document, last)
    const end = lineEnd(lines, at - 1)
    const isOpenEnded = at > 0 && endOf(lines[at - 1]) === ""
    const added = [...(at > 0 ? [""] : []), "[[backends]]", ...keys.map(([key, value]) => pairOf(key, value))].join(end)
    const parts = [...lines.slice(0, at), isOpenEnded ? end : "", added, isOpenEnded ? "" : end, ...lines.slice(at)]
    return checked(mark + parts.join(""), entry.name, keys)
  })

/** Takes out a `[[backends]]` table with its sub-tables, the comments right above it and one blank line beside it. */
export const removeBackend = (text: string, name: string): Edited =>
  Result.flatMap(open(text), (document) =>
    Result.map(indexOf(document, name), (index) => {
      const { lines, statements } = document
      const gone = new Set<number>()
      statements.forEach(({ path }, from) => {
        if (!isWithin(path, index) || isWithin(statements[from - 1]?.path ?? [], index)) return
        let to = from
        while (isWithin(statements[to + 1]?.path ?? [], index)) to++
        let first = commentsAbove(document, from)
        let after = commentsBelow(document, to)
        if (isBlank(lines[first - 1])) first--
        else if (first === 0 && isBlank(lines[after]) && !lines.slice(after).every(isBlank)) after++
        for (let line = first; line < after; line++) gone.add(line)
      })
      return without(document, (line) => gone.has(line))
    })
  )
