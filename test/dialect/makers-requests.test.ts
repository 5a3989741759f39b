import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"

const client = openai.operations[0].client!
const messagesClient = anthropic.operations[0].client!
const chatServer = openai.operations[0].server!
const messagesServer = anthropic.operations[0].server!
const geminiServer = gemini.operations.find(({ server }) => server !== undefined)!.server!

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json))

const go = { role: "user", content: "go" }

const asked = (codec: typeof client, request: object, server: typeof chatServer, model = "m") => {
  const { chat } = Result.getOrThrow(codec.decode(bytes({ model, messages: [go], ...request }), undefined))
  const { body } = Result.getOrThrow(server.encode(chat, model, anyServer))
  return JSON.parse(new TextDecoder().decode(body))
}

describe("a model of Mistral's, whoever serves it,", () => {
  const ids = ["toolu_a1_1", "Abc123xyz", "toolu_a1_2"]
  const request = {
    max_tokens: 9,
    tools: [{ name: "f", input_schema: { type: "object" } }],
    messages: [
      go,
      { role: "assistant", content: ids.map((id) => ({ type: "tool_use", id, name: "f", input: {} })) },
      { role: "user", content: ids.map((id) => ({ type: "tool_result", tool_use_id: id, content: id })) }
    ]
  }
  const told = (model: string) => {
    const [, { tool_calls: calls }, ...results] = asked(messagesClient, request, chatServer, model).messages
    return {
      calls: calls.map(({ id }: { readonly id: string }) => id),
      results: results.map((each: { readonly tool_call_id: string }) => each.tool_call_id)
    }
  }

  test("is told ids of calls in nine letters and digits, those that are so as they came", () => {
    for (const model of ["mistral-large-latest", "Ministral-8B", "devstral-small", "mistralai/Mixtral-8x7B"]) {
      const { calls, results } = told(model)
      expect(calls[1]).toBe("Abc123xyz")
      expect(calls.every((id: string) => /^[A-Za-z0-9]{9}$/.test(id))).toBe(true)
      expect(new Set(calls).size).toBe(3)
      expect(results).toEqual(calls)
    }
    expect(told("qwen3").calls).toEqual(ids)
  })
})

describe("that some tool is to be called", () => {
  const tools = [{ type: "function", function: { name: "f", parameters: { type: "object", properties: {} } } }]
  const choiceFor = (tool_choice: unknown) => asked(client, { tools, tool_choice }, messagesServer).tool_choice

  test("is understood in the words of Mistral and of Anthropic", () => {
    for (const choice of ["required", "any", { type: "any" }, { type: "required" }]) {
      expect(choiceFor(choice)).toEqual({ type: "any" })
    }
    expect(choiceFor({ type: "auto" })).toEqual({ type: "auto" })
    expect(choiceFor({ type: "tool", name: "f" })).toEqual({ type: "tool", name: "f" })
  })
})

describe("a film", () => {
  const film = (url: string) => ({
    messages: [{ role: "user", content: [{ type: "video_url", video_url: { url } }] }]
  })

  test("reaches one of Google's models, which looks at it", () => {
    const { contents } = asked(client, film("data:video/mp4;base64,AAAA"), geminiServer)
    expect(contents[0].parts).toEqual([{ inlineData: { mimeType: "video/mp4", data: "AAAA" } }])
  })

  test("is refused where nobody looks at it, and where it would have to be fetched", () => {
    const chat = (url: string) => client.decode(bytes({ model: "m", ...film(url) }), undefined)
    const { chat: read } = Result.getOrThrow(chat("data:video/mp4;base64,AAAA"))
    expect(Result.isFailure(messagesServer.encode(read, "m", anyServer))).toBe(true)
    expect(Result.isFailure(chat("https://films.invalid/a.mp4"))).toBe(true)
  })
})
