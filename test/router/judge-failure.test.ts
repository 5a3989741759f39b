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
} from "../../src/domain/upstream-errors.ts"
import { type Blame, cooldownMs, type FailureContext, judgeFailure } from "../../src/router/judge-failure.ts"

const status = (code: number, retryAfterMs?: number, body = ""): UpstreamError =>
  new ErrorStatus({
    status: code,
    contentType: "application/json",
    body: new TextEncoder().encode(body),
    retryAfterMs
  })

const said = (code: number, message: string): UpstreamError =>
  status(code, undefined, JSON.stringify({ error: { message } }))

const late = (limit: LimitName): UpstreamError => new TimedOut({ limit, afterMs: 1 })

const lost = (answered: boolean): UpstreamError => new ConnectionLost({ reason: "lost", answered })

/** A first attempt, with retries and budget left. */
const first: FailureContext = { retriesLeft: 2, ownKey: true, keyRefused: false, budgetLeft: true, lostBefore: 0 }

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
  row("ran into the connect limit, and the budget is spent", late("connect"), ["next", "count", false], {
    budgetLeft: false
  }),
  row("lost its connection before any byte", lost(false), ["next", "count", true]),
  row("is the second to lose its connection over this request", lost(false), ["fail", "count", true], {
    lostBefore: 1
  }),
  row("broke off in the middle of a head", lost(true), ["next", "count", true]),
  row("ran into the first byte limit", late("first_byte"), ["next", "count", false]),
  row("ran into the idle limit before the commit", late("idle"), ["next", "count", false]),
  row("was asked when the total was over", late("request"), ["fail", "none", false]),
  row("answered with what is no answer", new BadAnswer({ reason: "HTML" }), ["next", "count", false]),
  ...[500, 502, 503, 504, 529].map((code) => row(`answered ${code}`, status(code), ["next", "count", true])),
  row("was asked in a circle (508)", status(508), ["next", "none", false]),
  row("answered 408", status(408), ["next", "none", true]),
  row("answered 429", status(429), ["next", "cool", false]),
  row("answered 503 and said when to come back", status(503, 9000), ["next", "count", false]),
  row("refused our key (401)", said(401, "Incorrect API key provided: sk-1"), ["next", "key", false]),
  row("refused our key (403)", said(403, "API key expired"), ["next", "key", false]),
  row("refused with 401 and does not say why", status(401), ["next", "none", false]),
  row("refused with 403 and says nothing", status(403), ["next", "none", false]),
  row("refused with 403 and says what is wrong with the request", said(403, "flagged"), ["pass", "none", false]),
  row("refused, and its probe was refused too", said(403, "flagged"), ["next", "key", false], { keyRefused: true }),
  row("refused the client's key (401)", status(401), ["pass", "none", false], { ownKey: false }),
  row("refused the client's key (403)", status(403), ["pass", "none", false], { ownKey: false }),
  row(
    "found the prompt too long, and somebody has a longer context",
    said(400, "prompt is too long"),
    ["next", "none", false],
    {
      roomier: true
    }
  ),
  row("found the prompt too long, and nobody has a longer context", said(400, "prompt is too long"), [
    "pass",
    "none",
    false
  ]),
  row("found something else wrong, and somebody has a longer context", said(400, "bad"), ["pass", "none", false], {
    roomier: true
  }),
  row("has nothing at the address, and says nothing", status(404), ["next", "none", false]),
  row("does not take this method there", status(405), ["next", "none", false]),
  ...[
    "404 page not found",
    "<html><h1>404 Not Found</h1></html>",
    '{"detail":"Not Found"}',
    '{"error":"Not Found"}'
  ].map((body) => row(`has nothing at the address: ${body}`, status(404, undefined, body), ["next", "none", false])),
  row("has nothing at the address, as Azure says it", said(404, "Resource not found"), ["next", "none", false]),
  row("has nothing at the address, as OpenAI says it", said(404, "Invalid URL (POST /v1/v1/chat)"), [
    "next",
    "none",
    false
  ]),
  row("does not find what the request names", said(404, "no such file"), ["pass", "none", false]),
  ...[400, 402, 409, 413, 415, 418, 422, 451, 501].map((code) =>
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
      const judged = judgeFailure(error, { ...first, ...context })
      expect([judged.next, judged.blame._tag]).toEqual([next, blame])
      if (next === "next") expect(judged.again).toBe(again)
    })
  }
})

