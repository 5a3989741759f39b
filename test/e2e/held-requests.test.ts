import { heapStats } from "bun:jsc"
import { expect, test } from "bun:test"
import { chatEvents } from "../kit/answers.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"

const streams = 12
const bodyBytes = 600_000

const text = "so many words ".repeat(bodyBytes / 14)
const turns = [{ role: "user", content: text }]

// Each client dialect over a backend that speaks chat completions, and chat completions themselves.
const asked: Readonly<Record<string, readonly [path: string, body: object]>> = {
  chat: ["/v1/chat/completions", { model: "m", stream: true, messages: turns }],
  responses: ["/v1/responses", { model: "m", stream: true, store: false, input: turns }],
  messages: ["/v1/messages", { model: "m", stream: true, max_tokens: 9, messages: turns }],
  ollama: ["/api/chat", { model: "m", messages: turns }],
  gemini: ["/v1beta/models/m:streamGenerateContent?alt=sse", { contents: [{ role: "user", parts: [{ text }] }] }]
}

/** Memory outside of cells, which is where bodies and long texts are, in bytes. */
const outside = async (): Promise<number> => {
  await new Promise(setImmediate)
  Bun.gc(true)
  return heapStats().extraMemorySize
}

/** The same once what went before has been let go of. */
const settled = async (): Promise<number> => {
  let least = Infinity
  for (let same = 0, looks = 0; same < 4 && looks < 50; looks += 1) {
    const now = await outside()
    same = now < least ? 0 : same + 1
    least = Math.min(least, now)
  }
  return least
}

/** A backend that keeps nothing of what it is asked; its streams go on until they are to end. */
const startForgetful = (end: Promise<undefined>) =>
  Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request) => {
      if (request.method !== "POST") return Response.json({ object: "list", data: [{ id: "m", object: "model" }] })
      await request.bytes()
      const events = chatEvents("m", ["a", "b"])
      const body = async function* () {
        yield events.slice(0, 2).join("")
        await end
        yield events.slice(2).join("")
      }
      return new Response(body(), { headers: { "content-type": "text/event-stream" } })
    }
  })

for (const [dialect, [path, body]] of Object.entries(asked)) {
  test(`a stream of ${dialect} that goes on holds nothing of a long prompt`, async () => {
    const end = Promise.withResolvers<undefined>()
    await using backend = startForgetful(end.promise)
    await using gateway = await startGateway({
      backends: [backendFor("a", { url: `http://127.0.0.1:${backend.port}` })]
    })
    const bytes = requestBytes("POST", path, JSON.stringify(body))
    const before = await settled()
    // Not before: a connection on which nothing comes is closed in time.
    const clients = await Promise.all(Array.from({ length: streams }, () => dial(gateway.port)))
    await Promise.all(clients.map((client) => client.send(bytes)))
    for (const client of clients) await client.until(({ text: said }) => said.includes('"a"'))
    const heldByEach = async () => ((await outside()) - before) / streams
    let held = await heldByEach()
    // What is no longer held need not be gone at the first look.
    for (let looks = 0; looks < 100 && held > bodyBytes / 2; looks += 1) held = await heldByEach()
    expect(held).toBeLessThan(bodyBytes / 2)
    end.resolve(undefined)
    for (const client of clients) {
      expect((await client.answer()).end).toBe("complete")
      client.hangUp()
    }
  }, 120_000)
}
