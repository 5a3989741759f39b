import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script, Step } from "../kit/rawServer.ts"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

const [first = "", second = ""] = chatEvents("m", ["a", "b"])

interface Limited {
  readonly settings: Readonly<Record<string, number>>
  readonly script: Script
  readonly stream: boolean
}

const limited = async ({ settings, script, stream }: Limited) => {
  await using upstream = await startUpstream({ models: ["m"], script })
  await using gateway = await startGateway({ server: settings, backends: [backendFor("one", upstream)] })
  const started = performance.now()
  const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body(stream))
  const took = performance.now() - started
  await upstream.lastCall().gone
  await gateway.quiet()
  return { answer, took, calls: upstream.calls().length, circuits: gateway.backend("one").circuits }
}

/** In milliseconds: on a busy machine too, and far before any other limit. */
const soon = 8000

const drip = function* (): Generator<Step> {
  yield streamHead()
  for (;;) {
    yield chunk(second)
    yield { pause: 30 }
  }
}

describe("each time limit names itself:", () => {
  for (const stream of [false, true]) {
    test(`first byte, ${stream ? "stream" : "whole"}`, async () => {
      const settings = { first_byte_timeout_seconds: 0.2 }
      const { answer, took } = await limited({ settings, script: () => ["hang"], stream })
      expect(answer.status).toBe(504)
      expect(answer.json()).toEqual({
        error: {
          message: "No answer began within first_byte_timeout_seconds (0.2 s)",
          type: "server_error",
          param: null,
          code: "gateway_timeout"
        }
      })
      expect(took).toBeGreaterThan(190)
      expect(took).toBeLessThan(soon)
    })

    test(`the whole request, ${stream ? "stream" : "whole"}`, async () => {
      const settings = { request_timeout_seconds: 0.2, first_byte_timeout_seconds: 30 }
      const { answer, took, calls, circuits } = await limited({ settings, script: () => ["hang"], stream })
      expect(answer.status).toBe(504)
      expect(answer.json()).toMatchObject({
        error: { message: "The request exceeded request_timeout_seconds (0.2 s)", code: "gateway_timeout" }
      })
      expect(took).toBeLessThan(soon)
      expect(calls).toBe(1)
      expect(circuits).toEqual([])
    })
  }

  test("silence in the middle of a stream", async () => {
    const settings = { idle_timeout_seconds: 0.2 }
    const { answer } = await limited({ settings, script: () => [streamHead(), chunk(first), "hang"], stream: true })
    expect(answer.status).toBe(200)
    expect(answer.text).toStartWith(first)
    expect(answer.text).toContain("The backend was silent for longer than idle_timeout_seconds (0.2 s)")
    expect(answer.text).not.toContain("[DONE]")
  })

  test("silence in the middle of a whole answer", async () => {
    const settings = { idle_timeout_seconds: 0.2 }
    const script: Script = () => [
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
      "hang"
    ]
    const { answer } = await limited({ settings, script, stream: false })
    expect(answer.status).toBe(504)
    expect(answer.text).toContain("idle_timeout_seconds (0.2 s)")
  })

  test("the whole request in the middle of a stream that flows", async () => {
    const settings = { request_timeout_seconds: 0.3 }
    const { answer, took, circuits } = await limited({ settings, script: drip, stream: true })
    expect(answer.status).toBe(200)
    expect(answer.text).toContain("The request exceeded request_timeout_seconds (0.3 s)")
    expect(answer.text).not.toContain("[DONE]")
    expect(took).toBeGreaterThan(290)
    expect(took).toBeLessThan(soon)
    // The total is the client's patience: a backend that goes on writing is not at fault.
    expect(circuits).toEqual([])
  })
})

test("a stream that goes on writing outlives the idle limit", async () => {
  await using upstream = await startUpstream({
    models: ["m"],
    script: () => [
      streamHead(),
      ...chatEvents("m", ["a", "b", "c", "d", "e", "f", "g", "h"]).flatMap((each): ReadonlyArray<Step> => [
        chunk(each),
        { pause: 200 }
      ]),
      "0\r\n\r\n"
    ]
  })
  await using gateway = await startGateway({
    server: { idle_timeout_seconds: 1 },
    backends: [backendFor("one", upstream)]
  })
  const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body(true))
  expect(answer.text).toEndWith("data: [DONE]\n\n")
  expect(answer.text).not.toContain('"error"')
})

describe("a limit of a backend wins over that of the server:", () => {
  const beginning = [streamHead(), chunk(first), "hang"] as const
  const rows: ReadonlyArray<readonly [limit: string, script: Script, status: number]> = [
    ["first_byte_timeout_seconds", () => ["hang"], 504],
    ["idle_timeout_seconds", () => beginning, 200],
    ["request_timeout_seconds", () => beginning, 200]
  ]
  for (const [limit, script, status] of rows) {
    test(limit, async () => {
      await using upstream = await startUpstream({ models: ["m"], script })
      await using gateway = await startGateway({
        server: { first_byte_timeout_seconds: 20, idle_timeout_seconds: 20, request_timeout_seconds: 20 },
        backends: [backendFor("one", upstream, { [limit]: 0.1 })],
        routing: { max_retries: 0 }
      })
      const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body(true))
      expect(answer.status).toBe(status)
      expect(answer.text).toContain(`${limit} (0.1 s)`)
    })
  }
})
