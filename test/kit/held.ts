/**
 * A process that is held up, on virtual time.
 */
import { Effect, Layer, Logger, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Monotonic } from "../../src/domain/monotonic.ts"
import { layer } from "../../src/upstream/ProcessPauses.ts"
import { underWallClock } from "./effect.ts"

/** What is done by a process that looks for its pauses; `stop` holds it up: its timers stand while its clocks go on. */
export const held = <A, E>(
  body: (stop: (ms: number) => void) => Effect.Effect<A, E, Scope.Scope>
): Effect.Effect<A, E, Scope.Scope> =>
  TestClock.testClockWith((clock) => {
    let stoppedMs = 0
    const stop = (ms: number) => {
      stoppedMs += ms
    }
    const now = Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000 + stoppedMs)
    const program = Effect.provide(body(stop), Layer.provideMerge(layer, Logger.layer([])))
    return Effect.provideService(
      underWallClock(() => stoppedMs, program),
      Monotonic,
      now
    )
  })
