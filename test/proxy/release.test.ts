import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Unreachable, ConnectionLost } from "../../src/domain/upstream-errors.ts"
import { chatEvents, done, event } from "../kit/answers.ts"
import { makeStage, nothingHeld, rounds, wholeAnswer } from "../kit/stage.ts"

const events = { "content-type": "text/event-stream" }
const [first = ""] = chatEvents("m", ["a"])

const interruptions = ["client", "stopping", "cancelled"] as const
const phases = ["reading", "attempting", "committed"] as const

/** How a request goes: it is interrupted in a phase, or comes to one of its ends. */
const courses = fc.oneof(
  fc.record({
    _tag: fc.constant("interrupted" as const),
    phase: fc.constantFrom(...phases),
    why: fc.constantFrom(...interruptions)
  }),
  fc.record({ _tag: fc.constant("whole" as const), good: fc.boolean() }),
  fc.record({ _tag: fc.constant("stream" as const), end: fc.constantFrom("done", "error", "lost", "left") }),
  fc.record({ _tag: fc.constant("refused" as const), why: fc.constantFrom("json", "size", "model", "away") })
)

type Course = typeof courses extends fc.Arbitrary<infer Of> ? Of : never
type Stage = Awaited<ReturnType<typeof makeStage>>

/** A body of which a piece has come, and the rest never will. */
const unfinished = () =>
  new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(new TextEncoder().encode("{")) })

const interrupted = async (stage: Stage, id: string, { phase, why }: Course & { readonly _tag: "interrupted" }) => {
  const client = new AbortController()
  const before = stage.sent.length
  const answered =
    phase === "reading"
      ? stage.post(id, false, { body: unfinished(), signal: client.signal })
      : stage.post(id, true, { signal: client.signal })
  if (phase !== "reading") {
    const call = await stage.call(before)
    if (phase === "committed") {
      const body = call.answer(200, events)
      await rounds(() => body.taken, "the answer is read")
      body.piece(first)
      await (await answered).body?.getReader().read()
    }
  }
  await rounds(() => stage.phase(id) === phase, `it is ${phase}`)
  if (why === "client") client.abort()
  else if (why === "stopping") stage.proxy.endAll()
  else expect(stage.history.underWay.cancel(id)).toHaveLength(1)
  // The last event of a stream gets a moment to arrive, which passes here and now.
  await rounds(() => stage.phase(id) === undefined || stage.phase(id) === "ended", "it ends")
  if (stage.proxy.active() > 0) for (const watch of stage.watches) watch.expire("phase")
  await rounds(() => stage.proxy.active() === 0, "it is let go")
  for (const each of stage.sent.slice(before)) expect(each.dropped()).toBe(true)
}

// So large that two of them are more than may be held.
const large = JSON.stringify({ model: "m", messages: [{ role: "user", content: "x".repeat(70_000) }] })

const whole = async (stage: Stage, id: string, good: boolean) => {
  const before = stage.sent.length
  const answered = stage.post(id, false, { body: large })
  const body = (await stage.call(before)).answer(good ? 200 : 400)
  await rounds(() => body.taken, "the answer is read")
  body.piece(good ? wholeAnswer : '{"error":{"message":"bad"}}')
  body.end()
  expect((await answered).status).toBe(good ? 200 : 400)
}

const stream = async (stage: Stage, id: string, end: "done" | "error" | "lost" | "left") => {
  const before = stage.sent.length
  const answered = stage.post(id, true)
  const body = (await stage.call(before)).answer(200, events)
  await rounds(() => body.taken, "the answer is read")
  body.piece(first)
  const reader = (await answered).body?.getReader()
  await reader?.read()
  if (end === "left") await reader?.cancel()
  else {
    if (end === "lost") body.fail(new ConnectionLost({ reason: "reset", answered: true }))
    else {
      body.piece(end === "done" ? done : event({ error: { message: "no" } }))
      body.end()
    }
    for (let ended = false; !ended && stage.proxy.active() > 0;) {
      const read = await reader?.read().catch(() => ({ done: true }))
      ended = read?.done !== false
      for (const watch of stage.watches) watch.expire("phase")
    }
  }
  await rounds(() => stage.proxy.active() === 0, "it is let go")
}

