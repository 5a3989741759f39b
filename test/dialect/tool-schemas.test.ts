import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import type { ClientCodec, ServerTraits } from "../../src/dialect/chat.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { responses } from "../../src/dialect/responses/responses.ts"
import { anyServer } from "../kit/codecs.ts"

const server = openai.operations[0].server!
const ofMessages = anthropic.operations[0].client!
const ofGemini = gemini.operations.find(({ client }) => client !== undefined)!.client!
const ofResponses = responses.operations.find(({ client }) => client !== undefined)!.client!

type Fields = Readonly<Record<string, unknown>>

const told = (codec: ClientCodec, request: Fields, traits: Partial<ServerTraits> = {}) => {
  const { chat } = Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify(request)), "m"))
  const { body, dropped } = Result.getOrThrow(server.encode(chat, "m", { ...anyServer, ...traits }))
  const { response_format: format, tools = [] } = JSON.parse(new TextDecoder().decode(body))
  return {
    format,
    tools: tools.map((tool: { readonly function: Fields }) => tool.function),
    dropped: [...dropped].sort()
  }
}

const go = [{ role: "user", content: "go" }]
const text = { type: "string" }
const result = { role: "tool", tool_call_id: "c", content: "done" }
const output = { type: "function_call_output", call_id: "c", output: "done" }

const claudes = (input_schema: unknown, more: Fields = {}) => ({
  model: "m",
  max_tokens: 9,
  messages: go,
  tools: [{ name: "f", input_schema, ...more }]
})

describe("a tool that takes nothing", () => {
  const nothing = { type: "object", properties: {} }

  test("says so as OpenAI wants it, in whatever way its client does", () => {
    const clients: ReadonlyArray<readonly [ClientCodec, (schema: unknown) => Fields]> = [
      [ofMessages, (schema) => claudes(schema)],
      [
        ofResponses,
        (parameters) => ({ model: "m", input: "go", tools: [{ type: "function", name: "f", parameters }] })
      ],
      [
        ofGemini,
        (parametersJsonSchema) => ({
          contents: [{ role: "user", parts: [{ text: "go" }] }],
          tools: [{ functionDeclarations: [{ name: "f", parametersJsonSchema }] }]
        })
      ]
    ]
    for (const [codec, asking] of clients) {
      for (const schema of [{}, { type: "object" }, { type: null }, { type: "object", properties: null }, undefined]) {
        expect(told(codec, asking(schema)).tools[0].parameters).toEqual(nothing)
      }
    }
  })

  test("keeps what else its schema says", () => {
    const closed = { type: "object", additionalProperties: false }
    expect(told(ofMessages, claudes(closed)).tools[0].parameters).toEqual({ ...closed, properties: {} })
  })
})

describe("a tool with a union at the top of what it takes", () => {
  const schema = { anyOf: [{ properties: { a: text } }, { properties: { b: text } }] }

  test("is told whole to who takes it, and with all its properties to OpenAI, who does not", () => {
    const asked = { model: "m", input: "go", tools: [{ type: "function", name: "f", parameters: schema }] }
    const other = told(ofResponses, asked)
    expect([other.tools[0].parameters, other.dropped]).toEqual([{ ...schema, type: "object" }, []])
    const original = told(ofResponses, asked, { original: true })
    expect(original.tools[0].parameters).toEqual({ type: "object", properties: { a: text, b: text } })
    expect(original.dropped).toEqual(["tools"])
  })
})

