import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollamaServer } from "../../src/dialect/ollama/native-request.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer, answersFrom, answersTo } from "../kit/codecs.ts"
import { nextTurns } from "../kit/next-turns.ts"

const client = anthropic.operations[0].client!
const server = openai.operations[0].server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "go" }] }
const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }

const detail = (more: object, format = "anthropic-claude-v1") => ({ type: "reasoning.text", ...more, format, index: 0 })

describe("a call that one of Google's models has signed", () => {
  const google = gemini.operations.find((each) => each.server !== undefined)!.server!
  const parts = [
    { text: "Tides", thought: true },
    { functionCall: { name: "tide", args: { at: "a" } }, thoughtSignature: "c2ln" },
    { functionCall: { name: "tide", args: { at: "b" } } },
    { functionCall: { name: "wind", args: {} }, thoughtSignature: "d2luZA==" }
  ]
  const events = Result.getOrThrow(
    answersFrom(google).whole(bytes({ candidates: [{ content: { parts }, finishReason: "STOP" }] }))
  )
  const answers = answersTo(client, asked)
  const { content } = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(events, context))))
  const [first, , , second] = content.filter(({ type }: { readonly type: string }) => type !== "text")

  test("is signed in the thoughts before it to a client of Messages, whole and streamed", () => {
    expect(content.map(({ type }: { readonly type: string }) => type)).toEqual([
      "thinking",
      "tool_use",
      "tool_use",
      "thinking",
      "tool_use"
    ])
    expect([first.thinking, second.thinking]).toEqual(["Tides", ""])
    const told = decoder.decode(Buffer.concat([...transduce(answers.stream(context), events)]))
    for (const { signature } of [first, second]) {
      expect(told).toContain(`"delta":{"type":"signature_delta","signature":"${signature}"}`)
    }
  })

  test("is signed as before when it comes back, and reaches nobody else", () => {
    const results = content.flatMap(({ id, type }: { readonly id: string; readonly type: string }) =>
      type === "tool_use" ? [{ type: "tool_result", tool_use_id: id, content: "x" }] : []
    )
    const back = {
      ...asked,
      messages: [...asked.messages, { role: "assistant", content }, { role: "user", content: results }]
    }
    const { chat } = Result.getOrThrow(client.decode(bytes(back), "m"))
    const { body } = Result.getOrThrow(google.encode(chat, "gemini-3-pro", anyServer))
    const turns: ReadonlyArray<{ readonly role: string; readonly parts: ReadonlyArray<object> }> = JSON.parse(
      decoder.decode(body)
    ).contents
    expect(
      turns.find(({ role }) => role === "model")?.parts.map((part) => Reflect.get(part, "thoughtSignature"))
    ).toEqual(["c2ln", undefined, "d2luZA=="])
    expect(decoder.decode(anthropic.withoutSeals!(bytes(back)))).not.toContain("nexus")
  })
})

