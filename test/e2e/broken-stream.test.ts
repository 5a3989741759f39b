import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, delta, done, event, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask, type Answer, dial, requestBytes } from "../kit/rawClient.ts"
import type { Step } from "../kit/rawServer.ts"

const body = JSON.stringify({ model: "m", messages: [], stream: true })

const sent = event(delta("m", { role: "assistant", content: "Hel" })) + event(delta("m", { content: "lo" }))

/** Ends that come after the first byte has been sent on. */
const breaks: ReadonlyArray<readonly [name: string, rest: ReadonlyArray<Step>]> = [
  ["the connection is closed", ["fin"]],
  ["the connection is reset", ["reset"]],
  ["the stream ends cleanly without a finish reason or [DONE]", [lastChunk]],
  ["the backend falls silent", ["hang"]],
  [
    "only comments come",
    [chunk(": ping\n\n"), { pause: 60 }, chunk(": ping\n\n"), { pause: 60 }, chunk(": p\n\n"), "hang"]
  ],
  ["the chunk framing breaks", ["zz\r\nnot a chunk", "hang"]]
]

/** What a client must be able to see: all that came, then one error event, no end marker, and a body that is cut. */
const expectBroken = (answer: Answer, before: string): void => {
  expect(answer.status).toBe(200)
  expect(answer.text.slice(0, before.length)).toBe(before)
  const events = answer.text
    .slice(before.length)
    .split("\n\n")
    .filter((each) => each.trim() !== "" && !each.startsWith(":"))
  expect(events).toHaveLength(1)
  expect(JSON.parse(events[0]?.replace(/^data: /, "") ?? "")).toEqual({
    error: { message: expect.any(String), type: expect.any(String), param: null, code: expect.any(String) }
  })
  expect(answer.text).not.toContain("[DONE]")
  expect(answer.text).not.toContain("127.0.0.1")
  expect(answer.end).not.toBe("complete")
}

describe("after the first byte, a stream that breaks ends with one error event, no [DONE], and a cut:", () => {
  for (const [name, rest] of breaks) {
    test(name, async () => {
      await using first = await startUpstream({
        models: ["m"],
        script: () => [streamHead(), chunk(sent), { pause: 20 }, ...rest]
      })
      await using second = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({
        server: { idle_timeout_seconds: 0.1 },
        backends: [backendFor("first", first, { priority: 1 }), backendFor("second", second, { priority: 2 })],
        routing: { strategy: "priority_only" }
      })
      expectBroken(await ask(gateway.port, "POST", "/v1/chat/completions", body), sent)
      await gateway.quiet()
      expect([first.calls().length, second.calls().length]).toEqual([1, 0])
      if (rest[0] !== lastChunk) await first.lastCall().gone
    })
  }

  test("in the middle of an event, the error event still stands alone", async () => {
    const half = `${sent}data: {"choices":[{"del`
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(half), { pause: 20 }, "reset"]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body)
    expect(answer.text).toStartWith(`${half}\n\ndata: {"error":`)
    expectBroken(answer, `${half}\n\n`)
  })
})

describe("a stream is complete", () => {
  test("when its finish reason came and only [DONE] is missing: that is added", async () => {
    const events = chatEvents("m", ["a", "b"]).slice(0, -1)
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), ...events.map(chunk), lastChunk]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body)
    expect(answer.text).toBe(events.join("") + done)
    expect(answer.end).toBe("complete")
  })

  test("and its first event arrives while the backend is still writing", async () => {
    const gate = Promise.withResolvers<void>()
    const [first = "", ...others] = chatEvents("m", ["a"])
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), chunk(first), { until: gate.promise }, ...others.map(chunk), lastChunk]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    using client = await dial(gateway.port)
    await client.send(requestBytes("POST", "/v1/chat/completions", body))
    const early = await client.until(({ text }) => text.includes("\n\n"))
    expect([early.text, early.end]).toEqual([first, "open"])
    gate.resolve()
    expect((await client.answer()).text).toBe([first, ...others].join(""))
  })
})
