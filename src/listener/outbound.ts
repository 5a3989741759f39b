/**
 * What goes out on a connection: written at once as far as the socket takes it, kept in order beyond that.
 */

/** What is used of a socket to write to it. */
export interface OutboundSocket {
  /** Gives how many bytes were taken; less than 0 when it is closed. */
  readonly write: (bytes: Uint8Array, from: number, length: number) => number
}

// Everything of this size, in bytes, is put together here before it is written; nothing is kept in it.
const scratch = Buffer.allocUnsafeSlow(64 * 1024)

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
    if (before.length + bytes.byteLength > scratch.length) {
      if (before !== "") this.own(Buffer.from(before, "latin1"))
      return this.own(bytes)
    }
    const at = scratch.write(before, 0, "latin1")
    scratch.set(bytes, at)
    this.copied(at + bytes.byteLength)
  }

  /** Writes a piece as a chunk, behind what precedes it. */
  chunk(piece: Uint8Array): void {
    const size = piece.byteLength
    const before = this.takeBefore()
    if (before.length + size + chunkExtra > scratch.length) {
      this.own(Buffer.from(`${before}${size.toString(16)}\r\n`, "latin1"))
      this.own(piece)
      return this.own(lineEnd)
    }
    const from = lineEndAt(sizeAt(before === "" ? 0 : scratch.write(before, 0, "latin1"), size))
    scratch.set(piece, from)
    this.copied(lineEndAt(from + size))
  }

  /** Writes a text in Latin-1 behind what precedes it. */
  text(text: string): void {
    const all = this.takeBefore() + text
    if (all.length > scratch.length) this.own(Buffer.from(all, "latin1"))
    else if (all !== "") this.copied(scratch.write(all, 0, "latin1"))
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
    this.queue.length = 0
    this.waiting = 0
    this.before = ""
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
