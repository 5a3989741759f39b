/**
 * Who holds a port of this machine that Nexus was to have, as far as the system tells (on Linux, of the same user alone), and the
 * way round.
 */
import * as NodeFileSystem from "@effect/platform-node-shared/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import { type ListenFailed, portInUse } from "../http/BunServer.ts"
import { ping } from "./ping.ts"

const tables = ["/proc/net/tcp", "/proc/net/tcp6"]

const listening = "0A"

/** The sockets that listen on a port, as the kernel numbers them, in a table such as `/proc/net/tcp`. */
export const listenersIn = (table: string, port: number): ReadonlyArray<string> =>
  table.split("\n").flatMap((line) => {
    const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/)
    const isIt = state === listening && Number.parseInt(local.split(":").at(-1) ?? "", 16) === port
    return isIt && /^[1-9]\d*$/.test(inode) ? [inode] : []
  })

const find = Effect.fnUntraced(function* (port: number) {
  const fs = yield* FileSystem.FileSystem
  const found = yield* Effect.forEach(tables, (path) => Effect.orElseSucceed(fs.readFileString(path), () => ""))
  const wanted = new Set(found.flatMap((table) => listenersIn(table, port)).map((inode) => `socket:[${inode}]`))
  if (wanted.size === 0) return undefined
  const entries = (path: string) => Effect.orElseSucceed(fs.readDirectory(path), (): ReadonlyArray<string> => [])
  for (const pid of (yield* entries("/proc")).filter((name) => /^\d+$/.test(name))) {
    for (const file of yield* entries(`/proc/${pid}/fd`)) {
      const leadsTo = yield* Effect.orElseSucceed(fs.readLink(`/proc/${pid}/fd/${file}`), () => "")
      if (!wanted.has(leadsTo)) continue
      const name = yield* Effect.orElseSucceed(fs.readFileString(`/proc/${pid}/comm`), () => "")
      return { pid, name: name.trim() || "a program" }
    }
  }
  return undefined
})

/** The process that listens on a port; undefined where that is not told. */
export const processAt = (port: number): Effect.Effect<{ readonly pid: string; readonly name: string } | undefined> =>
  find(port).pipe(
    // @effect-diagnostics-next-line strictEffectProvide:off -- reason: the files of this machine are all it ever reads
    Effect.provide(NodeFileSystem.layer)
  )

/** The program that listens on a port, in words such as `ollama (process 42)`; undefined where that is not told. */
export const holderOf = (port: number): Effect.Effect<string | undefined> =>
  Effect.map(processAt(port), (found) => (found === undefined ? undefined : `${found.name} (process ${found.pid})`))

/** Why nothing could be listened on, with who is in the way and what to do. */
export const whyNotListening = ({ hostname: host, port, reason }: ListenFailed): Effect.Effect<string> =>
  Effect.gen(function* () {
    if (reason !== portInUse) return reason
    const there = ping({ config: Option.none(), overrides: { server: { host, port } } }, "livez")
    const isNexus = yield* Effect.isSuccess(there)
    const holder = yield* holderOf(port)
    const other = `--port ${port < 65_535 ? port + 1 : port - 1}`
    return isNexus
      ? `${reason}: a Nexus runs there already${holder === undefined ? "" : `, ${holder}`}; nexus status asks it, ${other} starts another one`
      : `${reason}${holder === undefined ? "" : ` by ${holder}`}; ${other} takes another one, --port 0 any that is free`
  })
