import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-realtime-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const answerDone = JSON.stringify({
  type: "response.done",
  event_id: "event_1",
  response: {
    object: "realtime.response",
    status: "completed",
    usage: {
      total_tokens: 150,
      input_tokens: 120,
      output_tokens: 30,
      input_token_details: { text_tokens: 100, audio_tokens: 20, cached_tokens: 64 },
      output_token_details: { text_tokens: 10, audio_tokens: 20 }
    }
  }
})

/** A backend whose sessions say back what they are told, and `answerDone` where an answer is asked for. */
const startBackend = () => {
  let sessions = 0
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request, self) => {
      if (new URL(request.url).pathname === "/v1/models") return Response.json({ data: [{ id: "gpt-realtime" }] })
      sessions += 1
      return self.upgrade(request) ? undefined : new Response("", { status: 400 })
    },
    websocket: { message: (socket, told) => void socket.send(told === "answer" ? answerDone : told) }
  })
  return {
    url: `http://127.0.0.1:${server.port}`,
    sessions: () => sessions,
    [Symbol.asyncDispose]: () => server.stop(true)
  }
}

test("a realtime session counts what all its answers took, and none is opened once a hard budget has no room", async () => {
  await using backend = startBackend()
  await using gateway = await startGateway({
    usage: { path: join(folder, "usage.sqlite") },
    prices: [{ model: "*", backend: "voices", input_usd: 1000, output_usd: 10_000 }],
    budgets: [{ name: "talk", per: "month", hard_usd: 10.5 }],
    backends: [{ name: "voices", url: backend.url, type: "openai" }]
  })
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}/v1/realtime?model=gpt-realtime`)
  let got = 0
  socket.addEventListener("message", () => {
    got += 1
  })
  await new Promise((opened) => socket.addEventListener("open", opened))
  // An event that says nothing of usage, and words that only look like one that does.
  const others = ['{"type":"response.done"}', '{"type":"response.text.delta","delta":"response.done"}']
  for (const told of ["answer", ...others, "answer"]) socket.send(told)
  await until(() => got === 4, "both answers have come")
  socket.close()
  await gateway.quiet()
  const used = (await ask(gateway.port, "GET", "/admin/v1/usage?by=model")).json()
  // 112 tokens that were not cached, 128 that were and cost the same where nothing else is said, 60 of answers.
  expect(used).toMatchObject({
    rows: [{ of: ["gpt-realtime"], requests: 1, fresh: 112, cache_read: 128, output: 60, cost_nanos: 840_000_000 }]
  })
  const refused = await fetch(`http://127.0.0.1:${gateway.port}/v1/realtime?model=gpt-realtime`, {
    headers: {
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-version": "13",
      "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="
    }
  })
  expect([refused.status, await refused.json()]).toMatchObject([402, { error: { code: "insufficient_quota" } }])
  expect(backend.sessions()).toBe(1)
})
