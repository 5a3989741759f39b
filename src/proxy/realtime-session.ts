/**
 * One session over two sockets: messages pass as they come, each side is held back while the other takes nothing, and the end of
 * the one is the end of the other, with its code.
 */
import type { Usage } from "../telemetry/meter.ts"
import type { ClientSocket, SocketOwner } from "../http/upgrades.ts"
import type { Deadline, Deadlines } from "../upstream/Deadlines.ts"
import type { BackendSocket, SocketMessage } from "../wire/web-socket.ts"
import type { AnswerProgress } from "./record.ts"
import type { RequestRun } from "./request-run.ts"

/** How a session ended: in order, by the loss of a side, or by us. */
export type SessionEnd = "closed" | "client lost" | "backend lost" | "idle" | "interrupted"

/** Bytes that may wait for a side before the other is held back. */
const mostWaiting = 1_048_576

/** How often it is looked whether a backend takes messages again, in milliseconds. */
const lookMs = 50

const sizeOf = (message: SocketMessage | Uint8Array): number =>
  typeof message === "string" ? message.length : message.byteLength

// What closes say when a connection is lost, or when they say nothing.
const lost = 1006
const silent = 1005

const orderly = (code: number): number => (code === silent ? 1000 : code)

const nothingUsed: Usage = { prompt: 0, cached: 0, completion: 0 }

/** One session. */
export class RealtimeSession implements SocketOwner, AnswerProgress, Deadline {
  place = -1
  at = Infinity
  totalAt = Infinity
  bytes = 0
  pieces = 0
  readonly written = undefined
  private readonly run: RequestRun
  private readonly backend: BackendSocket
  private readonly deadlines: Deadlines["Service"]
  private readonly done: (end: SessionEnd) => void
  private client: ClientSocket | undefined
  private held = false
  private backendHeld = false
  private over = false

  constructor(
    run: RequestRun,
    backend: BackendSocket,
    deadlines: Deadlines["Service"],
    idleMs: number,
    done: (end: SessionEnd) => void
  ) {
    this.run = run
    this.backend = backend
    this.deadlines = deadlines
    this.done = done
    run.record.clock.bound(run.record.started, 0)
    run.record.clock.arm("idle", idleMs, () => this.end("idle", 1001, "nothing has been said for too long"))
  }

  /** Ends both sides. */
  end(why: SessionEnd, code: number, reason: string): void {
    if (this.over) return
    this.client?.close(code, reason)
    this.backend.close(code, reason)
    this.finish(why)
  }

  opened(client: ClientSocket): void {
    if (this.over) return client.close(1011, "the backend went away")
    this.client = client
    this.backend.start({
      message: (message) => this.fromBackend(message),
      closed: (code, reason) => this.backendClosed(code, reason)
    })
  }

  message(message: string | Uint8Array<ArrayBuffer>): void {
    if (this.over) return
    this.backend.send(message)
    this.passed()
    if (this.held || this.backend.waiting < mostWaiting) return
    this.held = true
    this.client?.pause()
    this.at = performance.now() + lookMs
    this.deadlines.add(this)
  }

  drained(): void {
    if (!this.backendHeld) return
    this.backendHeld = false
    this.backend.resume()
  }

  closed(code: number, reason: string): void {
    if (this.over) return
    this.backend.close(code === lost ? 1001 : orderly(code), reason)
    this.finish(code === lost ? "client lost" : "closed")
  }

  shift(_: number, byMs: number): void {
    this.at += byMs
  }

  /** Looks whether the backend takes messages again: nobody tells. */
  expire(): void {
    if (this.over) return
    if (this.backend.waiting >= mostWaiting / 2) {
      this.at = performance.now() + lookMs
      return
    }
    this.deadlines.remove(this)
    this.held = false
    this.client?.resume()
  }

  private fromBackend(message: SocketMessage): void {
    const { client } = this
    if (this.over || client === undefined) return
    const waiting = client.send(message)
    this.bytes += sizeOf(message)
    this.passed()
    if (typeof message === "string") this.counts(message)
    if (this.backendHeld || waiting < mostWaiting) return
    this.backendHeld = true
    this.backend.pause()
  }

  // What each answer took, and all of them together.
  private counts(message: string): void {
    const { record } = this.run
    const usage = record.route.dialect.sessionUsage?.(message)
    if (usage === undefined) return
    record.asked?.meter.used(usage, performance.now())
    const before = record.usage ?? nothingUsed
    record.uses({
      prompt: before.prompt + usage.prompt,
      cached: before.cached + usage.cached,
      completion: before.completion + usage.completion
    })
  }

  private backendClosed(code: number, reason: string): void {
    if (this.over) return
    if (code === lost) this.client?.close(1011, "the backend went away")
    else this.client?.close(orderly(code), reason)
    this.finish(code === lost ? "backend lost" : "closed")
  }

  private passed(): void {
    this.pieces += 1
    this.run.record.clock.renew(performance.now())
  }

  private finish(end: SessionEnd): void {
    this.over = true
    if (this.held) this.deadlines.remove(this)
    this.done(end)
  }
}
