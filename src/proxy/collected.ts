/**
 * The stream of a backend put together to a whole answer, for a client that has asked for one. Whoever gives up the request
 * closes the stream with it, which frees servers that do not notice otherwise.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Assembly } from "../dialect/Dialect.ts"
import { BadAnswer, ConnectionLost, type UpstreamError } from "../domain/upstream-errors.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import type { BodySink } from "../wire/received-answer.ts"

// What a server says without end is nobody's answer.
const mostBytes = 256 * 1024 * 1024

const truncated = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })

const endless = new BadAnswer({ reason: "a stream that is too long to be put together" })

/** Waits for all of an answer; what is whole already is given back. `idleMs` bounds the silence between two pieces. */
export const collected = (
  answer: CommittedAnswer,
  assembly: Assembly,
  clock: RequestClock,
  idleMs: number
): Effect.Effect<CommittedAnswer, UpstreamError> => {
  if (answer._tag === "Whole" || answer.watch === undefined) return Effect.succeed(answer)
  const { head, said, taken, told, watch } = answer
  return Effect.callback((resume) => {
    let came = 0
    let over = false
    const done = (made: Effect.Effect<CommittedAnswer, UpstreamError>): void => {
      if (over) return
      over = true
      taken()
      resume(made)
    }
    const ended = (orderly: boolean, lost: UpstreamError): void => {
      const ending = watch.ending(orderly)
      if (ending === "cut") return done(Effect.fail(lost))
      const body = assembly.end()
      if (Result.isFailure(body))
        return done(Effect.fail(new BadAnswer({ reason: `a broken answer: ${body.failure}` })))
      if (ending !== "done" && ending !== "finished") return done(Effect.fail(truncated))
      const ended = told === undefined ? undefined : { ...told, finishes: watch.finishes?.() ?? [] }
      done(Effect.succeed({ _tag: "Whole", head, body: body.success, said, usage: watch.used(), told: ended }))
    }
    const drop = (): void => {
      if (!over) head.body.abort()
    }
    clock.arm("idle", idleMs, (error) => {
      drop()
      // What has said its last word may have forgotten to end its body.
      ended(false, error)
    })
    const sink: BodySink = {
      piece: (bytes) => {
        came += bytes.byteLength
        // The first bytes have been watched before they were passed on.
        if (came <= watch.size || watch.push(bytes)) clock.renew(performance.now())
        assembly.push(bytes)
        if (came <= mostBytes) return
        drop()
        done(Effect.fail(endless))
      },
      end: () => ended(true, truncated),
      fail: (error) => ended(false, error)
    }
    answer.attach(sink)
    return Effect.sync(() => {
      drop()
      over = true
      taken()
    })
  })
}
