/**
 * The spans of a request that has ended: one of the request, one of each call to a backend, one of each wait for a slot; named
 * by the semantic conventions for HTTP and, in version 0.1.0, for GenAI. Nothing of a message is in them.
 *
 * Those of a few requests are written one after the other, since what writes them is in the caches of the processor then, and
 * wait as bytes for the next sending: objects that wait are what a collector of garbage has most work with.
 */
import type { BackendType } from "../backend/all.ts"
import { kindNamed } from "../backend/all.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { AskedSettings } from "../dialect/told-facts.ts"
import type { ByteWriter } from "../telemetry/byte-writer.ts"
import type { Usage } from "../telemetry/meter.ts"
import { Recurring } from "../telemetry/recurring.ts"
import type { Attributes, SpanEncoding, SpanWriter } from "../telemetry/span-encoding.ts"
import type { RequestEnd } from "./record.ts"
import type { TracedAttempt, TracedRequest } from "./request-trace.ts"

const longest = 256

const short = (text: string | null | undefined): string | undefined => text?.slice(0, longest)

/** Whole microseconds since 1970 of a moment on the monotonic clock; `aheadMs` is what the wall clock shows beyond that. */
export const microsOf = (at: number, aheadMs: number): number => Math.round((at + aheadMs) * 1000)

const withoutQuery = (url: string): string => {
  const at = url.indexOf("?")
  return at < 0 ? url : url.slice(0, at)
}

const pathOf = (url: string): string => URL.parse(url, "http://localhost")?.pathname ?? ""

/** What went wrong with a request; that which a caller, or nobody, is to blame for is no error of a server. */
export const requestError = ({ outcome, status }: Pick<RequestEnd, "outcome" | "status">): string | undefined =>
  outcome === "truncated" ? "truncated" : outcome === "failed" ? String(status) : undefined

// No word of a server has it.
const between = "\n"

const unsaid: AskedSettings = {
  temperature: undefined,
  topP: undefined,
  topK: undefined,
  seed: undefined,
  frequencyPenalty: undefined,
  presencePenalty: undefined,
  choices: undefined,
  effort: undefined
}

const noError: ReadonlySet<string> = new Set(["abandoned"])

const isFailure = (error: string | undefined): error is string => error !== undefined && !noError.has(error)

const placeOf = (url: string): Attributes => {
  const parsed = URL.parse(url)
  if (parsed === null) return {}
  const standard = parsed.protocol === "https:" ? 443 : 80
  return {
    "server.address": parsed.hostname,
    "server.port": parsed.port === "" ? standard : Number(parsed.port)
  }
}

/** What the conventions for GenAI call what is asked. */
export const genAiName = ({ operation: { genAi, generates, name } }: DialectRoute): string =>
  genAi ?? (generates ? "chat" : name)

/** What they call those who are asked. */
export const genAiProvider = (type: BackendType): string => kindNamed(type).provider ?? type

/** What recurs of a span. */
interface Shape {
  readonly naming: Uint8Array
  readonly attributes: Uint8Array
}

/** Writes the spans of requests, in one encoding. */
export class RequestSpans {
  private readonly out: SpanWriter
  private readonly keys
  private readonly firsts
  private readonly sender
  private readonly requests
  private readonly waits
  private readonly calls
  private readonly settings
  private readonly finishes

