import { expect } from "bun:test"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Monotonic, monotonicMs } from "../../src/domain/monotonic.ts"
import { effect, underWallClock } from "../kit/effect.ts"

effect("the time of waits moves with the clock of a test, whatever its wall clock says", () => {
  let setBy = 0
  const elapsed = Effect.gen(function* () {
    const before = yield* monotonicMs
    setBy = -3_600_000
    yield* TestClock.adjust("90 seconds")
    return (yield* monotonicMs) - before
  })
  return Effect.map(
    underWallClock(() => setBy, elapsed),
    (ms) => expect(ms).toBe(90_000)
  )
})

effect("the time of waits can be moved by itself", () =>
  Effect.map(Effect.provideService(monotonicMs, Monotonic, Effect.succeed(7)), (ms) => expect(ms).toBe(7))
)
