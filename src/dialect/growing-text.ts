/**
 * A text that grows for as long as a stream goes on. Put together by `+=` alone, every piece of it would be held until its
 * end, at some hundred bytes for a token.
 */

// So long are the parts that are not copied again.
const partLength = 256

/** One such text. */
export class GrowingText {
  private parts: Array<string> | undefined
  private tail = ""
  /** Its length so far. */
  length = 0

  constructor(first = "") {
    this.add(first)
  }

  add(piece: string): void {
    if (piece === "") return
    this.length += piece.length
    // A piece that was cut out of an event holds all of the event: only a copy, as the engine makes one when it joins, lets go of it.
    const tail = [this.tail, piece].join("")
    if (tail.length < partLength) {
      this.tail = tail
      return
    }
    ;(this.parts ??= []).push(tail)
    this.tail = ""
  }

  /** All of it so far. */
  get text(): string {
    return this.parts === undefined ? this.tail : this.parts.join("") + this.tail
  }
}
