/**
 * What the gateway itself stands on: open files, and the files that hold keys.
 */
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { LoadedConfig } from "../config/compile.ts"
import { type Finding, info, ok, warning } from "./finding.ts"

/** Each request takes two sockets, one for the client and one for the backend. */
const enoughFiles = 4096

/**
 * The limit on open files of the process of a gateway, or of this one, which a gateway started from here would have; nothing
 * where the system does not tell.
 */
export const checkOpenFiles = Effect.fnUntraced(function* (gateway: string | undefined) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.orElseSucceed(fs.readFileString(`/proc/${gateway ?? "self"}/limits`), () => "")
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(text)?.[1]
  if (soft === undefined) return []
  if (soft === "unlimited" || Number(soft) >= enoughFiles) return [ok("open files", `${soft} may be open`)]
  return [warning("open files", `only ${soft} files may be open, two for each request under way`, "ulimit -n 65536")]
})

/** Who else may read the files that hold keys; `names` as the config of this path has them. */
export const checkKeyFiles = Effect.fnUntraced(function* (names: ReadonlyArray<string>, config: string | undefined) {
  const fs = yield* FileSystem.FileSystem
  const directory = dirname(config ?? ".")
  const findings: Array<Finding> = []
  for (const name of names) {
    const stat = yield* Effect.option(fs.stat(resolve(directory, name)))
    if (Option.isNone(stat)) continue
    const open = (stat.value.mode & 0o077) !== 0
    findings.push(
      open
        ? warning("key file", `${name} may be read by other users of this machine`, `chmod 600 ${name}`)
        : ok("key file", `${name} is its owner's alone`)
    )
  }
  return findings
})

/** What is said of a config that is good. */
export const checkConfig = (
  { path, warnings, notes }: Pick<LoadedConfig, "path" | "warnings" | "notes">,
  backends: number
): ReadonlyArray<Finding> => [
  ok(
    "config",
    `${path ?? "no file, defaults"}${backends === 0 ? "" : `: ${backends} ${backends === 1 ? "backend" : "backends"}`}`
  ),
  ...warnings.map((text) => (text.includes(": ignored") ? info("config", text) : warning("config", text))),
  ...notes.map((text) => info("config", text))
]
