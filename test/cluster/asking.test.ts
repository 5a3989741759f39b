import { expect, test } from "bun:test"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type Answer, noAnswer, type Question } from "../../src/operations/Siblings.ts"
import type { Up } from "../../src/cluster/messages.ts"
import { makeSiblings } from "../../src/cluster/Worker.ts"
import { effect } from "../kit/effect.ts"
import { figures } from "./places.ts"

/** A worker's view of the others, and the numbers of what it has asked. */
const asking = () => {
  const asks: Array<number> = []
  const siblings = makeSiblings((message: Up) => {
    if (message._tag === "Recall") asks.push(message.ask)
  })
  return { ...siblings, asks }
}

const measures: Question = { _tag: "Measures" }

test("each question of a worker gets its own answer, in whatever order they come (law)", () =>
  fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.nat({ max: 19 }), { minLength: 1, maxLength: 20 }).map((some) => some.map((_, at) => at)),
      fc.infiniteStream(fc.double({ noNaN: true, min: 0, max: 1 })),
      async (questions, luck) => {
        const { ask, recalled, asks } = asking()
        const answers = questions.map(() => Effect.runPromise(ask(measures)))
        const order = questions.map((at) => [luck.next().value ?? 0, at] as const).toSorted(([a], [b]) => a - b)
        for (const [, at] of order) recalled(asks[at] ?? 0, figures(at, at))
        const told = (answer: Answer | undefined) => answer?.measures[0]?.turnedAway[0]
        expect((await Promise.all(answers)).map(told)).toEqual(questions)
      }
    )
  ))

effect("others that do not answer in time are not waited for: half a second for figures, one for requests", () =>
  Effect.gen(function* () {
    const { ask, recalled, asks } = asking()
    const late = yield* Effect.forkChild(ask(measures))
    const listed = yield* Effect.forkChild(ask({ _tag: "Requests" }))
    yield* TestClock.adjust("499 millis")
    expect([late.pollUnsafe(), listed.pollUnsafe()]).toEqual([undefined, undefined])
    yield* TestClock.adjust("1 millis")
    expect(yield* Fiber.join(late)).toBeUndefined()
    expect(listed.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("500 millis")
    expect(yield* Fiber.join(listed)).toBeUndefined()
    // What comes after that is for nobody, and the next question is answered as ever.
    for (const number of asks) recalled(number, noAnswer)
    const next = yield* Effect.forkChild(ask(measures))
    yield* TestClock.adjust(1)
    recalled(asks.at(-1) ?? 0, figures(2, 3))
    expect(yield* Fiber.join(next)).toEqual(figures(2, 3))
  })
)
