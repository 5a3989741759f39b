import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { AnswerContext, ChatEvent, ClientCodec, ServerCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"

interface Halves {
  readonly operations: ReadonlyArray<{ readonly client?: ClientCodec; readonly server?: ServerCodec }>
}

const clientOf = ({ operations }: Halves): ClientCodec => operations.find(({ client }) => client !== undefined)!.client!

const serverOf = ({ operations }: Halves): ServerCodec => operations.find(({ server }) => server !== undefined)!.server!

const context: AnswerContext = { model: "m", id: "a1", now: 0, callIds: new Set() }

const messages = [{ role: "user", content: "go" }]

const asked = {
  chat: { model: "m", messages, stream_options: { include_usage: true } },
  responses: { model: "m", input: "go" },
  messages: { model: "m", max_tokens: 9, messages },
  ollama: { model: "m", messages },
  gemini: { contents: [{ role: "user", parts: [{ text: "go" }] }] }
}

const clients = [
  [openai, asked.chat],
  [responses, asked.responses],
  [anthropic, asked.messages],
  [ollama, asked.ollama],
  [gemini, asked.gemini]
] as const

const answer = (client: Halves, request: object, events: ReadonlyArray<ChatEvent>) => {
  const encoder = answersTo(clientOf(client), request)
  return {
    json: JSON.parse(new TextDecoder().decode(Result.getOrThrow(encoder.whole(events, context)))),
    stream: Buffer.concat([...transduce(encoder.stream(context), events)]).toString()
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)

const read = (server: Halves, body: unknown): ReadonlyArray<ChatEvent> =>
  Result.getOrThrow(answersFrom(serverOf(server)).whole(bytes(JSON.stringify(body))))

const usage = { prompt: 1, cachedRead: 0, cachedWrite: 0, completion: 1, reasoning: 0 }

const said: ReadonlyArray<ChatEvent> = [
  { type: "start" },
  { type: "text", text: "It rains." },
  { type: "citation", url: "https://sky.invalid/", title: "Sky", start: 3, end: 8 },
  { type: "citation", url: "https://sea.invalid/", title: "" },
  { type: "stop", stop: { reason: "end" } },
  { type: "usage", usage: { ...usage, tier: "priority" } },
  { type: "done" }
]

const untold: ReadonlyArray<ChatEvent> = [...said.slice(0, -2), { type: "usage", usage }, { type: "done" }]

const sky = "https://sky.invalid/"

describe("what an answer goes back to", () => {
  const sky = { url: "https://sky.invalid/", title: "Sky", start_index: 3, end_index: 8 }
  const sea = { url: "https://sea.invalid/", title: "", start_index: 0, end_index: 9 }

  test("is told to a client of chat completions", () => {
    const annotations = [sky, sea].map((url_citation) => ({ type: "url_citation", url_citation }))
    const { json, stream } = answer(openai, asked.chat, said)
    expect(json.choices[0].message.annotations).toEqual(annotations)
    for (const each of annotations) expect(stream).toContain(`{"annotations":[${JSON.stringify(each)}]}`)
  })

  test("is told to a client of Responses, when it comes and with the whole item", () => {
    const annotations = [sky, sea].map((each) => Object.assign({ type: "url_citation" }, each))
    const { json, stream } = answer(responses, asked.responses, said)
    expect(json.output[0].content[0].annotations).toEqual(annotations)
    expect(stream.match(/event: response\.output_text\.annotation\.added/g)).toHaveLength(2)
    const done = stream.split("\n").find((line) => line.includes('"type":"response.output_item.done"'))!
    expect(JSON.parse(done.slice(6)).item.content[0].annotations).toEqual(annotations)
  })

  test("is told to a client of Google's, at the end", () => {
    const sources = [{ uri: sky.url, title: "Sky" }, { uri: sea.url }]
    const { json, stream } = answer(gemini, asked.gemini, said)
    expect(json.candidates[0].citationMetadata).toEqual({ citationSources: sources })
    expect(stream.trim().split("\n\n").at(-1)).toContain(JSON.stringify(sources))
  })

  test("is told to a client of Messages behind its text, in the form that has an address", () => {
    const citations = [
      { url: sky.url, title: "Sky", cited_text: "rains" },
      { url: sea.url, title: sea.url, cited_text: "" }
    ].map((each) => Object.assign({ type: "web_search_result_location", encrypted_index: "nexus.unsigned" }, each))
    const cited = said.map((event) =>
      event.type === "citation" && event.end === 8 ? { ...event, cited: "rains" } : event
    )
    const early = [...cited.slice(0, 1), ...cited.slice(2, 4), ...cited.slice(1, 2), ...cited.slice(4)]
    for (const events of [cited, early]) {
      const { json, stream } = answer(anthropic, asked.messages, events)
      expect(json.content).toEqual([{ type: "text", text: "It rains.", citations }])
      const deltas = stream
        .split("\n")
        .flatMap((line) => (line.startsWith("data: ") ? [JSON.parse(line.slice(6)).delta] : []))
      const told = deltas.flatMap((delta) => (delta?.type === "citations_delta" ? [delta.citation] : []))
      expect(told).toEqual(citations)
    }
  })

  test("stays with its text where a call has come between, or is named where that can be told no more", () => {
    const call: ReadonlyArray<ChatEvent> = [
      { type: "call", call: 0, id: "c", name: "f" },
      { type: "arguments", call: 0, text: "{}" }
    ]
    const events = [...said.slice(0, 2), ...call, ...said.slice(2)]
    const told = answer(responses, asked.responses, events)
    const annotations = [sky, sea].map((each) => Object.assign({ type: "url_citation" }, each))
    const last = JSON.parse(told.stream.trim().split("data: ").at(-1)!).response
    for (const { output } of [told.json, last]) {
      expect(output.map(({ type }: { readonly type: string }) => type)).toEqual(["message", "function_call"])
      expect(output[0].content).toMatchObject([{ text: "It rains.", annotations }])
    }
    expect(told.stream.match(/event: response\.output_text\.annotation\.added/g)).toHaveLength(2)
    const { json, stream } = answer(anthropic, asked.messages, events)
    expect(json.content[0].citations).toHaveLength(2)
    expect(stream).toContain(": x-nexus-dropped: citation\n\n")
    expect(answer(anthropic, asked.messages, said).stream).not.toContain("x-nexus-dropped")
  })

  test("is no list at all to a client of Messages where there is nothing", () => {
    const { json } = answer(anthropic, asked.messages, [said[1]!, ...said.slice(4)])
    expect(json.content).toEqual([{ type: "text", text: "It rains." }])
  })

  test("does not reach Anthropic where Nexus has written it", () => {
    const own = { type: "web_search_result_location", url: sky.url, title: null, cited_text: "", encrypted_index: "Ab" }
    const text = (citations: ReadonlyArray<object>) => ({ type: "text", text: "It rains.", citations })
    const request = (citations: ReadonlyArray<object>) => ({
      ...asked.messages,
      messages: [...messages, { role: "assistant", content: [text(citations)] }, ...messages]
    })
    const sealed = { ...own, encrypted_index: "nexus.unsigned" }
    const told = (citations: ReadonlyArray<object>) =>
      JSON.parse(Buffer.from(anthropic.withoutSeals!(bytes(JSON.stringify(request(citations))))).toString())
    expect(told([sealed, own, sealed])).toEqual(request([own]))
    expect(told([sealed])).toEqual(request([]))
  })

  test("breaks no answer in a dialect without a word for it", () => {
    for (const [client, request] of clients) {
      const { json, stream } = answer(client, request, said)
      for (const text of [JSON.stringify(json), stream]) expect(text).toContain("It rains.")
    }
  })

  test("is read from a server of chat completions, whole and streamed", () => {
    const annotations = [{ type: "url_citation", url_citation: sky }, { type: "file_citation" }]
    const message = { role: "assistant", content: "It rains.", annotations }
    const cited = { type: "citation", url: sky.url, title: "Sky", start: 3, end: 8 } as const
    const whole = read(openai, { choices: [{ index: 0, message, finish_reason: "stop" }] })
    expect(whole.filter(({ type }) => type === "citation")).toEqual([cited])
    const choice = (delta: object, finish_reason: string | null = null) =>
      `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`
    const stream = [choice({ content: "It rains." }), choice({ annotations }), choice({}, "stop"), "data: [DONE]\n\n"]
    const events = [...transduce(answersFrom(serverOf(openai)).stream, [bytes(stream.join(""))])]
    expect(events.filter(({ type }) => type === "citation")).toEqual([cited])
  })

  test("is read once from a server of Google's, however often it is told", () => {
    const citationMetadata = { citationSources: [{ uri: sky.url, startIndex: 1, endIndex: 2 }, { license: "" }] }
    const piece = (text: string, finishReason?: string) =>
      `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, citationMetadata, finishReason }] })}\n\n`
    const stream = bytes(piece("It ") + piece("rains.", "STOP"))
    const events = [...transduce(answersFrom(serverOf(gemini)).stream, [stream])]
    expect(events.filter(({ type }) => type === "citation")).toEqual([{ type: "citation", url: sky.url, title: "" }])
  })
})

describe("what a model of Google's has found on the web", () => {
  const groundingChunks = [{ web: { uri: sky, title: "Sky" } }, { web: { uri: "https://sea.invalid/" } }]
  const segment = { startIndex: 3, endIndex: 8, text: "rains" }
  const supports = [{ segment, groundingChunkIndices: [0] }]
  const piece = (text: string, groundingMetadata?: object, finishReason?: string) =>
    `data: ${JSON.stringify({ candidates: [{ content: { parts: [{ text }] }, groundingMetadata, finishReason }] })}\n\n`
  const cited = (...pieces: ReadonlyArray<string>) =>
    transduce(answersFrom(serverOf(gemini)).stream, [bytes(pieces.join(""))]).filter(({ type }) => type === "citation")
  const told = { groundingChunks, groundingSupports: supports }
  const sea = { type: "citation", url: "https://sea.invalid/", title: "" } as const

  test("is what its text goes back to, once, with its place and words", () => {
    const rain = { type: "citation", url: sky, title: "Sky", start: 3, end: 8, cited: "rains" } as const
    expect(cited(piece("It "), piece("rains.", told), piece("", told, "STOP"))).toEqual([rain, sea])
  })

  test("has no place where that is counted in other units than letters", () => {
    const rain = { type: "citation", url: sky, title: "Sky", cited: "rains" } as const
    expect(cited(piece("Ät "), piece("rains.", told, "STOP"))).toEqual([rain, sea])
  })
})

describe("which of its services a server has answered by", () => {
  test("is told where there is a word for it, and never made up", () => {
    const tiers = (events: ReadonlyArray<ChatEvent>) => [
      answer(openai, asked.chat, events).json.service_tier,
      answer(responses, asked.responses, events).json.service_tier,
      answer(anthropic, asked.messages, events).json.usage.service_tier
    ]
    expect(tiers(said)).toEqual(["priority", "priority", "priority"])
    expect(answer(openai, asked.chat, said).stream).toContain('"service_tier":"priority"')
    expect(tiers(untold)).toEqual([undefined, undefined, null])
    expect(answer(openai, asked.chat, untold).stream).not.toContain("service_tier")
  })

  test("is read from OpenAI and from Anthropic, in one's words for the other's", () => {
    const tierIn = (events: ReadonlyArray<ChatEvent>) =>
      events.flatMap((event) => (event.type === "usage" ? [event.usage.tier] : []))
    const choices = [{ index: 0, message: { role: "assistant", content: "x" }, finish_reason: "stop" }]
    const took = { prompt_tokens: 1, completion_tokens: 1 }
    expect(tierIn(read(openai, { choices, service_tier: "flex", usage: took }))).toEqual(["flex"])
    const message = (service_tier: unknown) => ({
      content: [{ type: "text", text: "x" }],
      stop_reason: "end_turn",
      usage: { input_tokens: 1, output_tokens: 1, service_tier }
    })
    expect(["standard", "constructor", null].map((tier) => tierIn(read(anthropic, message(tier)))[0])).toEqual([
      "default",
      undefined,
      undefined
    ])
  })
})

test("a client of Responses is told of each text what it goes back to, by the place within it", () => {
  const { json, stream } = answer(responses, asked.responses, [
    { type: "start" },
    { type: "text", text: "I look. " },
    { type: "reasoning", text: "Hm." },
    { type: "text", text: "It rains." },
    { type: "citation", url: "https://sky.invalid/", title: "Sky", start: 11, end: 16 },
    { type: "citation", url: "https://sea.invalid/", title: "Sea", start: 2, end: 6 },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ])
  const placed = (json.output as ReadonlyArray<{ readonly content?: ReadonlyArray<{ readonly annotations: unknown }> }>)
    .flatMap(({ content = [] }) => content)
    .map(({ annotations }) => annotations)
  const [sea, sky] = placed
  expect(sea).toEqual([
    { type: "url_citation", url: "https://sea.invalid/", title: "Sea", start_index: 2, end_index: 6 }
  ])
  expect(sky).toEqual([
    { type: "url_citation", url: "https://sky.invalid/", title: "Sky", start_index: 3, end_index: 8 }
  ])
  expect(stream).toContain('"start_index":3,"end_index":8')
})
