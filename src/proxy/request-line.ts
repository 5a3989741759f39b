/**
 * What the log says of one request: who asked what, where it went, how it ended and how long that took; nothing of a message.
 */
import type { Listening } from "../http/BunServer.ts"
import type { LineTemplate, NumberField } from "../telemetry/line-template.ts"
import { Recurring } from "../telemetry/recurring.ts"
import type { RequestLog } from "../telemetry/logging.ts"
import type { AttemptFailure } from "../domain/errors.ts"
import type { Outcome } from "../domain/request.ts"
import type { Usage } from "../telemetry/meter.ts"
import type { Hedge } from "./record.ts"

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

const someHeader = (name: string, value: string | null): Fields =>
  value === null ? {} : { [name]: value.slice(0, longestHeader) }

/** Whose request it is, as far as that can be told. */
const senderFields = (
  client: string | undefined,
  forwardedFor: string | null,
  userAgent: string | null,
  key: string | undefined
): Fields => ({
  ...some("client", client),
  ...someHeader("forwarded_for", forwardedFor),
  ...someHeader("user_agent", userAgent),
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

/** What a line says of a request that has ended. */
export interface LineFacts {
  /** When it ended, in milliseconds since 1970. */
  readonly time: number
  readonly id: string
  readonly traceId: string | undefined
  readonly client: string | undefined
  readonly forwardedFor: string | null
  readonly userAgent: string | null
  readonly key: string | undefined
  readonly endpoint: string
  readonly dialect: string
  readonly model: string
  readonly upstreamModel: string
  readonly backend: string
  readonly rule: string | undefined
  readonly stream: boolean
  readonly outcome: Outcome
  readonly status: number
  readonly attempts: number
  readonly hedge: Hedge | undefined
  /** What the client's own library says of its retries. */
  readonly retried: string | null
  readonly tookMs: number
  readonly queuedMs: number
  readonly firstMs: number | undefined
  readonly bytes: number
  readonly usage: Usage | undefined
  readonly failures: ReadonlyArray<AttemptFailure>
}

const retryFields = (retried: string | null): Fields =>
  retried !== null && /^[1-9]\d{0,3}$/.test(retried) ? { client_retry: Number(retried) } : {}

const usageFields = (usage: Usage | undefined): Fields =>
  usage === undefined
    ? {}
    : {
        prompt_tokens: usage.prompt,
        ...(usage.cached === 0 ? {} : { cached_tokens: usage.cached }),
        completion_tokens: usage.completion
      }

/** The fields of a request that has ended. */
export const requestFields = (facts: LineFacts): Fields => ({
  request_id: facts.id,
  ...some("trace_id", facts.traceId),
  ...senderFields(facts.client, facts.forwardedFor, facts.userAgent, facts.key),
  ...askedFields(
    facts.endpoint,
    facts.dialect,
    facts.model,
    facts.upstreamModel,
    facts.backend,
    facts.rule,
    facts.stream
  ),
  ...endedFields(facts.outcome, facts.status, facts.attempts),
  ...(facts.hedge === undefined ? {} : { hedge: facts.hedge }),
  ...retryFields(facts.retried),
  duration_ms: Math.round(facts.tookMs),
  ...(facts.queuedMs === 0 ? {} : { queue_ms: Math.round(facts.queuedMs) }),
  ...(facts.firstMs === undefined ? {} : { first_byte_ms: Math.round(facts.firstMs) }),
  bytes_out: facts.bytes,
  ...usageFields(facts.usage),
  ...(facts.failures.length === 0 ? {} : { failures: facts.failures })
})

const plainId = /^[\w.:-]+$/

// Of the digits of a number.
const longestNumber = 24

// Made one after the other lines cost a fifth: what makes them is in the caches of the processor then.
const atATime = 64

/** The JSON lines of requests that have ended: what {@link requestFields} says of each, without an object for it. */
export class RequestLines {
  readonly template: LineTemplate
  private readonly log: Pick<RequestLog["Service"], "makeLater" | "writeLines">
  private readonly noted: Array<LineFacts> = []
  // Of lines that are about to be written: a text that grows would be an object for each thing that is added to it.
  private readonly parts: Array<string | number> = []
  // Of the line that is put together, at most.
  private length = 0
  private readonly sender
  private readonly asked
  private readonly ended
  private readonly idText
  private readonly traceText
  private readonly numbers

  constructor(template: LineTemplate, log: Pick<RequestLog["Service"], "makeLater" | "writeLines">) {
    this.template = template
    this.log = log
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

  /** Has the line of a request written, together with those of others. */
  note(facts: LineFacts): void {
    this.noted.push(facts)
    if (this.noted.length < atATime) this.log.makeLater(this.write)
    else this.write()
  }

  private readonly write = (): void => {
    if (this.noted.length === 0) return
    for (const facts of this.noted) this.put(facts)
    this.noted.length = 0
    const text = this.parts.join("")
    this.parts.length = 0
    this.log.writeLines(text)
  }

  private put(facts: LineFacts): void {
    const { numbers, parts, template } = this
    const { failures, firstMs, hedge, id, queuedMs, retried, traceId, usage } = facts
    if (parts.length > 0) parts.push("\n")
    const from = parts.length
    this.length = 0
    this.text(template.begin(facts.time))
    if (plainId.test(id)) {
      this.text(this.idText)
      this.text(id)
      this.text('"')
    } else this.text(template.fields({ request_id: id }))
    if (traceId !== undefined) {
      this.text(this.traceText)
      this.text(traceId)
      this.text('"')
    }
    this.text(this.sender.of(facts.client, facts.forwardedFor, facts.userAgent, facts.key))
    this.text(
      this.asked.of(
        facts.endpoint,
        facts.dialect,
        facts.model,
        facts.upstreamModel,
        facts.backend,
        facts.rule,
        facts.stream
      )
    )
    this.text(this.ended.of(facts.outcome, facts.status, facts.attempts))
    if (hedge !== undefined) this.text(template.fields({ hedge }))
    if (retried !== null) this.text(template.fields(retryFields(retried)))
    this.number(numbers.duration, Math.round(facts.tookMs))
    if (queuedMs !== 0) this.number(numbers.queue, Math.round(queuedMs))
    if (firstMs !== undefined) this.number(numbers.first, Math.round(firstMs))
    this.number(numbers.bytes, facts.bytes)
    if (usage !== undefined) {
      this.number(numbers.prompt, usage.prompt)
      if (usage.cached !== 0) this.number(numbers.cached, usage.cached)
      this.number(numbers.completion, usage.completion)
    }
    if (failures.length > 0) this.text(template.fields({ failures }))
    if (this.length > template.room) parts.push(template.cut(facts.time, requestFields(facts), parts.splice(from)))
    else parts.push("}")
  }

  private text(text: string): void {
    this.parts.push(text)
    this.length += text.length
  }

  private number({ before, times }: NumberField, value: number): void {
    this.parts.push(before, Number.isFinite(value) ? value * times : "null")
    this.length += before.length + longestNumber
  }
}

const pathOf = (url: string): string => {
  const { pathname } = URL.parse(url, "http://localhost") ?? { pathname: "" }
  return pathname.slice(0, longestHeader)
}

/** The fields of a request that was refused before anything of it was read. */
export const turnedAwayFields = ({ id, key, request, server, status }: RefusedRequest): Fields => ({
  request_id: id,
  ...senderFields(server.peer(request), request.headers.get("x-forwarded-for"), request.headers.get("user-agent"), key),
  method: request.method,
  path: pathOf(request.url),
  outcome: "refused",
  status
})
