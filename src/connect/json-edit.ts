/**
 * Changes to the text of a JSON file that leave all else as it is: order, blank space, comments and commas at the end, where
 * the client takes those.
 */
import * as Result from "effect/Result"
import type { KeyPath } from "../config/path.ts"

interface Span {
  readonly at: number
  readonly end: number
}

interface Member extends Span {
  readonly key: string
  readonly value: Node
}

type Node = Span &
  (
    | { readonly kind: "object"; readonly members: ReadonlyArray<Member>; readonly comma: boolean }
    | { readonly kind: "array"; readonly items: ReadonlyArray<Node>; readonly comma: boolean }
    | { readonly kind: "scalar"; readonly value: unknown }
  )

/** Where a text stops being JSON. */
class Misplaced extends Error {
  readonly at: number
  constructor(at: number) {
    super("no JSON")
    this.at = at
  }
}

const trivia = /(?:[ \t\r\n]+|\/\/[^\n]*|\/\*[\s\S]*?\*\/)*/y
const scalar = /"(?:[^"\\\r\n]|\\[^\r\n])*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y

// Deeper than any settings are.
const deepest = 200

const parse = (text: string): Node => {
  let at = 0
  const skip = (): void => {
    trivia.lastIndex = at
    at += trivia.exec(text)?.[0].length ?? 0
  }
  const leaf = (): { readonly value: unknown } & Span => {
    scalar.lastIndex = at
    const found = scalar.exec(text)?.[0]
    if (found === undefined) throw new Misplaced(at)
    const start = at
    at += found.length
    try {
      return { value: JSON.parse(found), at: start, end: at }
    } catch {
      throw new Misplaced(start)
    }
  }
  /** Passes over what stands between two brackets; whether a comma stood at its end. */
  const inside = (close: string, each: () => void): boolean => {
    at += 1
    for (let first = true; ; first = false) {
      skip()
      const separated = !first && text[at] === ","
      if (separated) at += 1
      skip()
      if (text[at] === close) {
        at += 1
        return separated
      }
      if (!first && !separated) throw new Misplaced(at)
      each()
    }
  }
  const value = (depth: number): Node => {
    if (depth > deepest) throw new Misplaced(at)
    const start = at
    if (text[at] === "{") {
      const members: Array<Member> = []
      const comma = inside("}", () => {
        if (text[at] !== '"') throw new Misplaced(at)
        const key = leaf()
        skip()
        if (text[at] !== ":") throw new Misplaced(at)
        at += 1
        skip()
        const of = value(depth + 1)
        members.push({ key: String(key.value), value: of, at: key.at, end: of.end })
      })
      return { kind: "object", members, comma, at: start, end: at }
    }
    if (text[at] === "[") {
      const items: Array<Node> = []
      const comma = inside("]", () => {
        items.push(value(depth + 1))
      })
      return { kind: "array", items, comma, at: start, end: at }
    }
    return { kind: "scalar", ...leaf() }
  }
  skip()
  const root = value(0)
  skip()
  if (at < text.length) throw new Misplaced(at)
  return root
}

const plain = (node: Node): unknown => {
  if (node.kind === "scalar") return node.value
  if (node.kind === "array") return node.items.map(plain)
  return Object.fromEntries(node.members.map(({ key, value }) => [key, plain(value)]))
}

/** What the text says. */
export const readJson = (text: string): Result.Result<unknown, string> =>
  Result.map(opened(text), ({ root }) => plain(root))

interface Opened {
  readonly mark: string
  readonly body: string
  readonly root: Node
}

const opened = (text: string): Result.Result<Opened, string> => {
  const mark = text.startsWith("\ufeff") ? "\ufeff" : ""
  const body = text.slice(mark.length)
  try {
    return Result.succeed({ mark, body, root: parse(body) })
  } catch (error) {
    if (!(error instanceof Misplaced)) throw error
    return Result.fail(`line ${body.slice(0, error.at).split("\n").length} is no valid JSON`)
  }
}

/** The value of a key; of one that is there twice the last, as everybody reads it. */
const member = (node: Node, key: string): Member | undefined =>
  node.kind === "object" ? node.members.findLast((each) => each.key === key) : undefined

const indentAt = (body: string, at: number): string => {
  const line = body.lastIndexOf("\n", at - 1) + 1
  return /^[ \t]*/.exec(body.slice(line, at))?.[0] ?? ""
}

/** What one step of indentation is in this file. */
const stepOf = (body: string): string => /\n([ \t]+)\S/.exec(body)?.[1] ?? "  "

const breakOf = (body: string): string => (body.includes("\r\n") ? "\r\n" : "\n")

const isOnOneLine = (body: string, { at, end }: Span): boolean => !body.slice(at, end).includes("\n")

const pretty = (value: unknown, body: string, indent: string): string =>
  JSON.stringify(value, null, stepOf(body))
    .split("\n")
    .join(`${breakOf(body)}${indent}`)

const oneLine = (value: unknown): string =>
  JSON.stringify(value, null, 1).replace(/\n\s*/g, " ").replace(/\[ \]/g, "[]").replace(/\{ \}/g, "{}")

