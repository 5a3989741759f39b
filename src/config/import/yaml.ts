/**
 * A YAML document as plain values, and the line of each of them.
 */
import * as Result from "effect/Result"
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml"
import { lineOf, type Lines } from "../locate.ts"
import { pathId, isTable, type KeyPath, type Table } from "../path.ts"

/** What was read of a file. */
export interface Document {
  readonly tree: Table
  /** The line of a key, or of the nearest one around it. */
  readonly lineOf: (path: KeyPath) => number | undefined
}

const linesOf = (root: unknown, lineAt: (offset: number) => number): Lines => {
  const lines = new Map<string, number>()
  const visit = (node: unknown, path: KeyPath): void => {
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const at = [...path, isScalar(key) ? String(key.value) : String(key)]
        const offset = isScalar(key) ? key.range?.[0] : undefined
        if (offset !== undefined) lines.set(pathId(at), lineAt(offset))
        visit(value, at)
      }
    } else if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        const at = [...path, index]
        const offset = isMap(item) || isScalar(item) || isSeq(item) || isAlias(item) ? item.range?.[0] : undefined
        if (offset !== undefined) lines.set(pathId(at), lineAt(offset))
        visit(item, at)
      }
    }
  }
  visit(root, [])
  return lines
}

/** Reads YAML; fails with words that begin with the line. */
export const readYaml = (text: string): Result.Result<Document, string> => {
  const counter = new LineCounter()
  const document = parseDocument<Node>(text, { lineCounter: counter, merge: true, prettyErrors: false })
  const [error] = document.errors
  if (error !== undefined) {
    const { line, col } = counter.linePos(error.pos[0])
    return Result.fail(`${line}:${col}: no valid YAML: ${error.message}`)
  }
  try {
    const tree: unknown = document.toJS({ maxAliasCount: 1000 })
    if (!isTable(tree)) return Result.fail("1: expected keys and values")
    const lines = linesOf(document.contents, (offset) => counter.linePos(offset).line)
    return Result.succeed({ tree, lineOf: (path) => lineOf(lines, path) })
  } catch (cause) {
    return Result.fail(`1: no valid YAML: ${cause instanceof Error ? cause.message : "it cannot be read"}`)
  }
}
