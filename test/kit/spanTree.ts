/**
 * The spans of a request as plain objects, said once more and slowly: what the encoders are held against.
 */
import type { OtlpResource, OtlpTracer } from "effect/observability"
import { kindNamed } from "../../src/backend/all.ts"
import type { TracedAttempt, TracedRequest } from "../../src/proxy/request-trace.ts"

/** A span as it is sent; `traceState` and `flags` are beside what effect's own spans have. */
export type SpanObject = OtlpTracer.ScopeSpan["spans"][number] & {
  readonly traceState?: string
  readonly flags: number
}

type Value = string | number | boolean | ReadonlyArray<string> | undefined | null

const valueOf = (value: NonNullable<Value>): OtlpResource.AnyValue => {
  if (typeof value === "object") return { arrayValue: { values: value.map(valueOf) } }
  if (typeof value === "string") return { stringValue: value }
  if (typeof value === "boolean") return { boolValue: value }
  return Number.isSafeInteger(value) ? { intValue: value } : { doubleValue: value }
}

/** Attributes, without those that have no value. */
export const listed = (values: Readonly<Record<string, Value>>): Array<OtlpResource.KeyValue> =>
  Object.entries(values).flatMap(([key, value]) =>
    value === undefined || value === null || value === "" ? [] : [{ key, value: valueOf(value) }]
  )

const nothing = { droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0, links: [] }

const usageOf = ({ usage }: TracedRequest) =>
  usage === undefined
    ? {}
    : {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "gen_ai.usage.cache_read.input_tokens": usage.cached === 0 ? undefined : usage.cached,
        "gen_ai.usage.cache_write.input_tokens": usage.cachedWrite === 0 ? undefined : usage.cachedWrite,
        "gen_ai.usage.reasoning.output_tokens": usage.reasoning === 0 ? undefined : usage.reasoning
      }

// Fractions by the conventions, whatever their value.
const doubles = (values: Readonly<Record<string, number | undefined>>): Array<OtlpResource.KeyValue> =>
  Object.entries(values).flatMap(([key, value]) =>
    value === undefined ? [] : [{ key, value: { doubleValue: value } }]
  )

const askedOf = ({ isJson, maxTokens, trace: { settings } }: TracedRequest): Array<OtlpResource.KeyValue> => [
  ...listed({
    "gen_ai.request.max_tokens": maxTokens === 0 ? undefined : maxTokens,
    "gen_ai.output.type": isJson ? "json" : undefined,
    "gen_ai.request.choice.count": settings?.choices,
    "gen_ai.request.reasoning.level": settings?.effort
  }),
  ...doubles({
    "gen_ai.request.temperature": settings?.temperature,
    "gen_ai.request.top_p": settings?.topP,
    "gen_ai.request.top_k": settings?.topK,
    "gen_ai.request.frequency_penalty": settings?.frequencyPenalty,
    "gen_ai.request.presence_penalty": settings?.presencePenalty
  }),
  ...listed({ "gen_ai.request.seed": settings?.seed })
]

const toldOf = ({ finishes, responseId }: TracedAttempt) => ({
  "gen_ai.response.id": responseId,
  "gen_ai.response.finish_reasons": finishes.length === 0 ? undefined : finishes
})

const place = (url: string) => {
  const { hostname, port, protocol } = new URL(url)
  return {
    "server.address": hostname,
    "server.port": port === "" ? (protocol === "https:" ? 443 : 80) : Number(port)
  }
}

