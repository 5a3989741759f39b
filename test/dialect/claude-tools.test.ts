import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"

const client = openai.operations[0].client!
const server = anthropic.operations[0].server!

type Fields = Readonly<Record<string, unknown>>

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json))

const text = { type: "string" }
const closed = (properties: Fields, required: ReadonlyArray<string> = Object.keys(properties)) => ({
  type: "object",
  properties,
  required,
  additionalProperties: false
})

/** What Claude is told of strict tools that take these, for a client of chat completions. */
const toldOf = (...schemas: ReadonlyArray<unknown>) => {
  const tools = schemas.map((parameters, at) => ({
    type: "function",
    function: { name: `f${at}`, parameters, strict: true }
  }))
  const asked = { model: "m", messages: [{ role: "user", content: "go" }], tools }
  const { chat } = Result.getOrThrow(client.decode(bytes(asked), undefined))
  const word = (field: keyof typeof client.words): string => client.words[field] ?? field
  const { body, dropped } = Result.getOrThrow(server.encode(chat, "claude-opus-4-8", { ...anyServer, word }))
  const told: ReadonlyArray<Fields> = JSON.parse(new TextDecoder().decode(body)).tools
  return {
    schemas: told.map(({ input_schema: schema }) => schema),
    strict: told.map(({ strict = false }) => strict),
    dropped: dropped.map(word)
  }
}

const unsaid = ["tools.function.strict"]

describe("a strict tool that Claude is told of", () => {
  test("is strict with the very schema that it came with, where Claude can be held to it", () => {
    const schema = closed({ city: text, days: { type: ["integer", "null"] } })
    expect(toldOf(schema)).toEqual({ schemas: [schema], strict: [true], dropped: [] })
  })

  test("has its objects closed, which Claude refuses otherwise", () => {
    const open = { type: "object", properties: { at: { type: "object", properties: { x: text } } }, required: ["at"] }
    const { additionalProperties, properties } = toldOf(open).schemas[0] as ReturnType<typeof closed>
    expect([additionalProperties, properties]).toEqual([
      false,
      { at: { type: "object", properties: { x: text }, additionalProperties: false } }
    ])
  })

  test("is told whole and not strict, which is named, where its schema says what Claude refuses in a strict one", () => {
    for (const odd of [{ type: "integer", minimum: 1 }, { type: "string", pattern: "^a" }, { type: "object" }, {}]) {
      const schema = closed({ odd })
      expect(toldOf(schema)).toEqual({ schemas: [schema], strict: [false], dropped: unsaid })
    }
    const open = { type: "object", properties: { a: text }, additionalProperties: { type: "string" } }
    expect(toldOf(open)).toEqual({ schemas: [open], strict: [false], dropped: unsaid })
    expect(toldOf({ type: "object", anyOf: [closed({ a: text })] }).strict).toEqual([false])
  })

  test("is not strict beyond what Claude can be held to in one request, and the others are", () => {
    const plain = closed({ a: text })
    const many = toldOf(...Array.from({ length: 22 }, () => plain))
    expect(many.strict.filter((strict) => strict === true)).toHaveLength(20)
    expect(many.strict.slice(20)).toEqual([false, false])
    expect(many.dropped).toEqual(unsaid)

    const names = Array.from({ length: 25 }, (_, at) => `p${at}`)
    const optional = closed(Object.fromEntries(names.map((name) => [name, text])), [])
    expect(toldOf(plain, optional, plain).strict).toEqual([true, false, true])

    const either = { anyOf: [text, { type: "null" }] }
    const unions = closed({ list: { type: "array", items: closed(Object.fromEntries(names.map((n) => [n, either]))) } })
    expect(toldOf(unions, plain).strict).toEqual([false, true])
  })
})

describe("what Anthropic's betas leave in a conversation", () => {
  const read = (messages: ReadonlyArray<Fields>) => {
    const tools = [{ name: "f", input_schema: { type: "object" }, defer_loading: true }]
    const asked = bytes({ model: "m", max_tokens: 9, messages, tools })
    return Result.getOrThrow(anthropic.operations[0].client!.decode(asked, undefined))
  }
  const go = { role: "user", content: "go" }

  test("is told on where it is words, and named where it is none, so that another model can go on with it", () => {
    const content = [
      { type: "compaction", content: "They said hello." },
      { type: "fallback", from: { model: "one" }, to: { model: "other" } },
      { type: "text", text: "And then?" }
    ]
    const { chat, dropped } = read([go, { role: "assistant", content }, go])
    expect(chat.messages[1]).toEqual({
      role: "assistant",
      items: [
        { type: "text", text: "They said hello." },
        { type: "text", text: "And then?" }
      ]
    })
    expect(dropped).toEqual(["messages[1].content[1]", "tools.defer_loading"])
  })

  test("adds no words where a tool is added, which is told of among all the others", () => {
    const added = { type: "tool_addition", tool: { type: "tool_reference", name: "f" } }
    const { chat, dropped } = read([go, { role: "system", content: [added] }])
    expect(chat.messages).toEqual([{ role: "user", parts: [{ type: "text", text: "go" }] }])
    expect([chat.tools.length, dropped]).toEqual([1, ["messages[1].content[0]", "tools.defer_loading"]])
  })
})
