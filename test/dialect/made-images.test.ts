import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, ChatEvent, ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer, answersFrom, answersTo } from "../kit/codecs.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const clientOf = ({ operations }: Halves): ClientCodec => operations.find(({ client }) => client !== undefined)!.client!

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const context: AnswerContext = { model: "m", id: "a1", now: 0, callIds: new Set() }

const bytes = (text: string) => new TextEncoder().encode(text)

const png = "iVBORw0KGgo="
const url = `data:image/png;base64,${png}`

const messages = [{ role: "user", content: "draw" }]
const contents = [{ role: "user", parts: [{ text: "draw" }] }]

const asked = {
  chat: { model: "m", messages },
  responses: { model: "m", input: "draw" },
  messages: { model: "m", max_tokens: 9, messages },
  ollama: { model: "m", messages },
  gemini: { contents }
}

const drawn: ReadonlyArray<ChatEvent> = [
  { type: "start" },
  { type: "text", text: "Here:" },
  { type: "image", mediaType: "image/png", data: png },
  { type: "stop", stop: { reason: "end" } },
  { type: "done" }
]

const alone = drawn.filter(({ type }) => type !== "text")

const whole = (client: Halves, request: object, events = drawn) =>
  Result.map(answersTo(clientOf(client), request).whole(events, context), (body) =>
    JSON.parse(new TextDecoder().decode(body))
  )

const stream = (client: Halves, request: object, events = drawn): string =>
  Buffer.concat([...transduce(answersTo(clientOf(client), request).stream(context), events)]).toString()

/** The data of the events, or the lines, of a stream. */
const toldIn = (text: string) =>
  text
    .split("\n")
    .map((line) => line.replace(/^data: /, ""))
    .flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []))

describe("an image that a model has made", () => {
  test("is told to a client of chat completions as OpenRouter tells it", () => {
    const images = [{ type: "image_url", image_url: { url }, index: 0 }]
    expect(Result.getOrThrow(whole(openai, asked.chat)).choices[0].message).toMatchObject({ content: "Here:", images })
    const deltas = toldIn(stream(openai, asked.chat)).map(({ choices }) => choices[0].delta)
    expect(deltas).toContainEqual({ images })
  })

  test("is an item of its own to a client of Responses", () => {
    const item = {
      id: "ig_a1_1",
      type: "image_generation_call",
      status: "completed",
      result: png,
      output_format: "png"
    }
    expect(Result.getOrThrow(whole(responses, asked.responses)).output[1]).toEqual(item)
    const events = toldIn(stream(responses, asked.responses))
    expect(events.filter(({ type }) => type === "response.output_item.done").map((each) => each.item)[1]).toEqual(item)
    expect(events.at(-1).response.output).toHaveLength(2)
  })

  test("is told to a client of Google's as its own models tell it", () => {
    const part = { inlineData: { mimeType: "image/png", data: png } }
    expect(Result.getOrThrow(whole(gemini, asked.gemini)).candidates[0].content.parts).toContainEqual(part)
    const parts = toldIn(stream(gemini, asked.gemini)).flatMap(({ candidates }) => candidates[0].content.parts)
    expect(parts).toContainEqual(part)
  })

  test("is told to a client of Ollama's among its images", () => {
    expect(Result.getOrThrow(whole(ollama, asked.ollama)).message.images).toEqual([png])
    const shown = toldIn(stream(ollama, asked.ollama)).flatMap(({ message }) => message.images ?? [])
    expect(shown).toEqual([png])
  })

  test("is named where a client of Messages cannot be told, and is no answer alone", () => {
    const { untold } = answersTo(clientOf(anthropic), asked.messages)
    expect(drawn.flatMap((event) => untold?.(event) ?? [])).toEqual(["image"])
    expect(Result.getOrThrow(whole(anthropic, asked.messages)).content).toHaveLength(1)
    expect(stream(anthropic, asked.messages)).toContain(": x-nexus-dropped: image\n\n")
    expect(Result.isFailure(whole(anthropic, asked.messages, alone))).toBe(true)
    expect(stream(anthropic, asked.messages, alone)).toContain("event: error")
  })

  test("is read from Google's models, but not what they draw while they think", () => {
    const inlineData = { mimeType: "image/png", data: png }
    const fileData = { mimeType: "image/png", fileUri: "https://x.invalid/sketch.png" }
    const thoughts = [
      { inlineData, thought: true },
      { fileData, thought: true }
    ]
    const parts = [...thoughts, { text: "Here:" }, { inlineData }]
    const answer = JSON.stringify({ candidates: [{ content: { parts }, finishReason: "STOP" }] })
    const reads = answersFrom(serverOf(gemini))
    expect(Result.getOrThrow(reads.whole(bytes(answer)))).toEqual([...drawn])
    expect(transduce(reads.stream, [bytes(`data: ${answer}\n\n`)]).filter(({ type }) => type === "image")).toEqual([
      drawn[2]!
    ])
  })

  test("is read from OpenRouter, beside the text and among its parts", () => {
    const reads = answersFrom(serverOf(openai))
    const image = { type: "image_url", image_url: { url } }
    const said = [{ content: "Here:", images: [image] }, { content: [{ type: "text", text: "Here:" }, image] }]
    for (const message of said) {
      const answer = JSON.stringify({ choices: [{ message, finish_reason: "stop" }] })
      expect(Result.getOrThrow(reads.whole(bytes(answer)))).toEqual([...drawn])
      const chunk = JSON.stringify({ choices: [{ delta: message, finish_reason: "stop" }] })
      expect(transduce(reads.stream, [bytes(`data: ${chunk}\n\ndata: [DONE]\n\n`)])).toEqual([...drawn])
    }
  })

  test("is read from an Ollama", () => {
    const message = { role: "assistant", content: "Here:", images: [png] }
    const answer = JSON.stringify({ message, done: true, done_reason: "stop" })
    expect(Result.getOrThrow(answersFrom(serverOf(ollama)).whole(bytes(answer)))).toEqual([...drawn])
  })

  test("may come back in the history of a client of Responses", () => {
    const item = { type: "image_generation_call", id: "ig_1", status: "completed", result: png }
    const input = [{ role: "user", content: "draw" }, item, { role: "user", content: "more" }]
    const { dropped } = Result.getOrThrow(clientOf(responses).decode(bytes(JSON.stringify({ model: "m", input })), "m"))
    expect(dropped).toEqual(["input[1]"])
  })
})

