/**
 * Where the gateway and its administration listen, by `[server] host` and `[admin] listen`, and what is wrong with that.
 */
import * as Result from "effect/Result"
import { isLoopback } from "../domain/url-host.ts"
import type { Mistake } from "./check.ts"
import { type Table, tablesAt, valueAt } from "./path.ts"

/** A place to listen at. */
export type ListenAddress =
  | { readonly _tag: "Port"; readonly host: string; readonly port: number }
  | { readonly _tag: "Socket"; readonly path: string }

const expected =
  'expected host and port, such as "127.0.0.1:8001", or the whole path of a Unix socket, such as "/run/nexus/admin.sock"'

// The system takes 107 bytes and the zero behind them.
const longestPath = 103

/** Reads a place; fails with what is wrong and what would be right. */
const readPlace = (text: string): Result.Result<ListenAddress, string> => {
  if (text.startsWith("/")) {
    if (text.endsWith("/") || text.includes("\0")) return Result.fail(expected)
    return Buffer.byteLength(text) > longestPath
      ? Result.fail(`the path of a Unix socket has at most ${longestPath} bytes`)
      : Result.succeed({ _tag: "Socket", path: text })
  }
  const [, host = "", digits = ""] = /^(\[[\da-f:.]+\]|[^\s:/[\]@?#]+):(\d{1,5})$/i.exec(text) ?? []
  if (host === "") return Result.fail(expected)
  const port = Number(digits)
  return port > 65_535
    ? Result.fail("the port must be a whole number from 0 to 65535")
    : Result.succeed({ _tag: "Port", host, port })
}

/** The place that settings name, which have been checked; undefined when they name none. */
export const adminListen = (listen: string | undefined): ListenAddress | undefined =>
  listen === undefined ? undefined : Result.getOrUndefined(readPlace(listen))

const hostFault = (host: string): string | undefined => {
  if (/^[^:]+:\d+$/.test(host)) return "expected the address alone; the port is server.port"
  return /^(?:\[[\da-f:.]+\]|[\w.:%-]+)$/i.test(host)
    ? undefined
    : "expected an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all it has"
}

/** Whether everybody is let in: a store of keys lets nobody in without one, be there none yet. */
export const isKeyless = (tree: Table): boolean =>
  ["keys", "issuers"].every((each) => tablesAt(tree, ["auth", each]).length === 0) &&
  valueAt(tree, ["auth", "store"]) === undefined

const ofGateway = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["server", "host"]
  const value = valueAt(tree, path)
  if (typeof value !== "string" || value === "") return []
  const fault = hostFault(value)
  if (fault !== undefined) return [{ path, value, reason: fault }]
  const reason =
    "an address beyond this machine needs keys ([[auth.keys]], see `nexus keys new`), " +
    "or server.insecure = true (--insecure) to let everybody in"
  const isMeant = valueAt(tree, ["server", "insecure"]) === true
  return !isLoopback(value) && !isMeant && isKeyless(tree) ? [{ path, value, reason }] : []
}

const ofAdministration = (tree: Table): ReadonlyArray<Mistake> => {
  const path = ["admin", "listen"]
  const value = valueAt(tree, path)
  if (typeof value !== "string" || value === "") return []
  const [host, port] = [valueAt(tree, ["server", "host"]), valueAt(tree, ["server", "port"])]
  const isOwn = port !== 0 && value === `${String(host ?? "127.0.0.1")}:${String(port ?? 8000)}`
  const read = readPlace(value)
  const fault = Result.isFailure(read) ? read.failure : undefined
  const reason = isOwn ? "this is where the gateway itself listens" : fault
  return reason === undefined ? [] : [{ path, value, reason }]
}

/** What is wrong with where they listen. */
export const listeningMistakes = (tree: Table): ReadonlyArray<Mistake> => [
  ...ofGateway(tree),
  ...ofAdministration(tree)
]
