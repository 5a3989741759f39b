/**
 * One connection of a client: what comes is read, one request after the other is handed on, answers go out in their order,
 * and who is too slow or asks too much is let go.
 */
import { Outbound, type OutboundSocket } from "./outbound.ts"
import type { HeadRefusal, RequestHead } from "./request-head.ts"
import { type ReaderLimits, RequestReader, type RequestSink } from "./request-reader.ts"
import { answerHeadText } from "./response-head.ts"
import { type ExchangeControl, ServerExchange, type Tunnel, type TunnelLine } from "./server-exchange.ts"

/** What is used of a socket. */
export interface ServerSocket extends OutboundSocket {
  readonly pause: () => void
  readonly resume: () => void
  /** Ends what goes out; what comes is still read. */
  readonly shutdown: () => void
  /** Closes it in order. */
  readonly end: () => void
  /** Closes it at once; what is under way is lost. */
  readonly terminate: () => void
}

/** What bounds a connection; times in milliseconds. */
export interface ConnectionLimits extends ReaderLimits {
  /** For all of a head, from its first byte; for the first one from the beginning of the connection. */
  readonly headMs: number
  /** Silence between two requests. */
  readonly idleMs: number
  /** Silence in the middle of a body that is asked for. */
  readonly uploadMs: number
  /** For which a client takes nothing of what waits for it. */
  readonly stallMs: number
  /** Bytes of further requests that are taken in while one is answered. */
  readonly aheadBytes: number
  /** Bytes of a body that are read past behind an answer which did not wait for it; silence, and time in all, meanwhile. */
  readonly pastBytes: number
  readonly pastMs: number
  readonly pastAllMs: number
  /** Requests of one connection. */
  readonly requests: number
}

/** What is told of a refusal: in ASCII alone. */
export interface RefusalText {
  readonly type: string
  readonly text: string
}

/** What the connections of one listener share. */
export interface ConnectionShared {
  readonly limits: ConnectionLimits
  /** Answers a request. */
  readonly handle: (exchange: ServerExchange, connection: ServerConnection) => void
  /** Called for a request that is not taken. */
  readonly onRefused: (status: number) => void
  /** What its client is told. */
  readonly told: (reason: string) => RefusalText
  readonly date: () => string
  /** The time of the last look at all connections, in milliseconds. */
  time: number
  /** Whether no further request is taken. */
  stopping: boolean
  /** Requests whose answers have not ended. */
  pending: number
  readonly all: Set<ServerConnection>
  /** Called when a connection has left. */
  readonly onLeft: (connection: ServerConnection) => void
}

type Phase = "idle" | "head" | "busy" | "past" | "parting" | "closed"

const continued = "HTTP/1.1 100 Continue\r\n\r\n"

const lateHead: HeadRefusal = { status: 408, reason: "the head of the request did not come in time" }
const lateBody: HeadRefusal = { status: 408, reason: "the body of the request did not come in time" }

/** A connection of a client. */
export class ServerConnection implements RequestSink, ExchangeControl {
  /** The address of the client. */
  readonly peer: string
  readonly out: Outbound
  private readonly socket: ServerSocket
  private readonly shared: ConnectionShared
  private readonly reader: RequestReader
  private phase: Phase = "idle"
  private exchange: ServerExchange | undefined
  // A request that has come and has not been handed on.
  private fresh: ServerExchange | undefined
  private dispatching = false
  private tunnel: Tunnel | undefined
  // When something last moved, and the silence that a request is given in place of the usual one.
  private movedAt: number
  private silence: number | undefined
  private heldBody = false
  private paused = false
  private count = 0
  private past = 0
  private pastFrom = 0
  private farEnded = false

  constructor(socket: ServerSocket, peer: string, shared: ConnectionShared) {
    this.socket = socket
    this.peer = peer
    this.shared = shared
    this.out = new Outbound(socket)
    this.reader = new RequestReader(this, shared.limits)
    this.movedAt = shared.time
    shared.all.add(this)
  }

  /** Whether no request is under way on it. */
  get isIdle(): boolean {
    return this.phase === "idle" || this.phase === "head"
  }

