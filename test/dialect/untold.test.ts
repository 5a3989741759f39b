import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatEvent, ClientCodec } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollama } from "../../src/dialect/ollama/ollama.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import {
  answering,
  calls,
  claude,
  type ClaudeBlock,
  claudeMessage,
  claudeWorld,
  messageEvents,
  says
} from "../kit/claude.ts"
import { json } from "../kit/answers.ts"
import { answersFrom, answersTo } from "../kit/codecs.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { eventOf, piece, text } from "../kit/gemini.ts"
import type { Script } from "../kit/rawServer.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }
const messages = [{ role: "user", content: "go" }]

const clients: ReadonlyArray<readonly [name: string, codec: ClientCodec, request: unknown]> = [
  ["chat completions", openai.operations[0].client!, { model: "m", messages }],
  ["Responses", responses.operations[0].client!, { model: "m", input: "go" }],
  ["Messages", anthropic.operations[0].client!, { model: "m", max_tokens: 9, messages }],
  ["Ollama's", ollama.operations[0]!.client!, { model: "m", messages }],
  ["Google's", gemini.operations[0]!.client!, { contents: [{ parts: [{ text: "go" }] }] }]
]

const claudeReads = answersFrom(anthropic.operations[0].server!)
const geminiReads = answersFrom(gemini.operations[0]!.server!)

const lostIn = (events: ReadonlyArray<ChatEvent>): ReadonlyArray<string> =>
  events.flatMap((event) => (event.type === "lost" ? [event.what] : []))

