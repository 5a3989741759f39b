import { expect, test } from "bun:test"
import { Effect } from "effect"
import { unknownIdentity } from "../../src/dialect/Dialect.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { PolicyBlocked } from "../../src/domain/errors.ts"
import type { UpstreamError } from "../../src/domain/upstream-errors.ts"
import { ownEndOf } from "../../src/proxy/final-failure.ts"
import type { Guard } from "../../src/proxy/guard.ts"
import { hookedAnswer, type HookedBounds } from "../../src/proxy/hooked-answer.ts"
import type { CommittedAnswer } from "../../src/upstream/answer.ts"
import type { AnswerBody, BodySink } from "../../src/wire/received-answer.ts"

const encoder = new TextEncoder()

test("an answer that is refused after it has begun, and before its client takes it, ends with the refusal", async () => {
  const body: AnswerBody = {
    length: undefined,
    start: () => undefined,
    pause: () => undefined,
    resume: () => undefined,
    abort: () => undefined
  }
  const answer: CommittedAnswer = {
    _tag: "Flow",
    head: { status: 200, header: () => "text/event-stream", names: () => [], body },
    said: unknownIdentity,
    watch: openai.watch(),
    attach: (sink) => {
      sink.piece(encoder.encode(": nothing that could be judged\n\n".repeat(10_000)))
      sink.piece(encoder.encode("data: no json\n\n"))
    },
    taken: () => undefined
  }
  const guard = {
    answerRules: [{ windowChars: 10, overlapChars: 0, windowMs: 1000 }],
    unseen: () => new PolicyBlocked({ hook: "h", phase: "answer", reason: "it has to see it" })
  } as unknown as Guard
  const bounds = {
    record: { clock: { arm: () => undefined, renew: () => undefined }, route: { dialect: openai } },
    idleMs: 1000,
    fork: Effect.runFork
  } as unknown as HookedBounds
  const shown = await Effect.runPromise(hookedAnswer(guard, answer, bounds))
  if (shown._tag === "Whole") throw new Error("it is a stream")
  const { promise, resolve } = Promise.withResolvers<UpstreamError | undefined>()
  const sink: BodySink = { piece: () => undefined, end: () => resolve(undefined), fail: resolve }
  shown.attach(sink)
  const ended = await promise
  expect(ended === undefined ? "it ended well" : ownEndOf(ended)?._tag).toBe("PolicyBlocked")
})
