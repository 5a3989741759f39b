import { expect, test } from "bun:test"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { type Deadline, Deadlines } from "../../src/upstream/Deadlines.ts"

const watchOf = (seen: Array<string>): Deadline => ({
  place: -1,
  at: Infinity,
  totalAt: performance.now(),
  lasts: () => void seen.push("lasts"),
  shift: () => undefined,
  expire: (limit) => void seen.push(limit)
})

const looked = (work: (deadlines: Deadlines["Service"]) => Effect.Effect<unknown>) =>
  Effect.runPromise(
    Effect.flatMap(Deadlines, work).pipe(
      Effect.provide(
        Layer.provideMerge(
          Deadlines.layer(() => 100),
          TestClock.layer()
        )
      )
    )
  )

test("a sweep tells what it finds that it lasts, and then of the limits that have passed", async () => {
  const seen: Array<string> = []
  await looked((deadlines) => {
    const watch = watchOf(seen)
    deadlines.add(watch)
    return TestClock.adjust("250 millis").pipe(Effect.andThen(Effect.sync(() => deadlines.remove(watch))))
  })
  expect(seen).toEqual(["lasts", "total", "lasts"])
})

test("what is over before the first sweep is told nothing", async () => {
  const seen: Array<string> = []
  await looked((deadlines) => {
    const watch = watchOf(seen)
    deadlines.add(watch)
    return TestClock.adjust("99 millis").pipe(
      Effect.andThen(Effect.sync(() => deadlines.remove(watch))),
      Effect.andThen(TestClock.adjust("1 second"))
    )
  })
  expect(seen).toEqual([])
})
