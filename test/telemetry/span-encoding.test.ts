import { expect, test } from "bun:test"
import { Context, Effect, Layer } from "effect"
import { OtlpSerialization, type OtlpTracer } from "effect/observability"
import fc from "fast-check"
import { backendTypes } from "../../src/backend/all.ts"
import type { AskedSettings } from "../../src/dialect/told-facts.ts"
import { outcomes } from "../../src/domain/request.ts"
import { RequestTrace, type TracedRequest } from "../../src/proxy/request-trace.ts"
import { TraceRate } from "../../src/proxy/trace-sampling.ts"
import { RequestSpans } from "../../src/proxy/spans.ts"
import { ByteWriter } from "../../src/telemetry/byte-writer.ts"
import type { SpanEncoding } from "../../src/telemetry/span-encoding.ts"
import { jsonSpans } from "../../src/telemetry/span-json.ts"
import { protobufSpans } from "../../src/telemetry/span-protobuf.ts"
import { listed, spanTree } from "../kit/spanTree.ts"

// Whole text, lone halves of pairs and what is long among it; few of each, so that what is remembered is used again.
const words = fc.oneof(
  fc.constantFrom("m", "llama3.1:8b", "größer", "日本", "\ud800", 'a"b\\c\n', "x".repeat(300), "é".repeat(200)),
  fc.string({ unit: "binary", maxLength: 90 })
)
const moments = fc.double({ min: 0, max: 1e9, noNaN: true })
const counts = fc.oneof(fc.nat(), fc.constantFrom(0, 127, 128, 2 ** 31, 2 ** 53 - 1), fc.double())

const attempts = fc.record({
  backend: fc.record({
    name: words,
    type: fc.constantFrom(...backendTypes),
    url: fc.constantFrom("http://127.0.0.1:11434", "https://api.example.com/v1", "http://[::1]", "https://b:8443")
  }),
  model: words,
  at: moments,
  took: fc.double({ min: 0, max: 1e5, noNaN: true }),
  isHedge: fc.boolean(),
  answered: fc.boolean(),
  told: fc.option(
    fc.record({
      id: fc.option(
        words.filter((id) => id !== ""),
        { nil: undefined }
      ),
      finishes: fc.array(fc.constantFrom("stop", "length", "größer"), { maxLength: 3 })
    }),
    { nil: undefined }
  ),
  ended: fc.boolean(),
  error: fc.constantFrom(undefined, "abandoned", "503", "unreachable")
})

const given = <A>(value: fc.Arbitrary<A>) => fc.option(value, { nil: undefined })
const settings = given(
  fc.record({
    temperature: given(fc.double({ noNaN: true, noDefaultInfinity: true })),
    topP: given(fc.constantFrom(0.9, 1)),
    topK: given(fc.integer()),
    seed: given(fc.oneof(fc.maxSafeInteger(), fc.constantFrom(-1, -128, -129, -(2 ** 53) + 1))),
    frequencyPenalty: given(fc.constantFrom(-1, 0.5)),
    presencePenalty: given(fc.constantFrom(-1, 0.5)),
    choices: given(fc.constantFrom(2, 3)),
    effort: given(fc.constantFrom("high"))
  })
)

// Leaves out all.
const none = new TraceRate(0, 0)