describe("thoughts that OpenRouter tells with what Anthropic has signed them with", () => {
  const thinking = { type: "thinking", thinking: "Tides", signature: "sig" }

  test("are signed so to a client of Messages, whole and streamed", () => {
    const message = { role: "assistant", content: "High.", reasoning: "Tides" }
    const answer = (signed: object) =>
      answersTo(client, asked).whole(
        Result.getOrThrow(
          answersFrom(server).whole(
            bytes({
              choices: [{ index: 0, message: { ...message, reasoning_details: [signed] }, finish_reason: "stop" }]
            })
          )
        ),
        context
      )
    const contentOf = (signed: object) => JSON.parse(decoder.decode(Result.getOrThrow(answer(signed)))).content
    expect(contentOf(detail({ text: "Tides", signature: "sig" }))[0]).toEqual(thinking)
    expect(contentOf(detail({ text: "Tides", signature: "sig" }, "google-gemini-v1"))[0].signature).toBe(
      "nexus.unsigned"
    )
    const deltas = [
      { reasoning: "Tides", reasoning_details: [detail({ text: "Tides" })] },
      { reasoning_details: [detail({ signature: "sig" })] },
      { content: "High." }
    ]
    const chunks = [...deltas.map((delta) => ({ delta })), { delta: {}, finish_reason: "stop" }].map(
      (choice) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`
    )
    const events = transduce(answersFrom(server).stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])
    const told = decoder.decode(Buffer.concat([...transduce(answersTo(client, asked).stream(context), events)]))
    expect(told).toContain('"delta":{"type":"signature_delta","signature":"sig"}')
    expect(told).not.toContain("nexus.unsigned")
  })

  test("are each signed with its own where an answer has several, and those that nobody signed stay", () => {
    const reasoning_details = [
      detail({ text: "Tides", signature: "one" }),
      { ...detail({ text: "Winds", signature: "two" }), index: 1 }
    ]
    const said = (message: object) =>
      JSON.parse(
        decoder.decode(
          Result.getOrThrow(
            answersTo(client, asked).whole(
              Result.getOrThrow(
                answersFrom(server).whole(
                  bytes({ choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop" }] })
                )
              ),
              context
            )
          )
        )
      ).content
    const told = [
      { ...thinking, signature: "one" },
      { type: "thinking", thinking: "Winds", signature: "two" }
    ]
    expect(said({ content: "High.", reasoning: "Tides\n\nWinds", reasoning_details }).slice(0, 2)).toEqual(told)
    expect(said({ content: "High.", reasoning_details }).slice(0, 2)).toEqual(told)
    const others = [detail({ text: "Tides" }, "unknown"), detail({ text: " and winds" }, "unknown")]
    expect(said({ content: "High.", reasoning_details: others })[0]).toEqual({
      type: "thinking",
      thinking: "Tides and winds",
      signature: "nexus.unsigned"
    })
  })

  test("go back so with the next turn, and are named by no header", () => {
    const turn = (signature: string) => ({
      ...asked,
      messages: [
        ...asked.messages,
        {
          role: "assistant",
          content: [
            { ...thinking, signature },
            { type: "text", text: "High." }
          ]
        },
        ...asked.messages
      ]
    })
    const sent = (signature: string, kind: "openrouter" | "vllm") => {
      const { chat } = Result.getOrThrow(client.decode(bytes(turn(signature)), undefined))
      const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", { ...anyServer, ...kindNamed(kind).takes }))
      return { said: JSON.parse(decoder.decode(body)).messages[1], dropped }
    }
    const said = { role: "assistant", content: "High." }
    expect(sent("sig", "openrouter")).toEqual({
      said: { ...said, reasoning_details: [detail({ text: "Tides", signature: "sig" })] },
      dropped: []
    })
    expect(sent("nexus.unsigned", "openrouter")).toEqual({ said: { ...said, reasoning_content: "Tides" }, dropped: [] })
    expect(sent("sig", "vllm")).toEqual({
      said: { ...said, reasoning_content: "Tides" },
      dropped: ["thoughtSignature"]
    })
  })
})

describe("a call of one of Google's models that OpenRouter tells the signature of among its thoughts", () => {
  const router = { ...anyServer, ...kindNamed("openrouter").takes }
  const tools = [{ name: "f", input_schema: { type: "object" } }]
  const { chat } = Result.getOrThrow(client.decode(bytes({ ...asked, tools }), "m"))
  const reads = Result.getOrThrow(server.encode(chat, "google/gemini-3-pro", router)).answers
  const google = "google-gemini-v1"
  const thought = detail({ text: "Tides" }, google)
  const signature = { type: "reasoning.encrypted", data: "c2ln", id: "tool_0", format: google, index: 0 }
  const call = { index: 0, id: "tool_0", type: "function", function: { name: "f", arguments: "{}" } }
  const other = { ...call, index: 1, id: "tool_1" }
  const streamOf = (deltas: ReadonlyArray<object>) => {
    const choices = [...deltas.map((delta) => ({ delta })), { delta: {}, finish_reason: "tool_calls" }]
    const chunks = choices.map((each) => `data: ${JSON.stringify({ choices: [{ index: 0, ...each }] })}\n\n`)
    return transduce(reads.stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])
  }
  const message = {
    content: "",
    reasoning: "Tides",
    reasoning_details: [thought, signature],
    tool_calls: [call, other]
  }
  const whole = Result.getOrThrow(reads.whole(bytes({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] })))

  test("is signed so wherever that stands: before the call, with it, or behind it, whole and streamed", () => {
    const thinks = { reasoning: "Tides", reasoning_details: [thought] }
    const orders = [
      [thinks, { reasoning_details: [signature] }, { tool_calls: [call, other] }],
      [thinks, { reasoning_details: [signature], tool_calls: [call, other] }],
      [thinks, { tool_calls: [call, other] }, { content: "", reasoning_details: [signature] }]
    ]
    for (const events of [whole, ...orders.map(streamOf)]) {
      expect(events.filter(({ type }) => type === "call")).toEqual([
        { type: "call", call: 0, id: "tool_0", name: "f", signature: "c2ln" },
        { type: "call", call: 1, id: "tool_1", name: "f" }
      ])
      expect(events.filter(({ type }) => type === "arguments")).toHaveLength(2)
      expect(events.at(-1)).toEqual({ type: "done" })
    }
  })

  test("stays before a text that comes behind it", () => {
    const events = streamOf([{ tool_calls: [call] }, { content: "So." }])
    const types = events.map(({ type }) => type).filter((type) => type === "call" || type === "text")
    expect(types).toEqual(["call", "text"])
  })

  test("goes back to it there from a client of Messages, and to nobody who has another place for it", () => {
    const answers = answersTo(client, { ...asked, tools })
    const { content } = JSON.parse(decoder.decode(Result.getOrThrow(answers.whole(whole, context))))
    const results = ["tool_0", "tool_1"].map((id) => ({ type: "tool_result", tool_use_id: id, content: "x" }))
    const back = [...asked.messages, { role: "assistant", content }, { role: "user", content: results }]
    const next = Result.getOrThrow(client.decode(bytes({ ...asked, tools, messages: back }), "m")).chat
    const turnFor = (traits: typeof router) =>
      JSON.parse(decoder.decode(Result.getOrThrow(server.encode(next, "m", traits)).body)).messages[1]
    const turn = turnFor(router)
    expect(turn.reasoning_details).toEqual([thought, { ...signature, index: 1 }])
    expect(JSON.stringify(turn.tool_calls)).not.toContain("c2ln")
    const elsewhere = turnFor(anyServer)
    expect(elsewhere).not.toHaveProperty("reasoning_details")
    expect(elsewhere.tool_calls[0].extra_content.google.thought_signature).toBe("c2ln")
  })
})

describe("thoughts that OpenRouter keeps hidden, whoever has made the model", () => {
  const router = { ...anyServer, ...kindNamed("openrouter").takes }
  const format = "openai-responses-v1"
  const summary = { type: "reasoning.summary", summary: "Tides", format, index: 0 }
  const hidden = { type: "reasoning.encrypted", data: "gAAA", id: "rs_1", format, index: 0 }
  const call = { index: 0, id: "call_1", type: "function", function: { name: "f", arguments: "{}" } }
  const deltas = [
    { reasoning: "Tides", reasoning_details: [summary] },
    { reasoning_details: [hidden] },
    { tool_calls: [call] }
  ]
  const choices = [...deltas.map((delta) => ({ delta })), { delta: {}, finish_reason: "tool_calls" }]
  const chunks = choices.map((each) => `data: ${JSON.stringify({ choices: [{ index: 0, ...each }] })}\n\n`)
  const streamed = () => transduce(answersFrom(server).stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])
  const message = { content: null, reasoning: "Tides", reasoning_details: [summary, hidden], tool_calls: [call] }
  const whole = () =>
    Result.getOrThrow(
      answersFrom(server).whole(bytes({ choices: [{ index: 0, message, finish_reason: "tool_calls" }] }))
    )
  test.each(nextTurns)("go back as they came with the next turn of a client of %s", (_what, codec, request, next) => {
    for (const events of [whole(), streamed()]) {
      const answer = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(codec, request).whole(events, context))))
      const { chat } = Result.getOrThrow(codec.decode(bytes(next(answer)), "m"))
      const { body, dropped } = Result.getOrThrow(server.encode(chat, "openai/gpt-5", router))
      const { messages } = JSON.parse(decoder.decode(body))
      expect(messages[1].reasoning_details).toEqual([summary, hidden])
      expect(dropped).toEqual([])
      const other = Result.getOrThrow(server.encode(chat, "m", { ...anyServer, ...kindNamed("vllm").takes }))
      expect(decoder.decode(other.body)).not.toContain("nexus")
    }
  })

  test("go back without a word of them too, and to no server of Anthropic's", () => {
    const bare = { content: "High.", reasoning_details: [hidden] }
    const events = Result.getOrThrow(
      answersFrom(server).whole(bytes({ choices: [{ index: 0, message: bare, finish_reason: "stop" }] }))
    )
    const { content } = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(client, asked).whole(events, context))))
    const next = { ...asked, messages: [...asked.messages, { role: "assistant", content }, ...asked.messages] }
    const { chat } = Result.getOrThrow(client.decode(bytes(next), "m"))
    const sent = JSON.parse(decoder.decode(Result.getOrThrow(server.encode(chat, "openai/gpt-5", router)).body))
    expect(sent.messages[1]).toEqual({ role: "assistant", content: "High.", reasoning_details: [hidden] })
    expect(decoder.decode(anthropic.withoutSeals!(bytes(next)))).not.toContain("nexus")
    const claude = Result.getOrThrow(anthropic.operations[0].server!.encode(chat, "claude-sonnet-4-6", anyServer))
    expect(decoder.decode(claude.body)).not.toContain("nexus")
    // Who keeps nothing hidden is not told of thoughts without a word.
    for (const other of [server, ollamaServer]) {
      const { body } = Result.getOrThrow(other.encode(chat, "m", anyServer))
      expect(JSON.parse(decoder.decode(body)).messages[1]).toEqual({ role: "assistant", content: "High." })
    }
  })
})
