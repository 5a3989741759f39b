/**
 * From the text of a file, an environment and flags to settings that can be relied on, or every mistake in them.
 */
import * as Result from "effect/Result"
import { parse, TomlError } from "smol-toml"
import { printable } from "../domain/printable.ts"
import { decodeSettings, type Mistake, schemaMistakes, mistakeText } from "./check.ts"
import { discreetLine, discreetValue } from "./discreet.ts"
import { otlpWarnings } from "./otlp.ts"
import { compileSettings, type LoadedConfig } from "./compile.ts"
import { passwordInUrl, withoutPasswordOfStore, withoutStorePassword } from "./cluster.ts"
import { type LegacyNote, modernise } from "./legacy.ts"
import { lineOf, type Lines, linesOf } from "./locate.ts"
import { pathId, isTable, type KeyPath, type Table, valueAt } from "./path.ts"
import {
  expectedOf,
  type Environment,
  fromEnvironment,
  fromFile,
  fromFlags,
  mergeSources,
  type MergedSources,
  type SettingOrigin
} from "./sources.ts"
import { schemaAt } from "./reference.ts"
import { ruleMistakes } from "./rules.ts"
import { routeWarnings } from "./route-rules.ts"
import type { KeyFiles } from "./pem.ts"
import {
  type Digest,
  isAllowedMissing,
  keyFilesOf,
  type AllowedMissing,
  type MissingKey,
  resolveSecrets,
  storeFilesIn,
  storeSecretsOf,
  withoutPlainKeys
} from "./secrets.ts"
import { type Substituted, substitute } from "./substitute.ts"
import { tomlFault } from "./toml-fault.ts"
import { warningsOf } from "./warnings.ts"

