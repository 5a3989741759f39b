import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { RecentTurns } from "../../src/fleet/recent-turns.ts"
import { endToEnd } from "../../bench/fleet/sums.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { unevenMachines } from "../../bench/fleet/workloads/open.ts"

describe("one question among hundreds that is asked a second time sends nobody away from the fast machine", () => {
  test.each([16, 49, 72, 74])(
    "of arrivals %d: nineteen of twenty answers are whole within nine seconds",
    async (seed) => {
      const result = await runVirtual(unevenMachines, 20, seed)
      expect(endToEnd(95).of(result)).toBeLessThan(9)
    }
  )
})

describe("of conversations that were at a server of late, to one that asks there", () => {
  const chainOf = (root: number, nth: number, continuing: number, known = false): PromptChain => ({
    hashes: [],
    ends: [],
    bytes: 0,
    root,
    nth,
    continuing,
    known
  })
  const roots = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 120 })

  test("those that had a further turn count as likely to come back, and of the others such a share as requests go on with one", () => {
    fc.assert(
      fc.property(roots, fc.double({ min: 0.4, max: 1, noNaN: true }), (asked, continuing) => {
        const turns = new RecentTurns()
        for (const [at, root] of asked.entries()) turns.begins(chainOf(root, at + 1, continuing), 500, at)
        const several = new Set(asked.filter((root, at) => asked.indexOf(root) < at)).size
        const once = new Set(asked).size - several
        // Later than all of which nothing can be known yet.
        const newcomer = chainOf(99, 121, continuing)
        expect(turns.likelyBack(newcomer)).toBeCloseTo(several + continuing * once, 9)
      })
    )
  })

  test("none counts for less than nothing or more than itself, whatever is forgotten, and whoever tells of it", () => {
    const steps = fc.array(
      fc.record({
        root: fc.integer({ min: 1, max: 30 }),
        skipped: fc.integer({ min: 1, max: 120 }),
        told: fc.boolean(),
        known: fc.boolean(),
        continuing: fc.double({ min: 0, max: 1, noNaN: true })
      }),
      { maxLength: 100 }
    )
    fc.assert(
      fc.property(steps, (all) => {
        const turns = new RecentTurns()
        let nth = 0
        for (const { continuing, known, root, skipped, told } of all) {
          nth += skipped
          const chain = chainOf(root, nth, continuing, known)
          const others = turns.others(chain)
          const back = turns.likelyBack(chain)
          expect(back).toBeGreaterThanOrEqual(0)
          expect(back).toBeLessThanOrEqual(others)
          if (told) turns.isHere(root)
          else turns.begins(chain, 500, nth)
        }
      })
    )
  })

  test("one that began elsewhere and goes on here counts as one that goes on", () => {
    const turns = new RecentTurns()
    turns.begins(chainOf(1, 100, 0, true), 500, 0)
    turns.begins(chainOf(2, 101, 0), 500, 0)
    expect(turns.likelyBack(chainOf(3, 3200, 0))).toBe(0)
    turns.begins(chainOf(1, 3201, 0, true), 500, 0)
    turns.begins(chainOf(2, 3202, 0), 500, 0)
    expect(turns.likelyBack(chainOf(3, 3203, 0))).toBeCloseTo(1.01, 2)
  })
})
