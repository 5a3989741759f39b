/**
 * One request and its answer: the body as it is asked for, the answer as it is given, and what becomes of the connection
 * afterwards.
 */
import type { Outbound } from "./outbound.ts"
import type { RequestHead } from "./request-head.ts"
import { type AnswerFields, type AnswerFraming, answerHeadText, isBodiless } from "./response-head.ts"

/** Where the body of an answer goes; nothing is taken behind `close` or `error`. */
export interface AnswerOutput {
  /** Bytes that may still wait for the client before whoever gives them should hold back; less than 0 beyond that. */
  readonly desiredSize: number
  readonly enqueue: (bytes: Uint8Array) => void
  /** The body is whole. */
  readonly close: () => void
  /** The body breaks off: what was given goes out, then the connection ends short of the body. */
  readonly error: () => void
}

/** Where the body of an answer comes from: what streams of the web platform are drawn from. */
export interface AnswerSource {
  readonly start: (output: AnswerOutput) => void
  /** All that was given has been taken; called in a turn of its own. */
  readonly pull: () => void
  /** The client is gone; nothing is taken any more. */
  readonly cancel: () => void
}

/** What an exchange asks of its connection. */
export interface ExchangeControl {
  readonly out: Outbound
  readonly date: () => string
  /** Whether another request may follow on it. */
  readonly keeps: boolean
  /** Bytes of a body that may be read past behind its answer. */
  readonly pastBytes: number
  /** Reads nothing more of the body until told. */
  readonly holdBody: () => void
  readonly releaseBody: () => void
  /** The answer is whole; `keeps` when another may follow on the connection. */
  readonly answered: (keeps: boolean) => void
  /** The answer breaks off. */
  readonly broken: () => void
  /** Something was written: who takes nothing of it is not waited for without end. */
  readonly wrote: () => void
  /** The bytes of the connection are another's from now on; what has come of them already is handed on in a turn of its own. */
  readonly handOver: (to: Tunnel) => TunnelLine
}

/** Who gets the bytes of a connection that speaks another protocol. */
export interface Tunnel {
  readonly data: (bytes: Uint8Array) => void
  /** The client has taken all that waited for it. */
  readonly drained: () => void
  readonly closed: () => void
  /** Called at each look at the connections, with the time since something last came. */
  readonly look: (silentMs: number) => void
}

/** What is done with such a connection. */
export interface TunnelLine {
  readonly out: Outbound
  /** Takes nothing more from the client until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Ends it behind what has been written; nothing more is told. */
  readonly end: () => void
  /** Closes it at once. */
  readonly drop: () => void
}

// Bytes of a body that are taken in before anybody asks for them, and bytes of an answer that may wait for the client.
const highWaterMark = 64 * 1024

const nothing = new Uint8Array(0)

/** Why the body of a request does not come to its end. */
class ClientGone extends Error {
  override readonly name = "ClientGone"

  constructor() {
    super("the client is gone")
  }
}

const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array => {
  const [first] = pieces
  return first === undefined ? nothing : pieces.length === 1 ? first : Buffer.concat(pieces)
}

/** One request under way. */
export class ServerExchange implements AnswerOutput {
  readonly head: RequestHead
  private readonly connection: ExchangeControl
  private keeps: boolean
  private leaveGiven = false
  // The body: what has come and nobody has taken, and who waits for more.
  private pieces: Array<Uint8Array> = []
  private size = 0
  private whole = false
  private collecting = false
  private unwanted = false
  private wake: (() => void) | undefined
  private phase: "waiting" | "flowing" | "over" = "waiting"
  private isGone = false
  private source: AnswerSource | undefined
  private inChunks = false
  private left: (() => void) | undefined
  // Whether its source is asked for more at the end of this turn, and what asks it.
  private pulling = false
  private pullNow: (() => void) | undefined

  constructor(connection: ExchangeControl, head: RequestHead) {
    this.connection = connection
    this.head = head
    this.keeps = head.keeps
  }

  /** Whether the client has gone. */
  get gone(): boolean {
    return this.isGone
  }

  /** Whether all of the request has come. */
  get isWhole(): boolean {
    return this.whole
  }

  /** Whether an answer has been given, as far as it has come. */
  get isAnswered(): boolean {
    return this.phase !== "waiting"
  }

  /** Whether the answer goes out in chunks now. */
  get isInChunks(): boolean {
    return this.phase === "flowing" && this.inChunks
  }

  /** Adds what is to be called when the client leaves before the answer is whole; at once when it has. */
  onGone(left: () => void): void {
    if (this.isGone) return left()
    const { left: before } = this
    this.left =
      before === undefined
        ? left
        : () => {
            before()
            left()
          }
  }

  /** The next piece of the body; undefined behind the last one. Rejects when the client has gone before that. */
  async read(): Promise<Uint8Array | undefined> {
    while (this.pieces.length === 0) {
      if (this.isGone) throw new ClientGone()
      if (this.whole || this.unwanted) return undefined
      await this.more()
    }
    const [piece] = this.pieces.splice(0, 1)
    this.size -= piece?.byteLength ?? 0
    if (this.size < highWaterMark) this.connection.releaseBody()
    return piece
  }

  /** All of the body. Rejects when the client has gone before that. */
  bytes(): Promise<Uint8Array> {
    if (this.whole && this.pieces.length <= 1) {
      const [piece = nothing] = this.pieces
      this.pieces = []
      return Promise.resolve(piece)
    }
    return this.collect()
  }