  constructor(encoding: SpanEncoding, out: ByteWriter) {
    const { attributes, event, key, naming } = encoding
    this.out = encoding.writer(out)
    this.keys = {
      input: key("gen_ai.usage.input_tokens"),
      output: key("gen_ai.usage.output_tokens"),
      cached: key("gen_ai.usage.cache_read.input_tokens"),
      cachedWrite: key("gen_ai.usage.cache_write.input_tokens"),
      reasoning: key("gen_ai.usage.reasoning.output_tokens"),
      answered: key("gen_ai.response.model"),
      first: key("gen_ai.response.time_to_first_chunk"),
      responseId: key("gen_ai.response.id"),
      temperature: key("gen_ai.request.temperature"),
      topP: key("gen_ai.request.top_p"),
      topK: key("gen_ai.request.top_k"),
      frequencyPenalty: key("gen_ai.request.frequency_penalty"),
      presencePenalty: key("gen_ai.request.presence_penalty"),
      seed: key("gen_ai.request.seed"),
      id: key("nexus.request.id"),
      bytes: key("http.response.body.size")
    }
    this.firsts = { stream: event("first_token"), whole: event("first_byte") }
    this.sender = new Recurring(
      (client: string | undefined, userAgent: string | null, keyName: string | undefined, url: string) =>
        attributes({
          "client.address": client,
          "user_agent.original": short(userAgent),
          "nexus.key.name": keyName,
          "url.path": short(pathOf(url))
        })
    )
    this.requests = new Recurring(
      (
        method: string,
        endpoint: string,
        genAi: string,
        dialect: string,
        model: string,
        stream: boolean,
        status: number,
        outcome: string,
        error: string | undefined,
        backend: string,
        attempts: number,
        isKept: boolean
      ): Shape => ({
        naming: naming(`${method} ${endpoint}`, "server"),
        attributes: attributes({
          "http.request.method": method,
          "http.response.status_code": status,
          "gen_ai.operation.name": genAi,
          "gen_ai.request.model": short(model),
          "gen_ai.request.stream": stream,
          "error.type": error,
          "nexus.endpoint": endpoint,
          "nexus.dialect": dialect,
          "nexus.backend": backend,
          "nexus.outcome": outcome,
          "nexus.attempts": attempts,
          "nexus.sampling": isKept ? "tail" : undefined
        })
      })
    )
    this.waits = new Recurring((model: string): Shape => ({
      naming: naming("queue", "internal"),
      attributes: attributes({ "gen_ai.request.model": short(model) })
    }))
    this.calls = new Recurring(
      (
        genAi: string,
        model: string,
        stream: boolean,
        backend: string,
        type: BackendType,
        url: string,
        number: number,
        isHedge: boolean,
        error: string | undefined
      ): Shape => ({
        naming: naming(`${genAi} ${model}`.trim(), "client"),
        attributes: attributes({
          "gen_ai.operation.name": genAi,
          "gen_ai.provider.name": genAiProvider(type),
          "gen_ai.request.model": short(model),
          "gen_ai.request.stream": stream,
          ...placeOf(url),
          "error.type": isFailure(error) ? error : undefined,
          "nexus.backend": backend,
          "nexus.attempt.number": number,
          "nexus.attempt.hedge": isHedge ? true : undefined,
          "nexus.attempt.abandoned": error === "abandoned" ? true : undefined
        })
      })
    )
    this.settings = new Recurring(
      (maxTokens: number, isJson: boolean, choices: number | undefined, effort: string | undefined) =>
        attributes({
          "gen_ai.request.max_tokens": maxTokens === 0 ? undefined : maxTokens,
          "gen_ai.output.type": isJson ? "json" : undefined,
          "gen_ai.request.choice.count": choices,
          "gen_ai.request.reasoning.level": effort
        })
    )
    this.finishes = new Recurring((words: string) =>
      attributes({ "gen_ai.response.finish_reasons": words.split(between) })
    )
  }

  /** Writes all spans of a request; `aheadMs` is what the wall clock shows beyond the monotonic one. */
  write(request: TracedRequest, aheadMs: number): void {
    const { trace, waits } = request
    this.request(request, aheadMs)
    for (let at = 0; at + 1 < waits.length; at += 2) this.wait(request, at, aheadMs)
    for (let at = 0; at < trace.attempts.length; at += 1) {
      const attempt = trace.attempts[at]
      if (attempt !== undefined) this.attempt(request, attempt, at + 1, aheadMs)
    }
  }

