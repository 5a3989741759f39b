import { expect, test } from "bun:test"
import * as fc from "fast-check"
import { retryAfterOf } from "../../src/domain/retry-after.ts"

const now = Date.parse("2026-11-23T12:00:00Z")
const read = (headers: Record<string, string>) => retryAfterOf((name) => headers[name] ?? null, now)

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
  [{ "x-ratelimit-reset-requests": "20ms", "x-ratelimit-reset-tokens": "6m0s" }, 360_000],
  [{ "x-ratelimit-reset-tokens": "1h2m3s" }, 3_723_000],
  [{ "x-ratelimit-reset-tokens": "later" }, undefined]
]
for (const [headers, expected] of rows) {
  test(`${JSON.stringify(headers)} asks for ${expected} ms`, () => expect(read(headers)).toBe(expected as number))
}

test("no text makes it throw or ask for less than nothing", () =>
  fc.assert(fc.property(fc.string(), (text) => (read({ "retry-after": text }) ?? 0) >= 0)))
