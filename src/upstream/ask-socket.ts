/**
 * A short question over a Unix socket, where a gateway of this machine may be administered.
 */
import { request } from "node:http"
import * as Effect from "effect/Effect"
import { TimedOut, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import type { ShortCall, TextAnswer } from "./ask.ts"

const headersOf = (raw: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>): Headers => {
  const headers = new Headers()
  for (const [name, value] of Object.entries(raw)) if (typeof value === "string") headers.set(name, value)
  return headers
}

const gone = new Set(["ENOENT", "ECONNREFUSED", "EACCES"])

const failure = (error: unknown): UpstreamError =>
  error instanceof Error && "code" in error && gone.has(String(error.code))
    ? new Unreachable({ reason: error.code === "EACCES" ? "not permitted" : "nobody listens there" })
    : toUpstreamError(error, false)

/** Asks whoever listens on the socket. */
export const askSocket = (question: ShortCall, socketPath: string): Effect.Effect<TextAnswer, UpstreamError> =>
  Effect.callback<TextAnswer, UpstreamError>((resume) => {
    const { pathname, search } = new URL(question.url)
    const { body = "", headers, method } = question
    const fail = (error: unknown): void => resume(Effect.fail(failure(error)))
    const sent = request({ socketPath, path: pathname + search, method, headers: { host: "localhost", ...headers } })
    sent.on("error", fail)
    sent.on("response", (answer) => {
      let text = ""
      answer.setEncoding("utf8")
      answer.on("error", fail)
      answer.on("data", (piece: string) => {
        text += piece
      })
      answer.on("end", () =>
        resume(Effect.succeed({ status: answer.statusCode ?? 0, headers: headersOf(answer.headers), text }))
      )
    })
    sent.end(body)
    return Effect.sync(() => sent.destroy())
  }).pipe(
    Effect.timeoutOrElse({
      duration: question.timeoutMs,
      orElse: () => Effect.fail(new TimedOut({ limit: "connect", afterMs: question.timeoutMs }))
    })
  )
