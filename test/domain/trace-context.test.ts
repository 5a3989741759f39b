import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { isSampled, readTraceparent, TraceIds, traceparentOf } from "../../src/domain/trace-context.ts"

const hex = (digits: number) =>
  fc
    .array(fc.integer({ min: 0, max: 15 }), { minLength: digits, maxLength: digits })
    .map((all) => all.map((digit) => digit.toString(16)).join(""))
    .filter((text) => !/^0+$/.test(text))

const contexts = fc.record({ traceId: hex(32), spanId: hex(16), sampled: fc.boolean() })

describe("traceparent", () => {
  test("is read as it was written, for every trace", () =>
    fc.assert(fc.property(contexts, (context) => expect(readTraceparent(traceparentOf(context))).toEqual(context))))

  test("of any later version, with whatever follows, is read as the one that is known", () =>
    fc.assert(
      fc.property(
        contexts,
        fc.integer({ min: 1, max: 254 }),
        fc.string({ unit: "grapheme-ascii" }),
        (context, version, rest) => {
          const known = traceparentOf(context).slice(2)
          const later = `${version.toString(16).padStart(2, "0")}${known}`
          expect(readTraceparent(later)).toEqual(context)
          if (/^[\x21-\x7e]*$/.test(rest)) expect(readTraceparent(`${later}-${rest}`)).toEqual(context)
        }
      )
    ))

  test.each([
    "",
    "nonsense",
    "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
    "00-00000000000000000000000000000000-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
    "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01"
  ])("that is none is not taken: %p", (text) => expect(readTraceparent(text)).toBeUndefined())
})

describe("sampling", () => {
  test("by a larger ratio keeps every trace that a smaller one keeps", () =>
    fc.assert(
      fc.property(
        hex(32),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (id, a, b) => {
          if (isSampled(Math.min(a, b), id)) expect(isSampled(Math.max(a, b), id)).toBe(true)
        }
      )
    ))

  test("is told by the last digits of the trace, as the number that they are", () =>
    fc.assert(
      fc.property(hex(32), fc.double({ min: 2 ** -50, max: 1, noNaN: true }), (id, ratio) => {
        const threshold = BigInt(Math.ceil((1 - ratio) * 2 ** 56))
        expect(isSampled(ratio, id)).toBe(BigInt(`0x${id.slice(-14)}`) >= threshold)
      })
    ))

  test("keeps nothing of a part that is smaller than any number of digits tells", () => {
    expect(isSampled(1e-30, "f".repeat(32))).toBe(false)
    expect(isSampled(2 ** -50, "f".repeat(32))).toBe(true)
  })

  test("keeps nothing at 0, everything at 1, and about its part in between", () => {
    const ids = new TraceIds()
    const all = Array.from({ length: 4000 }, () => ids.trace())
    expect(new Set(all).size).toBe(4000)
    const kept = (ratio: number) => all.filter((id) => isSampled(ratio, id)).length
    expect([kept(0), kept(1)]).toEqual([0, 4000])
    expect(kept(0.25)).toBeGreaterThan(800)
    expect(kept(0.25)).toBeLessThan(1200)
  })
})