describe("images that are asked for", () => {
  const requests: ReadonlyArray<readonly [Halves, object]> = [
    [openai, { ...asked.chat, modalities: ["image", "text"] }],
    [gemini, { ...asked.gemini, generationConfig: { responseModalities: ["TEXT", "IMAGE"] } }]
  ]
  const encoded = (client: Halves, request: object, server: Halves, more: object = {}) => {
    const codec = clientOf(client)
    const { chat } = Result.getOrThrow(codec.decode(bytes(JSON.stringify(request)), "m"))
    const traits = { ...anyServer, word: (field: keyof typeof codec.words) => codec.words[field] ?? field, ...more }
    return Result.map(serverOf(server).encode(chat, "m", traits), ({ body }) =>
      JSON.parse(new TextDecoder().decode(body))
    )
  }

  test("are asked for of those who make some", () => {
    for (const [client, request] of requests) {
      const config = Result.getOrThrow(encoded(client, request, gemini)).generationConfig
      expect(config).toEqual({ responseModalities: ["TEXT", "IMAGE"] })
      expect(Result.getOrThrow(encoded(client, request, openai, { images: true })).modalities).toEqual([
        "image",
        "text"
      ])
    }
  })

  test("are refused in the client's words for all others", () => {
    const words = ["modalities", "generationConfig.responseModalities"]
    for (const [at, [client, request]] of requests.entries()) {
      for (const server of [openai, anthropic, ollama]) {
        const refusal = Result.getOrThrow(Result.flip(encoded(client, request, server)))
        expect(refusal.message).toContain(`'${words[at]}' asks for images`)
      }
    }
  })
})

test("an image that is told by its address is named to clients of Responses as left out of a stream", () => {
  const linked: ReadonlyArray<ChatEvent> = [
    { type: "start" },
    { type: "text", text: "Here:" },
    { type: "image", url: "https://x.invalid/a.png" },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ]
  expect(stream(responses, asked.responses, linked)).toContain(": x-nexus-dropped: image\n\n")
  const parts = [{ text: "Here:" }, { fileData: { fileUri: "https://x.invalid/a.png", mimeType: "image/png" } }]
  const body = bytes(JSON.stringify({ candidates: [{ content: { parts }, finishReason: "STOP" }] }))
  expect(Result.getOrThrow(answersFrom(serverOf(gemini)).whole(body))).toEqual([...linked])
})
