/**
 * From the settings of another gateway to a nexus.toml and all that it does not hold.
 */
import * as Result from "effect/Result"
import { parse, stringify } from "smol-toml"
import { lineOf, linesOf } from "../locate.ts"
import { isTable, type KeyPath, showPath, type Table } from "../path.ts"
import { printable } from "../../domain/printable.ts"
import { type Document, readYaml } from "./yaml.ts"
import { type Draft, emptyDraft, type Note, makeReader, sectionAt } from "./draft.ts"
import { type Format, isAt } from "./format.ts"
import { type ImportFormat, importFormats } from "./import-formats.ts"
import { bifrost } from "./bifrost.ts"
import { litellm } from "./litellm.ts"
import { llamaSwap } from "./llama-swap.ts"
import { olla } from "./olla.ts"
import { dropInvalid } from "./drop-invalid.ts"
import { nexusRust } from "./nexus-rust.ts"

const order = ["server", "auth", "discovery", "health_check", "routing", "budgets", "backends", "logging"]

const line = (key: string, value: unknown): string => stringify({ [key]: value }).trim()

const keyOf = (key: string): string => line(key, 0).replace(/ = 0$/, "")

const isTables = (value: unknown): value is ReadonlyArray<Table> =>
  Array.isArray(value) && value.length > 0 && value.every(isTable)

const commentText = (text: string): string => `# ${printable(text)}`

/** Writes the settings of a draft, with its comments. */
const draftToml = ({ settings, comments }: Draft, heading: ReadonlyArray<string>): string => {
  const own = (table: Table, header: string): ReadonlyArray<string> => {
    const values = Object.entries(table).filter(([, value]) => !isTable(value) && !isTables(value))
    if (values.length === 0 && !header.startsWith("[[")) return []
    const above = (comments.get(table) ?? []).map(commentText)
    return [[...above, header, ...values.map(([key, value]) => line(key, value))].join("\n")]
  }
  const below = (table: Table, path: string): ReadonlyArray<string> =>
    Object.entries(table).flatMap(([key, value]) => {
      const at = path === "" ? keyOf(key) : `${path}.${keyOf(key)}`
      if (isTables(value)) return value.flatMap((item) => own(item, `[[${at}]]`).concat(below(item, at)))
      return isTable(value) ? own(value, `[${at}]`).concat(below(value, at)) : []
    })
  const sorted = Object.entries(settings).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
  return `${[heading.map(commentText).join("\n"), ...below(Object.fromEntries(sorted), "")].join("\n\n")}\n`
}

const startsWith = (path: KeyPath, prefix: KeyPath): boolean =>
  prefix.length <= path.length && prefix.every((key, at) => key === path[at])

const childrenOf = (value: unknown, path: KeyPath): ReadonlyArray<readonly [KeyPath, unknown]> => {
  if (Array.isArray(value)) return value.map((each, index) => [[...path, index], each])
  return isTable(value) ? Object.entries(value).map(([key, each]) => [[...path, key], each]) : []
}

