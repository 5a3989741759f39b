import { expect, test } from "bun:test"
import { Effect, Exit, Fiber, References, Schema } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { type CallMessage, Calls, type CallContract, NoReply, replyOf, handling } from "../../src/cluster/calls.ts"
import { effect, live } from "../kit/effect.ts"

const double: CallContract<{ readonly n: number }, number, string> = {
  name: "double",
  payload: Schema.Struct({ n: Schema.Int }),
  success: Schema.Int,
  failure: Schema.String,
  withinMs: 1000
}

const served = [
  handling(double, ({ n }) =>
    n < 0 ? Effect.fail("it is negative") : n === 13 ? Effect.die("bad luck") : Effect.succeed(2 * n)
  )
]

/** A caller whose calls go to peers that keep them. */
const caller = () => {
  const sent: Array<{ readonly to: string; readonly call: CallMessage }> = []
  const calls = new Calls<string>((to, call) => void sent.push({ to, call: JSON.parse(JSON.stringify(call)) }))
  const answer = (at: number) => {
    const { to, call } = sent[at] ?? { to: "", call: undefined }
    return call === undefined
      ? Effect.void
      : Effect.map(replyOf(served, call) ?? Effect.die("nobody serves it"), (reply) =>
          calls.replied(to, JSON.parse(JSON.stringify(reply)))
        )
  }
  return { calls, sent, answer }
}

type Step =
  | { readonly does: "ask"; readonly peer: string; readonly n: number }
  | { readonly does: "answer"; readonly nth: number }
  | { readonly does: "answerFalsely"; readonly nth: number }
  | { readonly does: "lose"; readonly peer: string }

const peer = fc.constantFrom("a", "b", "c")
const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    fc.record({ does: fc.constant("ask" as const), peer, n: fc.integer({ min: -5, max: 5 }) }),
    fc.record({ does: fc.constant("answer" as const), nth: fc.nat({ max: 20 }) }),
    fc.record({ does: fc.constant("answerFalsely" as const), nth: fc.nat({ max: 20 }) }),
    fc.record({ does: fc.constant("lose" as const), peer })
  ),
  { maxLength: 40 }
)

test("each call ends once: with the reply to itself, with the loss of whom it asked, or late (law)", () =>
  fc.assert(
    fc.asyncProperty(steps, (all) =>
      Effect.runPromise(
        Effect.gen(function* () {
          const { calls, sent, answer } = caller()
          const asked: Array<{ readonly fiber: Fiber.Fiber<number, string | NoReply>; expected: unknown }> = []
          const endsOf = (n: number) => (n < 0 ? "it is negative" : 2 * n)
          const ns: Array<number> = []
          for (const step of all) {
            switch (step.does) {
              case "ask":
                ns.push(step.n)
                asked.push({
                  fiber: yield* Effect.forkChild(calls.askOf(step.peer)(double, { n: step.n }), {
                    startImmediately: true
                  }),
                  expected: undefined
                })
                break
              case "answer": {
                const call = asked[step.nth]
                if (call === undefined) break
                call.expected ??= endsOf(ns[step.nth] ?? 0)
                yield* answer(step.nth)
                break
              }
              case "answerFalsely": {
                const call = sent[step.nth]?.call
                if (call !== undefined)
                  calls.replied("stranger", { _tag: "Reply", id: call.id, outcome: "done", value: 99 })
                break
              }
              case "lose":
                sent.forEach(({ to }, at) => {
                  const call = asked[at]
                  if (to === step.peer && call !== undefined) call.expected ??= "lost"
                })
                calls.lost(step.peer)
            }
          }
          expect(calls.size).toBe(asked.filter(({ expected }) => expected === undefined).length)
          yield* TestClock.adjust("1 second")
          for (const { fiber, expected } of asked) {
            const end = yield* Effect.match(Fiber.join(fiber), {
              onSuccess: (value): unknown => value,
              onFailure: (failure) => (failure instanceof NoReply ? failure.why : failure)
            })
            expect(end).toBe(expected ?? "late")
          }
          expect(calls.size).toBe(0)
        }).pipe(Effect.provide(TestClock.layer()))
      )
    )
  ))

effect("who does not wait any more leaves nothing behind, and what comes then is for nobody", () =>
  Effect.gen(function* () {
    const { calls, answer } = caller()
    const asking = yield* Effect.forkChild(calls.askOf("a")(double, { n: 1 }), { startImmediately: true })
    expect(calls.size).toBe(1)
    yield* Fiber.interrupt(asking)
    expect(calls.size).toBe(0)
    yield* answer(0)
  })
)

live("what cannot be read, whichever side it came from, ends the call at once and no other one", () =>
  Effect.gen(function* () {
    const { calls, sent, answer } = caller()
    const why = (payload: { readonly n: number }, spoil: (call: CallMessage) => Effect.Effect<void>) =>
      Effect.gen(function* () {
        const asking = yield* Effect.forkChild(Effect.flip(calls.askOf("a")(double, payload)), {
          startImmediately: true
        })
        const call = sent.at(-1)?.call
        if (call !== undefined) yield* spoil(call)
        return yield* Fiber.join(asking)
      })
    const broken = new NoReply({ why: "broken" })
    const garbled = (value: unknown) => (call: CallMessage) =>
      Effect.sync(() => calls.replied("a", { _tag: "Reply", id: call.id, outcome: "done", value }))
    expect(yield* why({ n: 1 }, garbled("two"))).toEqual(broken)
    const nonsense = (call: CallMessage) =>
      Effect.map(replyOf(served, { ...call, payload: "nonsense" }) ?? Effect.die("served"), (reply) =>
        calls.replied("a", reply)
      )
    expect(yield* why({ n: 1 }, nonsense)).toEqual(broken)
    // A defect of whoever was asked.
    const last = Effect.suspend(() => answer(sent.length - 1))
    const unlogged = Effect.provideService(last, References.MinimumLogLevel, "None")
    expect(yield* why({ n: 13 }, () => unlogged)).toEqual(broken)
    expect(replyOf(served, { _tag: "Call", id: 1, name: "unknown", payload: {} })).toBeUndefined()
    expect(Exit.isSuccess(yield* Effect.exit(answer(0)))).toBe(true)
  })
)
