/**
 * What is noted of a request while it is under way, where traces are wanted: whom it asked, and what came of that. Spans are
 * made of it at its end.
 */
import type { Backend } from "../backend/backend.ts"
import type { ReadRequest, StreamWatch } from "../dialect/Dialect.ts"
import { type AskedSettings, askedSettings, type ToldAnswer } from "../dialect/told-facts.ts"
import { isLineValue } from "../domain/header-lines.ts"
import { readTraceparent, type TraceContext, TraceIds, traceparentOf } from "../domain/trace-context.ts"
import type { Outcome } from "../domain/request.ts"
import type { Usage } from "../telemetry/meter.ts"
import { type TraceDecision, traceDecision, type TraceSampling } from "./trace-sampling.ts"

const ids = new TraceIds()

const noWords: ReadonlyArray<string> = []

/** What is looked at of an answer. */
interface HeardAnswer {
  readonly told?: ToldAnswer | undefined
  readonly watch?: StreamWatch | undefined
}

/** One call to a backend; times are monotonic milliseconds, 0 for what has not happened. */
export class TracedAttempt {
  readonly backend: Pick<Backend, "name" | "type" | "url">
  readonly model: string
  readonly started: number
  /** Whether it was begun beside another one that was late. */
  readonly isHedge: boolean
  answeredAt = 0
  endedAt = 0
  /** Why it failed, or was left: a word of a closed set. */
  error: string | undefined
  private id: string | undefined
  private told: ToldAnswer | undefined
  // Until it has ended.
  private watch: StreamWatch | undefined

  constructor(backend: TracedAttempt["backend"], model: string, started: number, isHedge: boolean) {
    this.backend = backend
    this.model = model
    this.started = started
    this.isHedge = isHedge
  }

  /** Made where it is asked for. */
  get spanId(): string {
    this.id ??= ids.span()
    return this.id
  }

  /** It is over; what is told later changes nothing. */
  ends(now: number, error: string | undefined): void {
    if (this.endedAt !== 0) return
    this.endedAt = now
    this.error = error
    if (this.watch === undefined) return
    const finishes = this.watch.finishes?.() ?? []
    this.told = { id: this.told?.id, finishes }
    this.watch = undefined
  }

  /** An answer has come, or begun. */
  hears(answer: HeardAnswer): void {
    this.told = answer.told
    this.watch = answer.watch
  }

  /** The id that its answer says. */
  get responseId(): string | undefined {
    return this.told?.id
  }

  /** Why that ended, choice by choice. */
  get finishes(): ReadonlyArray<string> {
    return this.told?.finishes ?? noWords
  }
}

/** A request that has ended, as its spans are made of it; nothing of a message is among it. */
export interface TracedRequest {
  readonly trace: RequestTrace
  /** When it began to wait for a slot and when that was over, one after the other. */
  readonly waits: ReadonlyArray<number>
  readonly id: string
  readonly method: string
  readonly url: string
  readonly endpoint: string
  /** The name of the operation by the conventions for GenAI. */
  readonly genAi: string
  readonly dialect: string
  readonly model: string
  /** The model that answered, where that was not to be expected. */
  readonly answeredModel: string | undefined
  readonly stream: boolean
  /** The most tokens that its answer may have; 0 where it does not say. */
  readonly maxTokens: number
  /** Whether the answer is to be JSON. */
  readonly isJson: boolean
  readonly key: string | undefined
  readonly client: string | undefined
  readonly userAgent: string | null
  readonly outcome: Outcome
  readonly status: number
  readonly backend: string
  readonly bytes: number
  readonly usage: Usage | undefined
  readonly started: number
  readonly ended: number
}

/** Decides of a request whether it is traced. */
export interface Tracing extends TraceSampling {
  /** Takes a request that has ended. */
  readonly take: (ended: TracedRequest) => void
}

// Nothing is made for those that are not recorded.
const none: Array<never> = []

/** The trace of one request. */
export class RequestTrace implements TraceContext {
  readonly traceId: string
  readonly spanId = ids.span()
  /** Whether it is said to be recorded: to its backends, and to its client. */
  readonly sampled: boolean
  /** The span of the caller. */
  readonly parentId: string | undefined
  /** What others have put beside it, as it came. */
  readonly state: string | undefined
  /** The calls, where it is recorded, or may be kept. */
  attempts: Array<TracedAttempt> = none
  /** Whether the head of the answer says it. */
  isTold = false
  /** What is asked of the answer, where it is recorded and was read. */
  settings: AskedSettings | undefined
  private decided: TraceDecision | "kept"
  private text: string | undefined

  /** `now` in monotonic milliseconds. */
  constructor(sampling: TraceSampling, headers: Headers, now: number) {
    const text = headers.get("traceparent")
    const parent = text === null ? undefined : readTraceparent(text)
    this.traceId = parent?.traceId ?? ids.trace()
    this.parentId = parent?.spanId
    const state = parent === undefined ? null : headers.get("tracestate")
    this.state = state !== null && isLineValue(state) ? state : undefined
    this.decided = traceDecision(sampling, parent, this.traceId, now)
    this.sampled = this.decided === "recorded"
  }

  /** Whether there are spans of it. */
  get isRecorded(): boolean {
    return this.sampled || this.isKept
  }

  /** Whether it was left out, so that calls alone are noted of it. */
  get isLeftOut(): boolean {
    return this.decided === "left_out"
  }

  /** Whether it had been left out, and is recorded since it ended in a way that is of interest. */
  get isKept(): boolean {
    return this.decided === "kept"
  }

  /** Is recorded, of what is known of it, though all have been told that it is not. */
  keep(): void {
    this.decided = "kept"
  }

  /** What it asks for has been read. */
  reads({ parsed, settings }: Pick<ReadRequest, "parsed" | "settings">): void {
    if (this.sampled) this.settings = settings ?? (parsed === undefined ? undefined : askedSettings(parsed.json))
  }

  /** What the client is told of it. */
  get response(): string {
    this.isTold = true
    return this.own
  }

  /** A backend is called; undefined where nothing of that is recorded. */
  asks(backend: TracedAttempt["backend"], model: string, now: number, isHedge = false): TracedAttempt | undefined {
    if (this.decided === "unrecorded") return undefined
    const attempt = new TracedAttempt(backend, model, now, isHedge)
    if (this.attempts === none) this.attempts = [attempt]
    else this.attempts.push(attempt)
    return attempt
  }

  /** What a backend is told that is called: below the call, where that is recorded. */
  tells(attempt: TracedAttempt | undefined): string {
    return attempt === undefined || !this.sampled ? this.own : traceparentOf(this, attempt.spanId)
  }

  private get own(): string {
    this.text ??= traceparentOf(this)
    return this.text
  }
}
