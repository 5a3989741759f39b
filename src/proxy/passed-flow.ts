/**
 * The body of an answer that is passed on unread, on its way to the client.
 */
import * as Effect from "effect/Effect"
import { ConnectionLost, type UpstreamError } from "../domain/upstream-errors.ts"
import { keepAliveSeconds } from "../http/BunServer.ts"
import type { AnswerBody, BodySink, ReceivedAnswer } from "../wire/received-answer.ts"
import { afterTurn } from "../domain/EventLoopTurns.ts"
import { lastEventMs } from "./deliver.ts"
import { failureReason } from "./final-failure.ts"
import { type AnswerProgress, clientClosedStatus } from "./record.ts"
import { type AnswerFlow, type FlowEnd, relay, type Relay } from "./relay.ts"
import type { RequestRun } from "./request-run.ts"

const ended = new ConnectionLost({ reason: "the request was ended", answered: true })

/** One body on its way. */
export class PassedFlow implements AnswerFlow, AnswerProgress {
  readonly watch = undefined
  readonly written = undefined
  readonly marked = false
  readonly endsInOrder = false
  readonly body: AnswerBody
  /** What the client draws from. */
  readonly stream: ReadableStream<Uint8Array>
  pieces = 0
  private readonly run: RequestRun
  private readonly status: number
  private readonly backend: string
  private readonly idleMs: number
  private readonly relay: Relay
  private closed = false
  private onGone: () => void

  constructor(run: RequestRun, head: ReceivedAnswer, backend: string, idleMs: number, onGone: () => void) {
    this.run = run
    this.status = head.status
    this.backend = backend
    this.idleMs = idleMs
    this.onGone = onGone
    this.body = head.body
    this.relay = relay(this)
    this.stream = new ReadableStream<Uint8Array>(this.relay)
    this.awaitBackend()
    // Silence is ours to judge from here on, not Bun's.
    run.server.timeout(run.record.request, 0)
  }

  /** Bytes that have come of the answer. */
  get bytes(): number {
    return this.relay.passed()
  }

  /** Ends the flow for what its request is interrupted for. */
  interrupt(): Effect.Effect<void> {
    if (this.run.interruption === "client") this.relay.drop()
    else this.relay.cut(ended)
    return Effect.void
  }

  attach(sink: BodySink): void {
    this.body.start(sink)
  }

  errorText(error: UpstreamError): string {
    return failureReason(error)
  }

  progress(): void {
    this.pieces += 1
    this.run.record.clock.renew(performance.now())
  }

  stalled(): void {
    this.run.record.clock.arm("stall", this.run.limits.stallMs, () => this.relay.drop())
  }

  resumed(): void {
    this.awaitBackend()
  }

  parting(cut: () => void): void {
    this.run.record.clock.arm("stall", lastEventMs, afterTurn(cut))
  }

  onEnd(end: FlowEnd, bytes: number): void {
    const { interruption, record } = this.run
    const cancelled = interruption === "cancelled"
    const broken = end._tag === "Broken" ? "truncated" : "client_closed"
    const outcome = end._tag === "Complete" ? "completed" : cancelled ? "cancelled" : broken
    if (end._tag === "Broken" && interruption === undefined) {
      record.fails({ backend: this.backend, model: "", reason: failureReason(end.error) })
    }
    const status = outcome === "client_closed" ? clientClosedStatus : this.status
    record.ends({ outcome, status, backend: this.backend, bytes, cutPrompt: undefined }, performance.now())
  }

  onClosed(): void {
    if (this.closed) return
    this.closed = true
    this.run.server.timeout(this.run.record.request, keepAliveSeconds)
    this.onGone()
  }

  private awaitBackend(): void {
    this.run.record.clock.arm("idle", this.idleMs, (error) => this.relay.cut(error))
  }
}
