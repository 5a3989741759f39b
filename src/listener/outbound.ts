/**
 * What goes out on a connection: written at once as far as the socket takes it, kept in order beyond that. The chunks that are
 * given in one turn go out in one write at its end.
 */

/** What is used of a socket to write to it. */
export interface OutboundSocket {
  /** Gives how many bytes were taken; less than 0 when it is closed. */
  readonly write: (bytes: Uint8Array, from: number, length: number) => number
}

// Everything of this size, in bytes, is put together here before it is written; nothing is kept in it beyond a turn.
const scratch = Buffer.allocUnsafeSlow(64 * 1024)

// Whose chunks of this turn wait in it, and how many bytes of them.
let holder: Outbound | undefined
let held = 0
let isDue = false

const endTurn = (): void => {
  isDue = false
  holder?.push()
}

const waits = (outbound: Outbound, length: number): void => {
  holder = outbound
  held = length
  if (isDue) return
  isDue = true
  queueMicrotask(endTurn)
}

const lineEnd = Buffer.from("\r\n")
// Digits of a size, two line ends.
const chunkExtra = 20

// Both give where they end.
const lineEndAt = (at: number): number => {
  scratch[at] = 13
  scratch[at + 1] = 10
  return at + 2
}

const sizeAt = (at: number, size: number): number => {
  let end = at
  for (let rest = size; rest > 0; rest >>>= 4) end += 1
  for (let rest = size, to = end - 1; to >= at; to -= 1, rest >>>= 4) {
    const digit = rest & 15
    scratch[to] = digit < 10 ? 48 + digit : 87 + digit
  }
  return end
}

/** The bytes of one connection on their way out. */
export class Outbound {
  private readonly socket: OutboundSocket
  private readonly queue: Array<Uint8Array> = []
  private waiting = 0
  // Text that goes out in front of what is written next.
  private before = ""

  constructor(socket: OutboundSocket) {
    this.socket = socket
  }

  /** Bytes that the socket has not taken. */
  get unsent(): number {
    return this.waiting
  }

  /** Lets a text in Latin-1 wait for what is written next. */
  precede(text: string): void {
    this.before += text
  }

  /** Writes a body behind what precedes it. */
  body(bytes: Uint8Array): void {
    const before = this.takeBefore()
    const from = this.room(before.length + bytes.byteLength)
    if (from === undefined) {
      if (before !== "") this.own(Buffer.from(before, "latin1"))
      return this.own(bytes)
    }
    const at = from + scratch.write(before, from, "latin1")
    scratch.set(bytes, at)
    this.sends(at + bytes.byteLength)
  }

  /** Writes a piece as a chunk, behind what precedes it: at the end of this turn, or with what is written before that. */
  chunk(piece: Uint8Array): void {
    const size = piece.byteLength
    const before = this.takeBefore()
    const at = this.room(before.length + size + chunkExtra)
    if (at === undefined) {
      this.own(Buffer.from(`${before}${size.toString(16)}\r\n`, "latin1"))
      this.own(piece)
      return this.own(lineEnd)
    }
    const from = lineEndAt(sizeAt(before === "" ? at : at + scratch.write(before, at, "latin1"), size))
    scratch.set(piece, from)
    const to = lineEndAt(from + size)
    if (this.waiting > 0) return this.sends(to)
    waits(this, to)
  }

  /** Writes a text in Latin-1 behind what precedes it. */
  text(text: string): void {
    const all = this.takeBefore() + text
    const from = this.room(all.length)
    if (from === undefined) this.own(Buffer.from(all, "latin1"))
    else this.sends(from + scratch.write(all, from, "latin1"))
  }

  /** Writes the chunks of this turn now. */
  push(): void {
    if (holder === this) this.sends(held)
  }

  /** Writes what waits, as far as the socket takes it now; whether any of it was taken. */
  flush(): boolean {
    const before = this.waiting
    while (this.queue.length > 0) {
      const [next = lineEnd] = this.queue
      const taken = Math.max(0, this.socket.write(next, 0, next.byteLength))
      this.waiting -= taken
      if (taken < next.byteLength) {
        this.queue[0] = next.subarray(taken)
        break
      }
      this.queue.shift()
    }
    return this.waiting < before
  }

  /** Forgets what waits. */
  clear(): void {
    if (holder === this) holder = undefined
    this.queue.length = 0
    this.waiting = 0
    this.before = ""
  }

  // Where so many bytes may be put together, behind the chunks of this turn; undefined where there is no room.
  private room(size: number): number | undefined {
    if (holder === this && held + size <= scratch.length) return held
    holder?.push()
    return size <= scratch.length ? 0 : undefined
  }

  private sends(length: number): void {
    if (holder === this) holder = undefined
    if (length > 0) this.copied(length)
  }

  private takeBefore(): string {
    const { before } = this
    if (before !== "") this.before = ""
    return before
  }

  private copied(length: number): void {
    const taken = this.waiting > 0 ? 0 : Math.max(0, this.socket.write(scratch, 0, length))
    if (taken < length) this.keep(Buffer.from(scratch.subarray(taken, length)))
  }

  private own(bytes: Uint8Array): void {
    const taken = this.waiting > 0 ? 0 : Math.max(0, this.socket.write(bytes, 0, bytes.byteLength))
    if (taken < bytes.byteLength) this.keep(bytes.subarray(taken))
  }

  private keep(bytes: Uint8Array): void {
    this.queue.push(bytes)
    this.waiting += bytes.byteLength
  }
}
