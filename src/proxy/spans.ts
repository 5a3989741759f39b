/**
 * The spans of a request that has ended: one of the request, one of each call to a backend, one of each wait for a slot; named
 * by the semantic conventions for HTTP and, in version 0.1.0, for GenAI. Nothing of a message is in them.
 */
import type { OtlpResource, OtlpTracer } from "effect/observability"
import { kindNamed } from "../backend/all.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"
import type { RequestTrace, TracedAttempt, TracedRequest } from "./request-trace.ts"

/** A span as it is sent; `traceState` and `flags` are beside what effect's own spans have. */
export type OtlpSpan = OtlpTracer.ScopeSpan["spans"][number] & {
  readonly traceState?: string
  readonly flags: number
}

const kinds = { internal: 1, server: 2, client: 3 } as const

const statuses = { unset: 0, error: 2 } as const

type Attribute = OtlpResource.KeyValue

/** Attributes, without those that have no value. */
export const attributesOf = (
  values: Readonly<Record<string, string | number | boolean | undefined | null>>
): Array<Attribute> => {
  const all: Array<Attribute> = []
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === "") continue
    if (typeof value === "string") all.push({ key, value: { stringValue: value } })
    else if (typeof value === "boolean") all.push({ key, value: { boolValue: value } })
    else all.push({ key, value: Number.isInteger(value) ? { intValue: value } : { doubleValue: value } })
  }
  return all
}

const longest = 256

const short = (text: string | null | undefined): string | undefined => text?.slice(0, longest)

/** Nanoseconds since 1970 of a moment on the monotonic clock; `aheadMs` is what the wall clock shows beyond that. */
export const nanosOf = (at: number, aheadMs: number): string => {
  const micros = Math.round((at + aheadMs) * 1000)
  return `${micros}000`
}

const pathOf = (url: string): string => URL.parse(url, "http://localhost")?.pathname ?? ""

// Those that a caller, or nobody, is to blame for are no errors of a server.
const requestError = ({ outcome, status }: TracedRequest): string | undefined =>
  outcome === "truncated" ? "truncated" : outcome === "failed" ? String(status) : undefined

const noError: ReadonlySet<string> = new Set(["abandoned"])

const usageOf = ({ usage }: TracedRequest): Readonly<Record<string, number | undefined>> =>
  usage === undefined
    ? {}
    : {
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        ...(usage.cached === 0 ? {} : { "gen_ai.usage.cache_read.input_tokens": usage.cached })
      }

// Kept between calls: there are as many addresses as backends.
const placeOf = (url: string): Readonly<Record<string, string | number | undefined>> => {
  const parsed = URL.parse(url)
  if (parsed === null) return {}
  const standard = parsed.protocol === "https:" ? 443 : 80
  return {
    "server.address": parsed.hostname,
    "server.port": parsed.port === "" ? standard : Number(parsed.port)
  }
}

const bare = { droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0, links: [] }

/** What is kept of a request that has ended until its spans are made; of the request itself nothing is held. */
export const tracedOf = (
  record: RequestRecord,
  trace: RequestTrace,
  end: RequestEnd,
  client: string | undefined,
  now: number
): TracedRequest => {
  const { request, route } = record
  const { dialect, operation } = route
  return {
    trace,
    id: record.id,
    method: request.method,
    url: request.url,
    endpoint: record.endpoint,
    genAi: operation.genAi ?? (operation.generates ? "chat" : operation.name),
    dialect: dialect.id,
    model: record.model,
    stream: record.stream,
    key: record.key,
    client,
    userAgent: request.headers.get("user-agent"),
    outcome: end.outcome,
    status: end.status,
    backend: end.backend,
    bytes: end.bytes,
    usage: record.usage,
    started: record.started,
    ended: now
  }
}

