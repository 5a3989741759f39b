/**
 * Changes to the text of a TOML file of a client that leave every other line as it is.
 */
import * as Result from "effect/Result"
import { parse, stringify, TomlError } from "smol-toml"
import { statementsOf } from "../config/locate.ts"
import { isTable, pathId, showPath, valueAt } from "../config/path.ts"

/** What the text says. */
export const readToml = (text: string): Result.Result<unknown, string> => {
  try {
    return Result.succeed(parse(text.replace(/^\ufeff/, "")))
  } catch (error) {
    return Result.fail(error instanceof TomlError ? `line ${error.line} is no valid TOML` : "it is no valid TOML")
  }
}

const pairOf = (key: string, value: unknown): string => stringify({ [key]: value }).trimEnd()

const eolOf = (text: string): string => (text.includes("\r\n") ? "\r\n" : "\n")

/** The text with a line more behind the one that a place is in, or before all others. */
const lineAfter = (text: string, at: number | undefined, line: string): string => {
  const eol = eolOf(text)
  if (at === undefined) {
    const start = text.startsWith("\ufeff") ? 1 : 0
    const rest = text.slice(start)
    const gap = rest === "" || /^\r?\n/.test(rest) || !/^[ \t]*[[#]/.test(rest) ? "" : eol
    return `${text.slice(0, start)}${line}${eol}${gap}${rest}`
  }
  const end = text.indexOf("\n", at)
  return end === -1 ? `${text}${eol}${line}` : `${text.slice(0, end + 1)}${line}${eol}${text.slice(end + 1)}`
}

/** Sets a key of the file, or of the table that the path leads to; the table is made at the end when it is not there. */
export const setToml = (
  text: string,
  table: ReadonlyArray<string>,
  key: string,
  value: string | number | boolean
): Result.Result<string, string> =>
  Result.flatMap(readToml(text), (tree) => {
    const path = [...table, key]
    if (valueAt(tree, path) === value) return Result.succeed(text)
    const statements = statementsOf(text)
    const old = statements.find((each) => each.kind === "pair" && pathId(each.path) === pathId(path))
    const written = pairOf(key, value)
    if (old !== undefined) {
      const next = written.slice(pairOf(key, 0).length - 1)
      return Result.succeed(text.slice(0, old.valueAt) + next + text.slice(old.end))
    }
    const header = statements.findIndex((each) => each.kind === "table" && pathId(each.path) === pathId(table))
    const present = valueAt(tree, table)
    if (table.length > 0 && header === -1) {
      const above = table.findIndex((_, at) => {
        const found = valueAt(tree, table.slice(0, at + 1))
        return found !== undefined && !isTable(found)
      })
      if (above !== -1) return Result.fail(`${showPath(table.slice(0, above + 1))} holds no table`)
      const inline = statements.some(
        ({ kind, path: at }) =>
          kind === "pair" && at.length < table.length + 1 && at.every((part, n) => part === table[n])
      )
      if (present !== undefined || inline) {
        return Result.fail(`${showPath(table)} is not written as a table of its own, [${showPath(table)}]`)
      }
      const eol = eolOf(text)
      const body = text.trimEnd()
      const gap = body.replace("\ufeff", "") === "" ? "" : eol + eol
      return Result.succeed(`${body}${gap}[${showPath(table)}]${eol}${written}${eol}`)
    }
    let last = header
    while (statements[last + 1]?.kind === "pair") last += 1
    return Result.succeed(lineAfter(text, last === -1 ? undefined : (statements[last]?.end ?? 0), written))
  })

/** Takes a key out that is written in a line of its own; a comment behind it stays. */
export const dropToml = (text: string, path: ReadonlyArray<string>): Result.Result<string, string> =>
  Result.map(readToml(text), () => {
    const old = statementsOf(text).find((each) => each.kind === "pair" && pathId(each.path) === pathId(path))
    if (old === undefined) return text
    const after = /^[ \t]*(?:\r?\n)?/.exec(text.slice(old.end))?.[0] ?? ""
    return text.slice(0, old.at) + text.slice(old.end + after.length)
  })