/** Keys that are neither carried over nor noted, each with its reason; a table as a whole when it can be. */
const unmapped = (tree: Table, format: Format, { used, notes }: Draft): ReadonlyArray<Note> => {
  const unknown = `no key of ${format.title}'s that can be carried over`
  const sections = new Set(format.unsupported.map(({ key }) => /^[^.[*]+(?=[.[])/.exec(key)?.[0]))
  const isSection = ([key]: KeyPath): boolean => typeof key === "string" && sections.has(key)
  const visit = (path: KeyPath, value: unknown, spoken: ReadonlyArray<KeyPath>): ReadonlyArray<Note> => {
    // Only what is below this place can speak of what is below it.
    const near = spoken.filter((each) => startsWith(each, path))
    if (path.length > 0 && near.some((each) => each.length === path.length)) return []
    const known = format.unsupported.find(({ key }) => (key !== "*" || !isSection(path)) && isAt(path, key))
    if (known !== undefined && near.length === 0) return [{ path, why: known.why }]
    const children = childrenOf(value, path)
    if (children.length === 0) return path.length === 0 ? [] : [{ path, why: unknown }]
    const below = children.flatMap(([at, each]) => visit(at, each, near))
    const isAllUnknown = near.length === 0 && path.length > 0 && below.every(({ why }) => why === unknown)
    return isAllUnknown ? [{ path, why: unknown }] : below
  }
  return visit([], tree, [...used, ...notes.map(({ path }) => path)])
}

/** The importers by the name `--from` takes. */
export const formats: Readonly<Record<ImportFormat, Format>> = {
  litellm,
  olla,
  "llama-swap": llamaSwap,
  bifrost,
  "nexus-rust": nexusRust
}

/** What came of an import. */
export interface Imported {
  readonly kind: ImportFormat
  readonly toml: string
  /** What could not be carried over, in the order of the source, each with file and line. */
  readonly left: ReadonlyArray<string>
  /** What has to be done before the result can be used. */
  readonly todo: ReadonlyArray<string>
}

const readToml = (text: string): Document | undefined => {
  try {
    const tree: unknown = parse(text)
    const lines = linesOf(text)
    return isTable(tree) && Object.keys(tree).length > 0 ? { tree, lineOf: (path) => lineOf(lines, path) } : undefined
  } catch {
    return undefined
  }
}

interface Opened {
  readonly kind: ImportFormat
  readonly document: Document
}

/** Reads the file and tells whose it is. */
const open = (file: string, text: string, from: ImportFormat | undefined): Result.Result<Opened, string> => {
  const toml = from === undefined || from === "nexus-rust" ? readToml(text) : undefined
  if (toml !== undefined) return Result.succeed({ kind: "nexus-rust", document: toml })
  if (from === "nexus-rust") return Result.fail(`${file}: no valid TOML, or nothing in it`)
  return Result.flatMap(
    Result.mapError(readYaml(text), (said) => printable(`${file}:${said}`)),
    (document) => {
      const kind = from ?? importFormats.find((each) => formats[each].isIt(document.tree))
      return kind === undefined
        ? Result.fail(`${file}: nothing in it tells whose it is; say --from ${importFormats.join(", --from ")}`)
        : Result.succeed({ kind, document })
    }
  )
}

const inOrder = (notes: ReadonlyArray<Note>, lineAt: (path: KeyPath) => number): ReadonlyArray<string> => {
  const lines = notes
    .map(({ path, why }) => ({ line: lineAt(path), text: `${showPath(path)}: ${why}` }))
    .sort((a, b) => a.line - b.line)
    .map(({ line, text }) => printable(`${line}: ${text}`))
  return [...new Set(lines)]
}

/** Those gateways call what their settings name and look for nothing else. */
const namedOnly = (draft: Draft): void => {
  const discovery = sectionAt(draft.settings, ["discovery"])
  discovery["enabled"] = false
  draft.comments.set(discovery, ["The backends of this file alone; true finds the servers of this machine as well."])
}

/** Imports the text of a file; fails with words for the user. */
export const convertSettings = (
  file: string,
  text: string,
  from: ImportFormat | undefined
): Result.Result<Imported, string> =>
  Result.map(open(file, text, from), ({ kind, document }) => {
    const format = formats[kind]
    const draft = emptyDraft()
    format.convert(makeReader(document.tree, draft), draft)
    if (kind !== "nexus-rust") namedOnly(draft)
    const missing = unmapped(document.tree, format, draft)
    dropInvalid(draft)
    const lineAt = (path: KeyPath): number => document.lineOf(path) ?? 1
    const left = inOrder([...draft.notes, ...missing], lineAt).map((line) => `${file}:${line}`)
    const heading = [
      `Made by \`nexus config import\` from ${format.title}'s ${file}.`,
      `Settings that are not here, or not as they were: ${left.length}; the command lists them.`,
      ...(draft.needed.length === 0 ? [] : [`Set before start: ${draft.needed.map(({ name }) => name).join(", ")}`]),
      ...format.hints
    ]
    const todo = draft.needed.map(({ name, instead }) =>
      instead === undefined
        ? `set ${name} in the environment`
        : `set ${name} in the environment to what ${file}:${lineAt(instead)} holds; it has not been copied`
    )
    return { kind, toml: draftToml(draft, heading), left, todo: todo.map(printable) }
  })
