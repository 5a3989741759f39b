import { describe, expect, test } from "bun:test"
import { canSwallow, swallow } from "../kit/blackHole.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

describe.skipIf(!canSwallow)("a backend whose port swallows connections", () => {
  for (const stream of [false, true]) {
    test(`is given up within its time, and another one answers, ${stream ? "stream" : "whole"}`, async () => {
      await using swallowed = await startUpstream({ models: ["m"], closeProbes: true })
      await using fine = await startUpstream({ models: ["m"] })
      await using gateway = await startGateway({
        server: { connect_timeout_seconds: 0.3, first_byte_timeout_seconds: 30 },
        routing: { strategy: "priority_only" },
        backends: [backendFor("hole", swallowed, { priority: 1 }), backendFor("fine", fine, { priority: 2 })]
      })
      await swallowed.server.kill()
      using _hole = await swallow(swallowed.port)
      const started = performance.now()
      const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body(stream))
      expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "fine"])
      expect(performance.now() - started).toBeLessThan(20_000)
      await gateway.quiet()
    })
  }

  test("is a time-out that names its limit when there is no other", async () => {
    await using swallowed = await startUpstream({ models: ["m"], closeProbes: true })
    await using gateway = await startGateway({
      server: { connect_timeout_seconds: 9, first_byte_timeout_seconds: 0.6 },
      backends: [backendFor("hole", swallowed, { connect_timeout_seconds: 0.3 })]
    })
    await swallowed.server.kill()
    using _hole = await swallow(swallowed.port)
    const answer = await ask(gateway.port, "POST", "/v1/chat/completions", body(true))
    expect(answer.status).toBe(504)
    expect(answer.text).toContain("connect_timeout_seconds (0.3 s)")
  })

  test("is seen by the probe within its connect limit", async () => {
    await using swallowed = await startUpstream({ models: ["m"], closeProbes: true })
    await using gateway = await startGateway({
      server: { connect_timeout_seconds: 0.2 },
      health_check: { interval_seconds: 0.1, failure_threshold: 1, timeout_seconds: 60 },
      backends: [backendFor("hole", swallowed)]
    })
    await swallowed.server.kill()
    using _hole = await swallow(swallowed.port)
    await until(() => gateway.backend("hole").status === "unhealthy", "the probe gives up")
  })
})
