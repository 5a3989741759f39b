/**
 * A recording that is sent once more, at its own times: what came of each request, beside what had come of it.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Semaphore from "effect/Semaphore"
import type { DialectList } from "../dialect/all.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { AnswerMeter, type Measured, percentile, tokensPerSecond, unanswered } from "../load/answer-meter.ts"
import { timedCall } from "../load/timed-call.ts"
import { sleepUntil } from "../mock/mock-answer.ts"
import { routeFinder } from "../mock/model-server.ts"
import type { Transport } from "../upstream/Transport.ts"
import { bodyOf, piecesIn, type RecordedExchange } from "./recording-format.ts"

/** An exchange, and what came of its request now; `lateMs` is how much later it was sent than it should have been. */
export interface SentAgain {
  readonly exchange: RecordedExchange
  readonly before: Measured
  readonly now: Measured
  readonly lateMs: number
}

/** How a recording is sent. */
export interface RecordingSender {
  readonly transport: Transport["Service"]
  readonly dialects: DialectList
  readonly exchanges: ReadonlyArray<RecordedExchange>
  /** Without a trailing slash. */
  readonly target: string
  /** Headers that go with each request, a key among them. */
  readonly headers: Readonly<Record<string, string>>
  /** How many times as fast as it was; infinite is as fast as the places allow. */
  readonly speed: number
  /** Requests that are under way at a time. */
  readonly concurrency: number
  readonly onAnswer: (sent: SentAgain) => void
}

/** Sends all of it; ends when the last answer has. */
export const sendRecording = (options: RecordingSender): Effect.Effect<void> =>
  Effect.scoped(
    Effect.gen(function* () {
      const { concurrency, dialects, exchanges, headers, onAnswer, speed, target, transport } = options
      const routeOf = routeFinder(dialects)
      const places = yield* Semaphore.make(concurrency)
      const underWay = yield* FiberSet.make<void>()
      const began = yield* monotonicMs
      for (const exchange of exchanges.toSorted((a, b) => a.at - b.at)) {
        const route = routeOf("POST", exchange.path.split("?")[0] ?? "")
        if (route === undefined) continue
        const call = {
          url: target + exchange.path,
          headers: { ...exchange.request.headers, "accept-encoding": "identity", ...headers },
          body: bodyOf(exchange),
          route
        }
        const { answer } = exchange
        const meter = new AnswerMeter(
          answer?.status ?? 0,
          answer?.headers["content-type"] ?? "",
          route.dialect,
          route.operation
        )
        for (const [ms, bytes] of piecesIn(exchange)) meter.piece(ms, bytes)
        const before =
          answer === undefined ? unanswered("nobody answered", exchange.ms) : meter.end(exchange.ended === "whole")
        const due = began + exchange.at / speed
        yield* sleepUntil(due)
        yield* places.take(1)
        const lateMs = Math.max(0, (yield* monotonicMs) - due)
        // Whose client had left is given up at the same moment, and nothing is to be compared then.
        const patience = exchange.ended === "left" ? exchange.ms / speed : Number.POSITIVE_INFINITY
        yield* FiberSet.run(
          underWay,
          timedCall(transport, call).pipe(
            Effect.timeoutOption(patience),
            Effect.map((now) => {
              if (now._tag === "Some") onAnswer({ exchange, before, now: now.value, lateMs })
            }),
            Effect.ensuring(places.release(1))
          )
        )
      }
      yield* FiberSet.awaitEmpty(underWay)
    })
  )

/** Before and now of one operation and model; null where nothing was measured. */
export interface ReplayRow {
  readonly operation: string
  readonly model: string
  readonly requests: number
  /** Those whose status is what it was. */
  readonly same_status: number
  /** The statuses that are others now, as `200 -> 503`, with how many; 0 is no answer. */
  readonly changed: Readonly<Record<string, number>>
  readonly first_token_ms: { readonly before: number | null; readonly now: number | null }
  readonly tokens_per_second: { readonly before: number | null; readonly now: number | null }
}

const middle = (values: ReadonlyArray<number | undefined>): number | null =>
  percentile(
    values.filter((value) => value !== undefined),
    0.5
  ) ?? null

/** What came of all of it, by operation and model. */
export const replayRows = (sent: ReadonlyArray<SentAgain>): ReadonlyArray<ReplayRow> => {
  const groups = Map.groupBy(sent, ({ exchange }) => JSON.stringify([exchange.operation, exchange.model]))
  return [...groups.values()].flatMap((group) => {
    const [first] = group
    if (first === undefined) return []
    const changed: Record<string, number> = {}
    for (const { before, now } of group) {
      if (before.status === now.status) continue
      const words = `${before.status} -> ${now.status}`
      changed[words] = (changed[words] ?? 0) + 1
    }
    const both = (of: (measured: Measured) => number | undefined) => ({
      before: middle(group.map(({ before }) => of(before))),
      now: middle(group.map(({ now }) => of(now)))
    })
    const { model, operation } = first.exchange
    return [
      {
        operation,
        model,
        requests: group.length,
        same_status: group.filter(({ before, now }) => before.status === now.status).length,
        changed,
        first_token_ms: both(({ firstMs }) => firstMs),
        tokens_per_second: both(tokensPerSecond)
      }
    ]
  })
}
