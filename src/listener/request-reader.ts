/**
 * Reads the requests of a connection out of its bytes, however they are cut, one after the other: pure, incremental, and
 * without a copy of a body. Bodies in chunks are put together in place, so that what came at once is one piece.
 */
import {
  type HeadLimits,
  type HeadRefusal,
  headTooLong,
  isRefusal,
  malformed,
  readRequestHead,
  refusal,
  type RequestHead
} from "./request-head.ts"

/** What bounds what is read. */
export interface ReaderLimits extends HeadLimits {
  /** Bytes of a line that tells the size of a chunk, with what is behind it. */
  readonly chunkLineBytes: number
  /** Bytes of all lines behind the last chunk. */
  readonly trailerBytes: number
}

/** Where requests go; nothing comes after `refused`. */
export interface RequestSink {
  readonly head: (head: RequestHead) => void
  /** Bytes of its body, without framing; a view of what was pushed. */
  readonly piece: (bytes: Uint8Array) => void
  /** The request is whole; the next one is read when {@link RequestReader.next} asks for it. */
  readonly end: () => void
  readonly refused: (why: HeadRefusal) => void
}

const LF = 10
const emptyLine = "\r\n"
const CR = 13

const badChunks = refusal(400, "the body is badly framed")
const trailersTooLong = refusal(431, "the trailers of the request are too large")

// Behind a size stands at most an extension, which nobody here knows.
const sizeLine = /^([\da-fA-F]{1,16})(?:[\t ]*;[\t\x20-\xff]*)?$/
const trailerLine = /^[!#$%&'*+\-.^`|~\w]+:[\t\x20-\xff]*$/

// A text would be made into bytes for every search.
const blankLine = Buffer.from("\r\n\r\n")
const nothing = Buffer.alloc(0)

// No request begins with anything but its method, or the empty line that may stand before it.
const isOpening = (byte: number): boolean => (byte > 32 && byte < 127) || byte === CR

/** Whether a line feed without a carriage return before it stands in the bytes from `from` on. */
const hasLoneLineFeed = (bytes: Buffer, from: number): boolean => {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (at === 0 || bytes[at - 1] !== CR) return true
  }
  return false
}

type Phase = "head" | "length" | "size" | "data" | "dataEnd" | "trailer" | "waiting" | "over"

/** The reader of one connection. */
export class RequestReader {
  private readonly to: RequestSink
  private readonly limits: ReaderLimits
  private phase: Phase = "head"
  private running = false
  private held = false
  // What has come and not been read.
  private kept: Buffer | undefined
  // The beginning of a head or line that came in pieces: a buffer with room, and how much of it is filled.
  private part = nothing
  private filled = 0
  // Bytes to come of the body or chunk, and those of trailers so far.
  private left = 0
  private trailers = 0
  // Where the bytes of a body in chunks have been put together.
  private from = 0
  private until = 0

  constructor(to: RequestSink, limits: ReaderLimits) {
    this.to = to
    this.limits = limits
  }

  /** Bytes that have come and not been read. */
  get unread(): number {
    return this.kept?.length ?? 0
  }

  /** Whether it waits for a request of which nothing has come, but for the empty line that may stand before it. */
  get isIdle(): boolean {
    return (
      this.phase === "head" &&
      (this.filled === 0 || (this.filled <= 2 && emptyLine.startsWith(this.part.toString("latin1", 0, this.filled))))
    )
  }

  /** Takes the next bytes of the connection, which it may change. */
  push(bytes: Buffer): void {
    if (this.phase === "over") return
    if (!this.held && !this.running && this.phase !== "waiting") return this.run(bytes)
    this.kept = this.kept === undefined ? bytes : Buffer.concat([this.kept, bytes])
  }

  /** Reads on to the next request; from inside of this call unless it is called by the sink. */
  next(): void {
    if (this.phase !== "waiting") return
    this.phase = "head"
    if (!this.running && !this.held) this.runKept()
  }

  /** Delivers nothing more until {@link release}. */
  hold(): void {
    this.held = true
  }

  /** Delivers what was kept back, from inside this call unless it is called by the sink. */
  release(): void {
    if (!this.held) return
    this.held = false
    if (!this.running && this.phase !== "waiting") this.runKept()
  }

  /** Ends it; nothing is delivered afterwards. Gives what has come and not been read. */
  stop(): Buffer | undefined {
    const { kept } = this
    this.phase = "over"
    this.kept = undefined
    this.part = nothing
    return kept
  }

  private runKept(): void {
    const { kept } = this
    this.kept = undefined
    if (kept !== undefined) this.run(kept)
  }

  private run(bytes: Buffer): void {
    let at = 0
    this.running = true
    while (at < bytes.length && !this.held && this.phase !== "waiting" && this.phase !== "over") {
      at = this.step(bytes, at)
    }
    this.deliver(bytes)
    this.running = false
    if (at >= bytes.length || this.phase === "over") return
    const rest = bytes.subarray(at)
    this.kept = this.kept === undefined ? rest : Buffer.concat([rest, this.kept])
  }

  // Reads on from `at`, at least one byte, and returns where it stopped.
  private step(bytes: Buffer, at: number): number {
    switch (this.phase) {
      case "head":
        return this.headStep(bytes, at)
      case "length":
        return this.lengthStep(bytes, at)
      case "data":
        return this.dataStep(bytes, at)
      case "dataEnd":
        return this.dataEndStep(bytes, at)
      default:
        return this.lineStep(bytes, at)
    }
  }

