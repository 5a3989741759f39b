/**
 * What must be known of an event stream without taking it apart: whether its first event is good, and how it ended.
 */

const encoder = new TextEncoder()
const decoder = new TextDecoder()

/** How many of the last bytes of a stream are kept, to see how it ended. */
const tailBytes = 4096

/** Keeps the last bytes of a stream; the cost of a piece is one small copy. */
export class Tail {
  private kept = new Uint8Array(0)
  private length = 0

  /** Takes the next piece of the stream. */
  push(piece: Uint8Array): void {
    const size = piece.byteLength
    if (size > tailBytes) {
      this.length = 0
      return this.push(piece.subarray(size - tailBytes))
    }
    if (this.length + size > this.kept.byteLength) this.makeRoom(size)
    this.kept.set(piece, this.length)
    this.length += size
  }

  // Room for twice the tail, so that bytes move once per tail and not once per piece.
  private makeRoom(size: number): void {
    const { kept, length } = this
    if (kept.byteLength < 2 * tailBytes) {
      this.kept = new Uint8Array(length + size > 1024 ? 2 * tailBytes : 1024)
      this.kept.set(kept.subarray(0, length))
      if (length + size <= this.kept.byteLength) return
    }
    const from = Math.max(0, length - tailBytes)
    this.kept.copyWithin(0, from, length)
    this.length = length - from
  }

  /** The kept bytes as they lie; to be read at once. */
  bytes(): Uint8Array {
    return this.kept.subarray(Math.max(0, this.length - tailBytes), this.length)
  }

  /** The kept bytes as text; a character cut at the front shows as U+FFFD. */
  text(): string {
    return decoder.decode(this.bytes())
  }
}

/** How an event stream ended: whole, whole but for its marker, after an error event of its own, or too early. */
export type Ending = "done" | "finished" | "failed" | "cut"

// An error object, or the flat form of SGLang; an `error` of null is none.
const errorData = /^\{\s*("error"\s*:(?!\s*null)|"object"\s*:\s*"error")/
const errorLine = new RegExp(`(?:^|[\\r\\n])(?:data: ?${errorData.source.slice(1)}|event: ?error[\\r\\n])`)

/**
 * Judges the end of a stream by its last bytes: `failed` when an error event was seen, whatever came after it, `done`
 * with the end marker, `finished` when a finish reason was seen without the marker, `cut` when there is none of them.
 */
export const endingOf = (tail: string): Ending => {
  if (errorLine.test(tail)) return "failed"
  if (/(^|[\r\n])data: ?\[DONE\]\s*($|[\r\n])/.test(tail)) return "done"
  return /"finish_reason"\s*:\s*"/.test(tail) ? "finished" : "cut"
}

/** The end marker of OpenAI's event streams. */
export const doneEvent = encoder.encode("data: [DONE]\n\n")

/** An error as an event of its own, after whatever the stream was in the middle of. */
export const errorEvent = (body: string, tail: string): Uint8Array => {
  const separator = tail.endsWith("\n\n") || tail.endsWith("\r\n\r\n") || tail === "" ? "" : "\n\n"
  return encoder.encode(`${separator}data: ${body}\n\n`)
}

/** Where a stream stands before its first event: nothing but comments yet, a good event, or one that is no answer. */
export type Opening =
  | { readonly _tag: "Waiting" }
  | { readonly _tag: "Good" }
  | { readonly _tag: "Error"; readonly data: string }

// Length of an unfinished data line from which it can be told whether it is an error.
const tellingLength = 48

const isErrorData = (data: string): boolean => errorData.test(data)

/** Judges the first bytes of an event stream; comments and blank lines are not yet an answer. */
export const openingOf = (bytes: Uint8Array): Opening => {
  const lines = decoder.decode(bytes).split(/\r\n|\n|\r/)
  const unfinished = lines.pop() ?? ""
  let named = ""
  for (const line of lines) {
    if (line.startsWith("event:")) named = line.slice(6).trim()
    if (!line.startsWith("data:")) continue
    const data = line.slice(5).trim()
    return named === "error" || data === "[DONE]" || isErrorData(data) ? { _tag: "Error", data } : { _tag: "Good" }
  }
  const telling = unfinished.startsWith("data:") && unfinished.length >= tellingLength
  return telling && named !== "error" && !isErrorData(unfinished.slice(5).trim())
    ? { _tag: "Good" }
    : { _tag: "Waiting" }
}

const LF = 10
const CR = 13
const colon = 58

/** Tells pieces that are progress from those that are nothing but comments and blank lines, wherever lines are cut. */
export class Progress {
  // Where the last piece ended: before a line, or inside of one.
  private line: "begin" | "comment" | "other" = "begin"

  /** Takes the next piece of the stream; whether it is progress. */
  isIn(piece: Uint8Array): boolean {
    let at = 0
    for (; at < piece.length && this.line !== "other"; at += 1) {
      const byte = piece[at]
      if (byte === LF || byte === CR) this.line = "begin"
      else if (this.line === "begin") this.line = byte === colon ? "comment" : "other"
    }
    if (this.line !== "other") return false
    const last = piece.at(-1)
    if (last === LF || last === CR) this.line = "begin"
    else {
      const start = Math.max(piece.lastIndexOf(LF), piece.lastIndexOf(CR)) + 1
      if (start > 0 && piece[start] === colon) this.line = "comment"
    }
    return true
  }
}
