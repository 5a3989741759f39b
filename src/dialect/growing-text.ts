/**
 * A text that grows for as long as a stream goes on. Put together by `+=` alone, every piece of it would be held until its
 * end, at some hundred bytes for a token.
 */

// A piece that was cut out of an event holds all of the event: only a copy, as the engine makes one when it joins, lets go of it.
const mostPieces = 4

// So long are the parts that are not copied again.
const partLength = 1024

/** One such text. */
export class GrowingText {
  private parts: Array<string> | undefined
  private pieces: Array<string> = []
  /** Its length so far. */
  length = 0

  constructor(first = "") {
    this.add(first)
  }

  add(piece: string): void {
    if (piece === "") return
    this.length += piece.length
    if (this.pieces.push(piece) < mostPieces) return
    const joined = this.pieces.join("")
    if (joined.length < partLength) {
      this.pieces = [joined]
      return
    }
    ;(this.parts ??= []).push(joined)
    this.pieces = []
  }

  /** All of it so far. */
  get text(): string {
    return (this.parts?.join("") ?? "") + this.pieces.join("")
  }
}
