/**
 * A committed answer on its way to the client.
 */
import * as Effect from "effect/Effect"
import { type AttemptFailure, Cancelled, Stopping } from "../domain/errors.ts"
import type { Outcome } from "../domain/request.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { Evidence, Ticket } from "../registry/live-state.ts"
import { cutPromptOf, type CutPrompt } from "../router/cut-prompt.ts"
import type { Attempt } from "../router/choice.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { AnswerBody, BodySink } from "../wire/received-answer.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import type { StreamFilter, StreamWatch } from "../dialect/Dialect.ts"
import { refusalBody } from "../dialect/refuse.ts"
import type { Meter, Usage } from "../telemetry/meter.ts"
import { afterTurn } from "../domain/EventLoopTurns.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import { keepAliveSeconds, type Listening } from "../http/BunServer.ts"
import type { EarlyStream } from "./early-stream.ts"
import {
  clientClosedStatus,
  type Committed,
  type RequestRecord,
  type Interruption,
  type AnswerProgress
} from "./record.ts"
import { redactedBytes, endedFor, gatewayErrorFor, failureReason, ownEndOf } from "./final-failure.ts"
import { type AnswerFlow, type FlowEnd, relay, type Relay } from "./relay.ts"
import type { ShadowedAnswer } from "./shadow.ts"
import { streamAnswerHeaders, answerHeaders, wholeAnswerHeaders } from "./answer-head.ts"

type FlowAnswer = CommittedAnswer & { readonly _tag: "Flow" }

const outcomes = { Complete: "completed", Broken: "truncated", ClientGone: "client_closed" } as const

const outcomeOf = (end: FlowEnd): Outcome => {
  if (end._tag !== "Broken" || end.error === stopped) return outcomes[end._tag]
  if (end.error === cancelled) return "cancelled"
  return ownEndOf(end.error) === undefined ? "truncated" : "refused"
}

const stopped = endedFor(new Stopping({ retryAfterSeconds: 0 }), "the gateway is stopping")

const cancelled = endedFor(new Cancelled({}), "an administrator has cancelled the request")

/** What a flow is cut with, by why it is interrupted; one whose client has gone is dropped. */
const cuts: Readonly<Record<Exclude<Interruption, "client">, UpstreamError>> = { stopping: stopped, cancelled }

/** What the end says of the backend: nothing when the client left, its total ran out or the gateway itself ended it. */
const evidenceOf = (end: FlowEnd): Evidence => {
  if (end._tag === "Complete") return "good"
  if (end._tag === "ClientGone" || ownEndOf(end.error) !== undefined) return "none"
  return end.error._tag === "TimedOut" && end.error.limit === "request" ? "none" : "bad"
}

const plainBytes = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer> // reason: answers never sit on shared memory

/** To whom and within what an answer is delivered. */
export interface Delivery {
  readonly record: RequestRecord
  readonly server: Listening
  /** Answers it, with a whole answer. */
  readonly respond: (response: Response) => void
  /** Sends the head of an answer at once, and its body as it comes. */
  readonly open: (response: Response) => void
  /** The stream that the client may have been given already. */
  readonly early: EarlyStream | undefined
  /** What looks on, where a copy of it is under way elsewhere. */
  readonly shadow?: ShadowedAnswer | undefined
  /** Why it is interrupted; undefined while it is not. */
  readonly interruption: Interruption | undefined
  /** `stallMs` is the longest time the client may take nothing, in milliseconds. */
  readonly limits: { readonly stallMs: number }
}

/** Counts the tokens of an answer; gives what its backend has read of a prompt that it has cut. */
const noteUsage = (
  record: RequestRecord,
  { candidate }: Attempt,
  usage: Usage | undefined,
  now: number
): CutPrompt | undefined => {
  if (usage === undefined) return undefined
  const { asked, decided } = record
  asked?.meter.used(usage, now)
  record.uses(usage)
  return decided === undefined ? undefined : cutPromptOf(decided.needs, candidate.model, usage.prompt)
}

/** How long the last event of a broken stream gets to arrive before the body is cut, in milliseconds. */
export const lastEventMs = 250