const first = (text: string): string => text.split("\n").find((line) => !/^\s*(#.*)?$/.test(line)) ?? ""

const owners: ReadonlyArray<readonly [owner: string, sign: RegExp]> = [
  ["LiteLLM", /^(model_list|litellm_settings|general_settings|router_settings):/m],
  ["llama-swap", /^ +cmd:/m],
  ["Olla", /^ +endpoints:/m]
]

const isYaml = (path: string, text: string): boolean => {
  const line = first(text)
  return /^---\s*$/.test(line) || /^['"]?[\w.-]+['"]?\s*:(\s|$)/.test(line) || /\.ya?ml$/i.test(path)
}

const noUtf8 = "it is not in UTF-8, as TOML has to be; save it as UTF-8"

const importWords = (path: string): string =>
  `nexus config import ${path} -o nexus.toml makes one of the settings of LiteLLM, Olla, llama-swap and Bifrost`

/** What a text that is no TOML is instead, and what makes a nexus.toml of it; undefined when that is not to be told. */
const foreignWords = (path: string, text: string): string | undefined => {
  const isUtf16 = /^(\ufffd{2}(\0[^\0]|[^\0]\0)|\0[^\0]\0|[^\0]\0[^\0]\0)/.test(text)
  if (isUtf16) return noUtf8
  if (text.includes("\0")) return "it is no text; -c takes a nexus.toml"
  if (isYaml(path, text)) {
    const [owner] = owners.find(([, sign]) => sign.test(text)) ?? []
    const whose = owner === undefined ? "this is YAML" : `this is a file of ${owner} (YAML)`
    return `${whose}, and Nexus reads TOML; ${importWords(path)}`
  }
  if (!/^\s*\{/.test(first(text))) return undefined
  return /"(?:\$schema"\s*:\s*"[^"]*getbifrost|providers"\s*:\s*\{)/.test(text)
    ? `this is a file of Bifrost (JSON), and Nexus reads TOML; ${importWords(path)}`
    : "this is JSON, and Nexus reads TOML"
}

/** A file as it was read. */
export interface FileText {
  /** As the user named it. */
  readonly path: string
  readonly text: string
  /** False where its bytes are not, and the text has signs in place of some. */
  readonly isUtf8?: boolean
}

/** All that settings are made from. */
export interface Sources {
  readonly file: FileText | undefined
  readonly env: Environment
  /** Settings from flags, nested and spelled as in the file. */
  readonly overrides: Table
  readonly digestOf: Digest
  /** Which keys may be missing; with `any`, backends whose variables are not set are left out as well. */
  readonly allowMissing: AllowedMissing
}

/** A file whose TOML is good. */
export interface ParsedFile {
  readonly substituted: Substituted
  /** Key files that have to be read next. */
  readonly keyFiles: ReadonlyArray<string>
}

/** Settings without mistakes, and what `config show` tells of them. */
export interface ReadConfig {
  readonly loaded: LoadedConfig
  readonly file: FileText | undefined
  /** Key files that were read, as the settings name them. */
  readonly keyFiles: ReadonlyArray<string>
  readonly merged: MergedSources
  /** Strings of the file that held variables, as the file writes them. */
  readonly written: Substituted["written"]
  /** How the files stood before they were read; absent where none were. */
  readonly stamp?: string
}

/** A file that is no TOML: in words, and the lines around the place, which are for those alone who may read the file. */
export interface UnparsedFile {
  readonly message: string
  readonly excerpt: string
}

const syntaxError = ({ path, text }: FileText, error: TomlError): UnparsedFile => {
  const foreign = foreignWords(path, text)
  if (foreign !== undefined) return { message: printable(`${path}: ${foreign}`), excerpt: "" }
  return {
    message: `${path}:${tomlFault(text, error)}`,
    excerpt: error.codeblock.trimEnd().split("\n").map(discreetLine).map(printable).join("\n")
  }
}

/** Reads the TOML of a file and its variables. */
export const parseFile = (file: FileText | undefined, env: Environment): Result.Result<ParsedFile, UnparsedFile> => {
  if (file === undefined) return Result.succeed({ substituted: substitute({}, env), keyFiles: storeFilesIn(env) })
  if (file.isUtf8 === false && !file.text.includes("\0")) {
    const line = file.text.slice(0, file.text.indexOf("\ufffd")).split("\n").length
    return Result.fail({ message: printable(`${file.path}:${line}: ${noUtf8}`), excerpt: "" })
  }
  try {
    const tree: unknown = parse(file.text)
    const substituted = substitute(isTable(tree) ? tree : {}, env)
    return Result.succeed({ substituted, keyFiles: [...keyFilesOf(substituted.tree), ...storeFilesIn(env)] })
  } catch (error) {
    return Result.fail(
      error instanceof TomlError ? syntaxError(file, error) : { message: `${file.path}: no valid TOML`, excerpt: "" }
    )
  }
}

const once = (mistakes: ReadonlyArray<Mistake>, told: ReadonlySet<string>): ReadonlyArray<Mistake> => {
  const seen = new Set(told)
  return mistakes.filter(({ path }) => !seen.has(pathId(path)) && seen.add(pathId(path)))
}

const originIn = (origins: ReadonlyMap<string, SettingOrigin>, path: KeyPath): SettingOrigin => {
  for (let length = path.length; length > 0; length--) {
    const origin = origins.get(pathId(path.slice(0, length)))
    if (origin !== undefined) return origin
  }
  return { _tag: "file" }
}

const teller =
  (file: FileText | undefined, lines: Lines, originOf: (path: KeyPath) => SettingOrigin) => (mistake: Mistake) => {
    const origin = originOf(mistake.path)
    if (origin._tag !== "file")
      return { line: Number.POSITIVE_INFINITY, text: mistakeText(mistake, undefined, origin.name) }
    const line = lineOf(lines, mistake.path)
    const where = file === undefined ? undefined : line === undefined ? file.path : `${file.path}:${line}`
    return { line: line ?? 0, text: mistakeText(mistake, where) }
  }

/** For variables, the words they take in place of what the file takes. */
const inItsWords = (origin: SettingOrigin, mistake: Mistake): Mistake => {
  const node = schemaAt(mistake.path)
  return origin._tag === "variable" && node !== undefined && mistake.reason.startsWith("expected true")
    ? { ...mistake, reason: `expected ${expectedOf(origin, node)}` }
    : mistake
}

/** The value of a mistake as the file writes it: neither what a variable held nor what may be a key is shown. */
const discreet = (mistake: Mistake, { original, written }: Substituted): Mistake => {
  if (!("value" in mistake)) return mistake
  const { path, value } = mistake
  const isReplaced = typeof value === "object" || written.some((each) => pathId(each.path) === pathId(path))
  if (!isReplaced) return { ...mistake, value: discreetValue(path, value) }
  const said = valueAt(original, path)
  const isStore = typeof said === "string" && path[0] === "cluster"
  return { ...mistake, value: isStore ? withoutStorePassword(said) : discreetValue(path, said) }
}

/** The file with the lines of these paths. */
const placeOf = (file: FileText | undefined, lines: Lines, paths: ReadonlyArray<KeyPath>): string => {
  const found = [...new Set(paths.flatMap((path) => lineOf(lines, path) ?? []))]
  return `${file?.path ?? ""}${found.length === 0 ? "" : `:${found.join(", ")}`}`
}

/** Tells of keys of the Rust Nexus, with all the lines they stand on. */
const tellLegacy =
  (file: FileText | undefined, lines: () => Lines) =>
  ({ paths, text }: LegacyNote): string =>
    printable(`${placeOf(file, lines(), paths)}: ${text}`)

/** What a missing key comes to, for a person. */
const tellMissing =
  (file: FileText | undefined, lines: () => Lines) =>
  ({ path, name, of, from, told }: MissingKey): string => {
    const where = placeOf(file, lines(), [path])
    const remedy = from === "variable" ? "set it before nexus serve, or name a file with api_key_file" : "put it there"
    return printable(
      of === "backend"
        ? `${where}: backend ${name} gets no requests: ${told}; ${remedy}`
        : `${where}: the key ${name} of clients is not known here: ${told}; nexus serve needs it`
    )
  }

const readWhole = (
  sources: Sources,
  { substituted }: ParsedFile,
  keyFiles: KeyFiles
): Result.Result<ReadConfig, string> => {
  const { file, env } = sources
  const modern = modernise(substituted.tree)
  const ofFile = fromFile(withoutPasswordOfStore(withoutPlainKeys(modern.tree)))
  const ofFlags = fromFlags(withoutPasswordOfStore(sources.overrides))
  const named = resolveSecrets(modern.tree, env, keyFiles, sources.digestOf)
  const given = fromEnvironment(env, new Set([...substituted.names, ...named.names]))
  const modernEnv = modernise(given.tree)
  const ofEnv = { ...given, tree: withoutPasswordOfStore(modernEnv.tree) }
  const merged = mergeSources([ofFile, ofEnv, ofFlags])
  const inUrl = passwordInUrl([sources.overrides, modernEnv.tree, modern.tree])
  const store = storeSecretsOf(merged.tree, env, keyFiles, inUrl)

  let lines: Lines | undefined
  const linesOnce = (): Lines => (lines ??= linesOf(file?.text ?? ""))

  const decoded = decodeSettings(merged.tree)
  // What is right as a whole is right in each part, unless something wrong lies hidden.
  const wrongIn = Result.isSuccess(decoded) && !merged.hides ? () => [] : schemaMistakes
  const inFile = once([...substituted.mistakes, ...modern.mistakes, ...wrongIn(ofFile.tree)], new Set())
  const inOthers = [ofEnv, ofFlags].flatMap(({ tree, originOf }) =>
    wrongIn(tree).map((mistake) => ({ mistake: inItsWords(originOf(mistake.path), mistake), originOf }))
  )
  const told = new Set([...inFile, ...inOthers.map(({ mistake }) => mistake)].map(({ path }) => pathId(path)))
  const tolerated = named.missing.filter((each) => isAllowedMissing(each, sources.allowMissing))
  const missed = named.missing.filter((each) => !tolerated.includes(each))
  const between = once(
    [
      ...named.mistakes,
      ...(sources.allowMissing === "any" ? [] : store.mistakes),
      ...missed,
      ...ruleMistakes(merged.tree, (path) => lineOf(linesOnce(), path))
    ],
    told
  )

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
  if (Result.isFailure(decoded)) return Result.fail(decoded.failure.message)
  const legacy = [
    ...modern.notes.map(tellLegacy(file, linesOnce)),
    ...modernEnv.notes.map(({ text }) => `the environment: ${printable(text)}`)
  ]
  // Whoever looks from another shell sees at the backend itself that its key is not known there.
  const worthAWord = tolerated.filter(({ of }) => of === "client" || sources.allowMissing === "backends")
  const about = {
    path: file?.path,
    warnings: [
      ...worthAWord.map(tellMissing(file, linesOnce)),
      ...legacy,
      ...given.warnings,
      ...warningsOf(merged.tree, env, (path) =>
        originIn(merged.origins, path)._tag === "file" && lineOf(linesOnce(), path) !== undefined
          ? `${placeOf(file, linesOnce(), [path])}: `
          : ""
      ),
      ...otlpWarnings(decoded.success, env),
      ...routeWarnings(decoded.success, {
        place: (path) => placeOf(file, linesOnce(), [path]),
        line: (path) => {
          const line = lineOf(linesOnce(), path)
          return line === undefined ? "" : ` (line ${line})`
        }
      })
    ].map(printable),
    notes: given.notes.map(printable)
  }
  const keyFaults = new Map(tolerated.filter(({ of }) => of === "backend").map(({ name, told }) => [name, told]))
  const loaded = compileSettings(decoded.success, { ...named.secrets, keyFaults, store: store.secrets }, about, env)
  return Result.succeed({ loaded, file, keyFiles: [...keyFiles.keys()], merged, written: substituted.written })
}

/** The file without the backends whose variables are not set here, and what is said of those; undefined when there are none. */
const withoutUnset = ({ original, mistakes }: Substituted, env: Environment) => {
  const backends = valueAt(original, ["backends"])
  const lost = new Map(
    mistakes.flatMap(({ path: [section, at], unset }) =>
      section === "backends" && typeof at === "number" && unset !== undefined ? [[at, unset] as const] : []
    )
  )
  if (lost.size === 0 || !Array.isArray(backends)) return undefined
  const nameOf = (at: number): string => String(valueAt(backends, [at, "name"]) ?? at)
  return {
    substituted: substitute({ ...original, backends: backends.filter((_, at) => !lost.has(at)) }, env),
    told: [...lost].map(([at, name]) =>
      printable(`backend ${nameOf(at)} is left out here: ${name} is not set; nexus serve needs it`)
    )
  }
}

/** Makes settings of all sources; fails with every mistake, one a line and sorted by line. */
export const readSettings = (
  sources: Sources,
  parsed: ParsedFile,
  keyFiles: KeyFiles
): Result.Result<ReadConfig, string> => {
  const whole = readWhole(sources, parsed, keyFiles)
  if (Result.isSuccess(whole) || sources.allowMissing !== "any" || sources.file === undefined) return whole
  const rest = withoutUnset(parsed.substituted, sources.env)
  if (rest === undefined) return whole
  // Its lines are no longer those of the text.
  const { file } = sources
  const part = readWhole({ ...sources, file: { ...file, text: "" } }, { ...parsed, ...rest }, keyFiles)
  if (Result.isFailure(part)) return whole
  const { loaded } = part.success
  const warnings = [...rest.told, ...loaded.warnings]
  return Result.succeed({ ...part.success, file, loaded: { ...loaded, warnings } })
}