  private fail(why: HeadRefusal): number {
    // What was read of a body before is not held against it.
    this.stop()
    this.to.refused(why)
    return Infinity
  }

  private headStep(bytes: Buffer, at: number): number {
    if (this.filled > 0) return this.headInPieces(bytes, at)
    if (!isOpening(bytes[at] ?? 0)) return this.fail(malformed)
    const end = bytes.indexOf(blankLine, at)
    if (end < 0 || end - at > this.limits.headBytes) return this.headInPieces(bytes, at)
    return this.gotHead(bytes.toString("latin1", at, end)) ? end + blankLine.length : Infinity
  }

  private headInPieces(bytes: Buffer, at: number): number {
    const most = this.limits.headBytes + blankLine.length
    const before = this.filled
    const more = Math.min(bytes.length - at, most - before)
    this.append(bytes, at, more)
    const part = this.part.subarray(0, this.filled)
    const end = part.indexOf(blankLine, Math.max(0, before - blankLine.length + 1))
    if (end >= 0) {
      this.filled = 0
      this.part = nothing
      return this.gotHead(part.toString("latin1", 0, end)) ? at + end + blankLine.length - before : Infinity
    }
    if (hasLoneLineFeed(part, before)) return this.fail(malformed)
    return this.filled >= most ? this.fail(headTooLong) : at + more
  }

  private append(bytes: Buffer, at: number, more: number): void {
    const before = this.filled
    if (this.part.length < before + more) {
      const larger = Buffer.allocUnsafeSlow(Math.max(1024, 2 * (before + more)))
      this.part.copy(larger, 0, 0, before)
      this.part = larger
    }
    bytes.copy(this.part, before, at, at + more)
    this.filled = before + more
  }

  private gotHead(text: string): boolean {
    const head = readRequestHead(text, this.limits)
    if (isRefusal(head)) {
      this.fail(head)
      return false
    }
    this.left = head.length
    this.trailers = 0
    this.phase = head.framing === "length" ? "length" : head.framing === "chunked" ? "size" : "waiting"
    this.to.head(head)
    if (head.framing === "none") this.ended()
    return true
  }

  private ended(): void {
    // Whoever got what came before may have stopped it.
    if (this.phase === "waiting") this.to.end()
  }

  private lengthStep(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.left)
    this.left -= end - at
    const whole = this.left === 0
    if (whole) this.phase = "waiting"
    this.to.piece(at === 0 && end === bytes.length ? bytes : bytes.subarray(at, end))
    if (whole) this.ended()
    return end
  }

  private dataStep(bytes: Buffer, at: number): number {
    const end = Math.min(bytes.length, at + this.left)
    this.left -= end - at
    if (this.from === this.until) this.from = this.until = at
    else if (this.until !== at) bytes.copyWithin(this.until, at, end)
    this.until += end - at
    if (this.left === 0) this.phase = "dataEnd"
    return end
  }

  // Hands on what has been put together of a body in chunks.
  private deliver(bytes: Buffer): void {
    const { from, until: to } = this
    this.from = this.until = 0
    if (to > from && this.phase !== "over") this.to.piece(bytes.subarray(from, to))
  }

  private dataEndStep(bytes: Buffer, at: number): number {
    // Of the two bytes behind a chunk the first may have come before.
    const isFirst = this.filled === 0
    if (bytes[at] !== (isFirst ? CR : LF)) return this.fail(badChunks)
    this.filled = isFirst ? 1 : 0
    if (!isFirst) this.phase = "size"
    return at + 1
  }

  private lineStep(bytes: Buffer, at: number): number {
    const isSize = this.phase === "size"
    const most = isSize ? this.limits.chunkLineBytes : this.limits.trailerBytes - this.trailers
    const found = bytes.indexOf(LF, at)
    const end = found < 0 ? bytes.length : found + 1
    if (this.filled + end - at > most + 2) return this.fail(isSize ? badChunks : trailersTooLong)
    if (found >= 0 && this.filled === 0)
      return this.gotLine(bytes.toString("latin1", at, end), isSize, bytes) ? end : Infinity
    this.append(bytes, at, end - at)
    if (found < 0) return end
    const line = this.part.toString("latin1", 0, this.filled)
    this.filled = 0
    return this.gotLine(line, isSize, bytes) ? end : Infinity
  }

  private gotLine(line: string, isSize: boolean, bytes: Buffer): boolean {
    const text = line.endsWith("\r\n") ? line.slice(0, -2) : undefined
    if (isSize) {
      const digits = text === undefined ? undefined : sizeLine.exec(text)?.[1]
      const size = digits === undefined ? Infinity : Number.parseInt(digits, 16)
      if (!Number.isSafeInteger(size)) return this.fail(badChunks) < 0
      this.left = size
      this.phase = size === 0 ? "trailer" : "data"
      return true
    }
    this.trailers += line.length
    if (text === "") {
      this.phase = "waiting"
      this.deliver(bytes)
      this.ended()
      return true
    }
    return text !== undefined && trailerLine.test(text) ? true : this.fail(badChunks) < 0
  }
}
