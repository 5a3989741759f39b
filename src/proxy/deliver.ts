/**
 * A committed answer on its way to the client.
 */
import type { AttemptFailure } from "../domain/errors.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { ConnectionLost } from "../domain/upstream-errors.ts"
import type { Evidence, Ticket } from "../registry/live.ts"
import { cutOf } from "../router/cut.ts"
import type { Attempt } from "../router/plan.ts"
import type { Answer } from "../upstream/answer.ts"
import type { Body, Sink } from "../wire/arrival.ts"
import { concealFor } from "../upstream/endpoint.ts"
import type { StreamWatch } from "../dialect/Dialect.ts"
import { refusalBody } from "../dialect/refuse.ts"
import type { Meter, Usage } from "../telemetry/meter.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import { keepAliveSeconds, type Listening } from "../http/BunServer.ts"
import type { EarlyStream } from "./early-stream.ts"
import type { Exchange } from "./record.ts"
import { concealedBytes, failureOf, reasonOf } from "./final-failure.ts"
import { type Flow, type FlowEnd, relay, type Relay } from "./relay.ts"
import { eventHeaders, replyHeaders, wholeHeaders } from "./answer-head.ts"

type FlowAnswer = Answer & { readonly _tag: "Flow" }

const outcomes = { Complete: "completed", Broken: "truncated", ClientGone: "client_closed" } as const

const stopped = new ConnectionLost({ reason: "the gateway is stopping", answered: true })

/** What the end says of the backend: nothing when the client left, its total ran out or the gateway stops. */
const evidenceOf = (end: FlowEnd): Evidence => {
  if (end._tag === "Complete") return "good"
  if (end._tag === "ClientGone" || end.error === stopped) return "none"
  return end.error._tag === "TimedOut" && end.error.limit === "request" ? "none" : "bad"
}

const plainBytes = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer> // reason: answers never sit on shared memory

/** To whom and within what an answer is delivered. */
export interface Delivery {
  readonly exchange: Exchange
  readonly server: Listening
  readonly respond: (response: Response) => void
  /** The stream that the client may have been given already. */
  readonly early: EarlyStream | undefined
  /** `stallMs` is the longest time the client may take nothing, in milliseconds. */
  readonly limits: { readonly stallMs: number }
}

const noteUsage = (exchange: Exchange, { candidate }: Attempt, usage: Usage | undefined, now: number): void => {
  if (usage === undefined) return
  exchange.meter?.used(usage, now)
  if (exchange.decided !== undefined) exchange.cutPrompt = cutOf(exchange.decided.needs, candidate.model, usage.prompt)
}

/** How long the last event of a broken stream gets to arrive before the body is cut, in milliseconds. */
export const partingMs = 250

// A client that did not keep up reads on until Bun takes its connection for silent: that close loses nothing.
const lateParting = { silentSeconds: 1, mostMs: 12_000 } as const

// A flow under way: what its relay reports to, and the one who knows what that means for the request.
class FlowDelivery implements Flow {
  readonly body: Body
  readonly watch: StreamWatch | undefined
  readonly marked: boolean
  private readonly delivery: Delivery
  private readonly attempt: Attempt
  private readonly answer: FlowAnswer
  private readonly ticket: Ticket
  private readonly clock: RequestClock
  // Of event streams alone.
  private readonly meter: Meter | undefined
  private lastPieceAt = 0
  private readonly ended: () => void
  private readonly relay: Relay

  constructor(delivery: Delivery, attempt: Attempt, answer: FlowAnswer, ticket: Ticket, ended: () => void) {
    const { exchange, server } = delivery
    this.body = answer.head.body
    this.watch = answer.watch
    this.marked = exchange.route.operation.generates
    this.delivery = delivery
    this.attempt = attempt
    this.answer = answer
    this.ticket = ticket
    this.clock = exchange.clock
    this.meter = answer.watch === undefined ? undefined : exchange.meter
    this.ended = ended
    this.relay = relay(this)
    this.awaitBackend()
    if (this.meter !== undefined) this.meter.streams += 1
    // Silence is ours to judge from here on, not Bun's.
    server.timeout(exchange.request, 0)
    exchange.cut = () => this.relay.cut(stopped)
    exchange.drop = () => this.relay.drop()
  }

