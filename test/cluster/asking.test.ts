import { expect } from "bun:test"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type CallMessage, Calls } from "../../src/cluster/calls.ts"
import { siblingsOver } from "../../src/cluster/sibling-questions.ts"
import { siblingQuestions } from "../../src/operations/Siblings.ts"
import { effect } from "../kit/effect.ts"
import { measuresOf } from "./places.ts"

/** A worker's view of its siblings, and what it has asked. */
const asking = () => {
  const sent: Array<CallMessage> = []
  const calls = new Calls<string>((_, call) => void sent.push(call))
  const answer = (call: CallMessage | undefined, value: unknown) =>
    calls.replied("supervisor", { _tag: "Reply", id: call?.id ?? 0, outcome: "done", value })
  return { ...siblingsOver(calls.askOf("supervisor")), sent, answer }
}

effect("siblings that do not answer in time are not waited for: half a second for figures, one for requests", () =>
  Effect.gen(function* () {
    const { ask, answer, sent } = asking()
    const late = yield* Effect.forkChild(ask(siblingQuestions.measures, {}))
    const listed = yield* Effect.forkChild(ask(siblingQuestions.requests, {}))
    yield* TestClock.adjust("499 millis")
    expect([late.pollUnsafe(), listed.pollUnsafe()]).toEqual([undefined, undefined])
    yield* TestClock.adjust("1 millis")
    expect(yield* Fiber.join(late)).toBeUndefined()
    expect(listed.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("500 millis")
    expect(yield* Fiber.join(listed)).toBeUndefined()
    // What comes after that is for nobody, and the next question is answered as ever.
    for (const call of sent) answer(call, [])
    const next = yield* Effect.forkChild(ask(siblingQuestions.measures, {}))
    yield* TestClock.adjust(1)
    answer(sent.at(-1), [measuresOf(2, 3)])
    expect(yield* Fiber.join(next)).toEqual([measuresOf(2, 3)])
  })
)
