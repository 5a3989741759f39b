/**
 * From the text of a file, an environment and flags to settings that can be relied on, or every mistake in them.
 */
import { Result } from "effect"
import { parse, TomlError } from "smol-toml"
import { printable } from "../domain/text.ts"
import { decode, type Mistake, shapeMistakes, tell } from "./check.ts"
import { compile, type Loaded } from "./compile.ts"
import { type LegacyNote, modernise } from "./legacy.ts"
import { lineOf, type Lines, linesOf } from "./locate.ts"
import { idOf, isTable, type KeyPath, type Table, valueAt } from "./path.ts"
import {
  expectedOf,
  type Environment,
  fromEnvironment,
  fromFile,
  fromFlags,
  merge,
  type Merged,
  type Origin
} from "./sources.ts"
import { nodeAt } from "./reference.ts"
import { ruleMistakes } from "./rules.ts"
import type { KeyFiles } from "./pem.ts"
import { type Digest, keyFilesOf, masked, resolve } from "./secrets.ts"
import { type Substituted, substitute } from "./substitute.ts"
import { warningsOf } from "./warnings.ts"

/** A file as it was read. */
export interface FileText {
  /** As the user named it. */
  readonly path: string
  readonly text: string
}

/** All that settings are made from. */
export interface Sources {
  readonly file: FileText | undefined
  readonly env: Environment
  /** Settings from flags, nested and spelled as in the file. */
  readonly overrides: Table
  readonly digestOf: Digest
}

/** A file whose TOML is good. */
export interface Parsed {
  readonly substituted: Substituted
  /** Key files that have to be read next. */
  readonly keyFiles: ReadonlyArray<string>
}

/** Settings without mistakes, and what `config show` tells of them. */
export interface Read {
  readonly loaded: Loaded
  readonly file: FileText | undefined
  /** Key files that were read, as the settings name them. */
  readonly keyFiles: ReadonlyArray<string>
  readonly merged: Merged
  /** Strings of the file that held variables, as the file writes them. */
  readonly written: Substituted["written"]
}

/** A file that is no TOML: in words, and the lines around the place, which are for those alone who may read the file. */
export interface Unparsed {
  readonly message: string
  readonly excerpt: string
}

const syntaxError = ({ path }: FileText, error: TomlError): Unparsed => {
  const [said = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n")
  return {
    message: `${path}:${error.line}:${error.column}: no valid TOML: ${said}`,
    excerpt: error.codeblock.trimEnd().split("\n").map(printable).join("\n")
  }
}

/** Reads the TOML of a file and its variables. */
export const parseFile = (file: FileText | undefined, env: Environment): Result.Result<Parsed, Unparsed> => {
  if (file === undefined) return Result.succeed({ substituted: substitute({}, env), keyFiles: [] })
  try {
    const tree: unknown = parse(file.text)
    const substituted = substitute(isTable(tree) ? tree : {}, env)
    return Result.succeed({ substituted, keyFiles: keyFilesOf(substituted.tree) })
  } catch (error) {
    return Result.fail(
      error instanceof TomlError ? syntaxError(file, error) : { message: `${file.path}: no valid TOML`, excerpt: "" }
    )
  }
}

const once = (mistakes: ReadonlyArray<Mistake>, told: ReadonlySet<string>): ReadonlyArray<Mistake> => {
  const seen = new Set(told)
  return mistakes.filter(({ path }) => !seen.has(idOf(path)) && seen.add(idOf(path)))
}

const originIn = (origins: ReadonlyMap<string, Origin>, path: KeyPath): Origin => {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(idOf(path.slice(0, length)))
    if (origin !== undefined) return origin
  }
  return { _tag: "file" }
}

const teller =
  (file: FileText | undefined, lines: Lines, originOf: (path: KeyPath) => Origin) => (mistake: Mistake) => {
    const origin = originOf(mistake.path)
    if (origin._tag !== "file") return { line: Number.POSITIVE_INFINITY, text: tell(mistake, undefined, origin.name) }
    const line = lineOf(lines, mistake.path)
    const where = file === undefined ? undefined : line === undefined ? file.path : `${file.path}:${line}`
    return { line: line ?? 0, text: tell(mistake, where) }
  }