  /** Whether another request may follow on it. */
  get keeps(): boolean {
    const { limits, stopping } = this.shared
    return !stopping && this.count < limits.requests && (!this.farEnded || this.reader.unread > 0)
  }

  /** Bytes of a body that may be read past behind its answer. */
  get pastBytes(): number {
    return this.shared.limits.pastBytes
  }

  /** Sets the silence after which it is closed while this request is under way, in milliseconds. */
  setSilence(exchange: ServerExchange, ms: number): void {
    if (exchange !== this.exchange) return
    this.silence = ms
    this.wrote()
  }

  /** Bytes have come. */
  data(bytes: Buffer): void {
    if (this.tunnel !== undefined) {
      this.wrote()
      return this.tunnel.data(bytes)
    }
    if (this.phase === "parting") return this.passed(bytes.length)
    if (this.phase === "busy") this.wrote()
    this.reader.push(bytes)
    this.settle()
  }

  /** The socket takes more. */
  drain(): void {
    if (!this.out.flush()) return
    this.wrote()
    if (this.out.unsent > 0) return
    if (this.tunnel !== undefined) this.tunnel.drained()
    else if (this.phase === "parting") this.fin()
    else this.exchange?.drained()
  }

  /** The client sends nothing more. */
  farEnd(): void {
    this.farEnded = true
    const { exchange } = this
    if (this.phase === "parting") return this.fin()
    if (this.tunnel !== undefined) return this.leave()
    if (exchange?.isWhole !== true) return this.abandon()
    // It may have gone, or wait for its answer: what it is sent tells.
    if (exchange.head.isOld) {
      // It cannot be asked. Proxies speak so, and end with it what their client has left; nobody is to work on for that.
      if (exchange.head.method === "POST") this.abandon()
      return
    }
    if (exchange.isInChunks) this.out.text("0")
    else if (!exchange.isAnswered) this.out.text(continued)
  }

  /** The socket has closed. */
  closed(): void {
    if (this.phase === "closed") return
    this.phase = "closed"
    this.reader.stop()
    this.out.clear()
    this.shared.all.delete(this)
    this.shared.onLeft(this)
    const { tunnel } = this
    this.tunnel = undefined
    this.loses()
    tunnel?.closed()
  }

  /** Looks whether it has been silent for too long. */
  look(): void {
    const silentMs = this.shared.time - this.movedAt
    if (silentMs >= this.patience()) this.expire()
    else this.tunnel?.look(silentMs)
  }

  /** Closes it at once; what is under way is lost. */
  drop(): void {
    this.socket.terminate()
    this.closed()
  }

  /** Closes it in order when no request is under way on it. */
  retire(): void {
    if (this.isIdle) this.part()
  }

  // What the reader tells.

  head(head: RequestHead): void {
    this.count += 1
    this.phase = "busy"
    this.silence = undefined
    this.wrote()
    this.shared.pending += 1
    this.exchange = new ServerExchange(this, head)
    this.fresh = this.exchange
  }

  piece(bytes: Uint8Array): void {
    if (this.exchange !== undefined) this.exchange.piece(bytes)
    else if (this.phase === "past") this.passed(bytes.byteLength)
  }

  end(): void {
    if (this.exchange !== undefined) return this.exchange.ended()
    // The rest of a body that nobody wanted has been read past.
    if (this.phase === "past") this.idle()
  }

  refused({ reason, status }: HeadRefusal): void {
    this.shared.onRefused(status)
    // Nothing can be told of a body that goes wrong once its answer has begun.
    if (this.exchange?.isAnswered !== true && this.phase !== "past") {
      const { text, type } = this.shared.told(reason)
      const lines = `Content-Type: ${type}\r\n`
      const head = answerHeadText(status, { lines, dated: false }, { length: text.length }, "close", this.date())
      this.out.text(head + text)
    }
    this.abandon()
  }

  // What the exchange asks.

  date(): string {
    return this.shared.date()
  }

  holdBody(): void {
    this.heldBody = true
    this.reader.hold()
    this.holdBack()
  }

  releaseBody(): void {
    if (!this.heldBody) return
    this.heldBody = false
    this.wrote()
    this.reader.release()
    this.holdBack()
  }

  wrote(): void {
    this.movedAt = this.shared.time
  }