/** The text with something more at the end of an object or a list. */
const appended = (body: string, node: Exclude<Node, { kind: "scalar" }>, lead: string, value: unknown): string => {
  const children = node.kind === "object" ? node.members : node.items
  const last = children.at(-1)
  const close = node.end - 1
  if (last === undefined && body.slice(node.at + 1, close).trim() === "") {
    const outer = indentAt(body, node.at)
    const inner = outer + stepOf(body)
    const eol = breakOf(body)
    return `${body.slice(0, node.at + 1)}${eol}${inner}${lead}${pretty(value, body, inner)}${eol}${outer}${body.slice(close)}`
  }
  // A comment that follows the last one stays with it.
  const upTo = body.slice(0, close).trimEnd().length
  const comma = last === undefined || node.comma ? "" : ","
  const before = last === undefined ? body.slice(0, upTo) : body.slice(0, last.end) + comma + body.slice(last.end, upTo)
  const end = node.comma ? "," : ""
  if (last !== undefined && isOnOneLine(body, node)) {
    return `${before} ${lead}${oneLine(value)}${end}${body.slice(upTo)}`
  }
  const inner = last === undefined ? indentAt(body, node.at) + stepOf(body) : indentAt(body, last.at)
  const eol = breakOf(body)
  const rest = /^[ \t]*\r?\n/.test(body.slice(upTo))
    ? body.slice(upTo)
    : eol + indentAt(body, node.at) + body.slice(upTo)
  return `${before}${eol}${inner}${lead}${pretty(value, body, inner)}${end}${rest}`
}

const nested = (keys: ReadonlyArray<string>, value: unknown): unknown =>
  keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value)

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

const replaced = (body: string, node: Node, value: unknown): string => {
  const written = isOnOneLine(body, node) && node.kind !== "scalar" ? oneLine(value) : undefined
  return body.slice(0, node.at) + (written ?? pretty(value, body, indentAt(body, node.at))) + body.slice(node.end)
}

const shown = (path: KeyPath): string => path.join(".")

/** Sets the value at a path, and makes the objects on the way that are not there. */
export const setJson = (text: string, path: ReadonlyArray<string>, value: unknown): Result.Result<string, string> =>
  Result.flatMap(opened(text), ({ mark, body, root }) => {
    let node = root
    for (const [at, key] of path.entries()) {
      if (node.kind !== "object") return Result.fail(`${shown(path.slice(0, at)) || "the file"} holds no object`)
      const next = member(node, key)?.value
      if (next === undefined) {
        const lead = `${JSON.stringify(key)}: `
        return Result.succeed(mark + appended(body, node, lead, nested(path.slice(at + 1), value)))
      }
      node = next
    }
    return Result.succeed(same(plain(node), value) ? text : mark + replaced(body, node, value))
  })

// The comma that stands behind a place, with nothing but blank space and comments between.
const commaBehind = (body: string, at: number): number | undefined => {
  trivia.lastIndex = at
  const found = at + (trivia.exec(body)?.[0].length ?? 0)
  return body[found] === "," ? found : undefined
}

/** Takes a key out; comments beside it stay. */
export const dropJson = (text: string, path: ReadonlyArray<string>): Result.Result<string, string> =>
  Result.map(opened(text), ({ mark, body, root }) => {
    let node: Node | undefined = root
    for (const each of path.slice(0, -1)) node = node === undefined ? undefined : member(node, each)?.value
    const gone = node === undefined ? undefined : member(node, path.at(-1) ?? "")
    if (node?.kind !== "object" || gone === undefined) return text
    const previous = node.members[node.members.indexOf(gone) - 1]
    const comma = commaBehind(body, gone.end) ?? (previous && commaBehind(body, previous.end))
    const without = (part: string, from: number): string =>
      comma === undefined || comma < from || comma >= from + part.length
        ? part
        : part.slice(0, comma - from) + part.slice(comma - from + 1)
    const before = without(body.slice(0, gone.at), 0)
    const after = without(body.slice(gone.end), gone.end)
    // A line that had nothing else goes with it.
    const line = /^[ \t]*(?=\r?\n)/.test(after) ? /\r?\n[ \t]*$/.exec(before)?.[0] : undefined
    return mark + (line === undefined ? before + after : before.slice(0, -line.length) + after.replace(/^[ \t]*/, ""))
  })

/** Puts an item into the list at a path, in the place of the one that has the same value under a key of it. */
export const putJson = (
  text: string,
  path: ReadonlyArray<string>,
  key: string,
  item: Readonly<Record<string, unknown>>
): Result.Result<string, string> =>
  Result.flatMap(opened(text), ({ mark, body, root }) => {
    let node: Node | undefined = root
    for (const each of path) node = node === undefined ? undefined : member(node, each)?.value
    if (node === undefined) return setJson(text, path, [item])
    if (node.kind !== "array") return Result.fail(`${shown(path)} holds no list`)
    const old = node.items.find((each) => {
      const found = member(each, key)?.value
      return found?.kind === "scalar" && found.value === item[key]
    })
    if (old === undefined) return Result.succeed(mark + appended(body, node, "", item))
    return Result.succeed(same(plain(old), item) ? text : mark + replaced(body, old, item))
  })
