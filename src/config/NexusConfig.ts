/**
 * The settings, read once from file, environment and flags.
 */
import { isUtf8 } from "node:buffer"
import { createHash, createPrivateKey, createPublicKey, type KeyObject, X509Certificate } from "node:crypto"
import { dirname, join, resolve } from "node:path"
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as MutableRef from "effect/MutableRef"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Redacted from "effect/Redacted"
import type { ConfiguredKey, LoadedConfig } from "./compile.ts"
import { isTable, type Table } from "./path.ts"
import { type FileText, parseFile, type ReadConfig, readSettings } from "./read.ts"
import { type PartialConfig, partialConfigOf } from "./partial.ts"
import { isPem, type KeyFiles, type Pem } from "./pem.ts"
import { type AllowedMissing, isVariableName, keyTextFault } from "./secrets.ts"
import type { Environment } from "./sources.ts"

export type { LoadedConfig } from "./compile.ts"

/** Every mistake of the config, in words with file, line and key; one a line. */
export class ConfigInvalid extends Data.TaggedError("ConfigInvalid")<{
  readonly path: string
  readonly message: string
  /** Lines of the file around a syntax error: for the terminal of whoever may read the file, and for nothing else. */
  readonly excerpt?: string
  /** Whether the file is not there. */
  readonly missing?: boolean
  /** The stamps of the file and of the key files from before they were read; absent where none was. */
  readonly stamp?: string | undefined
}> {}

/** Where settings are to be read from. */
export interface ConfigOptions {
  /** The file; without one NEXUS_CONFIG names it, else nexus.toml of this directory is read when it is there. */
  readonly path: Option.Option<string>
  /** Settings from flags, nested and spelled as in the file. */
  readonly overrides: Record<string, unknown>
  /** Which keys may be missing; variables of backends when absent. */
  readonly allowMissing?: AllowedMissing
}

/** The file that is read when none is named. */
export const defaultFile = "nexus.toml"

const noSuchFile = "there is no such file"

const reasonOf = (error: PlatformError.PlatformError): string => {
  switch (error.reason._tag) {
    case "NotFound":
      return noSuchFile
    case "PermissionDenied":
      return "it may not be read"
    default:
      return "it cannot be read"
  }
}

const digestOf = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest())

const aDirectory = "it is a directory, not a file"

const textOf = (path: string) =>
  Effect.flatMap(FileSystem.FileSystem, (fs) =>
    fs.readFileString(path).pipe(
      Effect.catch((error) =>
        fs.stat(path).pipe(
          Effect.match({
            onFailure: () => reasonOf(error),
            onSuccess: ({ type }) => (type === "Directory" ? aDirectory : reasonOf(error))
          }),
          Effect.flatMap(Effect.fail)
        )
      )
    )
  )

/** What tells one state of a file from another. */
export const stampOf = (path: string): Effect.Effect<string, never, FileSystem.FileSystem> =>
  Effect.flatMap(FileSystem.FileSystem, (fs) => fs.stat(path)).pipe(
    Effect.map(({ mtime, size, ino }) =>
      [Option.getOrUndefined(mtime)?.getTime(), size, Option.getOrUndefined(ino)].join(":")
    ),
    Effect.orElseSucceed(() => "absent")
  )

/** A file, and its stamp from before it was read; undefined where it was not. */
interface FoundFile extends FileText {
  readonly stamp: string | undefined
}

const findFile = Effect.fnUntraced(function* (path: Option.Option<string>, env: Environment) {
  const variable = env["NEXUS_CONFIG"]
  const named = Option.getOrElse(path, () => (variable?.trim() === "" ? undefined : variable))
  const fs = yield* FileSystem.FileSystem
  if (named === undefined) {
    const isThere = yield* fs.exists(defaultFile).pipe(Effect.orElseSucceed(() => false))
    if (!isThere) return undefined
  }
  if (named === "") return yield* new ConfigInvalid({ path: "", message: "the name of the config file is empty" })
  const file = named ?? defaultFile
  const from = Option.isNone(path) && named !== undefined ? " (from NEXUS_CONFIG)" : ""
  const stamp = yield* stampOf(file)
  const text = yield* textOf(file).pipe(
    Effect.mapError(
      (reason) =>
        new ConfigInvalid({
          path: file,
          message: `${file}${from}: ${reason}${reason === aDirectory ? `; -c takes a file, such as ${join(file, defaultFile)}` : ""}`,
          missing: reason === noSuchFile,
          stamp
        })
    )
  )
  // The sign that stands for a broken byte may be meant.
  const bytes = text.includes("\ufffd") ? yield* Effect.option(fs.readFile(file)) : Option.none()
  const found: FoundFile = { path: file, text, stamp, isUtf8: Option.isNone(bytes) || isUtf8(bytes.value) }
  return found
})

