import { describe, expect, test } from "bun:test"
import { Result } from "effect"
import { gemini } from "../../src/dialect/gemini/gemini.ts"

const client = gemini.operations[0]!.client!
const encoder = new TextEncoder()

const read = (request: object) => Result.getOrThrow(client.decode(encoder.encode(JSON.stringify(request)), "m"))

describe("the form of an answer in the newer list of forms", () => {
  const contents = [{ parts: [{ text: "x" }] }]
  const schema = { type: "object", properties: { my_field: { type: "string" } } }
  const formed = (responseFormat: unknown) => read({ contents, generationConfig: { responseFormat } })

  test.each([
    [[{ text: { mimeType: "application/json", schema } }]],
    [{ text: { mime_type: "APPLICATION_JSON", schema } }]
  ])("holds the answer to a schema: %j", (responseFormat) => {
    const { chat, dropped } = formed(responseFormat)
    expect(chat.format).toEqual({ type: "schema", name: "output", schema })
    expect(dropped).toEqual([])
  })

  test("asks for JSON of any kind, for plain text, and for pictures", () => {
    expect(formed([{ text: { mimeType: "APPLICATION_JSON" } }]).chat.format).toEqual({ type: "json" })
    expect(formed([{ text: { mimeType: "TEXT_PLAIN" } }]).chat.format).toBeUndefined()
    expect(formed([{ text: {} }, { image: { aspectRatio: "1:1" } }]).chat.images).toBe(true)
  })

  test("is refused where nobody can answer so", () => {
    const asked = { contents, generationConfig: { responseFormat: [{ audio: {} }] } }
    const refused = client.decode(encoder.encode(JSON.stringify(asked)), "m")
    expect(Result.isFailure(refused) && refused.failure.message).toContain("must be TEXT or IMAGE")
  })
})
