/**
 * A text that grows for as long as a stream goes on. Put together by `+=` alone, every piece of it would be held until its
 * end, at some hundred bytes for a token.
 */

// As few as are worth a copy, which is the only way to let go of them.
const mostPieces = 32

/** One such text. */
export class GrowingText {
  private readonly parts: Array<string> = []
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
    this.parts.push(this.pieces.join(""))
    this.pieces = []
  }

  /** All of it so far. */
  get text(): string {
    return this.parts.join("") + this.pieces.join("")
  }
}