const refused = async (stage: Stage, id: string, why: "json" | "size" | "model" | "away") => {
  if (why === "json") expect((await stage.post(id, false, { body: "{" })).status).toBe(400)
  if (why === "size") expect((await stage.post(id, false, { body: "x".repeat(100_001) })).status).toBe(413)
  if (why === "model") {
    expect((await stage.post(id, false, { body: '{"model":"nobody","messages":[]}' })).status).toBe(404)
  }
  if (why !== "away") return
  const before = stage.sent.length
  const answered = stage.post(id)
  ;(await stage.call(before)).fail(new Unreachable({ reason: "Nexus is at its limit of open files", own: true }))
  expect((await answered).status).toBe(503)
}

const run = (stage: Stage, id: string, course: Course): Promise<void> => {
  switch (course._tag) {
    case "interrupted":
      return interrupted(stage, id, course)
    case "whole":
      return whole(stage, id, course.good)
    case "stream":
      return stream(stage, id, course.end)
    case "refused":
      return refused(stage, id, course.why)
  }
}

/** Whether there is room for one more body: one that is slow is told that it is slow, and not that there are too many. */
const hasRoom = async (stage: Stage, id: string): Promise<boolean> => {
  const answered = stage.post(id, false, { body: unfinished() })
  await rounds(() => stage.phase(id) === "reading", "it is read")
  for (const watch of stage.watches) watch.expire("phase")
  return (await answered).status === 408
}

describe("a request, whatever happens to it and in whatever phase,", () => {
  test("gives back its ticket, counters, upload and time limits, and is accounted for exactly once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(courses, { minLength: 1, maxLength: 6 }), async (all) => {
        // One at a time: a place that is not given back refuses the next one.
        await using stage = await makeStage(["a"], {
          maxConcurrent: 1,
          maxUploads: 1,
          maxUploadBytes: 100_000,
          maxRetries: 0
        })
        for (const [nth, course] of all.entries()) {
          await run(stage, `r${nth}`, course)
          expect(stage.held()).toEqual(nothingHeld)
          for (const live of stage.live()) {
            live.circuits.clear()
            live.cooling.clear()
            live.marked = false
          }
        }
        expect(stage.history.list().map(({ id }) => id)).toEqual(all.map((_, nth) => `r${nth}`).toReversed())
        for (const [nth, course] of all.entries()) {
          if (course._tag !== "interrupted") continue
          const { outcome } = stage.history.find(`r${nth}`)?.request ?? {}
          const told = { client: "client_closed", cancelled: "cancelled" } as const
          const stopped = course.phase === "committed" ? "truncated" : "failed"
          expect(outcome).toBe(course.why === "stopping" ? stopped : told[course.why])
        }
        expect(await hasRoom(stage, "last")).toBe(true)
      }),
      { numRuns: 100 }
    )
  }, 60_000)

  test("is let go soon after it was cancelled when its client takes nothing, however long a client may take nothing else", async () => {
    await using stage = await makeStage(["a"], { stallMs: 300_000 })
    const answered = stage.post("r", true)
    const body = (await stage.call(0)).answer(200, events)
    await rounds(() => body.taken, "the answer is read")
    body.piece(first)
    const answer = await answered
    // More than waits for a client before its backend is held back.
    for (let nth = 0; nth < 3000; nth += 1) body.piece(first)
    expect(stage.history.underWay.cancel("r")).toHaveLength(1)
    expect(body.aborted).toBe(true)
    const waits = [...stage.watches].map(({ at }) => at - performance.now())
    expect(Math.max(...waits)).toBeLessThanOrEqual(12_000)
    for (const watch of stage.watches) watch.expire("phase")
    expect(stage.held()).toEqual(nothingHeld)
    await answer.body?.cancel().catch(() => undefined)
  })

  test.each([...phases].flatMap((phase) => interruptions.map((why) => [phase, why] as const)))(
    "is not held against its backend when it is interrupted while %s (%s)",
    async (phase, why) => {
      await using stage = await makeStage(["a"])
      await interrupted(stage, "r", { _tag: "interrupted", phase, why })
      expect(stage.live().map(({ failures, circuits }) => [failures, circuits.size])).toEqual([[0, 0]])
      expect(stage.held()).toEqual(nothingHeld)
    }
  )
})