/** All spans of a request; `aheadMs` is what the wall clock shows beyond the monotonic one. */
export const spansOf = (ended: TracedRequest, aheadMs: number): ReadonlyArray<OtlpSpan> => {
  const { trace } = ended
  const { traceId, state } = trace
  const shared = { ...bare, traceId, flags: 1, ...(state === undefined ? {} : { traceState: state }) }
  const nanos = (at: number): string => nanosOf(at, aheadMs)

  const attemptSpan = (attempt: TracedAttempt, at: number): OtlpSpan => {
    const { answeredAt, backend, error, isHedge, model, started } = attempt
    const failed = error !== undefined && !noError.has(error)
    const endedAt = attempt.endedAt === 0 ? ended.ended : attempt.endedAt
    const first = answeredAt === 0 ? undefined : (answeredAt - started) / 1000
    const { provider = backend.type } = kindNamed(backend.type)
    return {
      ...shared,
      spanId: attempt.spanId,
      parentSpanId: trace.spanId,
      name: `${ended.genAi} ${model}`.trim(),
      kind: kinds.client,
      startTimeUnixNano: nanos(started),
      endTimeUnixNano: nanos(endedAt),
      attributes: attributesOf({
        "gen_ai.operation.name": ended.genAi,
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": short(model),
        "gen_ai.request.stream": ended.stream,
        ...placeOf(backend.url),
        ...(answeredAt === 0 ? {} : usageOf(ended)),
        "gen_ai.response.time_to_first_chunk": ended.stream ? first : undefined,
        "error.type": failed ? error : undefined,
        "nexus.backend": backend.name,
        "nexus.attempt.number": at + 1,
        "nexus.attempt.hedge": isHedge ? true : undefined,
        "nexus.attempt.abandoned": error === "abandoned" ? true : undefined
      }),
      events:
        answeredAt === 0
          ? []
          : [
              {
                name: ended.stream ? "first_token" : "first_byte",
                timeUnixNano: nanos(answeredAt),
                attributes: [],
                droppedAttributesCount: 0
              }
            ],
      status: { code: failed ? statuses.error : statuses.unset }
    }
  }

  const waits: Array<OtlpSpan> = []
  for (let at = 0; at + 1 < trace.waits.length; at += 2) {
    waits.push({
      ...shared,
      // Nobody else knows of it, so its id can be made of the request's: no two waits of one have the same.
      spanId: (BigInt(`0x${trace.spanId}`) ^ BigInt(at / 2 + 1)).toString(16).padStart(16, "0"),
      parentSpanId: trace.spanId,
      name: "queue",
      kind: kinds.internal,
      startTimeUnixNano: nanos(trace.waits[at] ?? 0),
      endTimeUnixNano: nanos(trace.waits[at + 1] ?? 0),
      attributes: attributesOf({ "gen_ai.request.model": short(ended.model) }),
      events: [],
      status: { code: statuses.unset }
    })
  }

  const error = requestError(ended)
  const request: OtlpSpan = {
    ...shared,
    spanId: trace.spanId,
    parentSpanId: trace.parentId,
    name: `${ended.method} ${ended.endpoint}`,
    kind: kinds.server,
    startTimeUnixNano: nanos(ended.started),
    endTimeUnixNano: nanos(ended.ended),
    attributes: attributesOf({
      "http.request.method": ended.method,
      "url.path": short(pathOf(ended.url)),
      "http.response.status_code": ended.status,
      "client.address": ended.client,
      "user_agent.original": short(ended.userAgent),
      "gen_ai.operation.name": ended.genAi,
      "gen_ai.request.model": short(ended.model),
      "gen_ai.request.stream": ended.stream,
      ...usageOf(ended),
      "error.type": error,
      "nexus.request.id": ended.id,
      "nexus.endpoint": ended.endpoint,
      "nexus.dialect": ended.dialect,
      "nexus.backend": ended.backend,
      "nexus.outcome": ended.outcome,
      "nexus.attempts": trace.attempts.length,
      "nexus.key.name": ended.key,
      "http.response.body.size": ended.bytes
    }),
    events: [],
    status: { code: error === undefined ? statuses.unset : statuses.error }
  }
  return [request, ...waits, ...trace.attempts.map(attemptSpan)]
}
