/**
 * Takes an event stream apart, however it is cut.
 */

/** One event: its name, empty when it has none, and its data. */
export interface ReadEvent {
  readonly name: string
  readonly data: string
}

// A mark at the very start is no text.
const first = new TextDecoder()
const further = new TextDecoder("utf-8", { ignoreBOM: true })

const LF = 0x0a
const CR = 0x0d

// Where the line from `from` on ends; `plain` of a text without carriage returns.
const lineEnd = (text: string, from: number, plain: boolean): number => {
  const feed = text.indexOf("\n", from)
  if (plain) return feed
  const back = text.indexOf("\r", from)
  return back < 0 || (feed >= 0 && feed < back) ? feed : back
}

/** Reads one event stream. */
export class EventReader {
  // Of its own once a piece ends inside of a character.
  private decoder: TextDecoder | undefined
  private begun = false
  private line = ""
  // Whether the last line ended with a carriage return, which a line feed may belong to.
  private returned = false
  private name = ""
  private data: string | undefined

  /** Whether what has come ends where something may be added. */
  get between(): boolean {
    return this.line === "" && this.name === "" && this.data === undefined
  }

  /** Whether it ends inside of a comment. */
  get commenting(): boolean {
    return this.line.startsWith(":")
  }

  /** The events that a piece makes whole. */
  push(piece: Uint8Array): ReadonlyArray<ReadEvent> {
    return this.take(this.decoded(piece))
  }

  /** The event that the end of the stream makes whole. */
  end(): ReadonlyArray<ReadEvent> {
    return this.take(`${this.decoder?.decode() ?? ""}\n\n`)
  }

  private decoded(piece: Uint8Array): string {
    if (piece.length === 0) return ""
    const { begun } = this
    this.begun = true
    const isWhole = (piece[piece.length - 1] ?? 0) < 0x80
    if (this.decoder === undefined && isWhole) return (begun ? further : first).decode(piece)
    this.decoder ??= new TextDecoder("utf-8", { ignoreBOM: begun })
    return this.decoder.decode(piece, { stream: true })
  }

  private take(text: string): ReadonlyArray<ReadEvent> {
    const events: Array<ReadEvent> = []
    let from = 0
    if (this.returned && text !== "") {
      if (text.charCodeAt(0) === LF) from = 1
      this.returned = false
    }
    const plain = !text.includes("\r")
    for (let to = lineEnd(text, from, plain); to >= 0; to = lineEnd(text, from, plain)) {
      const line = this.line + text.slice(from, to)
      this.line = ""
      from = to + 1
      if (text.charCodeAt(to) === CR) {
        if (from === text.length) this.returned = true
        else if (text.charCodeAt(from) === LF) from += 1
      }
      if (line !== "") this.field(line)
      else if (this.data !== undefined || this.name !== "") {
        events.push({ name: this.name, data: this.data ?? "" })
        this.name = ""
        this.data = undefined
      }
    }
    if (from < text.length) this.line += text.slice(from)
    return events
  }

  private field(line: string): void {
    const colon = line.indexOf(":")
    const name = colon < 0 ? line : line.slice(0, colon)
    if (name !== "data" && name !== "event") return
    const rest = colon < 0 ? "" : line.slice(line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1)
    if (name === "event") this.name = rest
    else this.adds(rest)
  }

  private adds(data: string): void {
    this.data = this.data === undefined ? data : `${this.data}\n${data}`
  }
}
