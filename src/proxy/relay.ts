/**
 * A committed flow on its way to the client: held back when the client is slow, watched for how it ends, ended in a way
 * the client can tell from success when it breaks.
 */
import { BadAnswer, ConnectionLost, type UpstreamError } from "../domain/upstream-errors.ts"
import type { AnswerBody, BodySink } from "../wire/received-answer.ts"
import type { StreamEnding, StreamFilter, StreamWatch } from "../dialect/Dialect.ts"
import type { ReplyOutput } from "../http/BunServer.ts"
import type { StreamContinuation } from "./early-stream.ts"

/** How a flow ended. */
export type FlowEnd =
  | { readonly _tag: "Complete" }
  | { readonly _tag: "Broken"; readonly error: UpstreamError }
  | { readonly _tag: "ClientGone" }

/** A flow and what must be done about it. */
export interface AnswerFlow {
  readonly body: AnswerBody
  /** Starts the delivery of the flow. */
  readonly attach: (sink: BodySink) => void
  /** Watches a stream that can be read, which gets an error as its last event when it breaks; other flows are cut short. */
  readonly watch: StreamWatch | undefined
  /** Leaves out of it what its client is not to see, which has been watched before. */
  readonly filter?: StreamFilter | undefined
  /** True when the stream must carry a finish reason or an end marker. */
  readonly marked: boolean
  /** Whether the body of a stream that broke ends in order behind its error. */
  readonly endsInOrder: boolean
  /** The body of the error that ends a broken stream. */
  readonly errorText: (error: UpstreamError) => string
  /** Takes out of events with an error what is not to be told, `midway` when they begin inside of one; they are passed on as they are when absent. */
  readonly discreet?: (events: Uint8Array, midway: boolean) => Uint8Array
  /** A piece that is progress has come, and the backend is awaited again. */
  readonly progress: () => void
  /** The client is awaited: it has not taken what waits for it. */
  readonly stalled: () => void
  /** The client took what waited for it. */
  readonly resumed: () => void
  /**
   * All has been said and the body is to be cut: `cut` is called when what was said has had its time to arrive. `late`
   * when the client had not kept up.
   */
  readonly parting: (cut: () => void, late: boolean) => void
  /** Called once, in plain synchronous code, whatever the end. */
  readonly onEnd: (end: FlowEnd, bytes: number) => void
  /** Called once, with the end or after it: nothing more goes to the client. */
  readonly onClosed: () => void
}

/** What a body is drawn from, and the ways to end it early from outside. */
export interface Relay extends StreamContinuation {
  /** Ends the flow as broken. */
  readonly cut: (error: UpstreamError) => void
  /** Drops the flow and the connection of a client that takes nothing. */
  readonly drop: () => void
  /** Bytes that have come of it. */
  readonly passed: () => number
}

/** Bytes that may wait for a client before its backend is held back. */
const highWaterMark = 64 * 1024

// A client that keeps up takes an event at once.
const lateMs = 50

const truncated = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })

const nothing = new Uint8Array(0)

const failedInside = new BadAnswer({ reason: "an error in the middle of its stream" })

// One object for all of a stream: what the backend delivers to, what the client draws from, and the ways to end it.
class Relaying implements Relay, BodySink {
  private readonly flow: AnswerFlow
  private bytes = 0
  private ended = false
  private closed = false
  private held = false
  private waiting = 0
  // Events with an error that have not come whole.
  private errors: Array<Uint8Array> = []
  private errorBytes = 0
  private midway = false
  private attached = false
  // Since when the last event waits for the client to take it; 0 when none does.
  private partingAt = 0
  private client: ReplyOutput | undefined

  constructor(flow: AnswerFlow) {
    this.flow = flow
  }

  start(controller: ReplyOutput): void {
    this.client = controller
  }

  pull(): void {
    if (!this.attached) {
      this.attached = true
      return this.flow.attach(this)
    }
    // Called when nothing waits any more.
    this.waiting = 0
    if (this.partingAt > 0) {
      const late = performance.now() - this.partingAt > lateMs
      this.partingAt = 0
      return this.flow.parting(() => this.leave(), late)
    }
    if (!this.held || this.ended) return
    this.held = false
    this.flow.resumed()
    this.flow.body.resume()
  }

  cancel(): void {
    if (!this.ended) this.finish({ _tag: "ClientGone" })
    this.gone()
  }

