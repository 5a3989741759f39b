/**
 * What stands in a client's own settings file for a gateway, and how it gets there.
 */
import * as Result from "effect/Result"
import { isTable, type Table, valueAt } from "../config/path.ts"
import { printable } from "../domain/printable.ts"
import type { ClientSetup } from "./client-setup.ts"
import { dropJson, putJson, readJson, setJson } from "./json-edit.ts"
import { dropToml, readToml, setToml } from "./toml-edit.ts"

/** A value of a settings file, or an item of a list that is known by one of its keys; undefined takes it out. */
export interface Entry {
  readonly path: ReadonlyArray<string>
  readonly value: unknown
  readonly itemBy?: string
  /** Whether a table that stands there is of the same model here: what somebody has added to it stays. */
  readonly isOurs?: (old: Table) => boolean
  /** Keys of the value that give way to what stands there. */
  readonly guessed?: ReadonlyArray<string>
  /** Whether what stands there may be somebody's own and stays, by all that the file says. */
  readonly stays?: (was: unknown) => boolean
}

/** A settings file of a client. */
export interface SettingsFile {
  /** A variable that names another directory, and the file below that. */
  readonly variable: { readonly name: string; readonly below: ReadonlyArray<string> } | undefined
  /** The file below the home directory. */
  readonly home: ReadonlyArray<string>
  /** What else it may be called: the client has that go before the file, so that it is edited where it is there. */
  readonly alias?: string
  readonly syntax: "json" | "toml"
  readonly entries: (setup: ClientSetup) => ReadonlyArray<Entry>
}

/** A value that is another one now; what was there before is undefined when nothing was. */
export interface SettingsChange {
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** A settings file with a gateway in it. */
export interface EditedSettings {
  readonly text: string
  readonly changes: ReadonlyArray<SettingsChange>
}

const readers = { json: readJson, toml: readToml } as const

const found = (tree: unknown, { itemBy, path, value }: Entry): unknown => {
  const present = valueAt(tree, path)
  if (itemBy === undefined) return present
  const wanted = isTable(value) ? value[itemBy] : undefined
  return Array.isArray(present) ? present.find((each) => isTable(each) && each[itemBy] === wanted) : undefined
}

const put = (text: string, syntax: SettingsFile["syntax"], entry: Entry): Result.Result<string, string> => {
  const { itemBy, path, value } = entry
  if (value === undefined) return syntax === "json" ? dropJson(text, path) : dropToml(text, path)
  if (syntax === "json") {
    return itemBy === undefined || !isTable(value) ? setJson(text, path, value) : putJson(text, path, itemBy, value)
  }
  const simple = typeof value === "number" || typeof value === "boolean" ? value : String(value)
  return setToml(text, path.slice(0, -1), path.at(-1) ?? "", simple)
}

const merged = (old: Table, value: Table, guessed: ReadonlyArray<string> = []): Table => {
  const all = new Map(Object.entries(old))
  for (const [key, each] of Object.entries(value)) {
    const own = all.get(key)
    if (own !== undefined && guessed.includes(key)) continue
    all.set(key, isTable(own) && isTable(each) ? merged(own, each) : each)
  }
  return Object.fromEntries(all)
}

const withOwn = (entry: Entry, old: unknown): Entry => {
  const { guessed, isOurs, value } = entry
  return isTable(old) && isTable(value) && isOurs?.(old) === true
    ? { ...entry, value: merged(old, value, guessed) }
    : entry
}

const isEqual = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b)

/** The text with the gateway in it, and what is another value there now; everything else is as it was. */
export const editSettings = (
  { entries, syntax }: SettingsFile,
  before: string,
  setup: ClientSetup
): Result.Result<EditedSettings, string> => {
  let text = syntax === "json" && before.replace("\ufeff", "").trim() === "" ? "{}\n" : before
  const was = readers[syntax](text)
  if (Result.isFailure(was)) return Result.fail(was.failure)
  const wanted = entries(setup)
    .filter(({ stays }) => stays?.(was.success) !== true)
    .map((entry) => withOwn(entry, found(was.success, entry)))
  for (const entry of wanted) {
    const next = put(text, syntax, entry)
    if (Result.isFailure(next)) return Result.fail(next.failure)
    text = next.success
  }
  const is = readers[syntax](text)
  // What could not be read again as it was meant is not to be written.
  const lost = Result.isFailure(is) || wanted.some((entry) => !isEqual(found(is.success, entry), entry.value))
  if (lost) return Result.fail("its form is not one that can be edited")
  const changes = wanted.flatMap((entry) => {
    const old = found(was.success, entry)
    const path = entry.path.join(".") + (entry.itemBy === undefined ? "" : "[]")
    return isEqual(old, entry.value) ? [] : [{ path, before: old, after: entry.value }]
  })
  return Result.succeed({ text: changes.length === 0 ? before : text, changes })
}

/** The file of somebody who has none, as it is shown. */
export const freshSettings = (file: SettingsFile, setup: ClientSetup): string => {
  const edited = editSettings(file, "", setup)
  const text = Result.isSuccess(edited) ? edited.success.text : ""
  return text.trimEnd().split("\n").map(printable).join("\n")
}

const secretName = /key|token|secret|passw|auth|credential|bearer/i

/** A value as it may be shown: what may be a secret of somebody's is not. */
const shown = (path: string, value: unknown): string => {
  const hide = (name: string, each: unknown): unknown => {
    if (typeof each !== "string") return each
    return secretName.test(name) || /:\/\/[^/]*@|[?&][^=]+=/.test(each) ? "(hidden)" : each
  }
  const last = path.split(".").at(-1) ?? ""
  return printable(JSON.stringify(hide(last, value), (name, each: unknown) => hide(name, each)) ?? "")
}

/** What is another value now, line by line. */
export const changeLines = (changes: ReadonlyArray<SettingsChange>): ReadonlyArray<string> =>
  changes.flatMap(({ after, before, path }) => [
    ...(before === undefined ? [] : [`- ${printable(path)}: ${shown(path, before)}`]),
    // What is written is made here, and holds no secret, but for what somebody has added.
    ...(after === undefined
      ? []
      : [`+ ${printable(path)}: ${isTable(before) ? shown(path, after) : printable(JSON.stringify(after))}`])
  ])
