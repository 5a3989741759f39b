import { describe, expect, test } from "bun:test"
import { askedSettings, idAtHead, toldIn } from "../../src/dialect/told-facts.ts"
import { EventWatch } from "../../src/dialect/openai/event-watch.ts"
import { GeminiWatch } from "../../src/dialect/gemini/gemini-watch.ts"
import { OllamaWatch } from "../../src/dialect/ollama/ollama-watch.ts"
import { ResponsesWatch } from "../../src/dialect/responses/responses-watch.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const event = (data: unknown): string => `data: ${JSON.stringify(data)}\n\n`

describe("what a request asks of its answer is read where each dialect has it", () => {
  const asked = { temperature: 0.5, topP: 0.9, topK: 40, seed: 7 }
  const plain = { temperature: 0.5, top_p: 0.9, top_k: 40, seed: 7 }
  test.each([
    ["OpenAI's", { ...plain, n: 2, presence_penalty: 1 }, { ...asked, choices: 2, presencePenalty: 1 }],
    ["Responses", { ...plain, reasoning: { effort: "high" } }, { ...asked, effort: "high" }],
    ["Ollama's", { options: plain }, asked],
    ["Google's", { generationConfig: { temperature: 0.5, topP: 0.9, topK: 40, seed: 7, candidateCount: 1 } }, asked]
  ])("%s", (_, json, expected) => {
    expect(JSON.parse(JSON.stringify(askedSettings(json)))).toEqual(expected)
  })

  test("and what is of another kind, or too long, is left out", () => {
    const odd = { temperature: "0.5", top_p: null, top_k: 1.5, seed: Number.MAX_VALUE, n: {}, reasoning: "high" }
    const words = { reasoning_effort: "x".repeat(41), options: [] }
    expect(JSON.parse(JSON.stringify(askedSettings({ ...odd, ...words })))).toEqual({})
  })
})

describe("an answer tells its id and why it ended", () => {
  test.each([
    [
      "OpenAI's",
      { id: "a", choices: [{ finish_reason: "stop" }, { finish_reason: "length" }] },
      "a",
      ["stop", "length"]
    ],
    ["Anthropic's", { id: "a", content: [], stop_reason: "end_turn" }, "a", ["end_turn"]],
    ["Google's", { responseId: "a", candidates: [{ finishReason: "STOP" }] }, "a", ["STOP"]],
    ["Ollama's", { done: true, done_reason: "stop" }, undefined, ["stop"]],
    ["Responses", { id: "a", object: "response", status: "completed" }, "a", ["completed"]],
    [
      "Responses that were cut",
      { id: "a", object: "response", status: "incomplete", incomplete_details: { reason: "max_output_tokens" } },
      "a",
      ["max_output_tokens"]
    ],
    ["nobody's", { id: 7, choices: "x", status: "odd" }, undefined, []]
  ])("%s, whole", (_, json, id, finishes) => expect(toldIn(json)).toEqual({ id, finishes }))

  test("of no more choices than sixteen, and of no word that is a text", () => {
    const choices = Array.from({ length: 40 }, () => ({ finish_reason: "stop" }))
    expect(toldIn({ choices }).finishes).toHaveLength(16)
    expect(toldIn({ choices: [{ finish_reason: "because of\nthis" }], id: "x".repeat(129) })).toEqual({
      id: undefined,
      finishes: []
    })
  })

  const choice = (index: number, finish: string | null) => ({
    id: "chatcmpl-1",
    choices: [{ index, delta: {}, finish_reason: finish }]
  })
  test.each([
    [
      "OpenAI's",
      () => new EventWatch(),
      event(choice(0, null)) + event(choice(1, "length")) + event(choice(0, "stop")) + "data: [DONE]\n\n",
      "chatcmpl-1",
      ["stop", "length"]
    ],
    [
      "Google's",
      () => new GeminiWatch(),
      event({ responseId: "g1", candidates: [{ content: {} }] }) + event({ candidates: [{ finishReason: "STOP" }] }),
      "g1",
      ["STOP"]
    ],
    [
      "Ollama's",
      () => new OllamaWatch(),
      '{"message":{"content":"a"},"done":false}\n{"done":true,"done_reason":"length"}\n',
      undefined,
      ["length"]
    ],
    [
      "Responses",
      () => new ResponsesWatch(),
      event({ type: "response.created", response: { id: "resp_1" } }) +
        event({ type: "response.completed", response: { id: "resp_1", status: "completed", output: [] } }),
      "resp_1",
      ["completed"]
    ]
  ] as const)("%s, as a stream, however it is cut", (_, made, text, id, finishes) => {
    for (const size of [1, 7, text.length]) {
      const watch = made()
      const all = bytes(text)
      for (let from = 0; from < all.length; from += size) watch.push(all.subarray(from, from + size))
      expect(watch.finishes()).toEqual([...finishes])
    }
    expect(idAtHead(bytes(text))).toBe(id)
  })

  test("a response that repeats long instructions says its id all the same, and no other that stands in it", () => {
    const long = "x".repeat(5000)
    const created = (response: object) => bytes(event({ type: "response.created", sequence_number: 0, response }))
    expect(idAtHead(created({ id: "resp_1", object: "response", instructions: long }))).toBe("resp_1")
    expect(
      idAtHead(created({ instructions: '"id": "no"', tools: [{ id: "tool" }], more: long, id: "r" }))
    ).toBeUndefined()
    expect(idAtHead(created({ id: long }))).toBeUndefined()
    expect(idAtHead(bytes(event({ id: "chatcmpl-1", choices: [{ delta: { content: long } }] })))).toBe("chatcmpl-1")
    expect(idAtHead(bytes(event({ choices: [{ id: "no", delta: { content: long } }] })))).toBeUndefined()
  })

  test("and of a stream that has said neither, nothing", () => {
    const watch = new EventWatch()
    watch.push(bytes(event({ choices: [{ index: 0, delta: { content: "a", id: "call-1" } }] })))
    expect(watch.finishes()).toEqual([])
    expect(idAtHead(bytes(event({ choices: [{ delta: { tool_calls: [{ id: "call-1" }] } }] })))).toBeUndefined()
  })
})
