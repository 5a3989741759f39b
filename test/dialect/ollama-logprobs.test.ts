import { expect, test } from "bun:test"
import { Result } from "effect"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer } from "../kit/codecs.ts"
import { linesIn } from "../kit/ollama.ts"

const server = openai.operations[0].server!
const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }
const token = (text: string) => ({
  token: text,
  logprob: -0.25,
  bytes: [104],
  top_logprobs: [{ token: "a", logprob: -1 }]
})

test.each([
  ["/api/chat", { messages: [{ role: "user", content: "go" }] }],
  ["/api/generate", { prompt: "go" }]
])("a client of Ollama's is told how likely tokens were, whole and streamed: %s", (path, asked) => {
  const client = ollama.operations.find((each) => each.path === path)!.client!
  const read = client.decode(bytes({ model: "m", ...asked, logprobs: true, top_logprobs: 1 }), undefined)
  const { answers, chat, dropped } = Result.getOrThrow(read)
  const encoded = Result.getOrThrow(server.encode(chat, "m", anyServer))
  expect(JSON.parse(decoder.decode(encoded.body))).toMatchObject({ logprobs: true, top_logprobs: 1 })
  expect(dropped).toEqual([])
  const choice = { index: 0, logprobs: { content: [token("h"), token("i")] }, finish_reason: "stop" }
  const whole = Result.getOrThrow(
    encoded.answers.whole(bytes({ choices: [{ ...choice, message: { role: "assistant", content: "hi" } }] }))
  )
  const told = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(whole, context))))
  expect(told.logprobs).toEqual([token("h"), token("i")])
  const chunks = ["h", "i"].map((text) => ({
    choices: [{ index: 0, delta: { content: text }, logprobs: { content: [token(text)] }, finish_reason: null }]
  }))
  const events = [...chunks, { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }]
  const stream = `${events.map((each) => `data: ${JSON.stringify(each)}\n\n`).join("")}data: [DONE]\n\n`
  const lines = linesIn(
    decoder.decode(
      Buffer.concat([
        ...transduce(answers.stream(context), transduce(encoded.answers.stream, [encoder.encode(stream)]))
      ])
    )
  )
  expect(lines.map((line) => Reflect.get(Object(line), "logprobs"))).toEqual([[token("h")], [token("i")], undefined])
})

test("a client of Ollama's that asks for none is told none, and none are asked for", () => {
  const client = ollama.operations[0]!.client!
  const asked = { model: "m", messages: [{ role: "user", content: "go" }], logprobs: false }
  const { chat } = Result.getOrThrow(client.decode(bytes(asked), undefined))
  const { body } = Result.getOrThrow(server.encode(chat, "m", anyServer))
  expect(decoder.decode(body)).not.toContain("logprobs")
})

test("an Ollama that is asked in its own chat is asked how likely tokens are, and tells it, whole and streamed", () => {
  const own = ollama.operations[0]!.server!
  const chat = { stream: false, messages: [], tools: [], logprobs: 1, extra: {} }
  const { answers, body, dropped } = Result.getOrThrow(own.encode(chat, "m", anyServer))
  expect(JSON.parse(decoder.decode(body))).toMatchObject({ logprobs: true, top_logprobs: 1 })
  expect(dropped).toEqual([])
  const line = (content: string, more: object = {}) => ({
    model: "m",
    message: { role: "assistant", content },
    done: false,
    ...more
  })
  const end = { done: true, done_reason: "stop" }
  const told = [
    { type: "text", text: "h", logprobs: [token("h")] },
    { type: "text", text: "", logprobs: [token("i")] }
  ]
  const lines = [line("h", { logprobs: [token("h")] }), line("", { logprobs: [token("i")] }), line("", end)]
  const stream = encoder.encode(lines.map((each) => `${JSON.stringify(each)}\n`).join(""))
  expect<unknown>(transduce(answers.stream, [stream]).filter(({ type }) => type === "text")).toEqual(told)
  const whole = Result.getOrThrow(answers.whole(bytes(line("hi", { logprobs: [token("h"), token("i")], ...end }))))
  expect(whole.find(({ type }) => type === "text")).toEqual({
    type: "text",
    text: "hi",
    logprobs: [token("h"), token("i")]
  })
})