// A client that did not keep up reads on until Bun takes its connection for silent: that close loses nothing.
const lateParting = { silentSeconds: 1, mostMs: 12_000 } as const

// A flow under way: what its relay reports to, and the one who knows what that means for the request.
class FlowDelivery implements AnswerFlow, AnswerProgress {
  readonly body: AnswerBody
  readonly watch: StreamWatch | undefined
  readonly filter: StreamFilter | undefined
  readonly marked: boolean
  readonly endsInOrder: boolean
  private readonly delivery: Delivery
  private readonly attempt: Attempt
  private readonly committed: Committed
  private readonly taken: () => void
  private readonly ticket: Ticket
  private readonly clock: RequestClock
  // Of event streams alone.
  private readonly meter: Meter | undefined
  private lastPieceAt = 0
  private readonly relay: Relay
  private closed = false
  // Until it is attached: what is known of the head is not to be held for as long as the answer goes on.
  private answer: FlowAnswer | undefined
  // Told, once, that nothing more goes to the client.
  private resume: (done: Effect.Effect<void>) => void = () => undefined
  pieces = 0

  constructor(delivery: Delivery, attempt: Attempt, answer: FlowAnswer, ticket: Ticket, committed: Committed) {
    const { record } = delivery
    this.body = answer.head.body
    this.watch = answer.watch
    this.filter = answer.filter
    this.marked = record.route.operation.generates
    this.endsInOrder = record.route.dialect.brokenBody === "ended"
    this.delivery = delivery
    this.attempt = attempt
    this.answer = answer
    this.taken = answer.taken
    this.ticket = ticket
    this.committed = committed
    this.clock = record.clock
    this.meter = answer.watch === undefined ? undefined : record.asked?.meter
    this.relay = relay(this)
  }

  /** All of it. */
  get delivered(): Effect.Effect<void> {
    return Effect.callback((resume) => {
      this.resume = resume
      this.begin()
      return Effect.suspend(() => this.interrupt())
    })
  }

  /** Bytes that have come of the answer. */
  get bytes(): number {
    return this.relay.passed()
  }

  /** Tokens that have come of it, as far as a stream shows them. */
  get written(): number | undefined {
    return this.watch?.written
  }

  // Ends the flow for what its request is interrupted for; done when nothing more goes to the client.
  private interrupt(): Effect.Effect<void> {
    const { record, interruption = "client" } = this.delivery
    if (interruption === "client") this.relay.drop()
    else this.relay.cut(cuts[interruption])
    return Effect.callback<void>((resume) => {
      if (this.closed) return resume(Effect.void)
      this.resume = resume
      record.request.signal.addEventListener("abort", () => this.relay.drop(), { once: true })
    })
  }

  // Lets the answer go to the client, in the stream it has or as one of its own.
  private begin(): void {
    const { answer, delivery, meter } = this
    const { early, record, server } = delivery
    this.awaitBackend()
    if (meter !== undefined) meter.streams += 1
    // Silence is ours to judge from here on, not Bun's.
    server.timeout(record.request, 0)
    record.commits(this.committed, this)
    if (early?.opened === true) early.give(this.relay)
    else if (answer !== undefined) {
      early?.end()
      delivery.open(this.response(answer))
    }
  }

  private response({ head }: FlowAnswer): Response {
    const { record, server } = this.delivery
    const headersOf = this.watch === undefined ? answerHeaders : streamAnswerHeaders
    return server.reply(this.relay, {
      status: head.status,
      headers: headersOf(head, this.attempt, record, undefined)
    })
  }

  attach(sink: BodySink): void {
    const { answer } = this
    this.answer = undefined
    answer?.attach(this.delivery.shadow?.tap(sink) ?? sink)
  }

  errorText(error: UpstreamError): string {
    const { record } = this.delivery
    const failure = ownEndOf(error) ?? gatewayErrorFor(error, record.model, [...record.failures, this.failed(error)])
    return refusalBody(record.route.dialect, failure)
  }

