/**
 * Where `[admin] listen` says to listen: a port, or a Unix socket.
 */
import * as Result from "effect/Result"

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

/** What is wrong with a place; undefined when nothing is. */
export const listenFault = (text: string): string | undefined => {
  const read = readPlace(text)
  return Result.isFailure(read) ? read.failure : undefined
}

/** The place that settings name, which have been checked; undefined when they name none. */
export const adminListen = (listen: string | undefined): ListenAddress | undefined =>
  listen === undefined ? undefined : Result.getOrUndefined(readPlace(listen))
