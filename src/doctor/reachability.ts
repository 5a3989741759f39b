/**
 * Whether a server can be reached at all: its name, its port.
 */
import { lookup } from "node:dns/promises"
import { isIP } from "node:net"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { kindNamed } from "../backend/all.ts"
import type { Backend } from "../backend/backend.ts"
import { Perimeter, reachOf } from "../upstream/perimeter.ts"
import type { Gate } from "../wire/call.ts"
import { admittedAddresses, dialOnce } from "../wire/dialing.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import { error, type Finding, ok } from "./finding.ts"
import { bareHost } from "../domain/url-host.ts"

const quiet: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  EHOSTUNREACH: "the host cannot be reached",
  ENETUNREACH: "its network cannot be reached",
  EACCES: "connecting there is not permitted"
}

const codeOf = (thrown: unknown): string => (thrown instanceof Error && "code" in thrown ? String(thrown.code) : "")

/** Host and port of a URL. */
const targetOf = (address: string): { readonly host: string; readonly port: number } | undefined => {
  const url = URL.parse(address)
  if (url === null) return undefined
  const port = url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port)
  return { host: bareHost(url.hostname), port }
}

const resolves = (host: string, timeoutMs: number): Effect.Effect<string | undefined> =>
  Effect.tryPromise({ try: () => lookup(host), catch: codeOf }).pipe(
    Effect.as(undefined),
    Effect.timeoutOrElse({
      duration: timeoutMs,
      orElse: () => Effect.succeed(`no answer within ${timeoutMs / 1000} s`)
    }),
    Effect.catch((code) =>
      Effect.succeed(code === "ENOTFOUND" ? "there is no such name" : `it cannot be looked up (${code})`)
    )
  )

const closedAt = (gate: Gate, address: string, port: number): Effect.Effect<string | undefined> =>
  Effect.callback<string | undefined>((resume) => {
    const socket = dialOnce(gate, address, port)
    socket.once("connect", () => resume(Effect.undefined))
    socket.once("error", (thrown) => {
      const code = codeOf(thrown)
      resume(Effect.succeed(quiet[code] ?? `the connection fails (${code})`))
    })
    return Effect.sync(() => socket.destroy())
  })

/** Why no connection can be made; undefined when one can. Closes it again. `reach` bounds where it may go. */
export const connectFailure = (
  host: string,
  port: number,
  timeoutMs: number,
  reach?: Gate
): Effect.Effect<string | undefined> =>
  Effect.gen(function* () {
    const perimeter = yield* Perimeter
    const gate: Gate = (address) => perimeter(address) ?? reach?.(address)
    const found = yield* Effect.result(
      Effect.tryPromise({ try: () => admittedAddresses(gate, host), catch: (error) => toUpstreamError(error, false) })
    )
    if (Result.isFailure(found)) return "reason" in found.failure ? found.failure.reason : "it cannot be looked up"
    let first: string | undefined
    for (const address of found.success) {
      const closed = yield* closedAt(gate, address, port)
      if (closed === undefined) return undefined
      first ??= closed
    }
    return first
  }).pipe(
    Effect.timeoutOrElse({
      duration: timeoutMs,
      orElse: () => Effect.succeed(`no connection within ${timeoutMs / 1000} s: a firewall may drop it`)
    })
  )

/** Looks up the name and connects; an error among the findings is the end. */
export const checkReachable = (backend: Backend, timeoutMs: number): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const target = targetOf(backend.url)
    if (target === undefined) return [error("address", "the url cannot be read", 'url = "http://HOST:PORT"')]
    const { port } = target
    const host = backend.address ?? target.host
    const findings: Array<Finding> = []
    if (isIP(host) === 0) {
      const unknown = yield* resolves(host, timeoutMs)
      if (unknown !== undefined) {
        return [error("name", `${host}: ${unknown}`, `url = "http://ADDRESS:${port}", or put the name into /etc/hosts`)]
      }
      findings.push(ok("name", `${host} is known`))
    }
    const refused = yield* connectFailure(host, port, timeoutMs, reachOf(backend))
    if (refused !== undefined) {
      const { start } = kindNamed(backend.type).advice
      const where = `${host}:${port}`
      return [...findings, error("connect", `${where}: ${refused}`, start ?? `start the server, or correct its url`)]
    }
    return [...findings, ok("connect", `port ${port} takes connections`)]
  })
