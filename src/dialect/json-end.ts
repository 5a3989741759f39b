/**
 * Where a JSON object or array ends that comes in pieces: each character is looked at once, however many pieces there are.
 */

const blank = /[ \t\n\r]/

/** One text on its way; what begins as neither an object nor an array has no end that could be told. */
export class JsonEnd {
  private depth = 0
  private inString = false
  private escaped = false
  private state: "before" | "inside" | "ended" | "odd" = "before"

  /** Whether it has begun as one. */
  get begun(): boolean {
    return this.state === "inside" || this.state === "ended"
  }

  /** Whether the value has ended, by its brackets; whether it is one is for JSON.parse to say. */
  get ended(): boolean {
    return this.state === "ended"
  }

  /** Goes through the next piece. */
  push(piece: string): void {
    for (const letter of piece) this.take(letter)
  }

  private take(letter: string): void {
    if (this.state === "inside") return this.inside(letter)
    if (this.state === "odd" || blank.test(letter)) return
    if (this.state === "before" && (letter === "{" || letter === "[")) {
      this.state = "inside"
      this.depth = 1
    } else this.state = "odd"
  }

  private inside(letter: string): void {
    if (this.escaped) this.escaped = false
    else if (this.inString) {
      if (letter === "\\") this.escaped = true
      else if (letter === '"') this.inString = false
    } else if (letter === '"') this.inString = true
    else if (letter === "{" || letter === "[") this.depth += 1
    else if (letter === "}" || letter === "]") {
      this.depth -= 1
      if (this.depth === 0) this.state = "ended"
    }
  }
}
