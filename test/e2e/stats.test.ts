import { describe, expect, test } from "bun:test"
import type { Stats } from "../../src/api/stats-api.ts"
import { chatEvents, chunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = (more: Readonly<Record<string, unknown>> = {}) => JSON.stringify({ model: "m", messages: [], ...more })
const [first = ""] = chatEvents("m", ["a", "b"])

const statsOf = async (port: number): Promise<Stats> => (await ask(port, "GET", "/v1/stats")).json() as Stats // reason: checked by what is expected of it

describe("/v1/stats", () => {
  test("tells of backends, models, streams and rates", async () => {
    await using upstream = await startUpstream({ models: ["m", "n"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    await ask(gateway.port, "POST", path, body())
    await ask(gateway.port, "POST", path, body({ stream: true }))
    upstream.script(() => [streamHead(), chunk(first), "hang"])
    const client = await dial(gateway.port)
    await client.send(requestBytes("POST", path, body({ stream: true })))
    await client.until(({ text }) => text === first)
    const stats = await statsOf(gateway.port)
    const shared = {
      in_flight: 1,
      active_streams: 1,
      requests: 2,
      attempts: 2,
      errors: 0,
      error_rate: 0,
      prompt_tokens: 3,
      completion_tokens: 4,
      first_token_ms: { p50: expect.any(Number), p95: expect.any(Number) }
    }
    expect(stats.totals).toMatchObject({ ...shared, turned_away: 0, outcomes: { completed: 2, client_closed: 0 } })
    expect(stats.totals.requests_per_second).toBeGreaterThan(0)
    expect(stats.totals.tokens_per_second).toBeGreaterThan(0)
    expect(stats.totals.pieces_per_second).toBeGreaterThan(0)
    expect(stats.backends).toMatchObject([
      { ...shared, name: "one", mode: "enabled", status: "healthy", reason: "", models: 2 }
    ])
    expect(stats.models).toMatchObject([{ ...shared, id: "m", backends: ["one"] }])
    expect(stats.workers).toMatchObject([{ worker: 1, rss_bytes: expect.any(Number) }])
    client.hangUp()
    await gateway.quiet()
    await until(() => gateway.inFlight() === 0, "nothing in flight")
    expect((await statsOf(gateway.port)).totals).toMatchObject({ in_flight: 0, active_streams: 0, requests: 3 })
  })
})