  /** Lets the answer go to the client, in the stream it has or as one of its own. */
  begin(): void {
    const { early } = this.delivery
    if (early?.opened === true) early.give(this.relay)
    else {
      early?.end()
      this.delivery.respond(this.response())
    }
  }

  private response(): Response {
    const { exchange } = this.delivery
    const { head } = this.answer
    const headersOf = this.watch === undefined ? replyHeaders : eventHeaders
    return new Response(new ReadableStream<Uint8Array>(this.relay), {
      status: head.status,
      headers: headersOf(head, this.attempt, exchange)
    })
  }

  attach(sink: Sink): void {
    this.answer.attach(sink)
  }

  errorText(error: UpstreamError): string {
    const { exchange } = this.delivery
    const failure = failureOf(error, exchange.model, [...exchange.failures, this.failed(error)])
    return refusalBody(exchange.route.dialect, failure)
  }

  discreet(events: Uint8Array, midway: boolean): Uint8Array {
    const { backend } = this.attempt.candidate.state
    const { request, route } = this.delivery.exchange
    const conceal = concealFor(backend, request.headers)
    return concealedBytes(events, (text) => route.dialect.concealed(text, conceal, midway))
  }

  progress(): void {
    const now = performance.now()
    this.ticket.progress(now)
    this.clock.renew(now)
    if (this.meter === undefined) return
    this.meter.piece(this.lastPieceAt, now)
    this.lastPieceAt = now
  }

  stalled(): void {
    this.clock.arm("stall", this.delivery.limits.stallMs, (error) => {
      this.delivery.exchange.failures.push(this.failed(error))
      this.relay.drop()
    })
  }

  resumed(): void {
    this.answer.taken()
    this.awaitBackend()
  }

  parting(cut: () => void, late: boolean): void {
    const { exchange, server } = this.delivery
    if (late) server.timeout(exchange.request, lateParting.silentSeconds)
    this.clock.arm("stall", late ? lateParting.mostMs : partingMs, cut)
  }

  onEnd(end: FlowEnd, bytes: number): void {
    const { exchange } = this.delivery
    const now = performance.now()
    this.answer.taken()
    if (this.meter !== undefined) {
      this.meter.streams -= 1
      if (this.watch !== undefined) noteUsage(exchange, this.attempt, this.watch.used(), now)
    }
    exchange.bytesOut = bytes
    exchange.outcome = outcomes[end._tag]
    if (end._tag === "Broken") exchange.failures.push(this.failed(end.error))
    this.ticket.settle(evidenceOf(end), now)
  }

  onClosed(): void {
    const { exchange, server } = this.delivery
    server.timeout(exchange.request, keepAliveSeconds)
    this.ended()
  }

  private failed(error: UpstreamError): AttemptFailure {
    const { candidate, model } = this.attempt
    return { backend: candidate.state.backend.name, model, reason: reasonOf(error) }
  }

  private awaitBackend(): void {
    this.clock.arm("idle", this.attempt.candidate.state.backend.limits.idleMs, (error) => this.relay.cut(error))
  }
}

/** Sends a committed answer; a promise of its end when it goes on after this call. */
export const deliver = (
  delivery: Delivery,
  attempt: Attempt,
  answer: Answer,
  ticket: Ticket
): Promise<void> | undefined => {
  const { exchange } = delivery
  const now = performance.now()
  exchange.firstByteAt = now
  exchange.status = answer.head.status
  exchange.backend = attempt.candidate.state.backend.name
  exchange.awaitedMs += now - ticket.started
  ticket.answered(now)
  if (answer._tag === "Flow") {
    return new Promise((ended) => new FlowDelivery(delivery, attempt, answer, ticket, ended).begin())
  }
  ticket.settle("good", now)
  exchange.outcome = "completed"
  exchange.bytesOut = answer.body.byteLength
  if (exchange.meter !== undefined) noteUsage(exchange, attempt, answer.usage, now)
  delivery.respond(
    new Response(plainBytes(answer.body), {
      status: answer.head.status,
      headers: wholeHeaders(answer.head, attempt, exchange)
    })
  )
  return undefined
}