const spkiOf = (key: KeyObject): string => key.export({ type: "spki", format: "der" }).toString("base64")

const certificates = /-----BEGIN [A-Z0-9 ]*CERTIFICATE-----[^-]+-----END [A-Z0-9 ]*CERTIFICATE-----/g

const certifiedBy = (text: string): string | undefined => {
  try {
    const [first] = (text.match(certificates) ?? []).map((block) => new X509Certificate(block))
    return first === undefined ? undefined : spkiOf(first.publicKey)
  } catch {
    return undefined
  }
}

const heldBy = (text: string): string | undefined => {
  try {
    return spkiOf(createPublicKey(createPrivateKey(text)))
  } catch {
    return undefined
  }
}

const pemOf = (text: string): Pem => ({ certified: certifiedBy(text), held: heldBy(text) })

const readKeyFiles = Effect.fnUntraced(function* (names: ReadonlyArray<string>, file: FileText | undefined) {
  const directory = dirname(file?.path ?? ".")
  const unique = [...new Set(names)]
  const stamps = yield* Effect.forEach(unique, (name) => stampOf(resolve(directory, name)))
  const found = yield* Effect.forEach(unique, (name) =>
    textOf(resolve(directory, name)).pipe(
      Effect.map((text) => (isPem(text) ? { text, pem: pemOf(text) } : { text })),
      Effect.catch((fault) => Effect.succeed({ fault })),
      Effect.map((result) => [name, result] as const)
    )
  )
  const files: KeyFiles = new Map(found)
  return { files, stamps }
})

const readWith = (
  find: Effect.Effect<FoundFile | undefined, ConfigInvalid, FileSystem.FileSystem>,
  flags: Table,
  allowMissing: AllowedMissing = "backends"
) =>
  Effect.gen(function* () {
    const env: Environment = { ...process.env }
    const found = yield* find
    const file = found && { path: found.path, text: found.text }
    const invalid = (mistake: Pick<ConfigInvalid, "excerpt" | "message">, stamp: string | undefined) =>
      new ConfigInvalid({ path: file?.path ?? defaultFile, stamp, ...mistake })
    const parsed = yield* Effect.fromResult(parseFile(found, env)).pipe(
      Effect.mapError((mistake) => invalid(mistake, found?.stamp))
    )
    const { files, stamps } = yield* readKeyFiles(parsed.keyFiles, file)
    const stamp = found?.stamp === undefined ? undefined : [found.stamp, ...stamps].join(" ")
    yield* Effect.yieldNow
    const sources = { file, env, overrides: flags, digestOf, allowMissing }
    const read = yield* Effect.fromResult(readSettings(sources, parsed, files)).pipe(
      Effect.mapError((message) => invalid({ message }, stamp))
    )
    return stamp === undefined ? read : { ...read, stamp }
  }).pipe(
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever reads
    Effect.provide(NodeFileSystem.layer)
  )

/** Reads all settings, with where each of them comes from. */
export const readConfig = ({
  path,
  overrides,
  allowMissing
}: ConfigOptions): Effect.Effect<ReadConfig, ConfigInvalid> =>
  readWith(findFile(path, process.env), overrides, allowMissing)

/** The same of a file whose text is known already. */
export const readConfigText = (
  file: FileText | undefined,
  overrides: ConfigOptions["overrides"],
  allowMissing?: AllowedMissing
): Effect.Effect<ReadConfig, ConfigInvalid> =>
  readWith(Effect.succeed(file && { ...file, stamp: undefined }), overrides, allowMissing)

/** What settings with mistakes still tell; a file that cannot be read tells nothing. */
export const readPartialConfig = ({ path, overrides }: ConfigOptions): Effect.Effect<PartialConfig, ConfigInvalid> =>
  findFile(path, process.env).pipe(
    Effect.map((file) => partialConfigOf({ file, env: { ...process.env }, overrides, digestOf })),
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever reads
    Effect.provide(NodeFileSystem.layer)
  )

/** What flags and the environment tell by themselves, whatever the file. */
export const partialConfigWithoutFile = (overrides: ConfigOptions["overrides"]): Effect.Effect<PartialConfig> =>
  Effect.sync(() => partialConfigOf({ file: undefined, env: { ...process.env }, overrides, digestOf }))