describe("a strict schema of a client of Anthropic's", () => {
  const whole = { type: "object", properties: { a: text }, required: ["a"], additionalProperties: false }
  const partly = { ...whole, required: [] }
  const cloud = { closedSchemas: true }

  test("is strict in a cloud that speaks as OpenAI does, where every part of it is closed and has all its properties", () => {
    const list = { ...whole, properties: { a: { type: "array", items: { anyOf: [whole, { $ref: "#/$defs/b" }] } } } }
    for (const schema of [whole, list, { ...whole, $defs: { b: whole } }]) {
      const { dropped, tools } = told(ofMessages, claudes(schema, { strict: true }), cloud)
      expect([tools[0].strict, dropped]).toEqual([true, []])
    }
  })

  test("is not strict there where a part of it is not, which OpenAI refuses, and that is named", () => {
    const within = (part: unknown) => ({ ...whole, properties: { a: part } })
    const unfit = [
      partly,
      { type: "object", properties: {} },
      within(partly),
      within({}),
      within({ type: "array", items: {} })
    ]
    for (const schema of [...unfit, within({ ...text, default: "b" }), { ...whole, $defs: { b: partly } }]) {
      for (const traits of [cloud, { original: true }]) {
        const { dropped, tools } = told(ofMessages, claudes(schema, { strict: true }), traits)
        expect([tools[0].parameters, tools[0].strict, dropped]).toEqual([schema, undefined, ["strict"]])
      }
      expect(told(ofMessages, claudes(schema, { strict: true })).tools[0].strict).toBe(true)
    }
  })

  test("is not strict at OpenAI where what is told there in place of its union is not", () => {
    const other = { ...whole, properties: { b: text }, required: ["b"] }
    const { anyOf, ...head } = { ...whole, anyOf: [whole, other] }
    const schema = { type: "object", additionalProperties: head.additionalProperties, anyOf }
    const { dropped, tools } = told(ofMessages, claudes(schema, { strict: true }), { original: true })
    expect(tools[0].strict).toBeUndefined()
    expect(dropped.toSorted()).toEqual(["strict", "tools"])
  })

  test("is the form of the answer all the same, strict where it may be", () => {
    const asked = (schema: unknown) => ({
      model: "m",
      max_tokens: 9,
      messages: go,
      output_config: { format: { type: "json_schema", schema } }
    })
    const form = (schema: unknown, traits = {}) => {
      const { dropped, format } = told(ofMessages, asked(schema), traits)
      return [format.json_schema, dropped]
    }
    expect(form(whole, cloud)).toEqual([{ name: "output", schema: whole, strict: true }, []])
    expect(form(partly, cloud)).toEqual([{ name: "output", schema: partly }, ["formatRules"]])
    expect(form(partly)).toEqual([{ name: "output", schema: partly, strict: true }, []])
  })
})

test("a call with an empty list for its arguments, as R and PHP write it, is one without any", () => {
  const called = { id: "c", type: "function", function: { name: "f", arguments: "[]" } }
  const clients: ReadonlyArray<readonly [ClientCodec, Fields]> = [
    [openai.operations[0].client!, { messages: [...go, { role: "assistant", tool_calls: [called] }, result] }],
    [ofResponses, { input: [{ type: "function_call", call_id: "c", name: "f", arguments: " [ ] " }, output] }],
    [
      ofMessages,
      {
        messages: [
          ...go,
          { role: "assistant", content: [{ type: "tool_use", id: "c", name: "f", input: [] }] },
          { role: "user", content: [{ type: "tool_result", tool_use_id: "c" }] }
        ]
      }
    ]
  ]
  for (const [codec, request] of clients) {
    const asked = new TextEncoder().encode(JSON.stringify({ model: "m", ...request }))
    const { chat } = Result.getOrThrow(codec.decode(asked, undefined))
    const items = chat.messages.flatMap((message) => (message.role === "assistant" ? message.items : []))
    expect(items).toEqual([{ type: "call", id: "c", name: "f", args: "{}" }])
  }
})

describe("a schema with one value alone, which Google's models are not held to as such,", () => {
  const google = gemini.operations.find((each) => each.server !== undefined)!.server!
  const schema = {
    type: "object",
    properties: {
      kind: { const: "gauge" },
      const: { anyOf: [{ const: 3 }, { type: "null" }] },
      default: { items: { const: "a", enum: ["a", "b"] }, default: { const: "kept" } },
      open: { const: true }
    },
    $defs: { one: { const: "x" } }
  }
  const held = {
    type: "object",
    properties: {
      kind: { enum: ["gauge"] },
      const: { anyOf: [{ enum: [3] }, { type: "null" }] },
      default: { items: { const: "a", enum: ["a", "b"] }, default: { const: "kept" } },
      open: { const: true }
    },
    $defs: { one: { enum: ["x"] } }
  }

  test("is told as an enumeration of it, of a tool and of the form of the answer", () => {
    const codec = openai.operations[0].client!
    const request = {
      model: "m",
      messages: go,
      tools: [{ type: "function", function: { name: "f", parameters: schema } }],
      response_format: { type: "json_schema", json_schema: { name: "n", schema } }
    }
    const { chat } = Result.getOrThrow(codec.decode(new TextEncoder().encode(JSON.stringify(request)), "m"))
    const { body } = Result.getOrThrow(google.encode(chat, "gemini-3-pro", anyServer))
    const { generationConfig, tools } = JSON.parse(new TextDecoder().decode(body))
    expect(tools[0].functionDeclarations[0].parametersJsonSchema).toEqual(held)
    expect(generationConfig.responseJsonSchema).toEqual(held)
  })
})
