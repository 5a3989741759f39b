import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import fc from "fast-check"
import type { DecodedEmbed, Embed, EmbedAnswer } from "../../src/dialect/embed.ts"
import { openAiEmbeddings } from "../../src/dialect/openai/embeddings.ts"
import { base64Vector, readVectors } from "../../src/dialect/vectors.ts"

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value))
const json = (body: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(body))

const decoded = (request: object): DecodedEmbed =>
  Result.getOrThrow(openAiEmbeddings.client!.decode(bytes({ model: "m", ...request }), undefined))

const refusal = (request: object) => {
  const read = openAiEmbeddings.client!.decode(bytes({ model: "m", ...request }), undefined)
  return Result.isFailure(read) ? read.failure.param : undefined
}

const asked = (embed: Embed) => Result.getOrThrow(openAiEmbeddings.server!.encode(embed, "real"))

const text = fc.string({ minLength: 1 })

const embeds: fc.Arbitrary<Embed> = fc.record(
  { texts: fc.array(text, { minLength: 1 }), dimensions: fc.integer({ min: 1 }), user: text },
  { requiredKeys: ["texts"] }
)

const vectors = fc.array(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1 }), {
  minLength: 1
})

describe("embeddings of OpenAI's", () => {
  test("from the hub to the dialect and back are the same request", () => {
    fc.assert(
      fc.property(embeds, (embed) => {
        const { body, dropped } = asked(embed)
        expect(dropped).toEqual([])
        expect(decoded(Object(json(body))).embed).toEqual(embed)
      })
    )
  })

  test("come as lists unless base64 is asked for, with the name that the client knows", () => {
    const made: EmbedAnswer = { vectors: [[0.5, -2]], promptTokens: 3 }
    const usage = { prompt_tokens: 3, total_tokens: 3 }
    const entry = { object: "embedding", index: 0 }
    expect(json(decoded({ input: "a" }).answer(made, "mine"))).toEqual({
      object: "list",
      data: [{ ...entry, embedding: [0.5, -2] }],
      model: "mine",
      usage
    })
    expect(json(decoded({ input: ["a"], encoding_format: "base64" }).answer(made, "mine"))).toMatchObject({
      data: [{ ...entry, embedding: "AAAAPwAAAMA=" }],
      usage
    })
  })

  test("are read whatever their order, as lists or in base64", () => {
    const { answer } = asked({ texts: ["a", "b"] })
    const data = [
      { index: 1, embedding: [3, 4] },
      { index: 0, embedding: "AACAPwAAAEA=" }
    ]
    expect(Result.getOrThrow(answer(bytes({ data, usage: { prompt_tokens: 7 } })))).toEqual({
      vectors: [
        [1, 2],
        [3, 4]
      ],
      promptTokens: 7
    })
  })

  test("that are not as many as the texts, or no vectors, are none", () => {
    const { answer } = asked({ texts: ["a", "b"] })
    for (const data of [undefined, [], [{ embedding: [1] }], [{ embedding: [1] }, { embedding: ["x"] }], [1, 2]]) {
      expect(Result.isFailure(answer(bytes({ data })))).toBe(true)
    }
    expect(Result.isFailure(answer(new TextEncoder().encode("<html>")))).toBe(true)
  })

  test("of what the hub cannot say are refused by the field", () => {
    expect(refusal({ input: [1, 2, 3] })).toBe("input")
    expect(refusal({ input: [[1, 2]] })).toBe("input")
    expect(refusal({ input: [] })).toBe("input")
    expect(refusal({ messages: [] })).toBe("input")
    expect(refusal({ input: "a", encoding_format: "int8" })).toBe("encoding_format")
    expect(refusal({ input: "a", dimensions: "many" })).toBe("dimensions")
    expect(decoded({ input: "a", priority: 1 }).dropped).toEqual(["priority"])
    expect(asked({ texts: ["a"], truncate: false }).dropped).toEqual(["truncate"])
  })

  test("keep every 32-bit number through base64 and back", () => {
    fc.assert(
      fc.property(vectors, (all) => {
        expect(Result.getOrThrow(readVectors(all.map(base64Vector), all.length))).toEqual(all)
      })
    )
  })
})
