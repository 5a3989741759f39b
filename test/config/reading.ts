/**
 * Settings from texts, without files or processes.
 */
import { createHash } from "node:crypto"
import { Result } from "effect"
import type { LoadedConfig } from "../../src/config/compile.ts"
import { parseFile, type ReadConfig, readSettings } from "../../src/config/read.ts"
import type { KeyFiles } from "../../src/config/pem.ts"
import type { AllowedMissing } from "../../src/config/secrets.ts"
import type { Environment } from "../../src/config/sources.ts"

/** What a reading starts from, besides the file. */
export interface Around {
  readonly env?: Environment
  readonly flags?: Readonly<Record<string, unknown>>
  readonly files?: KeyFiles
  readonly allowMissing?: AllowedMissing
}

/** SHA-256 of a text. */
export const sha256 = (text: string): Uint8Array => new Uint8Array(createHash("sha256").update(text).digest())

/** Reads settings from the text of `nexus.toml`; undefined is no file. */
export const reading = (text: string | undefined, around: Around = {}): Result.Result<ReadConfig, string> => {
  const { env = {}, flags = {}, files = new Map(), allowMissing = "none" } = around
  const file = text === undefined ? undefined : { path: "nexus.toml", text }
  const parsing = Result.mapError(parseFile(file, env), ({ message, excerpt }) => `${message}\n${excerpt}`)
  return Result.flatMap(parsing, (parsed) =>
    readSettings({ file, env, overrides: flags, digestOf: sha256, allowMissing }, parsed, files)
  )
}

/** The mistakes, a line each; none for good settings. */
export const mistakesOf = (text: string | undefined, around: Around = {}): ReadonlyArray<string> => {
  const result = reading(text, around)
  return Result.isFailure(result) ? result.failure.split("\n") : []
}

/** The settings; throws their mistakes. */
export const loadedFrom = (text: string | undefined, around: Around = {}): LoadedConfig => {
  const result = reading(text, around)
  if (Result.isFailure(result)) throw new Error(result.failure)
  return result.success.loaded
}
