import { expect, test } from "bun:test"
import { Effect, Fiber, PubSub } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import {
  awakeMs,
  clockCheckMs,
  gapBetween,
  ProcessPauses,
  sleepAwake,
  timeoutAwake
} from "../../src/upstream/ProcessPauses.ts"
import { RequestClock } from "../../src/upstream/Upstream.ts"
import { effect } from "../kit/effect.ts"
import { held } from "../kit/held.ts"

const millis = fc.integer({ min: 0, max: 10 ** 9 })

test("a process that looks in time has lost nothing, whatever the clocks show", () =>
  fc.assert(
    fc.property(millis, millis, fc.integer({ min: 0, max: 2 * clockCheckMs }), (monotonic, wall, elapsed) => {
      const after = { monotonic: monotonic + elapsed, wall: wall + elapsed }
      expect(gapBetween({ monotonic, wall }, after)).toEqual({ lostMs: 0, awayMs: 0 })
    })
  ))

test("what is lost is never more than what has passed, and never less by more than the time between two looks", () =>
  fc.assert(
    fc.property(millis, millis, millis, (monotonic, paused, jump) => {
      const after = { monotonic: monotonic + clockCheckMs + paused, wall: jump }
      const { lostMs } = gapBetween({ monotonic, wall: 0 }, after)
      expect(lostMs).toBeLessThanOrEqual(clockCheckMs + paused)
      if (paused > clockCheckMs) expect(lostMs).toBeGreaterThanOrEqual(paused)
    })
  ))

test("a machine that slept was away for as long as its wall clock went on", () => {
  const before = { monotonic: 1000, wall: 50_000 }
  expect(gapBetween(before, { monotonic: 1250, wall: 50_250 + 3_600_000 })).toEqual({ lostMs: 0, awayMs: 3_600_000 })
  expect(gapBetween(before, { monotonic: 1250, wall: 50_250 - 3_600_000 })).toEqual({ lostMs: 0, awayMs: 0 })
  expect(gapBetween(before, { monotonic: 8000, wall: 57_000 })).toEqual({ lostMs: 7000, awayMs: 7000 })
})

effect("a time limit starts over where it was when the process was stopped", () =>
  held((stop) =>
    Effect.gen(function* () {
      let ended = false
      yield* Effect.forkChild(
        Effect.map(sleepAwake(1000), () => {
          ended = true
        })
      )
      yield* TestClock.adjust("600 millis")
      stop(7000)
      yield* TestClock.adjust("399 millis")
      expect(ended).toBe(false)
      yield* TestClock.adjust("601 millis")
      expect(ended).toBe(false)
      yield* TestClock.adjust("1 second")
      expect(ended).toBe(true)
    })
  )
)

effect("an answer that lay ready while the process was stopped is taken before the limit ends it", () =>
  held((stop) =>
    Effect.gen(function* () {
      // The limit is due at the very moment of waking, and the answer one turn later.
      const answer = Effect.as(Effect.sleep(1001), "the answer")
      const asked = yield* Effect.forkChild(timeoutAwake(answer, 1000, () => Effect.succeed("too late")))
      yield* TestClock.adjust("900 millis")
      stop(3000)
      yield* TestClock.adjust("200 millis")
      expect(yield* Fiber.join(asked)).toBe("the answer")
    })
  )
)

effect("a long pause is told of once, and a short one is not", () =>
  held((stop) =>
    Effect.gen(function* () {
      const { follow } = yield* ProcessPauses
      const told: Array<number> = []
      const news = yield* follow
      yield* PubSub.take(news).pipe(
        Effect.map(({ awayMs }) => told.push(Math.round(awayMs / 1000))),
        Effect.forever,
        Effect.forkScoped
      )
      stop(2000)
      yield* TestClock.adjust("1 second")
      expect(told).toEqual([])
      stop(7000)
      yield* TestClock.adjust("10 seconds")
      expect(told).toEqual([7])
    }).pipe(Effect.scoped)
  )
)

effect("the time in which a process runs stands while it is stopped", () =>
  held((stop) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 second")
      const before = yield* awakeMs
      stop(60_000)
      const after = yield* awakeMs
      expect(Math.abs(after - before)).toBeLessThanOrEqual(2 * clockCheckMs)
    })
  )
)

test("a pause moves the ends of limits that had begun, and of no other", () =>
  fc.assert(
    fc.property(millis, millis, millis, millis, (started, length, begun, byMs) => {
      const totalMs = length + 1
      const clock = new RequestClock(started, totalMs)
      clock.arm("idle", totalMs)
      clock.renew(begun)
      clock.shift(Math.min(started, begun), byMs)
      expect([clock.at, clock.totalAt]).toEqual([begun + totalMs, started + totalMs])
      clock.shift(Math.max(started, begun) + 1, byMs)
      expect([clock.at, clock.totalAt]).toEqual([begun + totalMs + byMs, started + totalMs + byMs])
      // The next attempt does not take it back.
      clock.bound(started, totalMs)
      expect(clock.totalAt).toBe(started + totalMs + byMs)
    })
  ))
