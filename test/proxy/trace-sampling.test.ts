import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { isOfInterest, TraceRate, traceDecision } from "../../src/proxy/trace-sampling.ts"

const rates = fc.oneof(fc.constantFrom(0, 0.5, 1, 200), fc.double({ min: 0.01, max: 10_000, noNaN: true }))
const gaps = fc.oneof(fc.constantFrom(0, 0.01, 5, 1000), fc.double({ min: 0, max: 30_000, noNaN: true }))

const burstOf = (perSecond: number): number => (perSecond === 0 ? 0 : Math.max(1, perSecond))

describe.each([
  ["records", (rate: TraceRate, now: number) => rate.records(now)],
  ["keeps", (rate: TraceRate, now: number) => rate.keeps(now)]
] as const)("a rate of traces a second %s", (_, takes) => {
  test("never more of any stretch of time than come in by then and a second's worth (law)", () => {
    fc.assert(
      fc.property(rates, fc.array(gaps, { maxLength: 60 }), (perSecond, steps) => {
        const rate = new TraceRate(perSecond, 0)
        const taken: Array<number> = []
        let now = 0
        for (const gap of steps) {
          now += gap
          if (takes(rate, now)) taken.push(now)
        }
        for (const [from, begun] of taken.entries()) {
          for (let to = from; to < taken.length; to += 1) {
            const come = (((taken[to] ?? 0) - begun) / 1000) * perSecond
            expect(to - from + 1).toBeLessThanOrEqual(come + burstOf(perSecond) + 1e-3)
          }
        }
      })
    )
  })

  test("each one while no more come than that, at whatever times (law)", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.01, max: 10_000, noNaN: true }),
        fc.array(gaps, { maxLength: 200 }),
        (perSecond, spare) => {
          const rate = new TraceRate(perSecond, 0)
          let now = 0
          for (const gap of spare) {
            expect(takes(rate, now)).toBe(true)
            now += 1000 / perSecond + gap
          }
        }
      )
    )
  })

  test("a second's worth at once after a quiet second, and nothing while the clock stands still or goes back", () => {
    const rate = new TraceRate(200, 0)
    const at = (now: number) => Array.from({ length: 300 }, () => takes(rate, now)).filter(Boolean).length
    expect([at(0), at(0), at(-5000), at(0), at(5), at(100_000)]).toEqual([200, 0, 0, 0, 1, 200])
  })
})

test("what is kept at the end is not taken of what is recorded, nor the other way round", () => {
  const rate = new TraceRate(1, 0)
  expect([rate.records(0), rate.records(0), rate.keeps(0), rate.keeps(0)]).toEqual([true, false, true, false])
})

describe("which requests are traced", () => {
  const traceId = "0af7651916cd43dd8448eb211c80319c"
  const parent = (sampled: boolean) => ({ traceId, spanId: "b7ad6b7169203331", sampled })
  const decide = (sampling: object, from?: ReturnType<typeof parent>) =>
    traceDecision({ byParent: true, ratio: 1, rate: undefined, ...sampling }, from, traceId, 0)

  test("is what their callers say, however many there are, and takes nothing of the rate", () => {
    const rate = new TraceRate(1, 0)
    for (let at = 0; at < 10; at += 1) {
      expect(decide({ rate, ratio: 0 }, parent(true))).toBe("recorded")
      expect(decide({ rate }, parent(false))).toBe("unrecorded")
    }
    expect([decide({ rate }), decide({ rate })]).toEqual(["recorded", "left_out"])
  })

  test("is for the rate to say alone where the sampler has callers say nothing", () => {
    const rate = new TraceRate(1, 0)
    expect([1, 2].map(() => decide({ rate, byParent: false }, parent(true)))).toEqual(["recorded", "left_out"])
  })

  test("is for the ratio first: what is not of its part takes nothing of the rate, and is not kept", () => {
    const rate = new TraceRate(1, 0)
    expect(decide({ rate, ratio: 0 })).toBe("unrecorded")
    expect(decide({ rate })).toBe("recorded")
  })
})

test.each([
  ["a whole answer at once", { attempts: 1, queuedMs: 0 }, "completed", false],
  ["a second attempt", { attempts: 2, queuedMs: 0 }, "completed", true],
  ["a wait for a slot", { attempts: 1, queuedMs: 3 }, "completed", true],
  ["a refusal", { attempts: 0, queuedMs: 0 }, "refused", true],
  ["a stream that broke", { attempts: 1, queuedMs: 0 }, "truncated", true]
] as const)("of those that were left out, %s: of interest is %p %p", (_, record, outcome, expected) =>
  expect(isOfInterest(record, outcome)).toBe(expected)
)
