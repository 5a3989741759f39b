/**
 * What `nexus connect --write` does to a client's settings file: in one step, with the file as it was kept beside it.
 */
import { homedir } from "node:os"
import { dirname, join } from "node:path"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ClientSetup } from "../connect/client-setup.ts"
import { editSettings, type SettingsChange, type SettingsFile } from "../connect/settings-file.ts"
import { CliFailure } from "./exit-failure.ts"

/** What became of a settings file; without changes it had everything already. */
export interface WrittenSettings {
  readonly path: string
  /** Where the file is kept as it was; absent when there was none, or nothing was changed. */
  readonly backup: string | undefined
  readonly changes: ReadonlyArray<SettingsChange>
}

const variableOf = (name: string) =>
  Effect.orElseSucceed(Config.String(name).pipe(Config.option), Option.none<string>).pipe(
    Effect.map((found) => Option.filter(found, (value) => value.startsWith("/")))
  )

// What cannot be looked at is there.
const isThere = (path: string) =>
  FileSystem.FileSystem.use((fs) => fs.exists(path)).pipe(Effect.orElseSucceed(() => true))

/** Where a client looks for its settings. */
const placeOf = Effect.fnUntraced(function* ({ alias, home, variable }: SettingsFile) {
  const given = variable === undefined ? Option.none() : yield* variableOf(variable.name)
  const path =
    Option.isSome(given) && variable !== undefined ? join(given.value, ...variable.below) : join(homedir(), ...home)
  if (alias === undefined) return path
  const other = join(dirname(path), alias)
  return (yield* isThere(other)) ? other : path
})

const refused = (path: string, why: string) => new CliFailure({ message: `${path}: ${why}. Nothing was written` })

const systemRefused = (path: string) => () => refused(path, "the system refuses to have it read or written")

/** More copies than anybody makes. */
const mostCopies = 1000

/** Keeps a text beside a file, under a name that nothing has, with the same rights. */
const keep = Effect.fnUntraced(function* (path: string, text: string, mode: number) {
  const fs = yield* FileSystem.FileSystem
  for (let nth = 0; nth < mostCopies; nth += 1) {
    const name = nth === 0 ? `${path}.bak` : `${path}.bak${nth}`
    const written = yield* Effect.result(fs.writeFileString(name, text, { flag: "wx", mode }))
    if (Result.isSuccess(written)) return name
    if (written.failure.reason._tag !== "AlreadyExists") break
  }
  return yield* refused(path, "its copy cannot be written beside it")
})

/** Puts a text in the place of a file in one step. */
const replace = Effect.fnUntraced(function* (path: string, text: string, mode: number) {
  const fs = yield* FileSystem.FileSystem
  const draft = `${path}.${crypto.randomUUID().slice(0, 8)}.new`
  yield* fs.writeFileString(draft, text, { mode, flag: "wx" }).pipe(
    Effect.andThen(fs.rename(draft, path)),
    Effect.onError(() => Effect.ignore(fs.remove(draft))),
    Effect.mapError(systemRefused(path))
  )
})

/** The rights of a file that is made here: it may be given a key one day. */
const ownerOnly = 0o600

/** Puts a gateway into the settings of a client; everything else there stays as it is. */
export const writeSettings = Effect.fnUntraced(function* (file: SettingsFile, setup: ClientSetup) {
  const fs = yield* FileSystem.FileSystem
  const named = yield* placeOf(file)
  const present = yield* isThere(named)
  // A link keeps leading where it leads.
  const path = present ? yield* fs.realPath(named).pipe(Effect.mapError(systemRefused(named))) : named
  const before = present ? yield* fs.readFileString(path).pipe(Effect.mapError(systemRefused(path))) : ""
  if (before.includes("\ufffd")) return yield* refused(path, "it is no text in UTF-8")
  const edited = editSettings(file, before, setup)
  if (Result.isFailure(edited)) return yield* refused(path, edited.failure)
  const { changes, text } = edited.success
  const unchanged: WrittenSettings = { path, backup: undefined, changes }
  if (changes.length === 0) return unchanged
  if (!present) {
    yield* fs.makeDirectory(dirname(path), { recursive: true }).pipe(Effect.mapError(systemRefused(path)))
    yield* replace(path, text, ownerOnly)
    return unchanged
  }
  const { mode } = yield* fs.stat(path).pipe(Effect.mapError(systemRefused(path)))
  const backup = yield* keep(path, before, mode & 0o777)
  yield* replace(path, text, mode & 0o777)
  const written: WrittenSettings = { path, backup, changes }
  return written
})
