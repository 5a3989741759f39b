import { describe, expect, test } from "bun:test"
import { textsOfAnswer, textsOfRequest } from "../../src/dialect/shown-texts.ts"

const shown = (body: object) =>
  textsOfRequest(structuredClone(body) as Record<string, unknown>).texts.map(
    ({ kind, role, text }) => `${role} ${kind}: ${text}`
  )

const answered = (body: object) =>
  textsOfAnswer(structuredClone(body) as Record<string, unknown>).texts.map(({ kind, text }) => `${kind}: ${text}`)

const image = "aW1hZ2U="

describe("what is shown of a request", () => {
  test("is all that a chat says, with what tools were called with and gave, and no picture", () => {
    const body = {
      model: "m",
      messages: [
        { role: "developer", content: "be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "look" },
            { type: "image_url", image_url: { url: image } }
          ]
        },
        {
          role: "assistant",
          content: null,
          tool_calls: [{ id: "c", type: "function", function: { name: "f", arguments: '{"a":1}' } }]
        },
        { role: "tool", tool_call_id: "c", content: "found" }
      ],
      tools: [{ type: "function", function: { name: "f", description: "finds", parameters: { type: "object" } } }]
    }
    expect(shown(body).sort()).toEqual([
      'assistant arguments: {"a":1}',
      "system text: be brief",
      "system tool: finds",
      "tool text: found",
      "user text: look"
    ])
    const { media, texts } = textsOfRequest(body)
    expect(media).toBe(1)
    expect(texts.map(({ message, name }) => [message, name])).toContainEqual([2, "f"])
  })

  test("is all that Messages says, its documents and results included", () => {
    expect(
      shown({
        model: "m",
        system: [{ type: "text", text: "rules", cache_control: { type: "ephemeral" } }],
        messages: [
          {
            role: "user",
            content: [
              { type: "document", source: { type: "text", media_type: "text/plain", data: "paper" } },
              { type: "image", source: { type: "base64", media_type: "image/png", data: image } },
              { type: "tool_result", tool_use_id: "t", content: [{ type: "text", text: "gave" }] }
            ]
          },
          {
            role: "assistant",
            content: [
              { type: "thinking", thinking: "hm", signature: "s" },
              { type: "tool_use", id: "t", name: "f", input: { q: 1, deep: ["x"] } }
            ]
          }
        ]
      })
    ).toEqual([
      "system text: rules",
      "user text: paper",
      "tool text: gave",
      "assistant reasoning: hm",
      'assistant arguments: {"q":1,"deep":["x"]}'
    ])
  })

  test("is all that Responses, Gemini, Ollama and plain prompts say", () => {
    expect(
      shown({
        instructions: "rules",
        input: [
          {
            role: "user",
            content: [
              { type: "input_text", text: "hi" },
              { type: "input_image", image_url: image }
            ]
          },
          { type: "function_call", call_id: "c", name: "f", arguments: "{}" },
          { type: "function_call_output", call_id: "c", output: "gave" }
        ]
      })
    ).toEqual(["system text: rules", "user text: hi", "assistant arguments: {}", "tool text: gave"])
    expect(
      shown({
        systemInstruction: { parts: [{ text: "rules" }] },
        contents: [
          { role: "user", parts: [{ text: "hi" }, { inlineData: { mimeType: "image/png", data: image } }] },
          { role: "model", parts: [{ functionCall: { name: "f", args: { a: "b" } } }] },
          { role: "user", parts: [{ functionResponse: { name: "f", response: { c: "d" } } }] }
        ]
      })
    ).toEqual(["system text: rules", "user text: hi", 'assistant arguments: {"a":"b"}', 'tool text: {"c":"d"}'])
    expect(shown({ model: "m", messages: [{ role: "user", content: "hi", images: [image] }] })).toEqual([
      "user text: hi"
    ])
    expect(shown({ prompt: ["a", "b"], suffix: "c" })).toEqual(["user text: a", "user text: b", "user text: c"])
    expect(shown({ input: "a" })).toEqual(["user text: a"])
    expect(shown({ query: "q", documents: ["d", { text: "e" }] })).toEqual([
      "user text: q",
      "user text: d",
      "user text: e"
    ])
  })

  test("is a field that nobody has heard of, inside of what is said", () => {
    expect(shown({ messages: [{ role: "user", content: [{ type: "novel", essay: "hi" }] }] })).toEqual([
      "user text: hi"
    ])
  })

  test("takes other words in the place of each text, and JSON alone in the place of JSON", () => {
    const body = {
      messages: [
        { role: "user", content: "hi" },
        { role: "assistant", content: [{ type: "tool_use", name: "f", input: { a: 1 } }] }
      ]
    }
    const [said, called] = textsOfRequest(body).texts
    expect(said?.put("other")).toBe(true)
    expect([called?.put("no"), called?.put("[1]"), called?.put('{"b":2}')]).toEqual([false, false, true])
    expect(JSON.stringify(body)).toBe(
      '{"messages":[{"role":"user","content":"other"},{"role":"assistant","content":[{"type":"tool_use","name":"f","input":{"b":2}}]}]}'
    )
  })
})

describe("what is shown of an answer", () => {
  test("is what the model says, thinks and calls, in every dialect", () => {
    expect(
      answered({
        id: "x",
        object: "chat.completion",
        model: "m",
        choices: [
          {
            index: 0,
            message: {
              role: "assistant",
              content: "hi",
              reasoning_content: "hm",
              tool_calls: [{ id: "c", function: { name: "f", arguments: "{}" } }]
            },
            finish_reason: "stop"
          }
        ],
        usage: {}
      })
    ).toEqual(["text: hi", "reasoning: hm", "arguments: {}"])
    expect(answered({ choices: [{ index: 0, text: "hi" }] })).toEqual(["text: hi"])
    expect(
      answered({
        type: "message",
        role: "assistant",
        content: [
          { type: "thinking", thinking: "hm", signature: "s" },
          { type: "text", text: "hi" },
          { type: "tool_use", id: "t", name: "f", input: { a: 1 } }
        ],
        stop_reason: "end_turn"
      })
    ).toEqual(["reasoning: hm", "text: hi", 'arguments: {"a":1}'])
    expect(
      answered({
        object: "response",
        output: [
          { type: "message", role: "assistant", content: [{ type: "output_text", text: "hi", annotations: [] }] }
        ]
      })
    ).toEqual(["text: hi"])
    expect(
      answered({
        model: "m",
        message: { role: "assistant", content: "hi", thinking: "hm" },
        done: true,
        done_reason: "stop"
      })
    ).toEqual(["text: hi", "reasoning: hm"])
    expect(answered({ model: "m", response: "hi", done: true })).toEqual(["text: hi"])
    expect(
      answered({
        candidates: [
          { content: { role: "model", parts: [{ text: "hm", thought: true }, { text: "hi" }] }, finishReason: "STOP" }
        ],
        modelVersion: "m"
      })
    ).toEqual(["reasoning: hm", "text: hi"])
  })

  test("is nothing of vectors", () => {
    expect(
      answered({ object: "list", data: [{ object: "embedding", index: 0, embedding: "AAAA" }], model: "m" })
    ).toEqual([])
  })
})
