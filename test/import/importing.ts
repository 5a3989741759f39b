/**
 * Imports of the fixtures and of texts, and the check that the result has to pass.
 */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { Result } from "effect"
import type { LoadedConfig } from "../../src/config/compile.ts"
import { convertSettings, type Imported } from "../../src/config/import/convert.ts"
import type { ImportFormat } from "../../src/config/import/import-formats.ts"
import { reading } from "../config/reading.ts"

/** The text of a fixture. */
export const fixture = (file: string): string => readFileSync(join(import.meta.dir, "fixtures", file), "utf8")

/** Imports a text; throws what is wrong with it. */
export const imported = (text: string, from?: ImportFormat, file = "config.yaml"): Imported => {
  const result = convertSettings(file, text, from)
  if (Result.isFailure(result)) throw new Error(result.failure)
  return result.success
}

/** Variables that a result names. */
export const variablesOf = (toml: string): ReadonlyArray<string> =>
  [...toml.matchAll(/(?<!\$)\$\{(\w+)\}|_env = "(\w+)"|^env = "(\w+)"/gm)].map(([, a, b, c]) => a ?? b ?? c ?? "")

/** The settings of a result once the variables it tells of are set; throws its mistakes. */
export const checked = ({ toml, todo }: Imported): LoadedConfig => {
  const names = todo.map((line) => /^set (\w+) /.exec(line)?.[1] ?? "")
  const env = Object.fromEntries(names.map((name) => [name, `http://${name.toLowerCase()}.example`]))
  const files = new Map([...toml.matchAll(/api_key_file = "(.*)"/g)].map(([, name = ""]) => [name, { text: "k" }]))
  const result = reading(toml, { env, files })
  if (Result.isFailure(result)) throw new Error(`${result.failure}\n${toml}`)
  return result.success.loaded
}

/** Keys of a result's list: what is named without its place and reason. */
export const namedIn = ({ left }: Imported): ReadonlyArray<string> =>
  left.map((line) => /^[^:]+:\d+: (.*?): /.exec(line)?.[1] ?? line)
