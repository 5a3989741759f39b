import { expect, test } from "bun:test"
import fc from "fast-check"
import { JsonEnd } from "../../src/dialect/json-end.ts"

const endOf = (pieces: ReadonlyArray<string>): JsonEnd => {
  const end = new JsonEnd()
  for (const piece of pieces) end.push(piece)
  return end
}

const containers = fc.oneof(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()), fc.array(fc.jsonValue()))

test("an object or an array has ended at its last character and at none before, however it is cut", () =>
  fc.assert(
    fc.property(containers, fc.nat(), fc.constantFrom("", " ", "\n\t"), (value, at, space) => {
      const text = space + JSON.stringify(value, undefined, space === "" ? undefined : 1)
      const cut = at % text.length
      expect(endOf([text.slice(0, cut)]).ended).toBe(false)
      expect(endOf([text.slice(0, cut), text.slice(cut), space]).ended).toBe(true)
      expect(endOf([...text]).ended).toBe(true)
    })
  ))

test("whatever JSON.parse takes for an object or an array has ended, and what goes on behind its end has not", () =>
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string({ unit: fc.constantFrom(...'{}[]\\",:1 a') })), (text) => {
      let parsed: unknown
      try {
        parsed = JSON.parse(text)
      } catch {
        return
      }
      expect(endOf([text]).ended).toBe(typeof parsed === "object" && parsed !== null)
      expect(endOf([text, "{"]).ended).toBe(false)
    })
  ))
