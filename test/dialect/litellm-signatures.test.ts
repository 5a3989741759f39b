import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { sealedBlock } from "../../src/dialect/signatures.ts"
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

describe("what LiteLLM tells a model to have signed", () => {
  const tidesSigned = { type: "thinking", thinking: "Tides", signature: "sig" }
  // Whose it is can be told by it: LiteLLM takes it back in a form of its own.
  const tidesTold = { ...tidesSigned, signature: sealedBlock("sig") }
  const contentOf = (message: object) => {
    const answer = { choices: [{ index: 0, message: { role: "assistant", ...message }, finish_reason: "stop" }] }
    const events = Result.getOrThrow(answersFrom(server).whole(bytes(answer)))
    return JSON.parse(decoder.decode(Result.getOrThrow(answersTo(client, asked).whole(events, context)))).content
  }

  test("is signed so to a client of Messages: thoughts in blocks, whole", () => {
    const message = { content: "High.", reasoning_content: "Tides", thinking_blocks: [tidesSigned] }
    expect(contentOf(message)).toEqual([tidesTold, { type: "text", text: "High." }])
    const beside = {
      content: "High.",
      reasoning_content: "Tides",
      provider_specific_fields: { thinking_blocks: [tidesSigned] }
    }
    expect(contentOf(beside)).toEqual([tidesTold, { type: "text", text: "High." }])
    expect(contentOf({ ...message, ...beside })).toEqual([tidesTold, { type: "text", text: "High." }])
  })

  test("is signed so to a client of Messages: thoughts in blocks, streamed", () => {
    const deltas = [
      { reasoning_content: "Ti", thinking_blocks: [{ type: "thinking", thinking: "Ti", signature: null }] },
      { reasoning_content: "des", thinking_blocks: [{ type: "thinking", thinking: "des", signature: "" }] },
      { reasoning_content: "", thinking_blocks: [{ type: "thinking", thinking: "", signature: "sig" }] },
      { content: "High." }
    ]
    const chunks = [...deltas.map((delta) => ({ delta })), { delta: {}, finish_reason: "stop" }].map(
      (choice) => `data: ${JSON.stringify({ choices: [{ index: 0, ...choice }] })}\n\n`
    )
    const events = transduce(answersFrom(server).stream, [encoder.encode(`${chunks.join("")}data: [DONE]\n\n`)])
    const told = decoder.decode(Buffer.concat([...transduce(answersTo(client, asked).stream(context), events)]))
    expect(told).toContain(`"delta":{"type":"signature_delta","signature":"${sealedBlock("sig")}"}`)
    expect(told).not.toContain("nexus.unsigned")
    expect(told.match(/thinking_delta/g)).toHaveLength(2)
  })

  const hidden = { type: "redacted_thinking", data: "abc" }
  const call = { id: "call_1", type: "function", function: { name: "f", arguments: "{}" } }
  const message = {
    content: null,
    reasoning_content: "Tides",
    thinking_blocks: [tidesSigned, hidden],
    tool_calls: [call]
  }
  const turn = (more: object = {}) =>
    Result.getOrThrow(
      answersFrom(server).whole(
        bytes({ choices: [{ index: 0, message: { ...message, ...more }, finish_reason: "tool_calls" }] })
      )
    )
  test.each(nextTurns)("goes back to it with the next turn of a client of %s", (_, codec, request, next) => {
    const answer = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(codec, request).whole(turn(), context))))
    const { chat } = Result.getOrThrow(codec.decode(bytes(next(answer)), "m"))
    const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", anyServer))
    expect(JSON.parse(decoder.decode(body)).messages[1]).toMatchObject({
      reasoning_content: "Tides",
      thinking_blocks: [tidesSigned, hidden]
    })
    expect(dropped).toEqual([])
  })

  test("goes to others as they know it, and where they do not is named", () => {
    const { content } = JSON.parse(
      decoder.decode(
        Result.getOrThrow(answersTo(client, asked).whole(turn({ thinking_blocks: [tidesSigned] }), context))
      )
    )
    const result = { role: "user", content: [{ type: "tool_result", tool_use_id: "call_1", content: "x" }] }
    const next = { ...asked, messages: [...asked.messages, { role: "assistant", content }, result] }
    const { chat } = Result.getOrThrow(client.decode(bytes(next), "m"))
    const sent = (to: typeof server, more: object, model = "m") => {
      const { body, dropped } = Result.getOrThrow(to.encode(chat, model, { ...anyServer, ...more }))
      return { turn: JSON.parse(decoder.decode(body)).messages[1], dropped }
    }
    const claude = anthropic.operations[0].server!
    expect(sent(claude, {}, "claude-sonnet-4-6").turn.content[0]).toEqual(tidesSigned)
    const router = kindNamed("openrouter").takes
    expect(sent(server, router, "anthropic/claude-sonnet-4.6").turn.reasoning_details).toEqual([
      detail({ text: "Tides", signature: "sig" })
    ])
    const strict = sent(server, { isStrict: true })
    expect([Object.keys(strict.turn), strict.dropped]).toEqual([
      ["role", "content", "reasoning_content", "tool_calls"],
      ["thoughtSignature"]
    ])
    // As bytes of its own dialect as well.
    const passed = JSON.parse(decoder.decode(anthropic.withoutSeals!(bytes(next))))
    expect(passed.messages[1].content).toEqual([tidesSigned, content[1]])
    expect(passed.messages[2]).toEqual(result)
  })

  test("goes to nobody whom it was not told by: what Anthropic itself has signed is named there", () => {
    const next = {
      ...asked,
      messages: [
        ...asked.messages,
        { role: "assistant", content: [tidesSigned, { type: "text", text: "High." }] },
        ...asked.messages
      ]
    }
    const { chat } = Result.getOrThrow(client.decode(bytes(next), "m"))
    const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", anyServer))
    expect(decoder.decode(body)).not.toContain("thinking_blocks")
    expect(dropped).toEqual(["thoughtSignature"])
  })

  test("is signed so to a client of Google's: a call", () => {
    const google = gemini.operations.find((each) => each.client !== undefined)!.client!
    const call = {
      id: "a",
      type: "function",
      function: { name: "f", arguments: "{}" },
      provider_specific_fields: { thought_signature: "c2ln" }
    }
    const answer = {
      choices: [{ index: 0, message: { content: null, tool_calls: [call] }, finish_reason: "tool_calls" }]
    }
    const events = Result.getOrThrow(answersFrom(server).whole(bytes(answer)))
    const answers = answersTo(google, { contents: [{ parts: [{ text: "go" }] }] }, "m")
    expect(decoder.decode(Result.getOrThrow(answers.whole(events, context)))).toContain('"thoughtSignature":"c2ln"')
  })
})