/** Whether a variable holds something. */
export const isVariableSet = (name: string): boolean => (process.env[name]?.trim() ?? "") !== ""

/** The key in a variable that a person names; what stands in its place is not told, since it may be the key itself. */
export const keyInVariable = (name: string): Effect.Effect<Redacted.Redacted<string>, ConfigInvalid> =>
  Effect.suspend(() => {
    const invalid = (message: string) => Effect.fail(new ConfigInvalid({ path: "--key-env", message }))
    if (!isVariableName(name)) return invalid("--key-env takes the name of an environment variable, not the key itself")
    const given = process.env[name]?.trim() ?? ""
    if (given === "") return invalid("the environment variable that --key-env names is not set")
    const fault = keyTextFault(given, "the environment variable that --key-env names")
    return fault === undefined ? Effect.succeed(Redacted.make(given)) : invalid(fault)
  })

/** The key a command sends and where it comes from; neither when there is none. */
export interface KeyToSend {
  readonly key: Redacted.Redacted<string> | undefined
  readonly keyFrom: "NEXUS_KEY" | "config" | undefined
}

/** The key a command sends: the one in NEXUS_KEY, else the first that the config itself knows. */
export const keyToSend = (authKeys: ReadonlyArray<ConfiguredKey>): Effect.Effect<KeyToSend, ConfigInvalid> =>
  Effect.suspend(() => {
    const given = process.env["NEXUS_KEY"]?.trim() ?? ""
    if (given === "") {
      const key = authKeys.find((each) => each.key !== undefined)?.key
      return Effect.succeed<KeyToSend>({ key, keyFrom: key === undefined ? undefined : "config" })
    }
    const message = keyTextFault(given, "the environment variable NEXUS_KEY")
    return message === undefined
      ? Effect.succeed<KeyToSend>({ key: Redacted.make(given), keyFrom: "NEXUS_KEY" })
      : Effect.fail(new ConfigInvalid({ path: "NEXUS_KEY", message }))
  })

/**
 * The settings of a config that is read anew for a gateway that was started with others: what it listens on and with, and
 * its workers, stay as they are, and the rest is checked together with them.
 */
export const readForReload = (
  started: LoadedConfig,
  next: ReadConfig,
  overrides: ConfigOptions["overrides"]
): Effect.Effect<LoadedConfig, ConfigInvalid> => {
  const { host, port, wire, workers } = started.settings.server
  const { server } = next.loaded.settings
  const isSame = server.host === host && server.port === port && server.wire === wire && server.workers === workers
  if (isSame) return Effect.succeed(next.loaded)
  const given = isTable(overrides["server"]) ? overrides["server"] : {}
  const fixed = { ...overrides, server: { ...given, host, port, wire, workers } }
  return Effect.map(readConfigText(next.file, fixed), ({ loaded }) => loaded)
}

/** The file of keys, where there is one: below the directory of the config file. */
export const keysFileOf = ({ path, settings: { auth } }: LoadedConfig): string | undefined =>
  auth.store === undefined ? undefined : resolve(dirname(path ?? "."), auth.store)

/** The settings as the gateway goes by them. */
export class NexusConfig extends Context.Service<
  NexusConfig,
  {
    /** Those of this moment; a plain read for the request path. */
    readonly current: () => LoadedConfig
    /** Puts others in their place; a plain call, so that what belongs to it can follow in the same step. */
    readonly replace: (next: LoadedConfig) => void
  }
>()("nexus/config/NexusConfig") {
  /** The settings of this machine: file, environment and flags. */
  static readonly layer = (options: ConfigOptions): Layer.Layer<NexusConfig, ConfigInvalid> =>
    Layer.effect(
      NexusConfig,
      Effect.map(readConfig(options), ({ loaded }) => held(loaded))
    )

  /** Settings that are there already. */
  static readonly layerOf = (loaded: LoadedConfig): Layer.Layer<NexusConfig> =>
    Layer.sync(NexusConfig, () => held(loaded))

  /** The service over settings that are there already. */
  static readonly holding = (loaded: LoadedConfig): NexusConfig["Service"] => held(loaded)
}

const held = (first: LoadedConfig): NexusConfig["Service"] => {
  const loaded = MutableRef.make(first)
  return {
    current: () => MutableRef.get(loaded),
    replace: (next) => {
      MutableRef.set(loaded, next)
    }
  }
}