  discreet(events: Uint8Array, midway: boolean): Uint8Array {
    const { backend } = this.attempt.candidate.state
    const { request, route } = this.delivery.record
    const redact = redactorFor(backend, request.headers)
    return redactedBytes(events, (text) => route.dialect.redacted(text, redact, midway))
  }

  progress(): void {
    const now = performance.now()
    this.ticket.progress(now)
    this.clock.renew(now)
    this.pieces += 1
    if (this.meter === undefined) return
    this.meter.piece(this.lastPieceAt, now)
    this.lastPieceAt = now
  }

  stalled(): void {
    // Who takes nothing of the last event is not waited for as one whose answer goes on.
    if (this.delivery.interruption !== undefined) {
      return this.clock.arm("stall", lateParting.mostMs, () => this.relay.drop())
    }
    this.clock.arm("stall", this.delivery.limits.stallMs, (error) => {
      this.delivery.record.fails(this.failed(error))
      this.relay.drop()
    })
  }

  resumed(): void {
    this.taken()
    this.awaitBackend()
  }

  parting(cut: () => void, late: boolean): void {
    const { record, server } = this.delivery
    if (late) server.timeout(record.request, lateParting.silentSeconds)
    this.clock.arm("stall", late ? lateParting.mostMs : lastEventMs, afterTurn(cut))
  }

  onEnd(end: FlowEnd, bytes: number): void {
    const { record } = this.delivery
    const { attempt, watch } = this
    const now = performance.now()
    this.taken()
    if (this.meter !== undefined) this.meter.streams -= 1
    const usage = this.meter === undefined || watch === undefined ? undefined : watch.used()
    const begun = usage === undefined ? watch?.promptUsed?.() : undefined
    if (begun !== undefined) record.begins(begun)
    const cutPrompt = noteUsage(record, attempt, usage, now)
    this.delivery.shadow?.saw(usage)
    const outcome = outcomeOf(end)
    if (end._tag === "Broken" && outcome === "truncated") record.fails(this.failed(end.error))
    const { name } = attempt.candidate.state.backend
    const status = outcome === "client_closed" ? clientClosedStatus : this.committed.status
    record.ends({ outcome, status, backend: name, bytes, cutPrompt }, now)
    this.ticket.saw({ tokens: usage, written: this.written ?? 0, whole: watch === undefined })
    this.ticket.settle(evidenceOf(end), now)
  }

  onClosed(): void {
    const { record, server } = this.delivery
    server.timeout(record.request, keepAliveSeconds)
    this.closed = true
    this.resume(Effect.void)
  }

  private failed(error: UpstreamError): AttemptFailure {
    const { candidate, model } = this.attempt
    return { backend: candidate.state.backend.name, model, reason: failureReason(error) }
  }

  private awaitBackend(): void {
    this.clock.arm("idle", this.attempt.candidate.state.backend.limits.idleMs, (error) => this.relay.cut(error))
  }
}

/** Sends a committed answer to its end; `answeredModel` is the model it is by, where that was not to be expected. */
export const deliver = (
  delivery: Delivery,
  attempt: Attempt,
  answer: CommittedAnswer,
  ticket: Ticket,
  answeredModel: string | undefined
): Effect.Effect<void> => {
  const { record } = delivery
  const { status } = answer.head
  const at = performance.now()
  record.awaits(at - ticket.started)
  ticket.answered(at, answer._tag === "Whole")
  const committed = { at, status, answeredModel }
  if (answer._tag === "Flow") return new FlowDelivery(delivery, attempt, answer, ticket, committed).delivered
  record.commits(committed, undefined)
  ticket.saw({ tokens: answer.usage, written: 0, whole: true })
  ticket.settle("good", at)
  const cutPrompt = noteUsage(record, attempt, answer.usage, at)
  delivery.shadow?.saw(answer.usage, answer.body)
  delivery.respond(
    delivery.server.reply(plainBytes(answer.body), {
      status,
      headers: wholeAnswerHeaders(answer.head, attempt, record, cutPrompt)
    })
  )
  const { name } = attempt.candidate.state.backend
  record.ends({ outcome: "completed", status, backend: name, bytes: answer.body.byteLength, cutPrompt }, at)
  return Effect.void
}
