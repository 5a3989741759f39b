/**
 * One call on one connection: settles its promise with the head, hands the body on, and lets go of the connection in the
 * right state, once. Plain callbacks; no timer, no fiber.
 */
import { BadAnswer, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import type { Abortable } from "./abort.ts"
import type { ReceivedAnswer, AnswerBody, BodySink } from "./received-answer.ts"
import { toUpstreamError } from "./to-upstream-error.ts"
import type { Head } from "./head.ts"
import type { Suspicion } from "./liveness.ts"
import type { Call, CallListener } from "./call.ts"
import { AnswerReader, type Receiver } from "./reader.ts"

/** What an exchange may do with its connection. */
export interface ConnectionControl {
  /** Whether nothing of the request has been sent. */
  readonly isUntouched: boolean
  readonly pause: () => void
  readonly resume: () => void
  /** Closes it at once. */
  readonly drop: () => void
  /** Gives it back after a whole answer; `clean` when it is where the next answer begins. */
  readonly done: (head: Pick<Head, "keepSeconds" | "keeps">, clean: boolean) => void
}

/** The call of an exchange and how it is settled. */
export interface Assignment {
  readonly call: Call
  readonly listener: CallListener
  /**
   * True when no byte came and the call is taken over by another exchange; asked before it is rejected. `unseen` when the
   * backend cannot have seen anything of it.
   */
  readonly replayed: (unseen: boolean) => boolean
}

// What is known of a head is let go with it, not with its body.
class Arrived implements ReceivedAnswer {
  readonly status: number
  readonly body: AnswerBody
  private readonly head: Head

  constructor(head: Head, body: AnswerBody) {
    this.status = head.status
    this.body = body
    this.head = head
  }

  header(name: string): string | null {
    return this.head.header(name)
  }

  names(): ReadonlyArray<string> {
    return this.head.names()
  }
}

/** A call under way. */
export class Exchange implements Receiver, AnswerBody, Abortable {
  /** The connection, or what looks for one. */
  line: ConnectionControl
  // Until its answer has begun: its body is not held any longer.
  private assignment: Assignment | undefined
  private readonly caller: Call["caller"]
  /** Time within which the backend must have shown to be there, in milliseconds. */
  readonly connectMs: number
  private readonly reader: AnswerReader
  // What is needed of the head to the end; all of it would be held for as long as the answer goes on.
  private answered = false
  length: number | undefined
  private keeps = false
  private keepSeconds: number | undefined
  private sink: BodySink | undefined
  private paused = false
  private stopped = false
  private over = false
  // What ended the body before anybody listened.
  private failure: UpstreamError | undefined

  constructor(line: ConnectionControl, assignment: Assignment) {
    const { abort, caller, connectMs = Infinity, method } = assignment.call
    this.line = line
    this.assignment = assignment
    this.caller = caller
    this.connectMs = connectMs
    this.reader = new AnswerReader(this, method === "HEAD")
    abort.listen(this)
  }

  /** Takes bytes of the connection. */
  take(bytes: Buffer): void {
    if (this.reader.isHeld) this.stopLine()
    this.reader.push(bytes)
  }

  /** The connection has closed, orderly (FIN) or not. */
  closed(orderly: boolean): void {
    this.reader.close(orderly)
  }

  /** The call cannot go on; a body that has begun fails with the same error. */
  fail(error: UpstreamError): void {
    if (this.over) return
    this.over = true
    this.reader.stop()
    this.line.drop()
    if (!this.answered) this.assignment?.listener.failed(error)
    else if (this.sink === undefined) this.failure = error
    else this.sink.fail(error)
  }

  /** The backend has been silent for a while; `suspicion` is what speaks against it. */
  silent(suspicion: Suspicion | undefined): void {
    if (!this.over) this.caller?.silent(suspicion)
  }

  /** Nothing of the request has been acknowledged in time; `made` when a new connection to the same port was. */
  unheard(made: boolean): void {
    if (this.over) return
    if (!made || this.assignment?.replayed(true) !== true) {
      return this.fail(new Unreachable({ reason: "the connection was dead: nothing that was sent arrived" }))
    }
    this.over = true
    this.reader.stop()
    this.line.drop()
  }

  head(head: Head): void {
    const { assignment } = this
    this.answered = true
    this.length = head.length
    this.keeps = head.keeps
    this.keepSeconds = head.keepSeconds
    this.assignment = undefined
    assignment?.listener.arrived(new Arrived(head, this))
  }

  start(sink: BodySink): void {
    this.sink = sink
    this.delivers()
  }

  pause(): void {
    if (this.over) return
    this.paused = true
    this.reader.hold()
    this.stopLine()
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    if (this.sink !== undefined) this.delivers()
  }

  piece(bytes: Uint8Array): void {
    this.sink?.piece(bytes)
  }

  end(clean: boolean): void {
    this.over = true
    // First the connection: who is told of the end may send the next call.
    if (this.answered) this.line.done({ keeps: this.keeps, keepSeconds: this.keepSeconds }, clean)
    this.sink?.end()
  }

  bad(reason: string): void {
    this.fail(new BadAnswer({ reason }))
  }

  lost(answered: boolean): void {
    if (answered || this.assignment?.replayed(this.line.isUntouched) !== true)
      this.fail(toUpstreamError(undefined, answered))
    else this.over = true
  }

  private stopLine(): void {
    if (this.stopped) return
    this.stopped = true
    this.line.pause()
  }

  private delivers(): void {
    queueMicrotask(() => this.deliver())
  }

  private deliver(): void {
    const { failure, sink } = this
    if (failure !== undefined) {
      this.failure = undefined
      sink?.fail(failure)
      return
    }
    if (this.paused || this.over) return
    if (this.stopped) {
      this.stopped = false
      this.line.resume()
    }
    try {
      this.reader.release()
    } catch (defect) {
      this.fail(toUpstreamError(defect, true))
    }
  }

  abort(): void {
    this.failure = undefined
    this.sink = undefined
    if (this.over) return
    this.over = true
    this.reader.stop()
    this.line.drop()
  }

  aborted(reason: unknown): void {
    if (this.over) return
    this.over = true
    this.reader.stop()
    this.line.drop()
    if (!this.answered) return this.assignment?.listener.failed(reason)
    // Whoever aborts is not called back from inside.
    this.failure = toUpstreamError(reason, true)
    if (this.sink !== undefined) this.delivers()
  }
}
