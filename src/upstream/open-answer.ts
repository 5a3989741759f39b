/**
 * The answer to a question whose body is read while it comes, for as long as a scope is open.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { Abort } from "../wire/abort.ts"
import type { Gate } from "../wire/call.ts"
import type { ConnectionPool } from "../wire/ConnectionPool.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import type { Trust } from "../wire/tls.ts"
import { headersOf } from "./ask.ts"

/** A question whose answer may take its time. */
export interface OpenQuestion {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly trust?: Trust | undefined
  /** What bounds the addresses that it may go to; any when absent. */
  readonly reach?: Gate | undefined
  /** Time for a connection, in milliseconds. */
  readonly connectMs: number
}

/** The head of an answer, and the pieces of its body as they come. */
export interface OpenAnswer {
  readonly status: number
  readonly headers: Headers
  readonly pieces: Stream.Stream<Uint8Array, UpstreamError>
}

// Pieces that wait to be read, beyond which the server is slowed.
const mostWaiting = 32

const encoder = new TextEncoder()

const opened = (arrival: ReceivedAnswer): Effect.Effect<OpenAnswer> =>
  Effect.map(Queue.unbounded<Uint8Array, UpstreamError | Cause.Done>(), (queue) => {
    const { body, status } = arrival
    body.start({
      piece: (bytes) => {
        Queue.offerUnsafe(queue, bytes)
        if (Queue.sizeUnsafe(queue) > mostWaiting) body.pause()
      },
      end: () => void Queue.endUnsafe(queue),
      fail: (error) => void Effect.runSync(Queue.fail(queue, error))
    })
    const pieces = Stream.tap(Stream.fromQueue(queue), () => Effect.sync(() => body.resume()))
    return { status, headers: headersOf(arrival), pieces }
  })

/** Asks; the call is dropped when the scope closes, whatever has come of it. */
export const openAnswer = (
  { send }: Pick<ConnectionPool, "send">,
  { body = "", connectMs, headers, method, reach, trust, url }: OpenQuestion
): Effect.Effect<OpenAnswer, UpstreamError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new Abort()),
    (abort) => Effect.sync(() => abort.abort("the question is given up"))
  ).pipe(
    Effect.flatMap((abort) =>
      Effect.tryPromise({
        try: () =>
          send({
            ...(method === "POST" ? {} : { method }),
            url,
            headers: { "accept-encoding": "identity", ...headers },
            body: encoder.encode(body),
            trust,
            reach,
            abort,
            fresh: true,
            connectMs
          }),
        catch: (thrown) => toUpstreamError(thrown, false)
      })
    ),
    Effect.flatMap(opened)
  )