describe("what Anthropic tells that nobody else has a place for", () => {
  const cited = { type: "char_location", cited_text: "c", document_index: 0, document_title: "D" }
  const blocks: ReadonlyArray<readonly [lost: string, block: ClaudeBlock]> = [
    ["server_tool_use", { type: "server_tool_use", id: "s", name: "web_search", input: {} }],
    ["web_search_tool_result", { type: "web_search_tool_result", tool_use_id: "s", content: [] }],
    ["mcp_tool_use", { type: "mcp_tool_use", id: "s", name: "n", server_name: "a", input: {} }],
    ["mcp_tool_result", { type: "mcp_tool_result", tool_use_id: "s", content: [] }],
    ["container_upload", { type: "container_upload", file_id: "f" }],
    ["compaction", { type: "compaction", content: "short" }],
    ["citations", { ...says("hi"), citations: [cited] }]
  ]
  test.each([...blocks])("is known to be lost: %s", (lost, block) => {
    const content = [block, says("High")]
    const whole = Result.getOrThrow(claudeReads.whole(encoder.encode(JSON.stringify(claudeMessage({ content })))))
    expect(lostIn(whole)).toEqual([lost])
    if (lost === "citations") return
    const stream = encoder.encode(messageEvents({ content }).join(""))
    expect(lostIn(transduce(claudeReads.stream, [stream]))).toEqual([lost])
  })

  test("is named to its client in a header, where the answer comes whole", async () => {
    const content = [...blocks.slice(0, 2).map(([, block]) => block), says("High")]
    await using world = await claudeWorld(answering(() => ({ content })))
    const answer = await fetch(`${world.gateway.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: claude, messages })
    })
    expect(answer.headers.get("x-nexus-dropped")).toBe("server_tool_use, web_search_tool_result")
  })
})

describe("what Google tells that nobody else has a place for", () => {
  const found = { urlMetadata: [{ retrievedUrl: "https://u.test" }] }
  const answers: ReadonlyArray<readonly [lost: string, answer: object]> = [
    ["executableCode", piece([{ executableCode: { code: "1" } }, text("High")], "STOP")],
    ["codeExecutionResult", piece([{ codeExecutionResult: { output: "1" } }, text("High")], "STOP")],
    ["inlineData", piece([{ inlineData: { mimeType: "audio/wav", data: "AA" } }, text("High")], "STOP")],
    ["fileData", piece([{ fileData: { mimeType: "video/mp4", fileUri: "u" } }, text("High")], "STOP")],
    ["thoughtSignature", piece([text("High"), text("", { thoughtSignature: "S" })], "STOP")],
    [
      "urlContextMetadata",
      { candidates: [{ content: { parts: [text("High")] }, finishReason: "STOP", urlContextMetadata: found }] }
    ]
  ]
  test.each([...answers])("is known to be lost: %s", (lost, answer) => {
    const whole = Result.getOrThrow(geminiReads.whole(encoder.encode(JSON.stringify(answer))))
    const streamed = transduce(geminiReads.stream, [encoder.encode(eventOf(answer))])
    expect([lostIn(whole), lostIn(streamed)]).toEqual([[lost], [lost]])
  })

  test("shows that it has begun to answer", () => {
    const first = encoder.encode(eventOf(piece([{ executableCode: { code: "1" } }])))
    expect(
      geminiReads.stream
        .start()
        .push(first)
        .map(({ type }) => type)
    ).toEqual(["start", "lost"])
  })

  test("is none of what it draws, or signs, while it thinks", () => {
    const thought = { thought: true, thoughtSignature: "S" }
    const drawn = { fileData: { mimeType: "image/png", fileUri: "u" }, thought: true }
    const answer = piece([text("hm", thought), drawn, text("High")], "STOP")
    expect(lostIn(transduce(geminiReads.stream, [encoder.encode(eventOf(answer))]))).toEqual([])
  })
})

describe("what Google has signed a text with", () => {
  const traits = { original: false, files: false, namedTool: true, newerBound: true, several: true, word: String }
  const chat = openai.operations[0].client!
  const answer = piece([text("High"), text("", { thoughtSignature: "S" })], "STOP")
  const events = transduce(geminiReads.stream, [encoder.encode(eventOf(answer))])
  const signed = { google: { thought_signature: "S" } }

  test("is told to clients of chat completions in the place that Google has for it there, and is no loss", () => {
    const { stream, whole } = answersTo(chat, { model: "m", messages })
    expect(JSON.parse(decoder.decode(Result.getOrThrow(whole(events, context)))).choices[0].message).toEqual({
      role: "assistant",
      content: "High",
      extra_content: signed
    })
    const told = decoder.decode(Buffer.concat([...transduce(stream(context), events)]))
    expect(told).toContain(`"delta":{"extra_content":${JSON.stringify(signed)}}`)
    expect(told).not.toContain("x-nexus-dropped")
  })

  test.each([...clients].filter(([name]) => name !== "chat completions"))(
    "is named as lost to a client of %s",
    (_, codec, request) => {
      const told = decoder.decode(Buffer.concat([...transduce(answersTo(codec, request).stream(context), events)]))
      expect(told).toMatch(/x-nexus-dropped.*thoughtSignature/)
    }
  )

  const asked = (turn: object) => {
    const history = [...messages, { role: "assistant", ...turn }, ...messages]
    return Result.getOrThrow(chat.decode(encoder.encode(JSON.stringify({ model: "m", messages: history })), undefined))
  }

  test("goes back to Google with its text", () => {
    const { chat: read, dropped } = asked({ content: "High", extra_content: signed })
    const server = gemini.operations[0]!.server!
    const encoded = Result.getOrThrow(server.encode(read, "gemini-3-pro", traits))
    expect(JSON.parse(decoder.decode(encoded.body)).contents[1].parts).toEqual([
      text("High", { thoughtSignature: "S" })
    ])
    expect([dropped, encoded.dropped]).toEqual([[], []])
  })

  test("is left out, and named, where there is nobody or nothing for it", () => {
    const { chat: read } = asked({ content: "High", extra_content: signed })
    const server = anthropic.operations[0].server!
    const { body, dropped } = Result.getOrThrow(server.encode(read, "claude-sonnet-4-6", traits))
    expect([dropped, decoder.decode(body).includes("thought_signature")]).toEqual([["textSignature"], false])
    expect(asked({ content: "High", extra_content: {} }).dropped).toEqual(["messages.extra_content"])
    expect(asked({ content: "", extra_content: signed }).dropped).toEqual(["messages.extra_content"])
  })

  test("is named in the header to those alone who are not told", async () => {
    const script: Script = () => [json(answer)]
    await using upstream = await startUpstream({ type: "gemini", models: ["gemini-3-pro"], script })
    await using gateway = await startGateway(
      { backends: [backendFor("one", upstream, { type: "gemini" })] },
      { backendKeys: new Map([["one", "k"]]), authKeys: [] }
    )
    const droppedAt = async (path: string, more: object) => {
      const body = JSON.stringify({ model: "gemini-3-pro", ...more })
      return (await fetch(`${gateway.url}${path}`, { method: "POST", body })).headers.get("x-nexus-dropped")
    }
    expect(await droppedAt("/v1/chat/completions", { messages })).toBeNull()
    expect(await droppedAt("/v1/responses", { input: "go" })).toBe("thoughtSignature")
  })
})

describe("a stream that has lost something on its way", () => {
  const source = { type: "citation", url: "https://s.test", title: "S" } as const
  const events: ReadonlyArray<ChatEvent> = [
    { type: "start" },
    { type: "lost", what: "executableCode" },
    { type: "text", text: "High" },
    { type: "lost", what: "executableCode" },
    { type: "lost", what: "compaction" },
    source,
    { type: "image", url: "https://i.test/a.png" },
    { type: "stop", stop: { reason: "end" } },
    { type: "done" }
  ]
  const told = (codec: ClientCodec, request: unknown, all: ReadonlyArray<ChatEvent>): string =>
    decoder.decode(Buffer.concat([...transduce(answersTo(codec, request).stream(context), all)]))
  const named: Readonly<Record<string, ReadonlyArray<string>>> = {
    "chat completions": [],
    Responses: ["image"],
    Messages: ["image"],
    "Ollama's": ["citation", "image"],
    "Google's": []
  }

  test.each([...clients])("says so by its end, each thing once, to a client of %s", (name, codec, request) => {
    const all = ["executableCode", "compaction", ...(named[name] ?? [])]
    const stream = told(codec, request, events)
    const comment = /: x-nexus-dropped: (.*)\n\n/.exec(stream)?.[1]?.split(", ")
    const field = /"x-nexus-dropped":(\[.*?\])/.exec(stream)?.[1]
    expect(comment ?? JSON.parse(field ?? "[]")).toEqual(all)
    expect(stream.match(/x-nexus-dropped/g)).toHaveLength(1)
    // No client of theirs may be told a comment.
    expect(comment === undefined).toBe(name === "Ollama's" || name === "Google's")
  })

  test.each([...clients])(
    "and one that has lost nothing says nothing of the kind to a client of %s",
    (_, codec, asked) => {
      const whole = events.filter(
        ({ type }) => type === "start" || type === "text" || type === "stop" || type === "done"
      )
      expect(told(codec, asked, whole)).not.toContain("x-nexus-dropped")
    }
  )
})

describe("an answer that ended for calls, and has none", () => {
  const events: ReadonlyArray<ChatEvent> = [
    { type: "text", text: "High" },
    { type: "stop", stop: { reason: "calls" } },
    { type: "done" }
  ]
  test.each([
    ["chat completions", '"finish_reason":"stop"'],
    ["Messages", '"stop_reason":"end_turn"']
  ])("has ended by itself to a client of %s, who would wait for them", (name, reason) => {
    const [, codec, request] = clients.find(([each]) => each === name)!
    const { stream, whole } = answersTo(codec, request)
    expect(decoder.decode(Buffer.concat([...transduce(stream(context), events)]))).toContain(reason)
    expect(decoder.decode(Result.getOrThrow(whole(events, context)))).toContain(reason)
  })
})

describe("an answer with a call, whatever it says that it ended for,", () => {
  test.each(["calls", "end"] as const)("has ended for it: %s", (reason) => {
    const events: ReadonlyArray<ChatEvent> = [
      { type: "call", call: 0, id: "a", name: "look" },
      { type: "arguments", call: 0, text: "{}" },
      { type: "stop", stop: { reason } },
      { type: "done" }
    ]
    const wanted = { "chat completions": '"finish_reason":"tool_calls"', Messages: '"stop_reason":"tool_use"' }
    for (const [name, codec, request] of clients) {
      if (name !== "chat completions" && name !== "Messages") continue
      const { stream, whole } = answersTo(codec, request)
      expect(decoder.decode(Buffer.concat([...transduce(stream(context), events)]))).toContain(wanted[name])
      expect(decoder.decode(Result.getOrThrow(whole(events, context)))).toContain(wanted[name])
    }
  })
})

describe("a call", () => {
  const called = (parts: ReadonlyArray<object>) =>
    transduce(geminiReads.stream, [
      encoder.encode(parts.map((part) => eventOf(piece([part]))).join("") + eventOf(piece([], "STOP")))
    ])
  const look = (args: object, more: object = {}) => ({ functionCall: { id: "a", name: "look", args }, ...more })

  test("that Google's stream tells again by its id is one, signed as it was", () => {
    const told = called([look({ at: 1 }, { thoughtSignature: "S" }), look({ at: 1 })])
    expect(told.filter(({ type }) => type === "call")).toEqual([
      { type: "call", call: 0, id: "a", name: "look", signature: "S" }
    ])
    expect(called([look({ at: 1 }), look({ at: 2 })]).filter(({ type }) => type === "call")).toHaveLength(2)
  })

  test("without a name is a failure, whoever makes it", () => {
    const unnamed = [{ functionCall: { name: "", args: {} } }]
    expect(called(unnamed).map(({ type }) => type)).toContain("error")
    const stream = encoder.encode(messageEvents({ content: [calls("a", "", {})], stop_reason: "tool_use" }).join(""))
    expect(transduce(claudeReads.stream, [stream]).map(({ type }) => type)).toContain("error")
  })
})

describe("the service that an answer is given by", () => {
  const client = gemini.operations[0]!.client!
  const server = gemini.operations[0]!.server!
  const traits = { original: false, files: false, namedTool: true, newerBound: true, several: true, word: String }
  const asked = (more: object) =>
    Result.getOrThrow(
      client.decode(encoder.encode(JSON.stringify({ contents: [{ parts: [{ text: "go" }] }], ...more })), undefined)
    )

  test.each([
    ["default", "standard"],
    ["flex", "flex"],
    ["priority", "priority"]
  ])("is %s to OpenAI and %s to Google, asked for and told", (tier, serviceTier) => {
    const { chat, dropped } = asked({ serviceTier })
    expect([chat.tier, dropped]).toEqual([tier, []])
    const encoded = Result.getOrThrow(server.encode(chat, "gemini-3-pro", traits))
    expect(JSON.parse(decoder.decode(encoded.body)).serviceTier).toBe(serviceTier)
    const usageMetadata = { promptTokenCount: 1, candidatesTokenCount: 1, totalTokenCount: 2, serviceTier }
    const answer = encoder.encode(JSON.stringify(piece([text("High")], "STOP", usageMetadata)))
    const events = Result.getOrThrow(encoded.answers.whole(answer))
    expect(events.find(({ type }) => type === "usage")).toMatchObject({ usage: { tier } })
    const told = JSON.parse(decoder.decode(Result.getOrThrow(asked({}).answers.whole(events, context))))
    expect(told.usageMetadata).toEqual(usageMetadata)
  })

  test("is no loss where none in particular is meant, and is one where there is no such service", () => {
    expect(asked({ serviceTier: "unspecified" }).dropped).toEqual([])
    expect(asked({ serviceTier: "deferred" }).dropped).toEqual(["serviceTier"])
    const { chat } = asked({})
    const dropped = (tier: string) =>
      Result.getOrThrow(server.encode({ ...chat, tier }, "gemini-3-pro", traits)).dropped
    expect([dropped("auto"), dropped("scale")]).toEqual([[], ["tier"]])
  })
})

describe("what Google's own endpoint of chat completions signs a text with", () => {
  const signed = { google: { thought_signature: "S" } }
  const reads = answersFrom(openai.operations[0].server!)
  test("is known to be lost to those who have no place for it, whole", () => {
    const message = { role: "assistant", content: "High", extra_content: signed }
    const body = { choices: [{ index: 0, message, finish_reason: "stop" }] }
    expect(lostIn(Result.getOrThrow(reads.whole(encoder.encode(JSON.stringify(body)))))).toEqual(["extra_content"])
  })
  test("is known to be lost to those who have no place for it, streamed", () => {
    const chunks = [{ content: "High" }, { extra_content: signed }].map((delta) => ({ choices: [{ index: 0, delta }] }))
    const end = { choices: [{ index: 0, delta: {}, finish_reason: "stop" }] }
    const stream = [...chunks, end].map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("")
    const events = transduce(reads.stream, [encoder.encode(`${stream}data: [DONE]\n\n`)])
    expect(lostIn(events)).toEqual(["extra_content"])
    expect(events.filter(({ type }) => type === "error")).toEqual([])
  })
})
