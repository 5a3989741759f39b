import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { ConnectionLost, TimedOut, Unreachable } from "../../src/domain/upstream-errors.ts"
import { makeStage, nothingHeld, rounds, wholeAnswer } from "../kit/stage.ts"

const refused = new Unreachable({ reason: "connection refused" })
const lost = new ConnectionLost({ reason: "connection closed before any answer", answered: false })

const attemptsOf = (answer: Response) => answer.headers.get("x-nexus-attempts")

describe("the attempts of a request", () => {
  test("go on to the next candidate until one answers, each told of with how it failed", async () => {
    await using stage = await makeStage(["a", "b", "c"])
    const answered = stage.post("r")
    ;(await stage.call(0)).fail(refused)
    const second = (await stage.call(1)).answer(500)
    await rounds(() => second.taken, "the second answer is read")
    second.piece('{"error":{"message":"no"}}')
    second.end()
    const third = await stage.call(2)
    expect(stage.history.underWay.list()).toMatchObject([
      { id: "r", phase: "attempting", backend: "c", attempts: 3, failures: [{ backend: "a" }, { backend: "b" }] }
    ])
    const body = third.answer(200)
    await rounds(() => body.taken, "the third answer is read")
    body.piece(wholeAnswer)
    body.end()
    const answer = await answered
    expect([answer.status, attemptsOf(answer), await answer.text()]).toEqual([200, "3", wholeAnswer])
    expect(stage.sent.map(({ backend }) => backend)).toEqual(["a", "b", "c"])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("end with the last failure when all have failed, with the reason of each", async () => {
    await using stage = await makeStage(["a", "b"], { maxRetries: 1 })
    const answered = stage.post("r")
    ;(await stage.call(0)).fail(refused)
    ;(await stage.call(1)).fail(refused)
    const answer = await answered
    expect([answer.status, attemptsOf(answer)]).toEqual([503, "2"])
    expect(answer.headers.get("x-nexus-rejection-reasons")).toBe("a: connection refused; b: connection refused")
    expect(stage.history.list()).toMatchObject([{ id: "r", outcome: "failed", status: 503, backend: "b", attempts: 2 }])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("that a time limit ends make way for the next one, whose call alone is under way", async () => {
    await using stage = await makeStage(["a", "b"])
    const answered = stage.post("r")
    const first = await stage.call(0)
    for (const watch of stage.watches) watch.expire("phase")
    const second = await stage.call(1)
    expect([first.dropped(), second.dropped(), second.backend]).toEqual([true, false, "b"])
    const body = second.answer(200)
    await rounds(() => body.taken, "the answer is read")
    // What comes late of the first one is nobody's.
    first.answer(200)
    body.piece(wholeAnswer)
    body.end()
    expect((await answered).status).toBe(200)
    expect(stage.history.list()[0]?.failures).toMatchObject([
      { backend: "a", reason: expect.stringContaining("(1 s)") }
    ])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("end with their client: the call is dropped, nobody else is asked, and nothing is held against anybody", async () => {
    await using stage = await makeStage(["a", "b"])
    const client = new AbortController()
    const answered = stage.post("r", false, { signal: client.signal })
    const call = await stage.call(0)
    client.abort()
    await answered
    expect([call.dropped(), stage.sent.length]).toEqual([true, 1])
    expect(stage.history.list()).toMatchObject([{ outcome: "client_closed", status: 499 }])
    expect(stage.live().map(({ failures }) => failures)).toEqual([0, 0])
    expect(stage.held()).toEqual(nothingHeld)
  })

  test("go in order, are no more than may be, and answer well if and only if one of them does", async () => {
    const results = fc.array(fc.constantFrom("good", "refused", "lost", "late", "broken"), {
      minLength: 4,
      maxLength: 4
    })
    await fc.assert(
      fc.asyncProperty(results, fc.integer({ min: 0, max: 3 }), async (script, maxRetries) => {
        const names = ["a", "b", "c"]
        await using stage = await makeStage(names, { maxRetries })
        let over = false
        const answered = stage.post("r").finally(() => {
          over = true
        })
        for (const [nth, how] of script.entries()) {
          await rounds(() => over || stage.sent.length > nth, "the next call, or the end")
          const call = stage.sent[nth]
          if (call === undefined) break
          if (how === "refused") call.fail(refused)
          else if (how === "lost") call.fail(lost)
          else if (how === "late") call.fail(new TimedOut({ limit: "connect", afterMs: 1000 }))
          else {
            const body = call.answer(200)
            await rounds(() => body.taken, "the answer is read")
            body.piece(how === "good" ? wholeAnswer : "<html>")
            body.end()
          }
        }
        const answer = await answered
        const asked = stage.sent.map(({ backend }) => backend)
        // One that has been asked is asked again only when there is no other.
        expect(asked.slice(0, names.length)).toEqual(names.slice(0, asked.length))
        expect(asked.length).toBeLessThanOrEqual(1 + maxRetries)
        expect(answer.status === 200).toBe(script.slice(0, asked.length).includes("good"))
        expect(stage.history.list()).toMatchObject([{ attempts: asked.length }])
        expect(stage.held()).toEqual(nothingHeld)
      }),
      { numRuns: 60 }
    )
  })
})
