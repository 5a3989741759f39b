/**
 * A stream that is opened for its client before anybody has begun to answer: comments keep its connection alive while
 * backends are still tried, and what becomes of the request is told inside of it.
 */
import type { Dialect, StreamWatch } from "../dialect/Dialect.ts"
import type { ReplyOutput } from "../http/BunServer.ts"
import type { Deadline } from "../upstream/Deadlines.ts"
import { withComment } from "../dialect/event-stream.ts"
import { earlyStreamHeaders } from "./answer-head.ts"

/** What goes on with a stream that has been opened. */
export interface StreamContinuation {
  readonly start: (controller: ReplyOutput) => void
  readonly pull: () => void
  readonly cancel: () => void
}

/** What an early stream needs of its request; times in milliseconds. */
export interface EarlyStreamOptions {
  readonly requestId: string
  readonly dialect: Dialect
  /** What is known of the answer before anybody gives one. */
  readonly headers: () => Readonly<Record<string, string>>
  /** What it waits for, in words; undefined where that is an answer. */
  readonly waits: () => string | undefined
  /** How long a client waits in silence. */
  readonly everyMs: number
  /** How long the last event gets to arrive before the body is cut. */
  readonly partingMs: number
  /** Sends the answer's head, and its body as it comes. */
  readonly open: (response: Response) => void
  /** Called once: there is nothing more to wait for. */
  readonly done: () => void
}

// A client that takes nothing of a last event is not waited for longer.
const mostMs = 12_000

/** Opens the stream when its time has come, and holds it until somebody answers or all have failed. */
export class EarlyStream implements Deadline {
  place = -1
  at: number
  totalAt = Infinity
  private readonly early: EarlyStreamOptions
  private client: ReplyOutput | undefined
  private next: StreamContinuation | undefined
  // What has been said in it so far.
  private said: StreamWatch | undefined
  private parting = false
  private over = false

  constructor(early: EarlyStreamOptions, started: number) {
    this.early = early
    this.at = started + early.everyMs
  }

  /** Whether the head of the answer has been sent. */
  get opened(): boolean {
    return this.client !== undefined
  }

  /** Passes on what a backend says before it answers; whole comments alone. */
  readonly hear = (comments: Uint8Array): void => {
    this.say(comments)
    this.at = performance.now() + this.early.everyMs
  }

  /** Lets an answer go on in the stream. */
  give(next: StreamContinuation): void {
    if (this.client === undefined) return
    this.next = next
    this.end()
    next.start(this.client)
    next.pull()
  }

  /** Tells of a failure inside of the stream, and cuts it behind that. */
  async fail(response: Response): Promise<void> {
    if (this.over) return
    this.parting = true
    this.at = performance.now() + mostMs
    const { said } = this
    const error = await response.text()
    if (said !== undefined) this.say(said.broken(error))
  }

  /** Gives up waiting, unless a failure is still on its way. */
  end(): void {
    if (this.parting || this.over) return
    this.over = true
    this.early.done()
  }

  start(controller: ReplyOutput): void {
    this.client = controller
  }

  pull(): void {
    if (this.parting) this.at = performance.now() + this.early.partingMs
    else this.next?.pull()
  }

  cancel(): void {
    if (this.next !== undefined) return this.next.cancel()
    this.parting = false
    this.end()
  }

  shift(_: number, byMs: number): void {
    this.at += byMs
  }

  expire(): void {
    if (this.parting) {
      this.parting = false
      if (this.early.dialect.brokenBody === "ended") this.client?.close()
      else this.client?.error(new Error("nobody answered"))
      return this.end()
    }
    this.at = performance.now() + this.early.everyMs
    if (this.client === undefined) {
      const { dialect, open, requestId } = this.early
      this.said = dialect.watch()
      const headers = { ...earlyStreamHeaders(dialect, requestId), ...this.early.headers() }
      open(new Response(new ReadableStream<Uint8Array>(this), { headers }))
    }
    const { keepAlive } = this.early.dialect
    if (keepAlive !== undefined) this.say(withComment(keepAlive, this.early.waits()))
  }

  // Who takes nothing is told nothing more.
  private say(bytes: Uint8Array): void {
    if (this.over || this.client === undefined) return
    if (!this.parting && (this.client.desiredSize ?? 0) <= 0) return
    this.said?.push(bytes)
    this.client.enqueue(bytes)
  }
}
