import { expect, test } from "bun:test"
import fc from "fast-check"
import { outcomes } from "../../src/domain/request.ts"
import { endedFacts } from "../../src/proxy/ended-facts.ts"
import type { RequestEnd, RequestRecord } from "../../src/proxy/record.ts"
import { type LineFacts, requestFields, RequestLines } from "../../src/proxy/request-line.ts"
import { LineTemplate } from "../../src/telemetry/line-template.ts"
import { jsonLine } from "../../src/telemetry/log-line.ts"
import { logNamings } from "../../src/telemetry/log-names.ts"

// Few of each, so that what is remembered of one request is met again by another one; what has to be escaped among them.
const words = fc.oneof(
  fc.constantFrom("m", "größer", "\ud800", 'a"b\\c', "\u001b[31m\u202e", "x".repeat(600)),
  fc.string({ unit: "binary", maxLength: 60 })
)
const ids = fc.constantFrom("seen", "0b9c8d7e-1f2a-4b3c-8d9e-0f1a2b3c4d5e", 'a"b', "line\nfeed")
const times = fc.double({ min: 0, max: 1e7, noNaN: true })
const counts = fc.oneof(fc.nat(), fc.double())
const maybe = <A>(one: fc.Arbitrary<A>) => fc.option(one, { nil: undefined })

const operation = { name: "embeddings", generates: false }

const requests = fc.record({
  peer: maybe(fc.constantFrom("127.0.0.1", "fe80::1")),
  headers: fc.record({ agent: maybe(words), forwarded: maybe(words), retries: maybe(fc.constantFrom("0", "3", "x")) }),
  record: fc.record({
    id: ids,
    trace: maybe(fc.constant({ traceId: "0af7651916cd43dd8448eb211c80319c" })),
    key: maybe(words),
    endpoint: fc.constantFrom("chat/completions", "embeddings"),
    route: fc.constantFrom({ dialect: { id: "openai" }, operation }, { dialect: { id: "anthropic" }, operation }),
    model: words,
    asked: maybe(fc.record({ model: words })),
    decided: maybe(fc.record({ ruling: maybe(fc.record({ rule: maybe(fc.record({ name: words })) })) })),
    stream: fc.boolean(),
    attempts: fc.nat({ max: 3 }),
    hedge: maybe(fc.record({ backend: words, model: words, after_ms: times, outcome: maybe(fc.constant("won")) })),
    started: times,
    queuedMs: fc.oneof(fc.constant(0), times),
    committed: maybe(fc.record({ at: times })),
    usage: maybe(fc.record({ prompt: counts, cached: counts, completion: counts })),
    // Enough of them that they do not fit.
    failures: fc.array(fc.record({ backend: words, model: words, reason: words }), { maxLength: 8 })
  }),
  end: fc.record({
    outcome: fc.constantFrom(...outcomes),
    status: fc.constantFrom(200, 499, 502),
    backend: words,
    bytes: fc.nat()
  }),
  now: times,
  // Within a few seconds, so that what is the same in all of one is met again.
  time: fc.integer({ min: 1_795_601_813_000, max: 1_795_601_815_999 })
})

const factsOf = (id: string): LineFacts => ({
  time: 1_795_601_813_000,
  id,
  traceId: undefined,
  client: "127.0.0.1",
  forwardedFor: null,
  userAgent: null,
  key: undefined,
  endpoint: "chat/completions",
  dialect: "openai",
  model: "m",
  upstreamModel: "m",
  backend: "one",
  rule: undefined,
  stream: false,
  outcome: "completed",
  status: 200,
  attempts: 1,
  hedge: undefined,
  retried: null,
  tookMs: 5,
  queuedMs: 0,
  firstMs: 4,
  bytes: 10,
  usage: undefined,
  failures: []
})

test.each(Object.keys(logNamings) as Array<keyof typeof logNamings>)(
  "the line of a request under the names of %p is, letter for letter, the one that its fields make",
  (names) => {
    const naming = logNamings[names]
    const fixed = { worker: 2 }
    const written: Array<string> = []
    const log = { makeLater: (make: () => void) => make(), writeLines: (line: string) => void written.push(line) }
    const lines = new RequestLines(new LineTemplate(naming, "info", "request ended", fixed), log)
    fc.assert(
      fc.property(requests, ({ end: given, headers: { agent, forwarded, retries }, now, peer, record: of, time }) => {
        const headers = new Map([
          ["user-agent", agent],
          ["x-forwarded-for", forwarded],
          ["x-stainless-retry-count", retries]
        ])
        const request = { headers: { get: (name: string) => headers.get(name) ?? null } }
        const record = { ...of, request } as unknown as RequestRecord // reason: what a line says is all there
        const end: RequestEnd = { ...given, cutPrompt: undefined }
        const facts = endedFacts({ record, peer: () => peer }, end, now, time, true)
        const fields = { ...fixed, ...requestFields(facts) }
        lines.note(facts)
        expect(written.pop()).toBe(jsonLine({ time, level: "info", message: "request ended", fields }, naming))
      })
    )
  }
)

test("lines of a busy gateway are written once there are 64 of them, the rest after a moment, each once and in order", () => {
  const written: Array<string> = []
  let make: (() => void) | undefined
  const log = {
    makeLater: (lines: () => void) => {
      make = lines
    },
    writeLines: (lines: string) =>
      void written.push(...lines.split("\n").map((line) => String(JSON.parse(line).request_id)))
  }
  const lines = new RequestLines(new LineTemplate(logNamings.nexus, "info", "request ended", {}), log)
  const asked = Array.from({ length: 150 }, (_, at) => `r${at}`)
  const begun: Array<number> = []
  for (const id of asked) {
    lines.note(factsOf(id))
    begun.push(written.length)
  }
  expect(begun).toEqual(asked.map((_, at) => 64 * Math.floor((at + 1) / 64)))
  make?.()
  make?.()
  expect(written).toEqual(asked)
})
