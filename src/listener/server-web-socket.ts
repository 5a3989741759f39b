/**
 * A request that becomes a WebSocket (RFC 6455), and the life of that.
 */
import { createHash } from "node:crypto"
import type { ServerExchange, Tunnel, TunnelLine } from "./server-exchange.ts"
import { frameHead, FrameReader, type FrameSink, isSendable, opcodes } from "./socket-frames.ts"

/** Who takes what comes of a socket; `closed` comes last and once. */
export interface WebSocketOwner {
  readonly opened: (socket: ServerWebSocket) => void
  readonly message: (message: string | Uint8Array<ArrayBuffer>) => void
  /** The client has taken what waited for it. */
  readonly drained: () => void
  /** `code` 1006 when the connection was lost. */
  readonly closed: (code: number, reason: string) => void
}

/** What bounds a socket. */
export interface WebSocketLimits {
  /** Bytes of one message. */
  readonly messageBytes: number
  /** Silence, in milliseconds, after which a client is taken to be gone; it is pinged after half of it. */
  readonly idleMs: number
}

// The client's key is 16 bytes in base64.
const keyForm = /^[A-Za-z0-9+/]{21}[AQgw]==$/
const magic = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

const lost = 1006

/** A client's end of a socket. */
export class ServerWebSocket implements Tunnel, FrameSink {
  private readonly owner: WebSocketOwner
  private readonly limits: WebSocketLimits
  private readonly reader: FrameReader
  private line: TunnelLine | undefined
  private pinged = false
  private closing = false
  private ended = false

  constructor(owner: WebSocketOwner, limits: WebSocketLimits) {
    this.owner = owner
    this.limits = limits
    this.reader = new FrameReader(this, limits.messageBytes)
  }

  /** Begins it. */
  begin(line: TunnelLine): void {
    this.line = line
    this.owner.opened(this)
  }

  /** Sends a message; gives how many bytes the client has not taken. */
  send(message: string | ArrayBuffer): number {
    if (this.closing || this.ended) return 0
    if (typeof message === "string") this.frame(opcodes.text, Buffer.from(message))
    else this.frame(opcodes.binary, new Uint8Array(message))
    return this.line?.out.unsent ?? 0
  }

  /** Takes nothing more from the client until {@link resume}. */
  pause(): void {
    this.line?.pause()
  }

  resume(): void {
    this.line?.resume()
  }

  /** Closes it; a code that no endpoint may send is said as none. */
  close(code: number, reason: string): void {
    if (this.closing || this.ended) return
    this.closing = true
    this.resume()
    this.sayClose(code, reason)
  }

  // What the connection tells.

  data(bytes: Uint8Array): void {
    this.pinged = false
    this.reader.push(bytes)
  }

  drained(): void {
    this.owner.drained()
  }

  closed(): void {
    this.ends(lost, "")
  }

  look(silentMs: number): void {
    const { idleMs } = this.limits
    if (silentMs >= idleMs) return this.line?.drop()
    if (silentMs < idleMs / 2 || this.pinged || this.ended) return
    this.pinged = true
    if (!this.closing) this.frame(opcodes.ping, new Uint8Array(0))
  }

  // What the frames tell.

  message(message: string | Uint8Array<ArrayBuffer>): void {
    if (!this.ended && !this.closing) this.owner.message(message)
  }

  ping(payload: Uint8Array): void {
    if (!this.closing && !this.ended) this.frame(opcodes.pong, payload)
  }

  pong(): void {
    this.pinged = false
  }

  closedBy(code: number, reason: string): void {
    if (!this.closing) this.sayClose(code, reason)
    this.ends(code, reason)
    this.line?.end()
  }

  bad(code: number): void {
    this.sayClose(code, "")
    this.ends(code, "")
    this.line?.end()
  }

  private sayClose(code: number, reason: string): void {
    const bytes = Buffer.from(reason)
    // A reason ends with a whole character.
    let size = Math.min(bytes.byteLength, 123)
    while (size < bytes.byteLength && ((bytes[size] ?? 0) & 192) === 128) size -= 1
    const payload = Buffer.alloc(isSendable(code) ? 2 + size : 0)
    if (payload.byteLength > 0) {
      payload.writeUInt16BE(code)
      bytes.copy(payload, 2, 0, size)
    }
    this.frame(opcodes.close, payload)
  }

  private frame(opcode: number, payload: Uint8Array): void {
    const { line } = this
    if (line === undefined) return
    line.out.precede(frameHead(opcode, payload.byteLength))
    line.out.body(payload)
  }

  private ends(code: number, reason: string): void {
    if (this.ended) return
    this.ended = true
    this.reader.stop()
    this.owner.closed(code, reason)
  }
}

/** Why a request cannot become a WebSocket; undefined when it can. */
const faultOf = ({ head }: ServerExchange): boolean => {
  const tokens = (name: string) =>
    (head.field(name) ?? "")
      .toLowerCase()
      .split(",")
      .map((token) => token.trim())
  return (
    head.isOld ||
    head.method !== "GET" ||
    head.framing !== "none" ||
    !tokens("upgrade").includes("websocket") ||
    !tokens("connection").includes("upgrade") ||
    head.field("sec-websocket-version") !== "13" ||
    !keyForm.test(head.field("sec-websocket-key") ?? "")
  )
}

/** Makes a WebSocket of a request, with these further lines of its answer; gives whether it is one. */
export const openWebSocket = (
  exchange: ServerExchange,
  owner: WebSocketOwner,
  lines: string,
  limits: WebSocketLimits
): boolean => {
  if (faultOf(exchange)) return false
  const key = exchange.head.field("sec-websocket-key") ?? ""
  const accept = createHash("sha1")
    .update(key + magic)
    .digest("base64")
  const socket = new ServerWebSocket(owner, limits)
  const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n${lines}`
  const line = exchange.switchTo(fields, socket)
  if (line === undefined) return false
  socket.begin(line)
  return true
}
