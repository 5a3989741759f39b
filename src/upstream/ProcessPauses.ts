/**
 * Notices when this process has not run for a while: stopped, in a debugger, swapped out, on a machine that slept. What
 * did not come meanwhile is nobody's fault.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import type * as Scope from "effect/Scope"
import { monotonicMs } from "../domain/monotonic.ts"

/** How the two clocks stood at one moment, in milliseconds. */
export interface ClockReading {
  readonly monotonic: number
  readonly wall: number
}

/** Time between two looks at the clocks, in milliseconds. */
export const clockCheckMs = 250

/** A look that comes so much too late, in milliseconds, was held up by more than a busy moment. */
const lateMs = 250

/** A pause of this length, in milliseconds, makes what was known of the network doubtful. */
const longMs = 5000

/** What lies between two looks. */
export interface ClockGap {
  /** Milliseconds for which the process could not do what it was to do; 0 when it was there in time. */
  readonly lostMs: number
  /** For how long connections may have died and backends gone unseen, in milliseconds; 0 unless that was long. */
  readonly awayMs: number
}

/** The rule: while a machine sleeps its monotonic clock stands, and only the wall clock tells. */
export const gapBetween = (before: ClockReading, now: ClockReading): ClockGap => {
  const elapsed = now.monotonic - before.monotonic
  const lostMs = elapsed > clockCheckMs + lateMs ? elapsed : 0
  const awayMs = Math.max(lostMs, now.wall - before.wall - (elapsed - lostMs))
  return { lostMs, awayMs: awayMs >= longMs ? awayMs : 0 }
}

/** The pauses of this process; there are none where nobody looks for them. */
export const ProcessPauses = Context.Reference<{
  /** Milliseconds lost so far, a pause that has just ended included; at most half a second too many for each. */
  readonly lostMs: Effect.Effect<number>
  /** The long pauses from now on. */
  readonly follow: Effect.Effect<PubSub.Subscription<ClockGap>, never, Scope.Scope>
}>("nexus/upstream/ProcessPauses", {
  defaultValue: () => ({
    lostMs: Effect.succeed(0),
    follow: Effect.flatMap(PubSub.unbounded<ClockGap>(), PubSub.subscribe)
  })
})

const make = Effect.gen(function* () {
  const reading = Effect.map(Effect.all([monotonicMs, Clock.currentTimeMillis]), ([monotonic, wall]): ClockReading => ({
    monotonic,
    wall
  }))
  const news = yield* PubSub.unbounded<ClockGap>()
  let seen = yield* reading
  let lostMs = 0
  const look = Effect.flatMap(reading, (now) => {
    const gap = gapBetween(seen, now)
    seen = now
    lostMs += gap.lostMs
    if (gap.awayMs === 0) return Effect.succeed(lostMs)
    const about = { seconds: Math.round(gap.awayMs / 1000) }
    return Effect.annotateLogs(
      Effect.logInfo("this process did not run for a while, no backend is blamed"),
      about
    ).pipe(Effect.andThen(PubSub.publish(news, gap)), Effect.as(lostMs))
  })
  yield* Effect.sleep(clockCheckMs).pipe(Effect.andThen(look), Effect.forever, Effect.forkScoped)
  return { lostMs: look, follow: PubSub.subscribe(news) }
})

/** Looks for pauses until the scope closes. */
export const layer: Layer.Layer<never> = Layer.effect(ProcessPauses, make)

/** Monotonic milliseconds in which this process ran; after a pause they may go back by half a second. */
export const awakeMs: Effect.Effect<number> = Effect.gen(function* () {
  const { lostMs } = yield* ProcessPauses
  return (yield* monotonicMs) - (yield* lostMs)
})

/** Waits for milliseconds in which this process runs. */
export const sleepAwake = Effect.fnUntraced(function* (ms: number) {
  const { lostMs } = yield* ProcessPauses
  let before = yield* lostMs
  let left = ms
  while (left > 0) {
    yield* Effect.sleep(left)
    const now = yield* lostMs
    left = Math.min(left, now - before)
    before = now
  }
})

/** A time limit that counts only milliseconds in which this process runs. */
export const timeoutAwake = <A, E, R, B, E2, R2>(
  effect: Effect.Effect<A, E, R>,
  ms: number,
  orElse: () => Effect.Effect<B, E2, R2>
): Effect.Effect<A | B, E | E2, R | R2> =>
  Effect.raceFirst(
    effect,
    Effect.flatMap(sleepAwake(ms), () => orElse())
  )
