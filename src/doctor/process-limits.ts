/**
 * What the gateway itself stands on: open files, the files that hold keys, and those that it writes.
 */
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type { LoadedConfig } from "../config/compile.ts"
import { error, type Finding, info, ok, warning } from "./finding.ts"

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

/** The files that a gateway of these settings writes, by the settings that name them. */
const writtenFiles = ({ settings }: Pick<LoadedConfig, "settings">): ReadonlyArray<readonly [string, string]> => {
  const { auth, budgets, capture, usage } = settings
  return [
    ...(auth.store === undefined ? [] : [["auth.store", auth.store] as const]),
    ...(usage.enabled || budgets.length > 0 ? [["usage.path", usage.path] as const] : []),
    ...(capture.keys.length + capture.models.length > 0 ? [["capture.path", capture.path] as const] : [])
  ]
}

/** Why a file cannot be written where it is to be; undefined when nothing speaks against it. */
const writeFault = (path: string): Effect.Effect<string | undefined, never, FileSystem.FileSystem> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const stat = yield* Effect.option(fs.stat(path))
    if (Option.isSome(stat) && stat.value.type === "Directory") return "is a directory, and no file"
    // What is missing above it is made.
    let place = path
    while (dirname(place) !== place && !(yield* Effect.orElseSucceed(fs.exists(place), () => false)))
      place = dirname(place)
    if (place !== path && (yield* Effect.option(fs.readDirectory(place)))._tag === "None")
      return `cannot be made below ${place}`
    // Beside a file that is there SQLite keeps others while it is open.
    for (const each of place === path ? [path, dirname(path)] : [place]) {
      if (!(yield* Effect.isSuccess(fs.access(each, { writable: true }))))
        return `cannot be written: ${each} does not let this user`
    }
    return undefined
  })

/** Whether the files can be written that a gateway keeps what it knows in. */
export const checkOwnFiles = Effect.fnUntraced(function* (loaded: Pick<LoadedConfig, "path" | "settings">) {
  const directory = dirname(loaded.path ?? ".")
  const findings: Array<Finding> = []
  for (const [setting, name] of writtenFiles(loaded)) {
    const fault = yield* writeFault(resolve(directory, name))
    // Without its keys no gateway starts; without the others it answers as ever.
    const found = setting === "auth.store" ? error : warning
    findings.push(
      fault === undefined
        ? ok(setting, `${name} can be written`)
        : found(setting, `${name} ${fault}`, `${setting} = a file where whoever runs nexus serve may write`)
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
