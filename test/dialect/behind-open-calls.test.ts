import { describe, expect, test } from "bun:test"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, ClientCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { pushAll, through, transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"

const context: AnswerContext = { model: "m", id: "1", now: 0, callIds: new Set() }
const messages = [{ role: "user", content: "hello" }]

const clients: ReadonlyArray<readonly [name: string, codec: ClientCodec, request: unknown]> = [
  ["chat completions", openai.operations[0].client!, { model: "m", messages, stream: true }],
  ["Responses", responses.operations[0].client!, { model: "m", input: messages, stream: true }],
  ["Messages", anthropic.operations[0].client!, { model: "m", max_tokens: 9, messages, stream: true }],
  ["Ollama's", ollama.operations[0]!.client!, { model: "m", messages }],
  ["Google's", gemini.operations[0]!.client!, { contents: [{ parts: [{ text: "hello" }] }] }]
]

const chunk = (delta: object, finish_reason: string | null = null): Uint8Array =>
  new TextEncoder().encode(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`)

const called = (args: string): Uint8Array =>
  chunk({ tool_calls: [{ index: 0, id: "a", type: "function", function: { name: "f", arguments: args } }] })

const behind = chunk({ content: "Behind it." })

const ends = {
  "a stop": [chunk({}, "tool_calls")],
  "the limit": [chunk({}, "length")],
  "the end of the body": [],
  "an error": [new TextEncoder().encode('data: {"error":{"message":"gone"}}\n\n')]
}

describe("a text behind a call whose arguments never come is told, whatever ends the stream:", () => {
  for (const [name, codec, request] of clients) {
    for (const args of ["", '{"a":']) {
      for (const [what, last] of Object.entries(ends)) {
        test(`${what}, behind '${args}', to a client of ${name}`, () => {
          const codecs = through(
            answersFrom(openai.operations[0].server!).stream,
            answersTo(codec, request, "m").stream(context)
          )
          const told = Buffer.concat([...transduce(codecs, [called(args), behind, ...last])]).toString()
          expect(told).toContain("Behind it.")
          // Some clients run a call as soon as it is closed.
          if (what === "an error")
            expect(told).not.toMatch(/content_block_stop","index":0|arguments\.done|functionCall/)
          if (what === "an error") expect(told.indexOf("gone")).toBeGreaterThan(told.indexOf("Behind it."))
        })
      }
    }
  }

  test.each(["Responses", "Messages", "Google's"])("a connection that is lost, to a client of %s", (name) => {
    const [, codec, request] = clients.find(([each]) => each === name)!
    const reads = answersFrom(openai.operations[0].server!).stream.start()
    const writes = answersTo(codec, request, "m").stream(context).start()
    const events = pushAll(reads, [called(""), behind])
    pushAll(writes, events)
    const told = new TextDecoder().decode(writes.broken?.('{"error":{"message":"gone"}}'))
    expect(told).toContain("Behind it.")
    expect(told.indexOf("gone")).toBeGreaterThan(told.indexOf("Behind it."))
  })
})