/** All spans of a request. */
export const spanTree = (ended: TracedRequest, aheadMs: number): ReadonlyArray<SpanObject> => {
  const { trace, waits: waited } = ended
  const { traceId, state } = trace
  const shared = {
    ...nothing,
    traceId,
    flags: 1,
    ...(state === undefined || state === "" ? {} : { traceState: state })
  }
  const nanos = (at: number): string => `${Math.round((at + aheadMs) * 1000)}000`

  const call = (attempt: TracedAttempt, at: number): SpanObject => {
    const { answeredAt, backend, error, isHedge, model, started } = attempt
    const failed = error !== undefined && error !== "abandoned"
    const answered = answeredAt !== 0
    const firsts: Array<OtlpResource.KeyValue> = [
      { key: "gen_ai.response.time_to_first_chunk", value: { doubleValue: (answeredAt - started) / 1000 } }
    ]
    return {
      ...shared,
      spanId: attempt.spanId,
      parentSpanId: trace.spanId,
      name: `${ended.genAi} ${model}`.trim(),
      kind: 3,
      startTimeUnixNano: nanos(started),
      endTimeUnixNano: nanos(attempt.endedAt === 0 ? ended.ended : attempt.endedAt),
      attributes: [
        ...listed({
          "gen_ai.operation.name": ended.genAi,
          "gen_ai.provider.name": kindNamed(backend.type).provider ?? backend.type,
          "gen_ai.request.model": model.slice(0, 256),
          "gen_ai.request.stream": ended.stream,
          ...place(backend.url),
          "error.type": failed ? error : undefined,
          "nexus.backend": backend.name,
          "nexus.attempt.number": at + 1,
          "nexus.attempt.hedge": isHedge ? true : undefined,
          "nexus.attempt.abandoned": error === "abandoned" ? true : undefined
        }),
        ...askedOf(ended),
        ...listed(
          answered
            ? { ...usageOf(ended), ...toldOf(attempt), "gen_ai.response.model": ended.answeredModel?.slice(0, 256) }
            : {}
        ),
        ...(answered && ended.stream ? firsts : [])
      ],
      events: answered
        ? [
            {
              name: ended.stream ? "first_token" : "first_byte",
              timeUnixNano: nanos(answeredAt),
              attributes: [],
              droppedAttributesCount: 0
            }
          ]
        : [],
      status: { code: failed ? 2 : 0 }
    }
  }

  const waits: Array<SpanObject> = []
  for (let at = 0; at + 1 < waited.length; at += 2) {
    waits.push({
      ...shared,
      spanId: (BigInt(`0x${trace.spanId}`) ^ BigInt(at / 2 + 1)).toString(16).padStart(16, "0"),
      parentSpanId: trace.spanId,
      name: "queue",
      kind: 1,
      startTimeUnixNano: nanos(waited[at] ?? 0),
      endTimeUnixNano: nanos(waited[at + 1] ?? 0),
      attributes: listed({ "gen_ai.request.model": ended.model.slice(0, 256) }),
      events: [],
      status: { code: 0 }
    })
  }

  const { outcome, status } = ended
  const error = outcome === "truncated" ? "truncated" : outcome === "failed" ? String(status) : undefined
  const request: SpanObject = {
    ...shared,
    spanId: trace.spanId,
    parentSpanId: trace.parentId,
    name: `${ended.method} ${ended.endpoint}`,
    kind: 2,
    startTimeUnixNano: nanos(ended.started),
    endTimeUnixNano: nanos(ended.ended),
    attributes: listed({
      "http.request.method": ended.method,
      "http.response.status_code": status,
      "gen_ai.operation.name": ended.genAi,
      "gen_ai.request.model": ended.model.slice(0, 256),
      "gen_ai.request.stream": ended.stream,
      "error.type": error,
      "nexus.endpoint": ended.endpoint,
      "nexus.dialect": ended.dialect,
      "nexus.backend": ended.backend,
      "nexus.outcome": outcome,
      "nexus.attempts": trace.attempts.length,
      "nexus.sampling": trace.isKept ? "tail" : undefined,
      "client.address": ended.client,
      "user_agent.original": ended.userAgent?.slice(0, 256),
      "nexus.key.name": ended.key,
      "url.path": new URL(ended.url, "http://localhost").pathname.slice(0, 256),
      ...usageOf(ended),
      "nexus.request.id": ended.id,
      "http.response.body.size": ended.bytes
    }),
    events: [],
    status: { code: error === undefined ? 0 : 2 }
  }
  return [request, ...waits, ...trace.attempts.map(call)]
}