  answered(keeps: boolean): void {
    const { exchange } = this
    this.given()
    if (!keeps || !this.keeps) return this.part()
    if (exchange?.isWhole === true) return this.idle()
    this.begins("past")
    this.reader.release()
    this.holdBack()
  }

  broken(): void {
    this.given()
    this.part()
  }

  handOver(tunnel: Tunnel): TunnelLine {
    this.given()
    this.tunnel = tunnel
    this.wrote()
    const early = this.reader.stop()
    this.heldBody = false
    this.holdBack()
    if (early !== undefined) queueMicrotask(() => this.tunnel?.data(early))
    return {
      out: this.out,
      pause: () => this.pauses(true),
      resume: () => this.pauses(false),
      end: () => {
        this.tunnel = undefined
        this.part()
      },
      drop: () => this.drop()
    }
  }

  private given(): void {
    if (this.exchange === undefined) return
    this.exchange = undefined
    this.fresh = undefined
    this.heldBody = false
    this.shared.pending -= 1
  }

  private loses(): void {
    const { exchange } = this
    this.given()
    exchange?.lost()
  }

  private idle(): void {
    this.phase = "idle"
    this.silence = undefined
    this.wrote()
    this.reader.release()
    this.reader.next()
    this.settle()
  }

  // Hands on what has come. Answers may be given at once, and bring the next request in.
  private settle(): void {
    if (this.dispatching) return
    this.dispatching = true
    while (this.fresh !== undefined) {
      const { fresh } = this
      this.fresh = undefined
      this.shared.handle(fresh, this)
    }
    this.dispatching = false
    // What has not come whole does not come any more.
    if (this.farEnded && this.isIdle) return this.part()
    if (this.phase === "idle" && !this.reader.isIdle) this.phase = "head"
    this.holdBack()
  }

  // Reads from the socket no further ahead than may be.
  private holdBack(): void {
    const most = this.heldBody ? 0 : this.shared.limits.aheadBytes
    this.pauses(this.phase !== "closed" && this.phase !== "parting" && this.reader.unread > most)
  }

  private pauses(holds: boolean): void {
    if (holds === this.paused) return
    this.paused = holds
    if (holds) this.socket.pause()
    else if (this.phase !== "closed") this.socket.resume()
  }

  private begins(phase: "past" | "parting"): void {
    this.phase = phase
    this.past = 0
    this.pastFrom = this.shared.time
    this.wrote()
  }

  private passed(bytes: number): void {
    const { limits, time } = this.shared
    this.past += bytes
    if (this.past > limits.pastBytes) this.leave()
    else if (time - this.pastFrom < limits.pastAllMs) this.wrote()
  }

  // How long it may be silent now.
  private patience(): number {
    const { limits } = this.shared
    if (this.phase === "parting") return limits.pastMs
    if (this.out.unsent > 0) return this.silence ?? limits.stallMs
    switch (this.phase) {
      case "idle":
        return this.count === 0 ? limits.headMs : limits.idleMs
      case "head":
        return limits.headMs
      case "past":
        return limits.pastMs
      default:
        if (this.exchange === undefined || this.exchange.isWhole || this.heldBody) return Infinity
        return this.silence ?? limits.uploadMs
    }
  }

  private expire(): void {
    if (this.out.unsent > 0) return this.drop()
    if (this.phase === "head") return this.refused(lateHead)
    if (this.exchange?.isAnswered === false) return this.refused(lateBody)
    if (this.phase === "idle") this.part()
    else this.leave()
  }

  private abandon(): void {
    this.loses()
    this.part()
  }

  // Ends what goes out behind what has been written, and reads past what still comes: closed at once, the answer could be
  // lost to a client that is still sending.
  private part(): void {
    if (this.phase === "closed" || this.phase === "parting") return
    this.begins("parting")
    this.reader.stop()
    this.holdBack()
    this.out.push()
    if (this.out.unsent === 0) this.fin()
  }

  private fin(): void {
    if (this.out.unsent > 0) return
    if (this.farEnded) return this.leave()
    this.wrote()
    this.socket.shutdown()
  }

  private leave(): void {
    this.out.push()
    this.socket.end()
    this.closed()
  }
}
