/**
 * A short question over a Unix socket, where a gateway of this machine may be administered.
 */
import { request } from "node:http"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TimedOut, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import type { ShortCall, TextAnswer } from "./ask.ts"
import type { OpenAnswer, OpenQuestion } from "./open-answer.ts"

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

/** Asks whoever listens on the socket at a path of theirs, and reads the answer while it comes, for as long as the scope is open. */
export const openOverSocket = (
  { body = "", headers, method, url: path }: OpenQuestion,
  socketPath: string
): Effect.Effect<OpenAnswer, UpstreamError, Scope.Scope> =>
  Effect.gen(function* () {
    const pieces = yield* Queue.unbounded<Uint8Array, UpstreamError | Cause.Done>()
    const sent = yield* Effect.acquireRelease(
      Effect.sync(() => request({ socketPath, path, method, headers: { host: "localhost", ...headers } })),
      (call) => Effect.sync(() => void call.destroy())
    )
    const arrival = Effect.callback<{ readonly status: number; readonly headers: Headers }, UpstreamError>((resume) => {
      sent.on("error", (error) => {
        resume(Effect.fail(failure(error)))
        Effect.runSync(Queue.fail(pieces, failure(error)))
      })
      sent.on("response", (answer) => {
        answer.on("error", (error) => void Effect.runSync(Queue.fail(pieces, failure(error))))
        answer.on("data", (piece: Uint8Array) => void Queue.offerUnsafe(pieces, piece))
        answer.on("end", () => void Queue.endUnsafe(pieces))
        resume(Effect.succeed({ status: answer.statusCode ?? 0, headers: headersOf(answer.headers) }))
      })
      sent.end(body)
    })
    return { ...(yield* arrival), pieces: Stream.fromQueue(pieces) }
  })
