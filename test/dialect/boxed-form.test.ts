import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import type { ChatEvent, ClientCodec, ServerCodec, ServerTraits } from "../../src/dialect/chat.ts"
import { gemini } from "../../src/dialect/gemini/gemini.ts"
import { ollamaServer } from "../../src/dialect/ollama/native-request.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { transduce } from "../../src/dialect/Transducer.ts"
import { anyServer } from "../kit/codecs.ts"

const google = gemini.operations.find(({ client }) => client !== undefined)!.client!
const googleServer = gemini.operations.find(({ server }) => server !== undefined)!.server!
const chat = openai.operations[0].server!
const claude = anthropic.operations[0].server!
const original = { original: true, closedSchemas: true }

const encoder = new TextEncoder()
const bytes = (json: unknown): Uint8Array => encoder.encode(JSON.stringify(json))

const asking = (generationConfig: object, codec: ClientCodec = google) =>
  Result.getOrThrow(codec.decode(bytes({ contents: [{ parts: [{ text: "go" }] }], generationConfig }), "m")).chat

const told = (server: ServerCodec, generationConfig: object, traits: Partial<ServerTraits> = {}) =>
  Result.getOrThrow(server.encode(asking(generationConfig), "m", { ...anyServer, ...traits }))

const formIn = (body: Uint8Array) => JSON.parse(new TextDecoder().decode(body)).response_format.json_schema

const textOf = (events: ReadonlyArray<ChatEvent>): string =>
  events.map((event) => (event.type === "text" ? event.text : "")).join("")

const list = {
  responseMimeType: "application/json",
  responseJsonSchema: { type: "array", items: { $ref: "#/$defs/a" }, $defs: { a: { type: "string" } } }
}
const choice = { responseMimeType: "text/x.enum", responseSchema: { type: "STRING", enum: ["wind", "tide"] } }

const pieces = (text: string, cuts: ReadonlyArray<number>, finish_reason = "stop"): Uint8Array => {
  const places = [0, ...cuts.map((cut) => cut % (text.length + 1)).toSorted((a, b) => a - b), text.length]
  const parts = places.slice(1).map((to, at) => text.slice(places[at], to))
  const chunks = [...parts.map((content) => ({ index: 0, delta: { content } })), { index: 0, delta: {}, finish_reason }]
  return encoder.encode(
    `${chunks.map((each) => `data: ${JSON.stringify({ choices: [each] })}\n\n`).join("")}data: [DONE]\n\n`
  )
}

const wholeAnswer = (content: string) => bytes({ choices: [{ index: 0, message: { content }, finish_reason: "stop" }] })

describe("an answer in a box with a call", () => {
  const tool_calls = [{ index: 0, id: "c", type: "function", function: { name: "look", arguments: "{}" } }]
  const streamOf = (before: string, behind: string): Uint8Array =>
    encoder.encode(
      [{ content: before }, { tool_calls }, { content: behind }]
        .map((delta) => `data: ${JSON.stringify({ choices: [{ index: 0, delta }] })}\n\n`)
        .join("") + 'data: {"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n'
    )
  const order = (form: object, before: string, behind = "") =>
    transduce(told(chat, form, original).answers.stream, [streamOf(before, behind)]).flatMap((event) =>
      event.type === "text" ? [event.text] : event.type === "call" ? [event.name] : []
    )

  test("has what was said before the call before it, in the box or not", () => {
    expect(order(choice, "Let me look. ")).toEqual(["Let me look. ", "look"])
    expect(order(choice, '{"value":"wind"}')).toEqual(["wind", "look"])
    expect(order(list, '{"value":["a"]}').join("|")).toBe('["a"]|look')
  })

  test("has what comes behind it as it is, and in the box where nothing was said before", () => {
    expect(order(choice, "Let me look. ", "So: wind").join("|")).toBe("Let me look. |look|So: wind")
    expect(order(choice, "", '{"value":"wind"}').join("|")).toBe("look|wind")
  })
})

describe("a list that is to be answered, which OpenAI takes no form for,", () => {
  const { answers, body, dropped } = told(chat, list, original)

  test("is asked for as the one thing in an object", () => {
    expect(dropped).toEqual([])
    expect(formIn(body).schema).toEqual({
      type: "object",
      properties: { value: { type: "array", items: { $ref: "#/$defs/a" } } },
      required: ["value"],
      additionalProperties: false,
      $defs: { a: { type: "string" } }
    })
    expect(formIn(told(chat, list).body).schema).toEqual(list.responseJsonSchema)
  })

  test("is asked for with references to places in itself that still mean them", () => {
    const tree = {
      type: "array",
      items: { anyOf: [{ $ref: "#" }, { $ref: "#/items/anyOf/2" }, { $ref: "#/$defs/leaf" }, { $ref: "#named" }] },
      $defs: { leaf: { type: "array", items: { $ref: "#" } } }
    }
    const { schema } = formIn(told(chat, { ...list, responseJsonSchema: tree }, original).body)
    expect(schema.properties.value.items.anyOf).toEqual([
      { $ref: "#/properties/value" },
      { $ref: "#/properties/value/items/anyOf/2" },
      { $ref: "#/$defs/leaf" },
      { $ref: "#named" }
    ])
    expect(schema.$defs).toEqual({ leaf: { type: "array", items: { $ref: "#/properties/value" } } })
  })

  test("is all that its client is told, whole and streamed, however it is cut (law)", () =>
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), fc.array(fc.nat()), fc.nat({ max: 2 }), (value, cuts, space) => {
        const said = JSON.stringify({ value: [value] }, null, space)
        for (const events of [
          transduce(answers.stream, [pieces(said, cuts)]),
          Result.getOrThrow(answers.whole(wholeAnswer(said)))
        ])
          expect(JSON.parse(textOf(events))).toEqual(JSON.parse(JSON.stringify([value])))
      })
    ))

  test("is told as far as it has come where it was cut off, and what is no such object as it is", () => {
    const cut = transduce(answers.stream, [pieces('{"value":[{"a":{}', [3, 12], "length")])
    expect(textOf(cut)).toBe('[{"a":{}')
    expect(textOf(transduce(answers.stream, [pieces("I am sorry.}", [4])]))).toBe("I am sorry.}")
  })
})

describe("one of several words that is to be answered", () => {
  const servers: ReadonlyArray<readonly [string, ServerCodec]> = [
    ["chat completions", chat],
    ["Anthropic's", claude],
    ["Google's", googleServer],
    ["Ollama's", ollamaServer]
  ]

  test.each(servers)("is asked for in a form that servers of %s API take", (_, server) => {
    const text = new TextDecoder().decode(told(server, choice).body)
    expect(text).toContain('"enum":["wind","tide"]')
    expect(text).toContain('"value"')
  })

  test("is told by itself, without its quotes", () => {
    const { answers } = told(chat, choice)
    expect(textOf(Result.getOrThrow(answers.whole(wholeAnswer('{"value":"tide"}'))))).toBe("tide")
    expect(textOf(transduce(answers.stream, [pieces('{ "value": "tide" }', [5, 12])]))).toBe("tide")
    expect(textOf(transduce(answers.stream, [pieces("tide", [2])]))).toBe("tide")
    expect(textOf(transduce(answers.stream, [pieces('{"value":"tid', [4], "length")]))).toBe("tid")
  })
})
