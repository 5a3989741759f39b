import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { wallAhead } from "../../src/domain/monotonic.ts"

const epoch = 1_800_000_000_000

/** Moments of requests, one after each of these pauses, by a process that is held up in every reading whose number is in `held`. */
const moments = (pauses: ReadonlyArray<number>, held: ReadonlyMap<number, number>, setBy: number) => {
  const real = performance.now
  let now = 1000
  let set = 0
  let readings = 0
  const reads = (): number => {
    readings += 1
    now += held.get(readings) ?? 0
    return epoch + set + now
  }
  const ahead = wallAhead({
    currentTimeMillisUnsafe: () => Math.floor(reads()),
    currentTimeNanosUnsafe: () => BigInt(Math.round(reads() * 1000)) * 1000n
  })
  performance.now = () => now
  try {
    return pauses.map((pause, nth) => {
      now += pause
      if (nth === pauses.length >> 1) set = setBy
      const at = performance.now()
      return { told: at + ahead(at), real: epoch + set + at }
    })
  } finally {
    performance.now = real
  }
}

describe("requests that follow one another closely, told by the wall clock", () => {
  const pauses = fc.array(fc.double({ min: 0.05, max: 3, noNaN: true }), { minLength: 2, maxLength: 30 })
  // Never twice in a row.
  const held = fc
    .array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.double({ min: 0, max: 50, noNaN: true })), { maxLength: 15 })
    .map((all) => new Map(all.map(([nth, ms]) => [2 * nth + 1, ms])))

  test("stay in their order, however the process is held up while it looks at its clocks", () => {
    fc.assert(
      fc.property(pauses, held, (all, when) => {
        const told = moments(all, when, 0)
        for (const [nth, { real, told: at }] of told.entries()) {
          expect(Math.abs(at - real)).toBeLessThan(2.1)
          expect(at).toBeGreaterThan(told[nth - 1]?.told ?? 0)
        }
      })
    )
  })

  test("are told by another time once the clock was set", () => {
    fc.assert(
      fc.property(pauses, held, fc.constantFrom(-3_600_000, 60_000), (all, when, setBy) => {
        for (const { real, told } of moments(all, when, setBy)) expect(Math.abs(told - real)).toBeLessThan(2.1)
      })
    )
  })
})
