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
  /** Called once, in plain synchronous code, whatever the end. */
  readonly onEnd: (end: FlowEnd, bytes: number) => void
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

/** Relays a flow piece by piece; bytes are never changed, only an end marker or an error event may be added after them. */
export const relay = (flow: Flow): Relay => {
  const tail = new Tail()
  const progress = new Progress()
  let bytes = 0
  let ended = false
  let held = false
  let waiting = 0
  let attached = false
  let client: ReadableStreamDefaultController<Uint8Array> | undefined

  const end = (how: FlowEnd): void => {
    ended = true
    if (how._tag !== "Complete") flow.body.abort()
    flow.onEnd(how, bytes)
  }
  // The last word has been said, be it an error: the client has it, and nothing more is to be told.
  const conclude = (ending: Exclude<Ending, "cut">): void => {
    if (ending === "finished") client?.enqueue(doneEvent)
    end(ending === "failed" ? { _tag: "Broken", error: failedInside } : { _tag: "Complete" })
    client?.close()
  }
  const fail = (error: UpstreamError): void => {
    if (ended) return
    // An answer that has said its last word is whole, however its connection ends.
    const ending = flow.marked ? endingOf(tail.text()) : "cut"
    if (ending !== "cut") {
      flow.body.abort()
      return conclude(ending)
    }
    if (flow.events) client?.enqueue(errorEvent(flow.errorText(error), tail.text()))
    end({ _tag: "Broken", error })
    if (flow.events) client?.close()
    else client?.error(new Error("the answer broke"))
  }
  const sink: Sink = {
    piece: (piece) => {
      if (ended || client === undefined) return
      bytes += piece.byteLength
      if (flow.events) tail.push(piece)
      client.enqueue(piece)
      if (!flow.events || progress.isIn(piece)) flow.progress()
      waiting += piece.byteLength
      if (held || waiting < highWaterMark) return
      held = true
      flow.body.pause()
      flow.stalled()
    },
    end: () => {
      if (ended) return
      const ending = flow.marked ? endingOf(tail.text()) : "done"
      if (ending === "cut") fail(truncated)
      else conclude(ending)
    },
    fail
  }
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      client = controller
    },
    pull() {
      if (!attached) {
        attached = true
        flow.attach(sink)
        return
      }
      // Called when nothing waits any more.
      waiting = 0
      if (!held || ended) return
      held = false
      flow.resumed()
      flow.body.resume()
    },
    cancel() {
      if (!ended) end({ _tag: "ClientGone" })
    }
  })
  return {
    body,
    cut: fail,
    drop: () => {
      if (ended) return
      end({ _tag: "ClientGone" })
      client?.error(new Error("the client takes nothing"))
    }
  }
}