/** For variables, the words they take in place of what the file takes. */
const inItsWords = (origin: Origin, mistake: Mistake): Mistake => {
  const node = nodeAt(mistake.path)
  return origin._tag === "variable" && node !== undefined && mistake.reason.startsWith("expected true")
    ? { ...mistake, reason: `expected ${expectedOf(origin, node)}` }
    : mistake
}

/** The value of a mistake as the file writes it: what a variable held, or a digest that may be a key, is not shown. */
const discreet = (mistake: Mistake, { original, written }: Substituted): Mistake => {
  if (!("value" in mistake)) return mistake
  const { path, value } = mistake
  const isReplaced = typeof value === "object" || written.some((each) => idOf(each.path) === idOf(path))
  if (isReplaced) return { ...mistake, value: valueAt(original, path) }
  return path.at(-1) === "sha256" && typeof value === "string" ? { ...mistake, value: masked(value) } : mistake
}

/** Tells of keys of the Rust Nexus, with all the lines they stand on. */
const tellLegacy =
  (file: FileText | undefined, lines: () => Lines) =>
  ({ paths, text }: LegacyNote): string => {
    const found = paths.flatMap((path) => lineOf(lines(), path) ?? [])
    return printable(`${file?.path ?? ""}:${[...new Set(found)].join(", ")}: ${text}`)
  }

/** Makes settings of all sources; fails with every mistake, one a line and sorted by line. */
export const read = (sources: Sources, { substituted }: Parsed, keyFiles: KeyFiles): Result.Result<Read, string> => {
  const { file, env } = sources
  const modern = modernise(substituted.tree)
  const ofFile = fromFile(modern.tree)
  const ofFlags = fromFlags(sources.overrides)
  const named = resolve(modern.tree, env, keyFiles, sources.digestOf)
  const given = fromEnvironment(env, new Set([...substituted.names, ...named.names]))
  const modernEnv = modernise(given.tree)
  const ofEnv = { ...given, tree: modernEnv.tree }
  const merged = merge([ofFile, ofEnv, ofFlags])

  let lines: Lines | undefined
  const linesOnce = (): Lines => (lines ??= linesOf(file?.text ?? ""))

  const inFile = once([...substituted.mistakes, ...modern.mistakes, ...shapeMistakes(ofFile.tree)], new Set())
  const inOthers = [ofEnv, ofFlags].flatMap(({ tree, originOf }) =>
    shapeMistakes(tree).map((mistake) => ({ mistake: inItsWords(originOf(mistake.path), mistake), originOf }))
  )
  const told = new Set([...inFile, ...inOthers.map(({ mistake }) => mistake)].map(({ path }) => idOf(path)))
  const between = once([...named.mistakes, ...ruleMistakes(merged.tree, (path) => lineOf(linesOnce(), path))], told)

  if (inFile.length + inOthers.length + between.length + ofEnv.mistakes.length > 0) {
    const all = [
      ...inFile.map((mistake) => discreet(mistake, substituted)).map(teller(file, linesOnce(), ofFile.originOf)),
      ...inOthers.map(({ mistake, originOf }) => teller(file, linesOnce(), originOf)(mistake)),
      ...between
        .map((mistake) => discreet(mistake, substituted))
        .map(teller(file, linesOnce(), (path) => originIn(merged.origins, path)))
    ].sort((a, b) => a.line - b.line)
    return Result.fail([...all.map(({ text }) => text), ...ofEnv.mistakes].join("\n"))
  }
  const decoded = decode(merged.tree)
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure.message)
  const legacy = [
    ...modern.notes.map(tellLegacy(file, linesOnce)),
    ...modernEnv.notes.map(({ text }) => `the environment: ${printable(text)}`)
  ]
  const about = {
    path: file?.path,
    warnings: [...legacy, ...given.warnings, ...warningsOf(merged.tree, env)].map(printable),
    notes: given.notes.map(printable)
  }
  const loaded = compile(decoded.success, named.secrets, about)
  return Result.succeed({ loaded, file, keyFiles: [...keyFiles.keys()], merged, written: substituted.written })
}
