import { heapStats } from "bun:jsc"
import { expect, test } from "bun:test"
import { chatEvents, chunk, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

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

/** Memory outside of cells, which is where bodies and long texts are, once what went before has been let go of. */
const outside = async (): Promise<number> => {
  let least = Infinity
  for (let same = 0; same < 4;) {
    await new Promise(setImmediate)
    Bun.gc(true)
    const { extraMemorySize } = heapStats()
    same = extraMemorySize < least ? 0 : same + 1
    least = Math.min(least, extraMemorySize)
  }
  return least
}

/** What is held of one stream that goes on, by whoever is asked and by the upstream; the latter alone where that is asked. */
const heldBy = async (path: string, body: object, through: boolean): Promise<number> => {
  const end = Promise.withResolvers<undefined>()
  const script: Script = function* () {
    const events = chatEvents("m", ["a", "b"])
    yield streamHead()
    for (const each of events.slice(0, 2)) yield chunk(each)
    yield { until: end.promise }
    for (const each of events.slice(2)) yield chunk(each)
    yield lastChunk
  }
  await using upstream = await startUpstream({ models: ["m"], script })
  await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
  const bytes = requestBytes("POST", path, JSON.stringify(body))
  const port = through ? gateway.port : upstream.port
  const clients = await Promise.all(Array.from({ length: streams }, () => dial(port)))
  const before = await outside()
  await Promise.all(clients.map((client) => client.send(bytes)))
  for (const client of clients) await client.until(({ text: said }) => said.includes('"a"'))
  const during = await outside()
  end.resolve(undefined)
  for (const client of clients) {
    expect((await client.answer()).end).toBe("complete")
    client.hangUp()
  }
  return (during - before) / streams
}

for (const [dialect, [path, body]] of Object.entries(asked)) {
  test(`a stream of ${dialect} that goes on holds nothing of a long prompt`, async () => {
    const [chat, said] = asked["chat"] ?? ["", {}]
    const alone = await heldBy(chat, said, false)
    expect((await heldBy(path, body, true)) - alone).toBeLessThan(bodyBytes / 2)
  }, 30_000)
}
