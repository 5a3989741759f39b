import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { kindNamed } from "../../src/backend/all.ts"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { sealed } from "../../src/dialect/responses/reasoning-seal.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { sealedHidden } from "../../src/dialect/signatures.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer, answersFrom, answersTo } from "../kit/codecs.ts"

const server = openai.operations[0].server!

const encoder = new TextEncoder()
const decoder = new TextDecoder()
const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const asked = { model: "m", max_tokens: 9, messages: [{ role: "user", content: "go" }] }
const context = { model: "m", id: "z", now: 0, callIds: new Set<string>() }

describe("thoughts that Anthropic keeps hidden", () => {
  const claude = anthropic.operations[0].server!
  const hidden = { type: "redacted_thinking", data: "EqkE" }
  const hiddenSeal = sealedHidden("EqkE")
  const told = { type: "thinking", thinking: "Tides", signature: "c2ln" }
  const call = { type: "tool_use", id: "toolu_1", name: "f", input: {} }
  const content = [hidden, told, hidden, call]
  const message = { type: "message", role: "assistant", content, stop_reason: "tool_use", usage: {} }
  const blocks = content.flatMap((block, index) => [
    { type: "content_block_start", index, content_block: block },
    ...(block === told
      ? [{ type: "content_block_delta", index, delta: { type: "signature_delta", signature: "c2ln" } }]
      : []),
    { type: "content_block_stop", index }
  ])
  const stream = [
    { type: "message_start", message: { ...message, content: [] } },
    ...blocks,
    { type: "message_delta", delta: { stop_reason: "tool_use" }, usage: {} },
    { type: "message_stop" }
  ]
  const streamed = stream.map((each) => `event: ${each.type}\ndata: ${JSON.stringify(each)}\n\n`).join("")
  const both = [
    Result.getOrThrow(answersFrom(claude).whole(bytes(message))),
    transduce(answersFrom(claude).stream, [encoder.encode(streamed)])
  ]
  const clients = [
    [
      "chat completions",
      openai.operations[0].client!,
      { model: "m", messages: asked.messages, reasoning: { effort: "high" } },
      (answer: { readonly choices: ReadonlyArray<{ readonly message: object }> }) => ({
        model: "m",
        reasoning: { effort: "high" },
        messages: [
          ...asked.messages,
          answer.choices[0]!.message,
          { role: "tool", tool_call_id: "toolu_1", content: "x" }
        ]
      })
    ],
    [
      "Responses",
      responses.operations[0].client!,
      { model: "m", input: "go", include: ["reasoning.encrypted_content"] },
      (answer: { readonly output: ReadonlyArray<object> }) => ({
        model: "m",
        reasoning: { effort: "high" },
        input: [
          { role: "user", content: "go" },
          ...answer.output,
          { type: "function_call_output", call_id: "toolu_1", output: "x" }
        ]
      })
    ],
    [
      "Google's API",
      gemini.operations[0].client!,
      { contents: [{ parts: [{ text: "go" }] }], generationConfig: { thinkingConfig: { includeThoughts: true } } },
      (answer: { readonly candidates: ReadonlyArray<{ readonly content: object }> }) => ({
        generationConfig: { thinkingConfig: { thinkingLevel: "HIGH" } },
        contents: [
          { role: "user", parts: [{ text: "go" }] },
          answer.candidates[0]!.content,
          { role: "user", parts: [{ functionResponse: { id: "toolu_1", name: "f", response: { output: "x" } } }] }
        ]
      })
    ]
  ] as const

  test.each(clients)(
    "go back to it in their places from a client of %s, and it goes on thinking",
    (_, codec, request, next) => {
      for (const events of both) {
        const answer = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(codec, request).whole(events, context))))
        const { chat } = Result.getOrThrow(codec.decode(bytes(next(answer)), "m"))
        const { body, dropped } = Result.getOrThrow(claude.encode(chat, "claude-sonnet-4-5", anyServer))
        const { messages, thinking } = JSON.parse(decoder.decode(body))
        expect(messages[1].content).toEqual(content)
        expect([thinking.type, dropped]).toEqual(["enabled", []])
      }
    }
  )

  test.each(clients)("are told to nobody else by a client of %s, and then it is said", (_, codec, request, next) => {
    const answer = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(codec, request).whole(both[0]!, context))))
    const { chat } = Result.getOrThrow(codec.decode(bytes(next(answer)), "m"))
    const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", anyServer))
    expect(decoder.decode(body)).not.toMatch(/nexus|EqkE/)
    expect(dropped).toEqual(["thoughtSignature"])
  })

  test("leave out what was told before them and nobody has signed, and that is named", () => {
    const hiding = responses.operations[0].client!
    const item = { type: "reasoning", summary: [], encrypted_content: sealed({ text: "Ebb", signature: hiddenSeal }) }
    const request = {
      model: "m",
      input: [{ role: "user", content: "go" }, item, { role: "assistant", content: "So." }]
    }
    const { chat } = Result.getOrThrow(hiding.decode(bytes(request), "m"))
    const { body, dropped } = Result.getOrThrow(claude.encode(chat, "claude-sonnet-4-5", anyServer))
    expect(JSON.parse(decoder.decode(body)).messages[1].content[0]).toEqual(hidden)
    expect(dropped).toEqual(["reasoning"])
  })

  test("are told to OpenRouter as it tells of them itself", () => {
    const [, codec, request, next] = clients[1]
    const answer = JSON.parse(decoder.decode(Result.getOrThrow(answersTo(codec, request).whole(both[0]!, context))))
    const { chat } = Result.getOrThrow(codec.decode(bytes(next(answer)), "m"))
    const router = { ...anyServer, ...kindNamed("openrouter").takes }
    const { body, dropped } = Result.getOrThrow(server.encode(chat, "anthropic/claude-sonnet-4.5", router))
    const format = "anthropic-claude-v1"
    expect(JSON.parse(decoder.decode(body)).messages[1].reasoning_details).toEqual([
      { type: "reasoning.encrypted", data: "EqkE", format, index: 0 },
      { type: "reasoning.text", text: "Tides", signature: "c2ln", format, index: 1 },
      { type: "reasoning.encrypted", data: "EqkE", format, index: 2 }
    ])
    expect(dropped).toEqual([])
  })
})
