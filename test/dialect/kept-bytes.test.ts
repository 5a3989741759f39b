import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { anthropic } from "../../src/dialect/anthropic/anthropic.ts"
import { jsonText } from "../fuzz/arbitraries.ts"
import { withFixedFields } from "../../src/dialect/json-model.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const renamed = (text: string): string =>
  decoder.decode(Buffer.concat(anthropic.withModel(encoder.encode(text), "new", undefined)))

const unsealed = (text: string): string => decoder.decode(anthropic.withoutSeals!(encoder.encode(text)))

test("law: only the name of the model is another one, in whatever way a body is written", () => {
  fc.assert(
    fc.property(jsonText, jsonText, (before, behind) => {
      const body = (name: string) => ` {"a":${before}, "mod\\u0065l" : ${name},\n"b":${behind}} `
      expect(renamed(body('"old"'))).toBe(body('"new"'))
    })
  )
})

test("of several names the last is the one that counts, and where there is none it is added", () => {
  expect(renamed('{"model":"a","model":"b"}')).toBe('{"model":"a","model":"new"}')
  expect(JSON.parse(renamed('{"n":1}'))).toEqual({ model: "new", n: 1 })
  expect(JSON.parse(renamed("{}"))).toEqual({ model: "new" })
  expect(renamed("[1]")).toBe("[1]")
})

const sealed = '{"type":"thinking","thinking":"x","signature":"nexus.unsigned"}'

test("law: what Nexus has signed is left out of a history, and every other byte stays", () => {
  const block = fc.oneof(
    fc.constant(sealed),
    fc.constantFrom('{"type":"text","text":"\\"nexus"}', '{"type":"thinking","thinking":"y","signature":"c2ln"}'),
    jsonText.map((text) => `{"type":"text","text":"a","odd":${text}}`)
  )
  fc.assert(
    fc.property(fc.array(block, { minLength: 1, maxLength: 5 }), (blocks) => {
      const body = (kept: ReadonlyArray<string>) =>
        `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":[${kept.join(",")}]}]}`
      const kept = blocks.filter((each) => each !== sealed)
      const none = '{"messages":[{"role":"user","content":"a"}]}'
      expect(unsealed(body(blocks))).toBe(kept.length === 0 ? none : body(kept))
    })
  )
})

describe("fields that a server fixes", () => {
  const fixed = { version: "v", model: undefined }

  test.each([
    ['{"model":"m","id":12345678901234567890}', '{"version":"v","id":12345678901234567890}'],
    [' { "a" : 1.0 , "model" : "m" , "version": "w", "model": "n" } ', '{"version":"v","a" : 1.0}'],
    ['{"a":{"model":"inner"},"mo\\u0064el":{"x":[1,"}"]}}', '{"version":"v","a":{"model":"inner"}}'],
    ["{}", '{"version":"v"}'],
    ["[]", "[]"]
  ])("stand in a body in place of its own, and all else as it came: %s", (body, told) => {
    expect(new TextDecoder().decode(withFixedFields(new TextEncoder().encode(body), fixed))).toBe(told)
  })

  test("leave a body to itself in which there is nothing to take out", () => {
    const body = encoder.encode(' {"a" : "b"}')
    expect(withFixedFields(body, { version: undefined })).toBe(body)
  })
})
