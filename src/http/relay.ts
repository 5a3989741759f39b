/**
 * A committed flow on its way to the client: held back when the client is slow, watched for how it ends, ended in a way
 * the client can tell from success when it breaks.
 */
import { BadAnswer, ConnectionLost, type UpstreamError } from "../domain/upstream.ts"
import type { Body, Sink } from "../upstream/arrival.ts"
import { doneEvent, type Ending, endingOf, errorEvent, Progress, Tail } from "../upstream/framing.ts"

/** How a flow ended. */
export type FlowEnd =
  | { readonly _tag: "Complete" }
  | { readonly _tag: "Broken"; readonly error: UpstreamError }
  | { readonly _tag: "ClientGone" }

/** A flow and what must be done about it. */
export interface Flow {
  readonly body: Body
  /** Starts the delivery of the flow. */
  readonly attach: (sink: Sink) => void
  /** True for an event stream that can be read, which gets an error event when it breaks; other flows are cut short. */
  readonly events: boolean
  /** True when the stream must carry a finish reason or an end marker. */
  readonly marked: boolean
  /** The OpenAI error text sent as the last event of a broken stream. */
  readonly errorText: (error: UpstreamError) => string
  /** A piece that is progress has come, and the backend is awaited again. */
  readonly progress: () => void
  /** The client is awaited: it has not taken what waits for it. */
  readonly stalled: () => void
  /** The client took what waited for it. */
  readonly resumed: () => void
  /** Called once, in plain synchronous code, whatever the end; `tail` holds the last bytes of an event stream. */
  readonly onEnd: (end: FlowEnd, bytes: number, tail: Tail) => void
}

/** The body of the answer, and the ways to end it early from outside. */
export interface Relay {
  readonly body: ReadableStream<Uint8Array>
  /** Ends the flow as broken. */
  readonly cut: (error: UpstreamError) => void
  /** Drops the flow and the connection of a client that takes nothing. */
  readonly drop: () => void
}

/** Bytes that may wait for a client before its backend is held back. */
const highWaterMark = 64 * 1024

const truncated = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })

const failedInside = new BadAnswer({ reason: "an error in the middle of its stream" })

// One object for all of a stream: what the backend delivers to, what the client draws from, and the ways to end it.
class Relaying implements Relay, Sink {
  readonly body: ReadableStream<Uint8Array>
  private readonly flow: Flow
  private readonly tail = new Tail()
  private readonly seen = new Progress()
  private bytes = 0
  private ended = false
  private held = false
  private waiting = 0
  private attached = false
  private client: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor(flow: Flow) {
    this.flow = flow
    this.body = new ReadableStream<Uint8Array>(this)
  }

  start(controller: ReadableStreamDefaultController<Uint8Array>): void {
    this.client = controller
  }

  pull(): void {
    if (!this.attached) {
      this.attached = true
      return this.flow.attach(this)
    }
    // Called when nothing waits any more.
    this.waiting = 0
    if (!this.held || this.ended) return
    this.held = false
    this.flow.resumed()
    this.flow.body.resume()
  }

  cancel(): void {
    if (!this.ended) this.finish({ _tag: "ClientGone" })
  }

  piece(piece: Uint8Array): void {
    const { client, flow } = this
    if (this.ended || client === undefined) return
    const size = piece.byteLength
    this.bytes += size
    if (flow.events) this.tail.push(piece)
    client.enqueue(piece)
    if (!flow.events || this.seen.isIn(piece)) flow.progress()
    this.waiting += size
    if (this.held || this.waiting < highWaterMark) return
    this.held = true
    flow.body.pause()
    flow.stalled()
  }

  end(): void {
    if (this.ended) return
    const ending = this.flow.marked ? endingOf(this.tail.text()) : "done"
    if (ending === "cut") this.fail(truncated)
    else this.conclude(ending)
  }

  fail(error: UpstreamError): void {
    const { client, flow } = this
    if (this.ended) return
    // An answer that has said its last word is whole, however its connection ends.
    const ending = flow.marked ? endingOf(this.tail.text()) : "cut"
    if (ending !== "cut") {
      flow.body.abort()
      return this.conclude(ending)
    }
    if (flow.events) client?.enqueue(errorEvent(flow.errorText(error), this.tail.text()))
    this.finish({ _tag: "Broken", error })
    if (flow.events) client?.close()
    else client?.error(new Error("the answer broke"))
  }

  cut(error: UpstreamError): void {
    this.fail(error)
  }

  drop(): void {
    if (this.ended) return
    this.finish({ _tag: "ClientGone" })
    this.client?.error(new Error("the client takes nothing"))
  }

  // The last word has been said, be it an error: the client has it, and nothing more is to be told.
  private conclude(ending: Exclude<Ending, "cut">): void {
    if (ending === "finished") this.client?.enqueue(doneEvent)
    this.finish(ending === "failed" ? { _tag: "Broken", error: failedInside } : { _tag: "Complete" })
    this.client?.close()
  }

  private finish(how: FlowEnd): void {
    this.ended = true
    if (how._tag !== "Complete") this.flow.body.abort()
    this.flow.onEnd(how, this.bytes, this.tail)
  }
}

/** Relays a flow piece by piece; bytes are never changed, only an end marker or an error event may be added after them. */
export const relay = (flow: Flow): Relay => new Relaying(flow)
