/**
 * The file of `nexus mock`: read as a whole, or every mistake in it with its line.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { parse, TomlError } from "smol-toml"
import { lineOf, linesOf } from "../config/locate.ts"
import { nearest } from "../config/nearest.ts"
import { isTable, type KeyPath, showPath, showValue, valueAt } from "../config/path.ts"
import { tomlFault } from "../config/toml-fault.ts"
import { printable } from "../domain/printable.ts"
import { faultMistake, MockFile, mockKeys, type MockScript } from "./mock-script.ts"

const decode = Schema.decodeUnknownResult(MockFile, { errors: "all", onExcessProperty: "error" })

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

const known = (path: KeyPath): ReadonlyArray<string> =>
  path.length === 1 ? Object.keys(mockKeys) : (path.length === 3 && mockKeys[String(path[0])]) || []

const words = (tree: unknown, path: KeyPath, message: string): string => {
  const at = showPath(path)
  if (/excess property/i.test(message)) {
    const meant = nearest(String(path.at(-1)), known(path))
    return `unknown key ${at}${meant === undefined ? "" : `; did you mean ${meant}?`}`
  }
  if (/missing/i.test(message)) return `${at} is missing`
  const value = valueAt(tree, path)
  const [first = ""] = message.split("\n")
  return `${at} = ${showValue(value)}: ${first.replace(/^Expected/, "expected").replace(/, (got|actual) .*$/s, "")}`
}

/** Decodes what a file, or flags, say; a failure holds each mistake with its place. */
export const scriptFrom = (
  tree: unknown,
  place: (path: KeyPath) => string
): Result.Result<MockScript, ReadonlyArray<string>> => {
  const decoded = decode(tree)
  if (Result.isFailure(decoded)) {
    const told = issuesOf(decoded.failure.issue).issues.map(({ message, path = [] }) => {
      const keys = path.map((each) => (typeof each === "object" ? each.key : each))
      const at = keys.map((key) => (typeof key === "number" ? key : String(key)))
      return printable(`${place(at)}${words(tree, at, message)}`)
    })
    return Result.fail([...new Set(told)])
  }
  const { answers = [], faults = [], models = [] } = decoded.success
  const wrong = faults.flatMap((fault, at) => {
    const mistake = faultMistake(fault)
    return mistake === undefined ? [] : [printable(`${place(["faults", at])}${mistake}`)]
  })
  const silent = answers.flatMap((answer, at) =>
    answer.text === undefined && answer.calls === undefined
      ? [printable(`${place(["answers", at])}an answer wants text or calls`)]
      : []
  )
  const names = models.map(({ name }) => name)
  const twice = models.flatMap(({ name }, at) =>
    names.indexOf(name) < at ? [printable(`${place(["models", at, "name"])}there are two models ${name}`)] : []
  )
  const all = [...twice, ...silent, ...wrong]
  return all.length > 0 ? Result.fail(all) : Result.succeed({ models, answers, faults })
}

/** Reads the text of a file. */
export const readScript = (path: string, text: string): Result.Result<MockScript, ReadonlyArray<string>> => {
  let tree: unknown
  try {
    tree = parse(text)
  } catch (error) {
    if (!(error instanceof TomlError)) return Result.fail([`${path}: no valid TOML`])
    return Result.fail([printable(`${path}:${tomlFault(text, error)}`)])
  }
  const lines = linesOf(text)
  return scriptFrom(isTable(tree) ? tree : {}, (at) => {
    const line = lineOf(lines, at)
    return line === undefined ? `${path}: ` : `${path}:${line}: `
  })
}