  /** Nobody wants more of the body. */
  dismiss(): void {
    this.unwanted = true
    this.pieces = []
    this.size = 0
    this.connection.releaseBody()
  }

  /** Gives an answer in one piece. */
  respond(status: number, fields: AnswerFields, body: Uint8Array): void {
    if (this.phase !== "waiting" || this.isGone) return
    const { connection, head } = this
    const silent = head.method === "HEAD" || isBodiless(status)
    const length = silent && body.byteLength === 0 ? fields.length : body.byteLength
    const framing: AnswerFraming =
      length === undefined || (isBodiless(status) && fields.length === undefined) ? "none" : { length }
    const text = this.headText(status, fields, framing)
    if (silent) connection.out.text(text)
    else {
      connection.out.precede(text)
      connection.out.body(body)
    }
    this.finished()
  }

  /** Gives an answer whose body comes from a source; what it gives at once goes out with the head. */
  stream(status: number, fields: AnswerFields, source: AnswerSource): void {
    if (this.phase !== "waiting" || this.isGone) return source.cancel()
    const { connection, head } = this
    this.inChunks = !head.isOld
    if (head.isOld) this.keeps = false
    if (head.method === "HEAD" || isBodiless(status)) {
      const framing: AnswerFraming =
        fields.length !== undefined ? { length: fields.length } : isBodiless(status) || head.isOld ? "none" : "chunked"
      connection.out.text(this.headText(status, fields, framing))
      this.finished()
      return source.cancel()
    }
    this.source = source
    connection.out.precede(this.headText(status, fields, this.inChunks ? "chunked" : "close"))
    this.phase = "flowing"
    source.start(this)
    if (!this.isFlowing()) return
    source.pull()
    if (!this.isFlowing()) return
    connection.out.text("")
    connection.wrote()
  }

  get desiredSize(): number {
    return highWaterMark - this.connection.out.unsent
  }

  enqueue(bytes: Uint8Array): void {
    if (this.phase !== "flowing") return
    const { out } = this.connection
    // A chunk of no bytes would be the last one; who gives nothing is asked for more all the same.
    if (bytes.byteLength > 0) {
      if (this.inChunks) out.chunk(bytes)
      else out.body(bytes)
      this.connection.wrote()
    }
    if (out.unsent === 0 && !this.pulling) {
      this.pulling = true
      this.pullNow ??= () => this.pulls()
      queueMicrotask(this.pullNow)
    }
  }

  close(): void {
    if (this.phase !== "flowing") return
    if (this.inChunks) this.connection.out.text("0\r\n\r\n")
    this.source = undefined
    this.finished()
  }

  error(): void {
    if (this.phase !== "flowing") return
    this.phase = "over"
    this.source = undefined
    this.connection.out.text("")
    this.connection.broken()
  }

  /** Lets the connection speak another protocol from now on; undefined when it cannot. */
  switchTo(fields: string, tunnel: Tunnel): TunnelLine | undefined {
    if (this.phase !== "waiting" || this.isGone || !this.whole) return undefined
    this.phase = "over"
    this.connection.out.text(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\n`)
    return this.connection.handOver(tunnel)
  }

  /** Bytes of the body have come. */
  piece(bytes: Uint8Array): void {
    if (this.unwanted) return
    this.pieces.push(bytes)
    this.size += bytes.byteLength
    if (!this.collecting && this.size >= highWaterMark) this.connection.holdBody()
    this.wakes()
  }

  /** The body is whole. */
  ended(): void {
    this.whole = true
    this.wakes()
  }

  /** The client has taken all that waited for it. */
  drained(): void {
    if (this.phase === "flowing") this.source?.pull()
  }

  /** The client has gone. */
  lost(): void {
    if (this.isGone) return
    this.isGone = true
    const { left, source } = this
    const wasOver = this.phase === "over"
    this.phase = "over"
    this.source = undefined
    this.pieces = []
    this.wakes()
    if (wasOver) return
    left?.()
    source?.cancel()
  }

  private pulls(): void {
    this.pulling = false
    if (this.connection.out.unsent === 0) this.drained()
  }

  private isFlowing(): boolean {
    return this.phase === "flowing"
  }

  private headText(status: number, fields: AnswerFields, framing: AnswerFraming): string {
    const { connection, head } = this
    // Who waits for leave may send the body or leave it out, and nobody can tell which.
    const isUnsure = !this.whole && (head.awaitsLeave || head.length > connection.pastBytes)
    if (fields.closes || isUnsure || !connection.keeps) this.keeps = false
    const kept = this.keeps ? (head.isOld ? "keep-alive" : undefined) : "close"
    return answerHeadText(status, fields, framing, kept, connection.date())
  }

  private finished(): void {
    this.phase = "over"
    this.connection.wrote()
    this.connection.answered(this.keeps)
  }

  private async collect(): Promise<Uint8Array> {
    this.collecting = true
    this.connection.releaseBody()
    while (!this.whole) {
      if (this.isGone) throw new ClientGone()
      await this.more()
    }
    const { pieces } = this
    this.pieces = []
    this.size = 0
    return joined(pieces)
  }

  private more(): Promise<void> {
    if (this.head.awaitsLeave && this.size === 0 && this.phase === "waiting" && !this.leaveGiven) {
      this.leaveGiven = true
      this.connection.out.text("HTTP/1.1 100 Continue\r\n\r\n")
    }
    return new Promise((resolve) => {
      this.wake = resolve
    })
  }

  private wakes(): void {
    const { wake } = this
    this.wake = undefined
    wake?.()
  }
}
