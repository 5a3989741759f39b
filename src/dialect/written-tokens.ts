/**
 * About how many tokens a stream has written, by the events that bring text and by how much that is.
 */

// Bytes of a token, about.
const perToken = 4

/** As many tokens as events have brought text, or more where so many bytes of it have come. */
export const tokensWritten = (events: number, bytes: number): number => Math.max(events, Math.ceil(bytes / perToken))

const decoder = new TextDecoder()

const quote = 0x22
const backslash = 0x5c

// A text in a JSON object, with its escapes; empty where its beginning is not found.
const textIn = (json: string, begins: RegExp): string => {
  const found = begins.exec(json)
  if (found === null) return ""
  const from = found.index + found[0].length
  let to = from
  while (to < json.length && json.charCodeAt(to) !== quote) to += json.charCodeAt(to) === backslash ? 2 : 1
  return json.slice(from, to)
}

// What stands round the text is about as long in the next events, and its letters take as many bytes: that is looked at in
// each one of so many.
const looksEach = 16

/** Counts the events of one stream. */
export class WrittenTokens {
  private events = 0
  private bytes = 0
  private around = 0
  private bytesEach = 1

  /** Counts an event, as its JSON object; its text stands behind what `begins` finds, the opening quote included. */
  add(event: string | Uint8Array, begins: RegExp): void {
    if (this.events % looksEach === 0) this.look(event, begins)
    this.events += 1
    const size = event.length - this.around
    if (size > 0) this.bytes += size * this.bytesEach
  }

  private look(event: string | Uint8Array, begins: RegExp): void {
    const isBytes = typeof event !== "string"
    const text = textIn(isBytes ? decoder.decode(event) : event, begins)
    const bytes = Buffer.byteLength(text)
    this.around = event.length - (isBytes ? bytes : text.length)
    if (!isBytes && text !== "") this.bytesEach = bytes / text.length
  }

  /** Those of all of them. */
  get tokens(): number {
    return tokensWritten(this.events, this.bytes)
  }
}
