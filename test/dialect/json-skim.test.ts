import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { JsonSkim } from "../../src/dialect/json-skim.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const longBytes = 24

const skimmed = (text: string, maxDepth = 512) => {
  const skim = new JsonSkim(bytes(text), { longBytes, maxDepth })
  let progress = skim.step()
  while (progress === "going") progress = skim.step()
  return { progress, skim }
}

/** What a value has in it, gone through as it was built. */
const measured = (value: unknown): { readonly size: number; readonly strings: ReadonlyArray<string> } => {
  if (typeof value === "string") return { size: 0, strings: [value] }
  if (typeof value !== "object" || value === null) return { size: 0, strings: [] }
  const inner = Object.values(value).map(measured)
  return {
    size: 1 + Math.max(inner.length - 1, 0) + inner.reduce((sum, { size }) => sum + size, 0),
    strings: inner.flatMap(({ strings }) => strings)
  }
}

const isLong = (text: string): boolean => bytes(JSON.stringify(text)).byteLength > longBytes

// Quotes, backslashes and letters of several bytes in any mixture, about as long as what is searched for natively.
const texts = fc
  .array(fc.constantFrom("x", '"', "\\", "\n", "é", "🙂", "1.5", "[", "{", ",", ":", "plainly "), { maxLength: 40 })
  .map((pieces) => pieces.join(""))

const values = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "medium" },
    texts,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(texts, tie("value"), { maxKeys: 4, noNullPrototype: true })
  )
})).value

describe("a body that is gone through before it is built", () => {
  test("has its values counted and its long texts found, and no name of a field among them (law)", () =>
    fc.assert(
      fc.property(values, fc.constantFrom(undefined, 2), (value, indent) => {
        const text = JSON.stringify(value, undefined, indent)
        const { progress, skim } = skimmed(text)
        const read = JSON.parse(text)
        const { size, strings } = measured(read)
        expect(progress).toBe("whole")
        expect(skim.size).toBe(size)
        const body = bytes(text)
        const found = skim.spans.map(({ from, to }) => JSON.parse(new TextDecoder().decode(body.subarray(from, to))))
        expect(found.toSorted()).toEqual(strings.filter(isLong).toSorted())
        expect(skim.rounds).toBe(false)
      })
    ))

  test("is known to have numbers that would be rounded, wherever they stand, but for those in texts", () => {
    for (const number of ["12345678901234567890", "1.0", "0.1", "1e3", "1E400", "-0", "-0.0", "1234567890123456"]) {
      for (const text of [number, `[${number}]`, `{"a":[true,{"b": ${number}}]}`, `[1,"x",${number}\n]`]) {
        expect(skimmed(text).skim.rounds).toBe(true)
      }
      expect(skimmed(`{"a ${number}":["${number}","${number} ${"x".repeat(50)}"],"b":-10}`).skim.rounds).toBe(false)
    }
  })

  test("is the same in whatever slice a thing stands", () => {
    const filler = "x".repeat(200)
    for (const tail of ['"\\\\"', '"\\""', '"a\\\\\\"b"', "-0", "1.0", '{"k":"v"}', `"${filler}"`]) {
      for (let blanks = 0; blanks < 12; blanks += 1) {
        const text = `[${" ".repeat(256 * 1024 - 8 + blanks)}${tail},1]`
        const near = skimmed(`[${tail},1]`)
        const { progress, skim } = skimmed(text)
        expect([progress, skim.size, skim.rounds, skim.spans.length]).toEqual([
          near.progress,
          near.skim.size,
          near.skim.rounds,
          near.skim.spans.length
        ])
      }
    }
  })

  test("goes no further than its bound on levels, and not where it cannot be JSON", () => {
    expect(skimmed("[".repeat(513)).progress).toBe("depth")
    expect(skimmed(`${"[".repeat(512)}${"]".repeat(512)}`).progress).toBe("whole")
    for (const text of ['"open', '["open\\"]', "[1", "]", "<html>", "[\u00a01]"]) {
      expect(skimmed(text).progress).toBe("syntax")
    }
  })
})