describe("what a backend says with 401 or 403 is taken", () => {
  const judged = (code: number, text: string) => judgeFailure(status(code, undefined, text), first)
  const ofTheKey: ReadonlyArray<readonly [status: number, body: string]> = [
    [401, '{"error":{"message":"Incorrect API key provided: sk-ab***xyz. You can find your API key at …","code":"x"}}'],
    [
      401,
      '{"error":{"message":"You didn\'t provide an API key. You need to provide your API key in an Authorization header"}}'
    ],
    [401, '{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}'],
    [401, '{"error":{"code":401,"message":"Invalid API Key","type":"authentication_error"}}'],
    [401, '{"error":{"message":"Invalid Authentication"}}'],
    [401, '{"error":{"message":"No auth credentials found","code":401}}'],
    [401, '{"detail":"Could not validate credentials"}'],
    [403, '{"detail":"Not authenticated"}'],
    [403, '{"error":{"message":"Your API key has been revoked"}}'],
    [401, '{"error":{"message":"The API key sk-1234 is not valid"}}'],
    [401, '{"error":{"message":"Access token is missing or invalid"}}'],
    [401, '{"error":"invalid_token"}'],
    [401, '{"error":{"code":"invalid_api_key","message":"no"}}'],
    [401, "Access denied due to invalid subscription key or wrong API endpoint."]
  ]
  const ofTheRequest: ReadonlyArray<readonly [status: number, body: string]> = [
    [403, '{"error":{"message":"Your input was flagged by moderation","metadata":{"reasons":["violence"]}}}'],
    [403, '{"error":{"message":"Project `p` does not have access to model `gpt-9`","code":"model_not_found"}}'],
    [403, '{"error":{"message":"This API key does not have access to the model, which is in a larger plan"}}'],
    [401, '{"error":"unauthorized"}'],
    [401, '{"error":"You need to be signed in to Ollama to run Cloud models."}'],
    [
      401,
      '{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: model.request"}}'
    ],
    [403, '{"error":{"message":"Country, region, or territory not supported"}}'],
    [403, '{"error":{"message":"invalid token in the prompt template"}}']
  ]
  for (const [code, text] of ofTheKey) {
    test(`for a bad key: ${code} ${text}`, () => {
      expect(judged(code, text)).toEqual({ next: "next", blame: { _tag: "key" }, again: false })
    })
  }
  for (const [code, text] of ofTheRequest) {
    test(`for a word on the request: ${code} ${text}`, () => {
      const { next, blame, own } = judged(code, text)
      expect(blame._tag).toBe("none")
      expect(next === "pass" || own === true).toBe(true)
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
  keyRefused: fc.boolean(),
  budgetLeft: fc.boolean(),
  lostBefore: fc.nat(3)
})

const law = (name: string, holds: (error: UpstreamError, context: FailureContext) => void) =>
  test(`${name} (law)`, () => fc.assert(fc.property(errors, contexts, holds), { numRuns: 1000 }))

law("without retries left nobody else is asked", (error, context) => {
  expect(judgeFailure(error, { ...context, retriesLeft: 0 }).next).not.toBe("next")
})

law("without budget left only those that did no work are replaced", (error, context) => {
  const { next } = judgeFailure(error, { ...context, budgetLeft: false })
  if (next !== "next" || (error._tag === "TimedOut" && error.limit === "connect")) return
  expect(["Unreachable", "ConnectionLost"]).toContain(error._tag)
})

law("a backend is left alone between one second and five minutes", (error, context) => {
  const { blame } = judgeFailure(error, context)
  const ms = blame._tag === "cool" ? blame.ms : blame._tag === "count" ? blame.coolMs : undefined
  if (ms === undefined) return
  expect(ms).toBeGreaterThanOrEqual(cooldownMs.least)
  expect(ms).toBeLessThanOrEqual(cooldownMs.most)
})

law("only an error status is passed on", (error, context) => {
  if (judgeFailure(error, context).next === "pass") expect(error._tag).toBe("ErrorStatus")
})

law("a 429 opens no circuit, and a client's mistake says nothing of its backend", (error, context) => {
  if (error._tag !== "ErrorStatus" || error.status >= 500) return
  expect(judgeFailure(error, context).blame._tag).not.toBe("count")
})
