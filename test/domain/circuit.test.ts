import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  abandonTrial,
  circuitAllows,
  beginTrial,
  type Circuit,
  closedCircuit,
  failCircuit,
  circuitOpensAfter,
  circuitOpenMs
} from "../../src/domain/circuit.ts"

const start = 1_000_000

const failTimes = (times: number, now = start): Circuit =>
  Array.from({ length: times }).reduce<Circuit>((circuit) => failCircuit(circuit, now), closedCircuit)

/** Fails the trial of each opening at the very moment it is allowed; the length of every opening. */
const openings = (count: number): ReadonlyArray<number> => {
  let circuit = failTimes(circuitOpensAfter)
  let now = start
  return Array.from({ length: count }, () => {
    const length = circuit.openUntil - now
    now = circuit.openUntil
    circuit = failCircuit(beginTrial(circuit, now), now)
    return length
  })
}

describe("a circuit", () => {
  test("opens at the third failure in a row, and not before", () => {
    expect(circuitOpensAfter).toBe(3)
    expect(circuitAllows(failTimes(circuitOpensAfter - 1), start)).toBe(true)
    expect(circuitAllows(failTimes(circuitOpensAfter), start)).toBe(false)
    expect(failTimes(circuitOpensAfter).openUntil).toBe(start + circuitOpenMs.first)
  })

  test("stays open for 2 s, 4 s, 8 s and so on up to 60 s", () =>
    expect(openings(8)).toEqual([2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000, 60_000]))

  test("lets exactly one trial through when its time has come", () => {
    const open = failTimes(circuitOpensAfter)
    expect(circuitAllows(open, open.openUntil - 1)).toBe(false)
    expect(circuitAllows(open, open.openUntil)).toBe(true)
    const tried = beginTrial(open, open.openUntil)
    expect(circuitAllows(tried, open.openUntil + 1_000_000)).toBe(false)
  })

  test("takes a request that ended without a verdict for no trial at all", () => {
    const open = failTimes(circuitOpensAfter)
    const again = abandonTrial(beginTrial(open, open.openUntil))
    expect(again).toEqual(open)
    expect(circuitAllows(again, open.openUntil)).toBe(true)
  })

  test("does not open for longer because of requests that were under way when it opened", () =>
    fc.assert(
      fc.property(fc.nat(50), fc.integer({ min: 0, max: circuitOpenMs.first - 1 }), (late, after) => {
        const open = failTimes(circuitOpensAfter)
        const more = Array.from({ length: late }).reduce<Circuit>(
          (circuit) => failCircuit(circuit, start + after),
          open
        )
        expect([more.openUntil, more.opens]).toEqual([open.openUntil, open.opens])
      })
    ))

  test("is never open for less than the first time or more than the longest (law)", () =>
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("begin", "fail", "abandon"), fc.nat(100_000))), (steps) => {
        let circuit = closedCircuit
        let now = start
        for (const [step, later] of steps) {
          now += later
          const before = circuit
          circuit =
            step === "begin"
              ? beginTrial(circuit, now)
              : step === "fail"
                ? failCircuit(circuit, now)
                : abandonTrial(circuit)
          if (circuit.opens === before.opens) continue
          expect(circuit.openUntil - now).toBeGreaterThanOrEqual(circuitOpenMs.first)
          expect(circuit.openUntil - now).toBeLessThanOrEqual(circuitOpenMs.longest)
          expect(circuitAllows(circuit, now)).toBe(false)
        }
      })
    ))
})
