import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatEvent, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom } from "../kit/codecs.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

interface Server {
  readonly operations: ReadonlyArray<{ readonly server?: ServerCodec }>
}

const read = ({ operations }: Server, answer: object): ReadonlyArray<ChatEvent> =>
  Result.getOrThrow(
    answersFrom(operations.find(({ server }) => server !== undefined)!.server!).whole(bytes(JSON.stringify(answer)))
  )

const readStream = ({ operations }: Server, text: string): ReadonlyArray<ChatEvent> =>
  transduce(answersFrom(operations.find(({ server }) => server !== undefined)!.server!).stream, [bytes(text)])

const lost = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => (event.type === "lost" ? [event.what] : []))

const chat = (message: object, more: object = {}) => ({
  choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop", ...more }]
})

const claude = (...content: ReadonlyArray<object>) => ({ type: "message", content, stop_reason: "end_turn" })

const google = (...parts: ReadonlyArray<object>) => ({
  candidates: [{ content: { role: "model", parts }, index: 0, finishReason: "STOP" }]
})

const line = (message: object, more: object = {}) => ({ message, done: true, done_reason: "stop", ...more })

describe("a part of an answer that no other dialect has is named as left out, be it the first of its kind:", () => {
  // No header may be made of it.
  const name = "hologram\r\nx-evil: 1"

  test.each([
    [
      "a part of a content of chat completions",
      openai,
      chat({ content: [{ type: name }, { type: "text", text: "A" }] }),
      "content"
    ],
    ["a block of Anthropic's", anthropic, claude({ type: name }, { type: "text", text: "A" }), "content"],
    ["a part of Google's", gemini, google({ [name]: {} }, { text: "A" }), "parts"],
    ["an image of Ollama's of no known form", ollama, line({ content: "A", images: ["????"] }), "images"]
  ] as const)("%s", (_, server, answer, what) => {
    const events = read(server, answer)
    expect(events).toContainEqual({ type: "text", text: "A" })
    expect(lost(events)).toEqual([what])
  })

  test("and what is known is not", () => {
    expect(lost(read(openai, chat({ content: [{ type: "text", text: "A" }] })))).toEqual([])
    expect(
      lost(read(anthropic, claude({ type: "redacted_thinking", data: "x" }, { type: "text", text: "A" })))
    ).toEqual([])
    expect(lost(read(gemini, google({ text: "A", thought: false, videoMetadata: {} })))).toEqual([])
  })
})

describe("thoughts that Databricks tells as a part of the content are thoughts", () => {
  const reasoning = {
    type: "reasoning",
    summary: [
      { type: "summary_text", text: "Hm. " },
      { type: "summary_text", text: "So." }
    ]
  }
  const said = { type: "text", text: "Yes." } as const

  test("of a whole answer", () => {
    const events = read(openai, chat({ content: [reasoning, said] }))
    expect(events.filter(({ type }) => type === "reasoning" || type === "text")).toEqual([
      { type: "reasoning", text: "Hm. So." },
      said
    ])
    expect(lost(events)).toEqual([])
  })

  test("of a stream", () => {
    const piece = (content: unknown) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`
    const end = `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`
    const events = readStream(openai, piece([reasoning]) + piece([said]) + end)
    expect(events.filter(({ type }) => type === "reasoning" || type === "text")).toEqual([
      { type: "reasoning", text: "Hm. So." },
      said
    ])
  })
})

describe("a server that leaves out what could have stood in the place of a token tells of none", () => {
  const bare = { token: "A", logprob: -0.5 }
  const whole = { ...bare, bytes: null, top_logprobs: [] }
  const top = { token: "B", logprob: -2 }

  test.each([
    ["Ollama", ollama, (tokens: ReadonlyArray<object>) => line({ content: "A" }, { logprobs: tokens })],
    [
      "a server of chat completions",
      openai,
      (content: ReadonlyArray<object>) => chat({ content: "A" }, { logprobs: { content } })
    ]
  ] as const)("%s", (_, server, answer) => {
    const told = (token: object) => read(server, answer([token])).find(({ type }) => type === "text")
    expect(told(bare)).toEqual({ type: "text", text: "A", logprobs: [whole] })
    expect(told({ ...whole, top_logprobs: [top] })).toEqual({
      type: "text",
      text: "A",
      logprobs: [{ ...whole, top_logprobs: [top] }]
    })
    const full = { ...bare, bytes: [65], top_logprobs: [{ ...top, bytes: [66] }] }
    expect(told(full)).toEqual({ type: "text", text: "A", logprobs: [full] })
  })
})
