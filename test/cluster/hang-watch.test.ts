import { expect } from "bun:test"
import { Effect, References } from "effect"
import { TestClock } from "effect/testing"
import { Monotonic } from "../../src/domain/monotonic.ts"
import { endHanging, silentMs, startMs } from "../../src/cluster/hang-watch.ts"
import { ProcessPauses } from "../../src/upstream/ProcessPauses.ts"
import { effect } from "../kit/effect.ts"
import { makePlace, type Place } from "./places.ts"

const quietly = Effect.provideService(References.MinimumLogLevel, "None")

/** Watches these places while time goes by in steps of 100 ms; before each one `does` happens. */
const watching = (places: ReadonlyArray<Place>, ms: number, does: (at: number) => void = () => undefined) =>
  Effect.gen(function* () {
    yield* Effect.forkScoped(quietly(endHanging(places.map(({ slot }) => slot))))
    for (let at = 0; at < ms; at += 100) {
      does(at)
      yield* TestClock.adjust("100 millis")
    }
  })

effect("a worker that says nothing for too long is ended with the signal that nobody can keep waiting", () => {
  const [silent, talking] = [makePlace(1), makePlace(2)] as const
  return Effect.map(
    watching([silent, talking], silentMs + 1000, () => void (talking.slot.said += 1)),
    () => {
      expect(silent.signals[0]).toBe("SIGKILL")
      expect(talking.signals).toEqual([])
    }
  )
})

effect("a worker that speaks just in time is left alone", () => {
  const place = makePlace(1)
  const every = Math.floor(silentMs / 100) * 100
  const speak = (at: number) => {
    if (at % every === 0) place.slot.said += 1
  }
  return Effect.map(watching([place], 10 * silentMs, speak), () => expect(place.signals).toEqual([]))
})

effect("a worker that starts has longer", () => {
  const place = makePlace(1)
  place.slot.listens = false
  return Effect.gen(function* () {
    yield* watching([place], startMs - 1000)
    expect(place.signals).toEqual([])
    yield* TestClock.adjust(2000)
    expect(place.signals[0]).toBe("SIGKILL")
  })
})

effect("an empty place has nobody to end", () => {
  const place = makePlace(1)
  place.slot.child = undefined
  return Effect.map(watching([place], 2 * startMs), () => expect(place.signals).toEqual([]))
})

effect("time in which the supervisor did not run is no silence of its workers", () => {
  const place = makePlace(1)
  let now = 0
  let lost = 0
  const clock = Monotonic.of(Effect.sync(() => now))
  const pauses = ProcessPauses.of({ lostMs: Effect.sync(() => lost), follow: Effect.never })
  return Effect.gen(function* () {
    yield* Effect.forkScoped(quietly(endHanging([place.slot])))
    yield* TestClock.adjust(1)
    now += 1000
    yield* TestClock.adjust("1 second")
    // Stopped for an hour, by both clocks.
    now += 3_600_000
    lost += 3_600_000
    yield* TestClock.adjust("1 second")
    expect(place.signals).toEqual([])
    now += silentMs + 1
    yield* TestClock.adjust("1 second")
    expect(place.signals[0]).toBe("SIGKILL")
  }).pipe(Effect.provideService(Monotonic, clock), Effect.provideService(ProcessPauses, pauses))
})
