/**
 * What the log says of one request: who asked what, where it went, how it ended and how long that took; nothing of a message.
 */
import type { Listening } from "../http/BunServer.ts"
import { type LineTemplate, numberText } from "../telemetry/line-template.ts"
import { Recurring } from "../telemetry/recurring.ts"
import type { RequestEnd, RequestRecord, UnderWay } from "./record.ts"

/** A request that was refused before anything of it was read. */
export interface RefusedRequest {
  readonly id: string
  readonly request: Request
  readonly server: Pick<Listening, "peer">
  readonly status: number
  /** The name of the key that it came with. */
  readonly key?: string | undefined
}

type Fields = Readonly<Record<string, unknown>>

const longestHeader = 200

const some = (name: string, value: string | undefined): Fields => (value === undefined ? {} : { [name]: value })

const header = ({ headers }: Request, name: string): string | undefined =>
  headers.get(name)?.slice(0, longestHeader) ?? undefined

/** Whose request it is, as far as that can be told. */
const senderFields = (
  client: string | undefined,
  forwardedFor: string | undefined,
  userAgent: string | undefined,
  key: string | undefined
): Fields => ({
  ...some("client", client),
  ...some("forwarded_for", forwardedFor),
  ...some("user_agent", userAgent),
  ...some("key", key)
})

const askedFields = (
  endpoint: string,
  dialect: string,
  model: string,
  upstream_model: string,
  backend: string,
  rule: string | undefined,
  stream: boolean
): Fields => ({ endpoint, dialect, model, upstream_model, backend, ...some("rule", rule), stream })

const endedFields = (outcome: string, status: number, attempts: number): Fields => ({ outcome, status, attempts })

// What the client's own library says of its retries.
const retryFields = ({ headers }: Request): Fields => {
  const retried = headers.get("x-stainless-retry-count")
  return retried !== null && /^[1-9]\d{0,3}$/.test(retried) ? { client_retry: Number(retried) } : {}
}

const usageFields = ({ usage }: RequestRecord): Fields =>
  usage === undefined
    ? {}
    : {
        prompt_tokens: usage.prompt,
        ...(usage.cached === 0 ? {} : { cached_tokens: usage.cached }),
        completion_tokens: usage.completion
      }

type Ended = Pick<UnderWay, "peer" | "record">

/** The fields of a request that has ended. */
export const requestFields = (ended: Ended, end: RequestEnd, now: number): Fields => {
  const { record } = ended
  const { asked, committed, decided, request, route, started } = record
  const rule = decided?.ruling?.rule?.name
  return {
    request_id: record.id,
    ...(record.trace === undefined ? {} : { trace_id: record.trace.traceId }),
    ...senderFields(ended.peer(), header(request, "x-forwarded-for"), header(request, "user-agent"), record.key),
    ...askedFields(
      record.endpoint,
      route.dialect.id,
      record.model,
      asked?.model ?? "",
      end.backend,
      rule,
      record.stream
    ),
    ...endedFields(end.outcome, end.status, record.attempts),
    ...(record.hedge === undefined ? {} : { hedge: record.hedge }),
    ...retryFields(request),
    duration_ms: Math.round(now - started),
    ...(record.queuedMs === 0 ? {} : { queue_ms: Math.round(record.queuedMs) }),
    ...(committed === undefined ? {} : { first_byte_ms: Math.round(committed.at - started) }),
    bytes_out: end.bytes,
    ...usageFields(record),
    ...(record.failures.length === 0 ? {} : { failures: record.failures })
  }
}

const plainId = /^[\w.:-]+$/

/** The JSON lines of requests that have ended: what {@link requestFields} says of each, without an object for it. */
export class RequestLines {
  readonly template: LineTemplate
  private readonly sender
  private readonly asked
  private readonly ended
  private readonly idText
  private readonly traceText
  private readonly numbers

  constructor(template: LineTemplate) {
    this.template = template
    this.sender = new Recurring((...values: Parameters<typeof senderFields>) =>
      template.fields(senderFields(...values))
    )
    this.asked = new Recurring((...values: Parameters<typeof askedFields>) => template.fields(askedFields(...values)))
    this.ended = new Recurring((...values: Parameters<typeof endedFields>) => template.fields(endedFields(...values)))
    this.idText = template.plainText("request_id")
    this.traceText = template.plainText("trace_id")
    this.numbers = {
      duration: template.number("duration_ms"),
      queue: template.number("queue_ms"),
      first: template.number("first_byte_ms"),
      bytes: template.number("bytes_out"),
      prompt: template.number("prompt_tokens"),
      cached: template.number("cached_tokens"),
      completion: template.number("completion_tokens")
    }
  }

  /** The line of a request; undefined where that would be too long. `now` in monotonic milliseconds. */
  of(ended: Ended, end: RequestEnd, now: number): string | undefined {
    const { numbers, template } = this
    const { record } = ended
    const { asked, committed, decided, failures, hedge, id, request, route, started, trace, usage } = record
    let line = template.begin()
    line += plainId.test(id) ? `${this.idText}${id}"` : template.fields({ request_id: id })
    if (trace !== undefined) line += `${this.traceText}${trace.traceId}"`
    line += this.sender.of(ended.peer(), header(request, "x-forwarded-for"), header(request, "user-agent"), record.key)
    line += this.asked.of(
      record.endpoint,
      route.dialect.id,
      record.model,
      asked?.model ?? "",
      end.backend,
      decided?.ruling?.rule?.name,
      record.stream
    )
    line += this.ended.of(end.outcome, end.status, record.attempts)
    if (hedge !== undefined) line += template.fields({ hedge })
    if (request.headers.get("x-stainless-retry-count") !== null) line += template.fields(retryFields(request))
    line += numberText(numbers.duration, Math.round(now - started))
    if (record.queuedMs !== 0) line += numberText(numbers.queue, Math.round(record.queuedMs))
    if (committed !== undefined) line += numberText(numbers.first, Math.round(committed.at - started))
    line += numberText(numbers.bytes, end.bytes)
    if (usage !== undefined) {
      line += numberText(numbers.prompt, usage.prompt)
      if (usage.cached !== 0) line += numberText(numbers.cached, usage.cached)
      line += numberText(numbers.completion, usage.completion)
    }
    if (failures.length > 0) line += template.fields({ failures })
    return template.whole(line)
  }
}

const pathOf = (url: string): string => {
  const { pathname } = URL.parse(url, "http://localhost") ?? { pathname: "" }
  return pathname.slice(0, longestHeader)
}

/** The fields of a request that was refused before anything of it was read. */
export const turnedAwayFields = ({ id, key, request, server, status }: RefusedRequest): Fields => ({
  request_id: id,
  ...senderFields(server.peer(request), header(request, "x-forwarded-for"), header(request, "user-agent"), key),
  method: request.method,
  path: pathOf(request.url),
  outcome: "refused",
  status
})
