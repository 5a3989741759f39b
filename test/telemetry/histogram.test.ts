import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { observe, quantile, histogramSize, distributionOf } from "../../src/telemetry/histogram.ts"

const bounds = fc
  .uniqueArray(fc.double({ min: 0.001, max: 1000, noNaN: true }), { minLength: 1, maxLength: 20 })
  .map((all) => all.toSorted((a, b) => a - b))
const values = fc.array(fc.double({ min: 0, max: 2000, noNaN: true }), { maxLength: 200 })
const share = fc.double({ min: 0, max: 1, noNaN: true })

const histogramOf = (limits: ReadonlyArray<number>, all: ReadonlyArray<number>): Float64Array => {
  const numbers = new Float64Array(histogramSize(limits) + 6)
  for (const value of all) observe(numbers, 3, limits, value)
  return numbers
}

const spread = (limits: ReadonlyArray<number>, all: ReadonlyArray<number>) =>
  distributionOf(histogramOf(limits, all), 3, limits)

describe("a histogram", () => {
  test("counts each value in every bucket that it is at most, and nothing beside its own numbers", () =>
    fc.assert(
      fc.property(bounds, values, (limits, all) => {
        const { buckets, count, sum } = spread(limits, all)
        expect(buckets).toEqual(limits.map((bound) => [bound, all.filter((value) => value <= bound).length]))
        expect(count).toBe(all.length)
        expect(sum).toBeCloseTo(
          all.reduce((total, value) => total + value, 0),
          6
        )
        const numbers = histogramOf(limits, all)
        expect([...numbers.slice(0, 3), ...numbers.slice(-3)]).toEqual([0, 0, 0, 0, 0, 0])
      })
    ))

  test("of two halves added up is that of the whole", () =>
    fc.assert(
      fc.property(bounds, values, values, (limits, a, b) => {
        const both = histogramOf(limits, a).map((number, at) => number + (histogramOf(limits, b)[at] ?? 0))
        const { buckets, count } = distributionOf(both, 3, limits)
        const whole = spread(limits, [...a, ...b])
        expect({ buckets, count }).toEqual({ buckets: whole.buckets, count: whole.count })
      })
    ))
})

describe("a quantile", () => {
  test("never falls when its share grows", () =>
    fc.assert(
      fc.property(bounds, values, share, share, (limits, all, a, b) => {
        const of = spread(limits, all)
        const [low, high] = [quantile(of, Math.min(a, b)), quantile(of, Math.max(a, b))]
        expect(low === undefined ? high === undefined : high !== undefined && low <= high).toBe(true)
      })
    ))

  test("lies in the bucket of the value that has that rank, and is unknown without values", () =>
    fc.assert(
      fc.property(bounds, values, share, (limits, all, wanted) => {
        const found = quantile(spread(limits, all), wanted)
        if (all.length === 0) return expect(found).toBeUndefined()
        const sorted = all.toSorted((x, y) => x - y)
        const exact = sorted[Math.max(0, Math.ceil(wanted * all.length) - 1)] ?? 0
        const above = limits.findIndex((bound) => exact <= bound)
        const [from, to] =
          above === -1 ? [limits.at(-1), limits.at(-1)] : [above === 0 ? 0 : limits[above - 1], limits[above]]
        expect(found).toBeGreaterThanOrEqual(from ?? 0)
        expect(found).toBeLessThanOrEqual(to ?? 0)
      })
    ))
})
