import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"

const claude = anthropic.operations[0].server!
const google: ServerCodec = gemini.operations.find(({ server }) => server !== undefined)!.server!

const why = "That would harm people."
const messages = [{ role: "user", content: "go" }]
const usage = { input_tokens: 3, output_tokens: 1 }
const refusal = { stop_reason: "refusal", stop_details: { type: "refusal", category: "bio", explanation: why } }
const message = { type: "message", role: "assistant", content: [], usage }
const blocked = { promptFeedback: { blockReason: "PROHIBITED_CONTENT", blockReasonMessage: why } }
const filtered = { candidates: [{ content: { parts: [] }, finishReason: "SAFETY", finishMessage: why }] }

const events = (...all: ReadonlyArray<object>): string =>
  all.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")

const sources: ReadonlyArray<readonly [string, ServerCodec, whole: object, stream: string]> = [
  [
    "Claude",
    claude,
    { ...message, ...refusal },
    events(
      { type: "message_start", message },
      { type: "message_delta", delta: refusal, usage },
      { type: "message_stop" }
    )
  ],
  ["Gemini, of a prompt,", google, blocked, `data: ${JSON.stringify(blocked)}\n\n`],
  ["Gemini, of an answer,", google, filtered, `data: ${JSON.stringify(filtered)}\n\n`]
]

const clientIn = ({ operations }: { readonly operations: ReadonlyArray<{ readonly client?: ClientCodec }> }) =>
  operations.find(({ client }) => client !== undefined)!.client!

const clients: ReadonlyArray<readonly [ClientCodec, object]> = [
  [clientIn(openai), { model: "m", messages }],
  [clientIn(responses), { model: "m", input: "go" }],
  [clientIn(anthropic), { model: "m", max_tokens: 9, messages }],
  [clientIn(gemini), { contents: [{ parts: [{ text: "go" }] }] }],
  [clientIn(ollama), { model: "m", messages }]
]

const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }

describe("why a model will not answer", () => {
  test.each(sources)("is told in the words of %s to every client, whole and streamed", (_, server, whole, stream) => {
    const encoder = new TextEncoder()
    const reads = answersFrom(server)
    for (const [codec, request] of clients) {
      const tells = answersTo(codec, request, "m")
      const read = Result.getOrThrow(reads.whole(encoder.encode(JSON.stringify(whole))))
      expect(new TextDecoder().decode(Result.getOrThrow(tells.whole(read, context)))).toContain(why)
      const pieces = transduce(tells.stream(context), transduce(reads.stream, [encoder.encode(stream)]))
      expect(Buffer.concat([...pieces]).toString()).toContain(why)
    }
  })
})