const requests: fc.Arbitrary<TracedRequest> = fc
  .record({
    parent: fc.constantFrom("", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    state: fc.constantFrom("", "them=1"),
    sampled: fc.constantFrom("at first", "kept"),
    settings,
    attempts: fc.array(attempts, { maxLength: 4 }),
    waits: fc.array(fc.tuple(moments, moments), { maxLength: 3 }),
    fields: fc.record({
      id: words.filter((id) => id !== ""),
      method: fc.constantFrom("POST", "GET"),
      url: fc.constantFrom("/v1/chat/completions", "http://h:1/v1/embeddings?key=hidden", "/v1/files/ä?a=?b"),
      endpoint: fc.constantFrom("chat/completions", "embeddings"),
      genAi: fc.constantFrom("chat", "embeddings"),
      dialect: fc.constantFrom("openai", "anthropic"),
      model: words,
      answeredModel: fc.option(
        words.filter((model) => model !== ""),
        { nil: undefined }
      ),
      stream: fc.boolean(),
      maxTokens: fc.constantFrom(0, 1, 4096),
      isJson: fc.boolean(),
      key: fc.option(words, { nil: undefined }),
      client: fc.constantFrom(undefined, "127.0.0.1", "fe80::1"),
      userAgent: fc.option(words),
      outcome: fc.constantFrom(...outcomes),
      status: fc.constantFrom(200, 404, 499, 502),
      backend: words,
      bytes: fc.nat(),
      usage: fc.option(
        fc.record(
          { prompt: counts, cached: counts, completion: counts, cachedWrite: counts, reasoning: counts },
          { requiredKeys: ["prompt", "cached", "completion"] }
        ),
        { nil: undefined }
      ),
      started: moments,
      ended: moments
    })
  })
  .map(({ attempts: asked, fields, parent, sampled, settings: given, state, waits }) => {
    const headers = new Headers({ ...(parent === "" ? {} : { traceparent: parent }), tracestate: state })
    const trace = new RequestTrace(
      { byParent: true, ratio: 1, rate: sampled === "kept" ? none : undefined },
      headers,
      0
    )
    trace.settings = given
    for (const { answered, at, backend, ended, error, isHedge, model, told, took } of asked) {
      const attempt = trace.asks(backend, model, at, isHedge)
      if (attempt === undefined) throw new Error("all are recorded")
      if (answered) attempt.answeredAt = at + took
      attempt.hears({ told })
      if (ended) attempt.ends(at + took, error)
    }
    if (trace.isLeftOut) trace.keep()
    return Object.assign(fields, { trace, waits: waits.flat() })
  })

const aheadMs = 1_795_601_815_177.25
const resource = { "service.name": "größer", "nexus.worker": 2, on: true, none: undefined }
const scope = { name: "nexus", version: "1.2.3" }

const written = (encoding: SpanEncoding, all: ReadonlyArray<TracedRequest>): Uint8Array => {
  const out = new ByteWriter()
  const spans = new RequestSpans(encoding, out)
  for (const each of all) spans.write(each, aheadMs)
  return Buffer.concat(encoding.bodies({ resource, scope })(out.take()))
}

const said = (all: ReadonlyArray<TracedRequest>): OtlpTracer.TraceData => ({
  resourceSpans: [
    {
      resource: { attributes: listed(resource), droppedAttributesCount: 0 },
      scopeSpans: [{ scope, spans: all.flatMap((each) => spanTree(each, aheadMs)) }]
    }
  ]
})

const effects = (layer: Layer.Layer<OtlpSerialization.OtlpSerialization>, data: OtlpTracer.TraceData): unknown => {
  const { traces } = Context.get(Effect.runSync(Effect.scoped(Layer.build(layer))), OtlpSerialization.OtlpSerialization)
  const made = traces(data)
  return "body" in made ? made.body : undefined
}

const several = fc.array(requests, { maxLength: 3 })

test("spans as protobuf are, byte for byte, what effect's own encoder makes of the same spans", () =>
  fc.assert(
    fc.property(several, (all) => {
      const theirs = effects(OtlpSerialization.layerProtobuf, said(all))
      expect(Buffer.from(written(protobufSpans, all)).toString("hex")).toBe(
        theirs instanceof Uint8Array ? Buffer.from(theirs).toString("hex") : ""
      )
    })
  ))

// What effect sends beside are zeros and empty lists, which the schema has where a field is absent.
const bare = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(bare)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, each]) =>
      name.startsWith("dropped") || (Array.isArray(each) && each.length === 0) ? [] : [[name, bare(each)]]
    )
  )
}

test("spans as JSON say what effect's own encoder says of the same spans", () =>
  fc.assert(
    fc.property(several, (all) => {
      const text = new TextDecoder().decode(written(jsonSpans, all))
      const theirs = new TextDecoder().decode(
        effects(OtlpSerialization.layerJson, said(all)) as Uint8Array // reason: what a text is put into
      )
      expect(bare(JSON.parse(text))).toEqual(bare(JSON.parse(theirs)))
    })
  ))

/** The spans of a request of these settings, which was sent to one backend. */
const spansOf = (encoding: SpanEncoding, settings: AskedSettings): Uint8Array => {
  const trace = new RequestTrace({ byParent: true, ratio: 1, rate: undefined }, new Headers(), 0)
  trace.settings = settings
  trace.asks({ name: "one", type: "llamacpp", url: "http://127.0.0.1:1" }, "m", 1, false)
  const [one] = fc.sample(requests, { numRuns: 1, seed: 1 })
  if (one === undefined) throw new Error("one is made")
  return written(encoding, [{ ...one, trace, maxTokens: 50, isJson: false, waits: [] }])
}

const others = { frequencyPenalty: 0, presencePenalty: 2, choices: 2, effort: undefined }

test("a temperature of 1 is a fraction as one of 0.2 is, and so are all others that the conventions have as fractions", () => {
  const all = spansOf(jsonSpans, { ...others, temperature: 1, topP: 1, topK: 40, seed: 7 })
  const text = new TextDecoder().decode(all)
  for (const [name, value] of [
    ["temperature", { doubleValue: 1 }],
    ["top_p", { doubleValue: 1 }],
    ["top_k", { doubleValue: 40 }],
    ["frequency_penalty", { doubleValue: 0 }],
    ["presence_penalty", { doubleValue: 2 }],
    ["max_tokens", { intValue: 50 }],
    ["choice.count", { intValue: 2 }],
    ["seed", { intValue: 7 }]
  ] as const)
    expect(text).toContain(JSON.stringify({ key: `gen_ai.request.${name}`, value }))
})

test("a seed is a whole number below 0 too, as that by which clients of llama.cpp ask for any", () => {
  const settings = { ...others, temperature: 1, topP: 1, topK: 40, seed: -1 }
  expect(new TextDecoder().decode(spansOf(jsonSpans, settings))).toContain(
    JSON.stringify({ key: "gen_ai.request.seed", value: { intValue: -1 } })
  )
  // All bits of 64 are set.
  const bytes = `${Buffer.from("gen_ai.request.seed").toString("hex")}120b18${"ff".repeat(9)}01`
  expect(Buffer.from(spansOf(protobufSpans, settings)).toString("hex")).toContain(bytes)
})
