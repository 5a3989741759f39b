import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import {
  BadAnswer,
  ConnectionLost,
  ErrorStatus,
  type LimitName,
  TimedOut,
  Unreachable,
  type UpstreamError
} from "../../src/domain/upstream.ts"
import { type Blame, coolForMs, type FailureContext, verdict } from "../../src/router/failover.ts"

const status = (code: number, retryAfterMs?: number, body = ""): UpstreamError =>
  new ErrorStatus({
    status: code,
    contentType: "application/json",
    body: new TextEncoder().encode(body),
    retryAfterMs
  })

const late = (limit: LimitName): UpstreamError => new TimedOut({ limit, afterMs: 1 })

const lost = (answered: boolean): UpstreamError => new ConnectionLost({ reason: "lost", answered })

/** A first attempt, with retries and budget left. */
const first: FailureContext = { retriesLeft: 2, ownKey: true, budgetLeft: true, lostBefore: 0 }

interface Row {
  readonly name: string
  readonly error: UpstreamError
  readonly context?: Partial<FailureContext>
  readonly next: "next" | "pass" | "fail"
  readonly blame: Blame["_tag"]
  /** Whether a backend that is alone is asked again. */
  readonly again: boolean
}

const row = (
  name: string,
  error: UpstreamError,
  [next, blame, again]: readonly [Row["next"], Row["blame"], boolean],
  context: Partial<FailureContext> = {}
): Row => ({ name, error, next, blame, again, context })

const rows: ReadonlyArray<Row> = [
  row("could not be reached", new Unreachable({ reason: "refused" }), ["next", "count", true]),
  row("could not be reached, and the budget is spent", new Unreachable({ reason: "x" }), ["next", "count", true], {
    budgetLeft: false
  }),
  row("ran into the connect limit", late("connect"), ["next", "count", false]),
  row("lost its connection before any byte", lost(false), ["next", "count", true]),
  row("is the second to lose its connection over this request", lost(false), ["fail", "count", true], {
    lostBefore: 1
  }),
  row("broke off in the middle of a head", lost(true), ["next", "count", true]),
  row("ran into the first byte limit", late("first_byte"), ["next", "count", false]),
  row("ran into the idle limit before the commit", late("idle"), ["next", "count", false]),
  row("was asked when the total was over", late("request"), ["fail", "none", false]),
  row("answered with what is no answer", new BadAnswer({ reason: "HTML" }), ["next", "count", true]),
  ...[500, 502, 503, 504, 529].map((code) => row(`answered ${code}`, status(code), ["next", "count", true])),
  row("was asked in a circle (508)", status(508), ["next", "none", false]),
  row("answered 408", status(408), ["next", "none", true]),
  row("answered 429", status(429), ["next", "cool", false]),
  row("answered 503 and said when to come back", status(503, 9000), ["next", "count", false]),
  row("refused our key (401)", status(401), ["next", "config", false]),
  row("refused our key (403)", status(403), ["next", "config", false]),
  row("refused the client's key (401)", status(401), ["pass", "none", false], { ownKey: false }),
  row("refused the client's key (403)", status(403), ["pass", "none", false], { ownKey: false }),
  ...[400, 402, 404, 405, 409, 413, 415, 418, 422, 451, 501].map((code) =>
    row(`answered ${code}`, status(code), ["pass", "none", false])
  ),
  row("answered 500 to an image it cannot see", status(500, undefined, "image input is not supported"), [
    "pass",
    "none",
    false
  ])
]

describe("when the backend", () => {
  for (const { name, error, context, next, blame, again } of rows) {
    test(`${name}: ${next}, ${blame}`, () => {
      const judged = verdict(error, { ...first, ...context })
      expect([judged.next, judged.blame._tag]).toEqual([next, blame])
      if (next === "next") expect(judged.again).toBe(again)
    })
  }
})

const errors: fc.Arbitrary<UpstreamError> = fc.oneof(
  fc.constant(new Unreachable({ reason: "x" })),
  fc.constantFrom(lost(true), lost(false)),
  fc.constantFrom<LimitName>("connect", "first_byte", "idle", "request").map(late),
  fc.constant(new BadAnswer({ reason: "x" })),
  fc
    .tuple(fc.integer({ min: 400, max: 599 }), fc.option(fc.double({ min: 0, max: 1e15, noNaN: true })))
    .map(([code, after]) => status(code, after ?? undefined))
)

const contexts: fc.Arbitrary<FailureContext> = fc.record({
  retriesLeft: fc.nat(3),
  ownKey: fc.boolean(),
  budgetLeft: fc.boolean(),
  lostBefore: fc.nat(3)
})

const law = (name: string, holds: (error: UpstreamError, context: FailureContext) => void) =>
  test(`${name} (law)`, () => fc.assert(fc.property(errors, contexts, holds), { numRuns: 1000 }))

law("without retries left nobody else is asked", (error, context) => {
  expect(verdict(error, { ...context, retriesLeft: 0 }).next).not.toBe("next")
})

law("without budget left only those that did no work are replaced", (error, context) => {
  const { next } = verdict(error, { ...context, budgetLeft: false })
  if (next === "next") expect(["Unreachable", "ConnectionLost"]).toContain(error._tag)
})

law("a backend is left alone between one second and five minutes", (error, context) => {
  const { blame } = verdict(error, context)
  const ms = blame._tag === "cool" ? blame.ms : blame._tag === "count" ? blame.coolMs : undefined
  if (ms === undefined) return
  expect(ms).toBeGreaterThanOrEqual(coolForMs.least)
  expect(ms).toBeLessThanOrEqual(coolForMs.most)
})

law("only an error status is passed on", (error, context) => {
  if (verdict(error, context).next === "pass") expect(error._tag).toBe("ErrorStatus")
})

law("a 429 opens no circuit, and a client's mistake says nothing of its backend", (error, context) => {
  if (error._tag !== "ErrorStatus" || error.status >= 500) return
  expect(verdict(error, context).blame._tag).not.toBe("count")
})
