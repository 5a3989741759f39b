/**
 * Takes an event stream apart, however it is cut.
 */

/** One event: its name, empty when it has none, and its data. */
export interface ReadEvent {
  readonly name: string
  readonly data: string
}

/** Reads one event stream. */
export class EventReader {
  private readonly decoder = new TextDecoder()
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
    return this.take(this.decoder.decode(piece, { stream: true }))
  }

  /** The event that the end of the stream makes whole. */
  end(): ReadonlyArray<ReadEvent> {
    return this.take(`${this.decoder.decode()}\n\n`)
  }

  private take(text: string): ReadonlyArray<ReadEvent> {
    const events: Array<ReadEvent> = []
    let from = 0
    if (this.returned && text !== "") {
      if (text.charCodeAt(0) === 0x0a) from = 1
      this.returned = false
    }
    for (let at = from; at < text.length; at += 1) {
      const code = text.charCodeAt(at)
      if (code !== 0x0a && code !== 0x0d) continue
      const line = this.line + text.slice(from, at)
      this.line = ""
      if (code === 0x0d) {
        if (at + 1 === text.length) this.returned = true
        else if (text.charCodeAt(at + 1) === 0x0a) at += 1
      }
      from = at + 1
      if (line !== "") this.field(line)
      else if (this.data !== undefined || this.name !== "") {
        events.push({ name: this.name, data: this.data ?? "" })
        this.name = ""
        this.data = undefined
      }
    }
    this.line += text.slice(from)
    return events
  }

  private field(line: string): void {
    const colon = line.indexOf(":")
    const name = colon < 0 ? line : line.slice(0, colon)
    if (name !== "data" && name !== "event") return
    const rest = colon < 0 ? "" : line.slice(line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1)
    if (name === "event") this.name = rest
    else this.data = this.data === undefined ? rest : `${this.data}\n${rest}`
  }
}
