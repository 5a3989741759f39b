import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { maxWaitSeconds, retryAfterOf, jitteredWait } from "../../src/domain/retry-after.ts"

const now = Date.parse("2026-11-23T12:00:00Z")
const read = (headers: Record<string, string>, status = 429) =>
  retryAfterOf((name) => headers[name] ?? null, now, status)

const epoch = (seconds: number): string => String(now / 1000 + seconds)

const rows: ReadonlyArray<[Record<string, string>, number | undefined]> = [
  [{}, undefined],
  [{ "retry-after": "7" }, 7000],
  [{ "retry-after": " 7 " }, 7000],
  [{ "retry-after": "0" }, 0],
  [{ "retry-after": "1.5" }, 1500],
  [{ "retry-after": "-5" }, undefined],
  [{ "retry-after": "1000000000" }, 1e12],
  [{ "retry-after": "soon" }, undefined],
  [{ "retry-after": "" }, undefined],
  [{ "retry-after": "Mon, 23 Nov 2026 12:00:30 GMT" }, 30_000],
  [{ "retry-after": "Mon, 23 Nov 2026 11:00:00 GMT" }, 0],
  // Its clock is an hour ahead, or ours an hour behind.
  [{ "retry-after": "Mon, 23 Nov 2026 13:00:30 GMT", date: "Mon, 23 Nov 2026 13:00:00 GMT" }, 30_000],
  [{ "retry-after": "Mon, 23 Nov 2026 12:00:30 GMT", date: "now" }, 30_000],
  [{ "retry-after-ms": "250", "retry-after": "7" }, 250],
  [{ "x-ratelimit-reset-requests": "1s" }, 1000],
  [{ "x-ratelimit-reset-tokens": "1h2m3s" }, 3_723_000],
  [{ "x-ratelimit-reset-tokens": "2m59.5s" }, 179_500],
  [{ "x-ratelimit-reset-tokens": "later" }, undefined],
  [{ "x-ratelimit-reset": "12" }, 12_000],
  [{ "x-ratelimit-reset": epoch(9) }, 9000],
  [{ "x-ratelimit-reset": `${epoch(9)}000` }, 9000],
  [{ "ratelimit-remaining": "0", "ratelimit-reset": "30" }, 30_000],
  [{ "anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-23T12:00:20Z" }, 20_000],
  [{ "x-ratelimit-remaining-requests-day": "0", "x-ratelimit-reset-requests-day": "4000" }, 4_000_000]
]
for (const [headers, expected] of rows) {
  test(`${JSON.stringify(headers)} asks for ${expected} ms`, () => expect(read(headers)).toBe(expected as number))
}

describe("of several limits", () => {
  const both = { "x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s" }

  test("only the exhausted one counts", () => {
    expect(read({ ...both, "x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "14999" })).toBe(20)
    expect(read({ ...both, "x-ratelimit-remaining-requests": "9", "x-ratelimit-remaining-tokens": "0" })).toBe(360_000)
  })

  test("the later one counts when both are exhausted", () => {
    expect(read({ ...both, "x-ratelimit-remaining-requests": "0", "x-ratelimit-remaining-tokens": "0" })).toBe(360_000)
  })

  test("none counts when all have something left", () => {
    expect(
      read({ ...both, "x-ratelimit-remaining-requests": "1", "x-ratelimit-remaining-tokens": "5" })
    ).toBeUndefined()
  })

  test("the soonest counts when nothing tells what is left", () => expect(read(both)).toBe(20))

  test("none counts for a failure that is not about limits", () => {
    expect(read({ ...both, "x-ratelimit-remaining-tokens": "0" }, 500)).toBeUndefined()
    expect(read({ ...both, "retry-after": "3" }, 503)).toBe(3000)
  })
})

test("no text makes it throw or ask for less than nothing", () =>
  fc.assert(
    fc.property(fc.string(), fc.string(), (text, left) => {
      expect(read({ "retry-after": text }) ?? 0).toBeGreaterThanOrEqual(0)
      expect(read({ "x-ratelimit-reset": text, "x-ratelimit-remaining": left }) ?? 0).toBeGreaterThanOrEqual(0)
    })
  ))

const waits = fc.double({ min: 0, max: 1e9, noNaN: true })
const draws = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

test("a client is asked to wait whole seconds, from 1 to 60, and not less than asked for where that is at most 50 (law)", () =>
  fc.assert(
    fc.property(waits, draws, (seconds, draw) => {
      const wait = jitteredWait(seconds, () => draw)
      expect(Number.isInteger(wait)).toBe(true)
      expect(wait).toBeGreaterThanOrEqual(Math.max(1, Math.min(50, seconds)))
      expect(wait).toBeLessThanOrEqual(maxWaitSeconds)
    })
  ))

test("those who are refused together do not come back together (law)", () =>
  fc.assert(
    fc.property(waits, (seconds) => {
      const all = Array.from({ length: 100 }, (_, at) => jitteredWait(seconds, () => at / 100))
      expect(new Set(all).size).toBeGreaterThanOrEqual(3)
    })
  ))