  piece(piece: Uint8Array): void {
    const { client, flow } = this
    if (this.ended || client === undefined) return
    const size = piece.byteLength
    const { watch } = flow
    if (this.errors.length === 0) this.midway = watch?.between === false && this.bytes >= watch.size
    this.bytes += size
    const isProgress = this.isProgress(piece)
    if (watch?.erring === true || this.errors.length > 0) this.withhold(piece, watch?.between === true)
    else if (size > 0) this.pass(piece, client)
    if (isProgress) flow.progress()
    this.waiting += size
    if (this.held || this.waiting < highWaterMark) return
    this.held = true
    flow.body.pause()
    flow.stalled()
  }

  end(): void {
    if (this.ended) return
    this.release()
    const ending = this.ending(true)
    if (ending === "cut") this.break(truncated)
    else this.conclude(ending)
  }

  fail(error: UpstreamError): void {
    if (this.ended) return
    this.release()
    // An answer that has said its last word is whole, however its connection ends.
    const ending = this.ending(false)
    if (ending === "cut") return this.break(error)
    this.flow.body.abort()
    this.conclude(ending)
  }

  cut(error: UpstreamError): void {
    this.fail(error)
  }

  drop(): void {
    if (!this.ended) this.finish({ _tag: "ClientGone" })
    this.sever()
  }

  passed(): number {
    return this.bytes
  }

  private pass(piece: Uint8Array, client: ReplyOutput): void {
    const { filter } = this.flow
    const rest = filter === undefined ? piece : filter.push(piece)
    if (rest.byteLength > 0) client.enqueue(rest)
  }

  private passRest(): void {
    const rest = this.flow.filter?.rest() ?? nothing
    if (rest.byteLength > 0) this.client?.enqueue(rest)
  }

  // What an error says may come in several pieces.
  private withhold(piece: Uint8Array, whole: boolean): void {
    this.passRest()
    this.errors.push(piece)
    this.errorBytes += piece.byteLength
    // The client draws nothing while all that waits is withheld: that must end before the backend is held back.
    if (whole || this.errorBytes > highWaterMark / 2) this.release()
  }

  private release(): void {
    const { client, errors, flow, midway } = this
    this.passRest()
    if (errors.length === 0) return
    this.errors = []
    this.errorBytes = 0
    const events = Buffer.concat(errors)
    client?.enqueue(flow.discreet?.(events, midway) ?? events)
  }

  private isProgress(piece: Uint8Array): boolean {
    const { watch } = this.flow
    // The first bytes have been watched before they were passed on.
    return watch === undefined || this.bytes <= watch.size || watch.push(piece)
  }

  private ending(orderly: boolean): StreamEnding {
    const { marked, watch } = this.flow
    if (watch === undefined || !marked) return orderly ? "done" : "cut"
    return watch.ending(orderly)
  }

  // The last word has been said, be it an error: nothing more is to be told.
  private conclude(ending: Exclude<StreamEnding, "cut">): void {
    const { watch } = this.flow
    if (ending === "failed") return this.part({ _tag: "Broken", error: failedInside }, watch?.rest() ?? nothing)
    if (ending === "finished" && watch !== undefined) this.client?.enqueue(watch.last())
    this.finish(
      ending === "done" || ending === "finished" ? { _tag: "Complete" } : { _tag: "Broken", error: failedInside }
    )
    this.client?.close()
    this.gone()
  }

  private break(error: UpstreamError): void {
    const { flow } = this
    if (flow.watch !== undefined) {
      return this.part({ _tag: "Broken", error }, flow.watch.broken(flow.errorText(error)))
    }
    this.finish({ _tag: "Broken", error })
    this.sever()
  }

  // Readers that pass over an error event still see that the body is not whole; cut at once, the event would be lost.
  private part(end: FlowEnd, last: Uint8Array): void {
    this.finish(end)
    this.flow.stalled()
    this.partingAt = performance.now()
    this.client?.enqueue(last)
  }

  private finish(how: FlowEnd): void {
    this.ended = true
    if (how._tag !== "Complete") this.flow.body.abort()
    this.flow.onEnd(how, this.bytes)
  }

  private leave(): void {
    if (this.closed || !this.flow.endsInOrder) return this.sever()
    this.client?.close()
    this.gone()
  }

  private sever(): void {
    if (this.closed) return
    this.client?.error(new Error("the answer broke"))
    this.gone()
  }

  private gone(): void {
    if (this.closed) return
    this.closed = true
    this.flow.onClosed()
  }
}

/**
 * Relays a flow piece by piece. Bytes are never changed but for the secrets in an error event; only an end marker or an
 * error event may be added after them.
 */
export const relay = (flow: AnswerFlow): Relay => new Relaying(flow)
