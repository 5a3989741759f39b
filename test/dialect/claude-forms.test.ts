import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import { anyServer } from "../kit/codecs.ts"

const client = openai.operations[0].client!
const server = anthropic.operations[0].server!

type Fields = Readonly<Record<string, unknown>>

const bytes = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json))

/** What Claude is asked for a client of chat completions that wants an answer of this form. */
const askedFor = (schema: unknown) => {
  const asked = {
    model: "m",
    messages: [{ role: "user", content: "go" }],
    response_format: { type: "json_schema", json_schema: { name: "n", schema } }
  }
  const { chat } = Result.getOrThrow(client.decode(bytes(asked), undefined))
  const word = (field: keyof typeof client.words): string => client.words[field] ?? field
  const { body, dropped } = Result.getOrThrow(server.encode(chat, "claude-opus-4-8", { ...anyServer, word }))
  const { output_config: output, system } = JSON.parse(new TextDecoder().decode(body))
  return { schema: output?.format.schema, system, dropped: dropped.map(word) }
}

const object = (properties: Fields, more: Fields = {}) => ({ type: "object", properties, ...more })
const closed = (properties: Fields, more: Fields = {}) => object(properties, { ...more, additionalProperties: false })

describe("the form of an answer that Claude is asked for", () => {
  test("is the very same where it is one that Claude takes", () => {
    const schema = closed(
      {
        a: { type: ["string", "null"], enum: ["x", null], description: "A" },
        b: { type: "array", minItems: 1, items: { $ref: "#/$defs/b" } },
        c: { anyOf: [{ type: "string", format: "date" }, { type: "null" }], default: null }
      },
      { required: ["a"], $defs: { b: closed({ at: { type: "number" } }) } }
    )
    expect(askedFor(schema)).toEqual({ schema, system: undefined, dropped: [] })
  })

  test("has its objects closed wherever they stand, as Claude wants them", () => {
    const { dropped, schema } = askedFor({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      ...object({
        a: object({ b: { type: "string" } }),
        c: { type: "array", items: object({ d: { type: "integer" } }) }
      }),
      $defs: { e: object({ f: { type: "boolean" } }) }
    })
    expect(schema).toEqual(
      closed(
        { a: closed({ b: { type: "string" } }), c: { type: "array", items: closed({ d: { type: "integer" } }) } },
        { $defs: { e: closed({ f: { type: "boolean" } }) } }
      )
    )
    expect(dropped).toEqual([])
  })

  test("tells what Claude cannot be held to in a description, and names that", () => {
    const { dropped, schema } = askedFor(
      object(
        {
          age: { type: "integer", minimum: 0, maximum: 150, description: "In years" },
          name: { type: "string", minLength: 1, pattern: "^A" },
          tags: { type: "array", items: { type: "string" }, minItems: 2 }
        },
        { additionalProperties: true }
      )
    )
    expect(schema).toEqual(
      closed({
        age: { type: "integer", description: "In years\n\n{minimum: 0, maximum: 150}" },
        name: { type: "string", description: '{minLength: 1, pattern: "^A"}' },
        tags: { type: "array", items: { type: "string" }, description: "{minItems: 2}" }
      })
    )
    expect(dropped).toEqual(["response_format.json_schema.schema"])
  })

  test("has one of several branches where all but one would be too much to ask", () => {
    const { dropped, schema } = askedFor(
      object({ a: { oneOf: [{ type: "string" }, object({ b: { type: "null" } })] } })
    )
    expect(schema).toEqual(closed({ a: { anyOf: [{ type: "string" }, closed({ b: { type: "null" } })] } }))
    expect(dropped).toEqual([])
  })

  test("is one with what a lone branch says of it, as libraries for Python write it", () => {
    const $defs = { b: closed({ at: { type: "number" } }) }
    const { dropped, schema } = askedFor(
      object(
        {
          a: { allOf: [{ $ref: "#/$defs/b" }], description: "A" },
          c: { description: "C", allOf: [object({ d: { type: "string" } })] }
        },
        { $defs }
      )
    )
    const c = closed({ d: { type: "string" } }, { description: "C" })
    expect(schema).toEqual(closed({ a: { $ref: "#/$defs/b" }, c }, { $defs }))
    expect(dropped).toEqual([])
  })

  test("is asked for however deeply it is nested", () => {
    let schema: Fields = { type: "string" }
    for (let depth = 0; depth < 20_000; depth += 1) schema = { type: "array", items: schema }
    expect(() => askedFor(schema)).not.toThrow()
  })

  test.each<readonly [string, unknown]>([
    ["an object of any names", object({ m: { type: "object", additionalProperties: { type: "string" } } })],
    ["an object of whatever there is", { type: "object" }],
    ["a value of any type", object({ any: {} })],
    [
      "a definition within itself",
      object({ a: { $ref: "#/$defs/t" } }, { $defs: { t: object({ t: { $ref: "#/$defs/t" } }) } })
    ],
    // Closed each for itself they would let nothing pass.
    ["an object in several branches", { allOf: [object({ a: { type: "null" } }), object({ b: { type: "null" } })] }],
    ["an object with more in a branch", object({ a: { type: "null" } }, { allOf: [object({ b: { type: "null" } })] })],
    [
      "an object with more in one of them",
      object({ a: { type: "null" } }, { oneOf: [object({ b: { type: "null" } })] })
    ],
    ["an object that wants what it does not tell of", object({ a: { type: "null" } }, { required: ["a", "b"] })],
    ["two choices at once", { anyOf: [{ type: "string" }], oneOf: [{ type: "string" }, { type: "null" }] }],
    ["a definition that is elsewhere", object({ a: { $ref: "https://schemas.invalid/a" } })]
  ])("is told in words where it has %s, and named", (_, asked) => {
    const { dropped, schema, system } = askedFor(asked)
    expect([schema, dropped]).toEqual([undefined, ["response_format"]])
    expect(system).toContain(JSON.stringify(asked))
  })
})
