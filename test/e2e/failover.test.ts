import { describe, expect, test } from "bun:test"
import { json, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const chatPath = "/v1/chat/completions"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }], stream })

const serverError = json({ error: { message: "boom", type: "server_error", param: null, code: null } }, 500)

/** Failures that another backend is asked after. */
const failures: ReadonlyArray<readonly [name: string, script: Script]> = [
  ["resets before any byte", () => ["reset"]],
  ["closes before any byte", () => ["fin"]],
  ["answers 500", () => [serverError]],
  ["answers 503 in HTML", () => ["HTTP/1.1 503 X\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"]],
  ["sends no first byte in time", () => ["hang"]],
  ["sends a head and then nothing", () => [streamHead(), "hang"]]
]

// An answer that comes is waited for, however slow the machine is.
const impatient = { first_byte_timeout_seconds: 0.15, idle_timeout_seconds: 0.15 }

const pair = async (first: FakeUpstream, second: FakeUpstream, retries = 2, limits = {}) =>
  startGateway({
    backends: [backendFor("first", first, { priority: 1, ...limits }), backendFor("second", second, { priority: 2 })],
    routing: { strategy: "priority_only", max_retries: retries }
  })

describe("before the first byte, another backend answers when the first one", () => {
  for (const [name, script] of failures) {
    for (const stream of [false, true]) {
      test(`${name}, ${stream ? "stream" : "whole"}`, async () => {
        await using first = await startUpstream({ models: ["m"], script, closeProbes: true })
        await using second = await startUpstream({ models: ["m"] })
        await using gateway = await pair(first, second, 2, impatient)
        const answer = await ask(gateway.port, "POST", chatPath, body(stream))
        expect(answer.status).toBe(200)
        expect(answer.end).toBe("complete")
        expect(answer.text).not.toContain("error")
        expect(answer.text.includes("[DONE]")).toBe(stream)
        expect(answer.header("x-nexus-backend")).toBe("second")
        expect(answer.header("x-nexus-attempts")).toBe("2")
        expect(second.calls()).toHaveLength(1)
        expect(second.lastCall().text).toBe(body(stream))
        await gateway.quiet()
      })
    }
  }

  test("cannot be reached, whatever other models of it would be asked next", async () => {
    await using gone = await startUpstream({ models: ["m", "m2", "m3"] })
    await using other = await startUpstream({ models: ["small"] })
    await using gateway = await startGateway({
      backends: [backendFor("gone", gone), backendFor("other", other)],
      routing: { max_retries: 1, fallbacks: { m: ["m2", "m3", "small"] } }
    })
    await gone.server.kill()
    const answer = await ask(gateway.port, "POST", chatPath, body(false))
    expect(answer.status).toBe(200)
    expect(answer.header("x-nexus-backend")).toBe("other")
    expect(answer.header("x-nexus-fallback-model")).toBe("small")
    expect(answer.header("x-nexus-attempts")).toBe("2")
  })

  test("is gone altogether", async () => {
    await using first = await startUpstream({ models: ["m"] })
    await using second = await startUpstream({ models: ["m"] })
    await using gateway = await pair(first, second)
    await first.server.kill()
    for (const stream of [false, true]) {
      const answer = await ask(gateway.port, "POST", chatPath, body(stream))
      expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "second"])
    }
  })
})

describe("the number of attempts", () => {
  test("max_retries counts further attempts after the first", async () => {
    await using first = await startUpstream({ models: ["m"], script: () => [serverError] })
    await using second = await startUpstream({ models: ["m"] })
    await using gateway = await pair(first, second, 0)
    const answer = await ask(gateway.port, "POST", chatPath, body(false))
    expect(answer.status).toBe(502)
    expect([first.calls().length, second.calls().length]).toEqual([1, 0])
  })

  test("a client's mistake is passed through and asked nobody else", async () => {
    const mistake = json({ error: { message: "bad", type: "invalid_request_error", param: "n", code: null } }, 422)
    await using first = await startUpstream({ models: ["m"], script: () => [mistake] })
    await using second = await startUpstream({ models: ["m"] })
    await using gateway = await pair(first, second)
    const answer = await ask(gateway.port, "POST", chatPath, body(true))
    expect(answer.status).toBe(422)
    expect(answer.text).toBe('{"error":{"message":"bad","type":"invalid_request_error","param":"n","code":null}}')
    expect(second.calls()).toHaveLength(0)
  })

  test("429 is passed through with its retry-after once every backend has said it", async () => {
    const limited = json({ error: { message: "slow", type: "rate_limit_error", param: null, code: null } }, 429, [
      "Retry-After: 7"
    ])
    await using first = await startUpstream({ models: ["m"], script: () => [limited] })
    await using second = await startUpstream({ models: ["m"], script: () => [limited] })
    await using gateway = await pair(first, second)
    const began = performance.now()
    const answer = await ask(gateway.port, "POST", chatPath, body(false))
    expect(answer.status).toBe(429)
    // Spread, so that not all who were refused come back at once.
    expect(Number(answer.header("retry-after"))).toBeGreaterThan(6 - Math.floor((performance.now() - began) / 1000))
    expect(Number(answer.header("retry-after"))).toBeLessThanOrEqual(11)
    expect([first.calls().length, second.calls().length]).toEqual([1, 1])
  })
})
