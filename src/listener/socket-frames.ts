/**
 * Frames of WebSockets (RFC 6455): those of a client are read strictly, however they are cut, and put together to messages.
 */

/** What is told of a client's frames; nothing comes after `bad`. */
export interface FrameSink {
  /** A whole message. */
  readonly message: (message: string | Uint8Array<ArrayBuffer>) => void
  readonly ping: (payload: Uint8Array) => void
  readonly pong: () => void
  /** The client closes; 1005 when it gives no code. */
  readonly closedBy: (code: number, reason: string) => void
  /** The client breaks the protocol: the code that says how. */
  readonly bad: (code: number) => void
}

/** Kinds of frames. */
export const opcodes = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

const { binary, close, continuation, ping, pong, text } = opcodes

/** Said of a frame that no client may send. */
const protocolError = 1002
const invalidText = 1007
const tooLarge = 1009

/** Said where no code was given. */
const noCode = 1005

const longestControl = 125
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text of some bytes; undefined when they are none. */
const textOf = (bytes: Uint8Array): string | undefined => {
  try {
    return utf8.decode(bytes)
  } catch {
    return undefined
  }
}

/** Whether an endpoint may send this code. */
export const isSendable = (code: number): boolean =>
  (code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)) || (code >= 3000 && code <= 4999)

/** The head of a frame of the server's, as Latin-1 text. */
export const frameHead = (opcode: number, size: number): string => {
  const first = String.fromCharCode(128 | opcode)
  if (size < 126) return first + String.fromCharCode(size)
  if (size < 65536) return first + String.fromCharCode(126, size >> 8, size & 255)
  const high = Math.floor(size / 2 ** 32)
  const low = size >>> 0
  const bytes = [high, low].flatMap((word) => [word >>> 24, (word >> 16) & 255, (word >> 8) & 255, word & 255])
  return first + String.fromCharCode(127, ...bytes)
}

const nothing = new Uint8Array(0)

/** The reader of one client's frames. */
export class FrameReader {
  private readonly to: FrameSink
  private readonly maxBytes: number
  private over = false
  // The head of a frame, as far as it has come.
  private readonly head = new Uint8Array(14)
  private filled = 0
  // The frame whose payload is coming.
  private inPayload = false
  private final = false
  private opcode = 0
  private left = 0
  private size = 0
  private pieces: Array<Uint8Array> = []
  // The message that is coming in several frames.
  private kind: number | undefined
  private parts: Array<Uint8Array> = []
  private total = 0

  constructor(to: FrameSink, maxBytes: number) {
    this.to = to
    this.maxBytes = maxBytes
  }

  /** Takes the next bytes, which it changes. */
  push(bytes: Uint8Array): void {
    let at = 0
    while (!this.over && (at < bytes.byteLength || (this.inPayload && this.left === 0))) {
      at = this.inPayload ? this.payload(bytes, at) : this.headByte(bytes, at)
    }
  }

  /** Ends it; nothing is told afterwards. */
  stop(): void {
    this.over = true
    this.pieces = []
    this.parts = []
  }

  private fail(code: number): void {
    if (this.over) return
    this.stop()
    this.to.bad(code)
  }

  private headByte(bytes: Uint8Array, at: number): number {
    const { head } = this
    head[this.filled] = bytes[at] ?? 0
    this.filled += 1
    const length = (head[1] ?? 0) & 127
    const extended = length === 126 ? 2 : length === 127 ? 8 : 0
    if (this.filled === 2 && !this.isAllowed(head[0] ?? 0, head[1] ?? 0)) this.fail(protocolError)
    else if (this.filled >= 2 && this.filled === 6 + extended) this.begin(length, extended)
    return at + 1
  }

  private isAllowed(first: number, second: number): boolean {
    const opcode = first & 15
    const isControl = opcode >= close
    // No extension was agreed on, and what a client sends is masked.
    if ((first & 112) !== 0 || (second & 128) === 0) return false
    if (isControl) return opcode <= pong && first >= 128 && (second & 127) <= longestControl
    return opcode <= binary && (opcode === continuation) === (this.kind !== undefined)
  }

  private begin(length: number, extended: number): void {
    const { head } = this
    const view = new DataView(head.buffer)
    const size = extended === 0 ? length : extended === 2 ? view.getUint16(2) : Number(view.getBigUint64(2))
    // Every length has one form.
    if ((extended === 2 && size < 126) || (extended === 8 && size < 65536)) return this.fail(protocolError)
    this.final = ((head[0] ?? 0) & 128) !== 0
    this.opcode = (head[0] ?? 0) & 15
    if (this.opcode < close && this.total + size > this.maxBytes) return this.fail(tooLarge)
    this.size = size
    this.left = size
    this.pieces = []
    this.inPayload = true
  }

  private payload(bytes: Uint8Array, at: number): number {
    const end = Math.min(bytes.byteLength, at + this.left)
    if (end > at) {
      const mask = this.filled - 4
      let turn = this.size - this.left
      for (let place = at; place < end; place += 1, turn += 1) {
        bytes[place] = (bytes[place] ?? 0) ^ (this.head[mask + (turn & 3)] ?? 0)
      }
      this.pieces.push(bytes.subarray(at, end))
      this.left -= end - at
    }
    if (this.left === 0) this.whole()
    return end
  }

  private whole(): void {
    const { opcode, pieces } = this
    this.inPayload = false
    this.filled = 0
    this.pieces = []
    if (opcode >= close) return this.control(opcode, joined(pieces))
    if (opcode !== continuation) this.kind = opcode
    this.parts.push(...pieces)
    this.total += this.size
    if (!this.final) return
    const { kind, parts } = this
    this.kind = undefined
    this.parts = []
    this.total = 0
    const message = joined(parts)
    if (kind !== text) return this.to.message(message)
    const said = textOf(message)
    if (said === undefined) this.fail(invalidText)
    else this.to.message(said)
  }

  private control(opcode: number, payload: Uint8Array): void {
    if (opcode === ping) return this.to.ping(payload)
    if (opcode === pong) return this.to.pong()
    if (payload.byteLength === 0) return this.to.closedBy(noCode, "")
    const code = payload.byteLength === 1 ? 0 : ((payload[0] ?? 0) << 8) | (payload[1] ?? 0)
    const reason = textOf(payload.subarray(2))
    if (!isSendable(code)) this.fail(protocolError)
    else if (reason === undefined) this.fail(invalidText)
    else this.to.closedBy(code, reason)
  }
}

// A copy: what is handed on is its taker's.
const joined = (pieces: ReadonlyArray<Uint8Array>): Uint8Array<ArrayBuffer> => {
  const [first] = pieces
  if (first === undefined) return nothing
  return new Uint8Array(pieces.length === 1 ? first : Buffer.concat(pieces))
}
