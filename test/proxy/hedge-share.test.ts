import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Hedging, HedgeShare, hedgeWindow } from "../../src/proxy/hedging.ts"
import { ableStandings, snapshotOf } from "../kit/generators.ts"

const ms = fc.double({ min: 0, max: 30_000, noNaN: true })

describe("the time after which a first token is late", () => {
  test("is beyond twice what is usual or expected, and never beyond four times that, whatever the last ones took", () => {
    fc.assert(
      fc.property(
        ableStandings,
        fc.array(ms, { minLength: 4, maxLength: 200 }),
        fc.option(ms, { nil: undefined }),
        ms,
        (standings, times, expectedMs, leastMs) => {
          const candidates = [...snapshotOf(standings).candidates.values()][0] ?? []
          const [candidate] = candidates
          if (candidate === undefined) return
          const hedging = new Hedging()
          for (const [nth, each] of times.entries()) {
            expect(nth < 4).toBe(hedging.lateMs(candidate, candidates, { expectedMs, leastMs }) === undefined)
            hedging.took(candidate, each)
          }
          const last = times.slice(-128).toSorted((a, b) => a - b)
          const median = last[Math.ceil(last.length / 2) - 1] ?? 0
          const usual = Math.max(expectedMs ?? 0, median)
          const late = hedging.lateMs(candidate, candidates, { expectedMs, leastMs }) ?? Infinity
          expect(late).toBeGreaterThanOrEqual(2 * usual + leastMs)
          expect(late).toBeLessThanOrEqual(4 * usual + leastMs)
          if (times.length < 20) expect(late).toBe(4 * usual + leastMs)
          // One of twenty is late, or fewer.
          const inTime = last.filter((each) => each <= late).length
          if (late < 4 * usual) expect(inTime).toBeGreaterThanOrEqual(0.95 * last.length - 1e-9)
        }
      )
    )
  })
})

describe("the share of requests that are asked twice", () => {
  test("is never exceeded, neither since the beginning nor among the last ones, but for the first five", () => {
    const steps = fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 20 })), {
      minLength: 1,
      maxLength: 120
    })
    fc.assert(
      fc.property(steps, fc.double({ min: 0, max: 1, noNaN: true }), (all, most) => {
        const share = new HedgeShare()
        const log: Array<number> = []
        for (const [requests, wanted] of all) {
          for (let nth = 0; nth < requests; nth += 1) {
            share.comes()
            log.push(0)
          }
          for (let nth = 0; nth < wanted; nth += 1) {
            if (share.left(most) === 0) break
            share.takes()
            log[log.length - 1] = (log.at(-1) ?? 0) + 1
          }
          const window = log.slice(-hedgeWindow)
          const sum = (of: ReadonlyArray<number>) => of.reduce((total, each) => total + each, 0)
          const first = Math.min(5, Math.floor(most * hedgeWindow))
          expect(sum(window)).toBeLessThanOrEqual(Math.max(first, most * window.length))
          expect(sum(log)).toBeLessThanOrEqual(most * log.length + first)
        }
      })
    )
  })

  test("is used up when there is need of it", () => {
    const share = new HedgeShare()
    let twice = 0
    for (let nth = 0; nth < 5000; nth += 1) {
      share.comes()
      if (share.left(0.05) === 0) continue
      share.takes()
      twice += 1
    }
    expect(twice).toBe(250)
  })

  test("is drawn on before it has come together, so that what is slow from the start is asked twice", () => {
    const share = new HedgeShare()
    share.comes()
    for (const left of [5, 4, 3, 2, 1, 0]) {
      expect(share.left(0.05)).toBe(left)
      if (left > 0) share.takes()
    }
    for (let nth = 1; nth < 119; nth += 1) share.comes()
    expect(share.left(0.05)).toBe(0)
    share.comes()
    expect(share.left(0.05)).toBe(1)
  })

  test("of nothing has no first ones", () => {
    const share = new HedgeShare()
    share.comes()
    expect(share.left(0)).toBe(0)
    expect(share.left(0.001)).toBe(1)
  })
})
