/**
 * A request that is sent to be measured.
 */
import * as Effect from "effect/Effect"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { Transport } from "../upstream/Transport.ts"
import { Abort } from "../wire/abort.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import type { Trust } from "../wire/tls.ts"
import { AnswerMeter, type Measured, unanswered } from "./answer-meter.ts"

/** What is sent, and how its answer is to be read. */
export interface TimedCall {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  readonly trust?: Trust | undefined
  readonly route: DialectRoute
}

/** What came of it, and who says to have answered where that is a gateway. */
export interface TimedAnswer extends Measured {
  readonly backend: string | undefined
  /** What stands in the answer where it is no good one. */
  readonly said: string | undefined
}

/** How long a connection may take to come about. */
export const connectMs = 10_000

/** Why there is no answer, in words. */
export const whyUnanswered = (thrown: unknown): string => {
  const error = toUpstreamError(thrown, false)
  return "reason" in error ? error.reason : error._tag === "TimedOut" ? "no answer in time" : "no good answer"
}

/** How long one answer may take, in minutes. */
const mostMinutes = 15

const late: TimedAnswer = {
  ...unanswered(`no end within ${mostMinutes} minutes`, mostMinutes * 60_000),
  backend: undefined,
  said: undefined
}

// An error says what it has to say at its beginning.
const mostSaid = 2048

/** Sends a request and reads its answer to the end; whoever gives it up closes its connection. */
export const timedCall = (
  { send }: Pick<Transport["Service"], "send">,
  { body, headers, route, trust, url }: TimedCall
): Effect.Effect<TimedAnswer> =>
  Effect.callback<TimedAnswer>((resume) => {
    const abort = new Abort()
    const began = performance.now()
    const sinceThen = (): number => performance.now() - began
    const lost = (thrown: unknown): void =>
      resume(Effect.succeed({ ...unanswered(whyUnanswered(thrown), sinceThen()), backend: undefined, said: undefined }))
    const read = (arrival: ReceivedAnswer): void => {
      const { body: answer, status } = arrival
      const meter = new AnswerMeter(status, arrival.header("content-type") ?? "", route.dialect, route.operation)
      const decoder = new TextDecoder()
      let said = ""
      const done = (orderly: boolean): void => {
        const measured = meter.end(orderly)
        const words = measured.whole ? undefined : said
        resume(Effect.succeed({ ...measured, backend: arrival.header("x-nexus-backend") ?? undefined, said: words }))
      }
      answer.start({
        piece: (bytes) => {
          meter.piece(sinceThen(), bytes)
          if (status >= 300 && said.length < mostSaid) said += decoder.decode(bytes, { stream: true })
        },
        end: () => done(true),
        fail: () => done(false)
      })
    }
    const call = {
      url,
      headers: { ...headers },
      body,
      trust,
      abort,
      fresh: false,
      connectMs
    }
    send(call).then(read, lost)
    return Effect.sync(() => abort.abort("the measurement has ended"))
  }).pipe(Effect.timeoutOrElse({ duration: `${mostMinutes} minutes`, orElse: () => Effect.succeed(late) }))
