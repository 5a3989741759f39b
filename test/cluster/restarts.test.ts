import { expect } from "bun:test"
import { Clock, Effect, Fiber, Latch, References } from "effect"
import { TestClock } from "effect/testing"
import { keepRunning, restartMs } from "../../src/cluster/restarts.ts"
import { effect } from "../kit/effect.ts"

/** A place whose workers live for so long each, the last of these times again and again; tells when each one began. */
const placeOf = (livesMs: ReadonlyArray<number>) => {
  const began: Array<number> = []
  const ends: Array<string> = []
  const stopping = Latch.makeUnsafe(false)
  const run = Effect.gen(function* () {
    began.push(yield* Clock.currentTimeMillis)
    yield* Effect.sleep(livesMs[Math.min(began.length, livesMs.length) - 1] ?? 0)
    return `end ${began.length}`
  })
  const kept = keepRunning(run, 1, stopping, (count, reason) => void ends.push(`${count}: ${reason}`)).pipe(
    Effect.provideService(References.MinimumLogLevel, "None")
  )
  return { began, ends, stopping, kept }
}

effect("a worker that ends at once is started anew after ever longer waits, and each of its ends is told", () =>
  Effect.gen(function* () {
    const { began, ends, kept } = placeOf([0])
    yield* Effect.forkChild(kept)
    yield* TestClock.adjust(3100)
    expect(began).toEqual([0, 100, 300, 700, 1500, 3100])
    expect(ends.slice(0, 2)).toEqual(["1: end 1", "2: end 2"])
  })
)

effect("a worker that has lived long is replaced soon, and has not made up for those that come after it", () =>
  Effect.gen(function* () {
    const { began, kept } = placeOf([0, 0, 60_000, 0])
    yield* Effect.forkChild(kept)
    yield* TestClock.adjust(60_300 + restartMs.first + 2 * restartMs.first)
    expect(began).toEqual([0, 100, 300, 60_400, 60_600])
  })
)

effect("once the gateway is stopping no worker is started anew, neither when one ends nor when its place waits", () =>
  Effect.gen(function* () {
    const running = placeOf([5000])
    const waiting = placeOf([0, 0, 0, 0, 0, 0])
    const fibers = [yield* Effect.forkChild(running.kept), yield* Effect.forkChild(waiting.kept)]
    yield* TestClock.adjust(2000)
    running.stopping.openUnsafe()
    waiting.stopping.openUnsafe()
    yield* TestClock.adjust(1)
    // The place that waited has ended its wait, the other one its worker.
    expect(fibers.map((fiber) => fiber.pollUnsafe() !== undefined)).toEqual([false, true])
    yield* TestClock.adjust(5000)
    yield* Fiber.joinAll(fibers)
    expect(running.began).toHaveLength(1)
    expect(running.ends).toEqual([])
  })
)
