import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { FirstTokens, quantileOf } from "../../src/fleet/first-tokens.ts"

const ringOf = (times: ReadonlyArray<number>): FirstTokens => {
  const ring = new FirstTokens()
  for (const ms of times) ring.add(ms)
  return ring
}

const times = fc.array(fc.double({ min: 0, max: 60_000, noNaN: true }), { maxLength: 400 })

describe("the times to the first token that are kept of servers", () => {
  test("are the last ones", () => {
    fc.assert(
      fc.property(times, (all) => {
        const last = all.slice(-128)
        const ring = ringOf(all)
        expect(ring.size).toBe(last.length)
        expect([...ring.all].toSorted((a, b) => a - b)).toEqual(last.toSorted((a, b) => a - b))
      })
    )
  })

  test("have as quantile the least one of them that a share of all keep to", () => {
    fc.assert(
      fc.property(
        fc.array(times, { maxLength: 4 }),
        fc.double({ min: 0.01, max: 1, noNaN: true }),
        (several, share) => {
          const all = several.flatMap((each) => each.slice(-128))
          const found = quantileOf(several.map(ringOf), share)
          if (found === undefined) return expect(all).toEqual([])
          expect(all).toContain(found)
          expect(all.filter((ms) => ms <= found).length).toBeGreaterThanOrEqual(share * all.length - 1e-9)
          expect(all.filter((ms) => ms < found).length).toBeLessThan(share * all.length)
        }
      )
    )
  })
})
