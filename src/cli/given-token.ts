/**
 * A token as commands are given one: in a file or on standard input, since what stands in a command line others can read.
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { Flag } from "effect/cli"
import { CliFailure } from "./exit-failure.ts"

/** `--token-file FILE`. */
export const tokenFile = Flag.String("token-file").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("File that holds a token of an issuer (a JWT), or - for standard input"),
  Flag.optional
)

// No server takes a longer header.
const mostBytes = 65_536

/** The token in a file; `-` is standard input. */
export const readToken = Effect.fnUntraced(function* (path: string) {
  const where = path === "-" ? "standard input" : path
  const fs = yield* FileSystem.FileSystem
  const { stdin } = yield* Stdio.Stdio
  const bytes = path === "-" ? stdin : fs.stream(path, { bytesToRead: mostBytes + 1 })
  const text = yield* Stream.mkString(Stream.decodeText(bytes)).pipe(
    Effect.mapError(({ reason }) => {
      const why = reason._tag === "NotFound" ? "there is no such file" : "it cannot be read"
      return new CliFailure({ message: `${where}: ${why}` })
    })
  )
  const token = text.trim().replace(/^bearer\s+/i, "")
  if (token === "" || token.length > mostBytes || /\s/.test(token))
    return yield* new CliFailure({ message: `${where} holds no token: one text, as it is sent behind 'Bearer'` })
  return token
})
