/**
 * A committed flow on its way to the client: pulled when the client takes, watched for how it ends, ended in a way the
 * client can tell from success when it breaks.
 */
import { ConnectionLost, type UpstreamError } from "../domain/upstream.ts"
import type { Reader } from "../upstream/answer.ts"
import { doneEvent, endingOf, errorEvent, isComment, Tail } from "../upstream/framing.ts"

/** How a flow ended. */
export type FlowEnd =
  | { readonly _tag: "Complete" }
  | { readonly _tag: "Broken"; readonly error: UpstreamError }
  | { readonly _tag: "ClientGone" }

/** A flow and what must be done about it. */
export interface Flow {
  readonly first: Uint8Array
  readonly reader: Reader
  /** True for an event stream, which gets an error event when it breaks; other flows are cut short. */
  readonly events: boolean
  /** True when the stream must carry a finish reason or an end marker. */
  readonly marked: boolean
  /** Turns what a read threw into an upstream error. */
  readonly classify: (thrown: unknown) => UpstreamError
  /** The OpenAI error text sent as the last event of a broken stream. */
  readonly errorText: (error: UpstreamError) => string
  /** The backend has the clock: called when a read begins; `progressed` is false after a mere comment. */
  readonly reading: (progressed: boolean) => void
  /** The client has the clock: called when a piece waits to be taken. */
  readonly waiting: () => void
  /** Called once, in plain synchronous code, whatever the end. */
  readonly onEnd: (end: FlowEnd, bytes: number) => void
  /** Closes the connection to the backend. */
  readonly abort: () => void
}

/** The body of the answer, and the way to end it early from outside. */
export interface Relay {
  readonly body: ReadableStream<Uint8Array>
  /** Ends the flow as broken. */
  readonly cut: (error: UpstreamError) => void
  /** Drops the flow and the connection of a client that takes nothing. */
  readonly stall: () => void
}

const truncated = new ConnectionLost({ reason: "the stream ended before its answer was complete", answered: true })

/** Relays a flow piece by piece; bytes are never changed, only an end marker or an error event may be added after them. */
export const relay = (flow: Flow): Relay => {
  const tail = new Tail()
  let bytes = 0
  let ended = false
  let progressed = true
  let client: ReadableStreamDefaultController<Uint8Array> | undefined

  const end = (how: FlowEnd): void => {
    ended = true
    if (how._tag !== "Complete") flow.abort()
    flow.onEnd(how, bytes)
  }
  const take = (piece: Uint8Array, controller: ReadableStreamDefaultController<Uint8Array>): void => {
    bytes += piece.byteLength
    if (flow.events) tail.push(piece)
    controller.enqueue(piece)
    flow.waiting()
  }
  const fail = (error: UpstreamError, controller: ReadableStreamDefaultController<Uint8Array>): void => {
    if (flow.events) controller.enqueue(errorEvent(flow.errorText(error), tail.text()))
    end({ _tag: "Broken", error })
    if (flow.events) controller.close()
    else controller.error(new Error("upstream broke"))
  }
  const finish = (controller: ReadableStreamDefaultController<Uint8Array>): void => {
    const ending = flow.marked ? endingOf(tail.text()) : "done"
    if (ending === "cut") return fail(truncated, controller)
    if (ending === "finished") controller.enqueue(doneEvent)
    end({ _tag: "Complete" })
    controller.close()
  }

  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      client = controller
      take(flow.first, controller)
    },
    async pull(controller) {
      try {
        flow.reading(progressed)
        const { value } = await flow.reader.read()
        if (ended) return
        if (value === undefined) finish(controller)
        else {
          progressed = !(flow.events && isComment(value))
          take(value, controller)
        }
      } catch (thrown) {
        if (!ended) fail(flow.classify(thrown), controller)
      }
    },
    cancel() {
      if (!ended) end({ _tag: "ClientGone" })
    }
  })
  return {
    body,
    cut: (error) => {
      if (!ended && client !== undefined) fail(error, client)
    },
    stall: () => {
      if (ended) return
      end({ _tag: "ClientGone" })
      client?.error(new Error("client takes nothing"))
    }
  }
}