  private request(request: TracedRequest, aheadMs: number): void {
    const { keys, out } = this
    const { backend, dialect, endpoint, genAi, method, model, outcome, status, stream, trace } = request
    const error = requestError(request)
    const attempts = trace.attempts.length
    const shape = this.requests.of(
      method,
      endpoint,
      genAi,
      dialect,
      model,
      stream,
      status,
      outcome,
      error,
      backend,
      attempts,
      trace.isKept
    )
    const from = microsOf(request.started, aheadMs)
    out.open(trace, trace.spanId, trace.parentId, shape.naming, from, microsOf(request.ended, aheadMs))
    out.attributes(shape.attributes)
    out.attributes(this.sender.of(request.client, request.userAgent, request.key, withoutQuery(request.url)))
    this.usage(request.usage)
    out.text(keys.id, request.id)
    out.int(keys.bytes, request.bytes)
    out.close(error !== undefined)
  }

  private wait({ model, trace, waits }: TracedRequest, at: number, aheadMs: number): void {
    const { out } = this
    const { attributes, naming } = this.waits.of(model)
    // Nobody else knows of it, so its id can be made of the request's: no two waits of one have the same.
    const id = (BigInt(`0x${trace.spanId}`) ^ BigInt(at / 2 + 1)).toString(16).padStart(16, "0")
    const [from, to] = [microsOf(waits[at] ?? 0, aheadMs), microsOf(waits[at + 1] ?? 0, aheadMs)]
    out.open(trace, id, trace.spanId, naming, from, to)
    out.attributes(attributes)
    out.close(false)
  }

  private attempt(request: TracedRequest, attempt: TracedAttempt, number: number, aheadMs: number): void {
    const { firsts, keys, out } = this
    const { answeredModel, genAi, stream, trace } = request
    const { answeredAt, backend, error, isHedge, model, started } = attempt
    const { name, type, url } = backend
    const { attributes, naming } = this.calls.of(genAi, model, stream, name, type, url, number, isHedge, error)
    const to = microsOf(attempt.endedAt === 0 ? request.ended : attempt.endedAt, aheadMs)
    out.open(trace, attempt.spanId, trace.spanId, naming, microsOf(started, aheadMs), to)
    out.attributes(attributes)
    this.asked(request)
    if (answeredAt !== 0) {
      this.usage(request.usage)
      this.told(attempt)
      if (answeredModel !== undefined) out.text(keys.answered, answeredModel.slice(0, longest))
      if (stream) out.double(keys.first, (answeredAt - started) / 1000)
      out.event(stream ? firsts.stream : firsts.whole, microsOf(answeredAt, aheadMs))
    }
    out.close(isFailure(error))
  }

  private asked({ isJson, maxTokens, trace }: TracedRequest): void {
    const { keys, out } = this
    const { settings } = trace
    if (settings === undefined && maxTokens === 0 && !isJson) return
    const { choices, effort, frequencyPenalty, presencePenalty, seed, temperature, topK, topP } = settings ?? unsaid
    out.attributes(this.settings.of(maxTokens, isJson, choices, effort))
    // The conventions have them as fractions, the whole ones too: who stores spans has one type for a name.
    if (temperature !== undefined) out.double(keys.temperature, temperature)
    if (topP !== undefined) out.double(keys.topP, topP)
    if (topK !== undefined) out.double(keys.topK, topK)
    if (frequencyPenalty !== undefined) out.double(keys.frequencyPenalty, frequencyPenalty)
    if (presencePenalty !== undefined) out.double(keys.presencePenalty, presencePenalty)
    if (seed !== undefined) out.int(keys.seed, seed)
  }

  private told({ finishes, responseId }: TracedAttempt): void {
    if (responseId !== undefined) this.out.text(this.keys.responseId, responseId)
    const [first] = finishes
    if (first === undefined) return
    this.out.attributes(this.finishes.of(finishes.length === 1 ? first : finishes.join(between)))
  }

  private usage(usage: Usage | undefined): void {
    if (usage === undefined) return
    const { keys, out } = this
    out.int(keys.input, usage.prompt)
    out.int(keys.output, usage.completion)
    const { cached, cachedWrite = 0, reasoning = 0 } = usage
    if (cached !== 0) out.int(keys.cached, cached)
    if (cachedWrite !== 0) out.int(keys.cachedWrite, cachedWrite)
    if (reasoning !== 0) out.int(keys.reasoning, reasoning)
  }
}
