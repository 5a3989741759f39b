/**
 * Knows again an event that differs from an earlier one in a single string, as the tokens of an answer do: whoever has
 * read the one need not read the other.
 */

/** Largest event that is learnt, and what room for one is rounded up to. */
const largest = 1024
const roomStep = 64

const LF = 10
const CR = 13
const quote = 0x22
const backslash = 0x5c

// Called on the bytes as they are: a Buffer over them would make the engine give them another form, at many times the cost.
const { compare } = Buffer.prototype

const isString = (bytes: Uint8Array, from: number, to: number): boolean => {
  let at = from
  while (at < to) {
    const byte = bytes[at] ?? 0
    if (byte === quote || byte === LF || byte === CR) return false
    at += byte === backslash ? 2 : 1
    if (byte === backslash && (bytes[at - 1] === LF || bytes[at - 1] === CR)) return false
  }
  // The last escape may not take the closing quote with it.
  return at === to
}

/** One event, all of it but the inside of one string. */
export class EventTemplate {
  private event: Uint8Array | undefined
  private size = 0
  private from = 0
  private to = 0

  /** Takes a piece that is one event, with a string from `from` to the quote at `to`; -1 when there is none. */
  learn(piece: Uint8Array, from: number, to: number): void {
    this.size = 0
    if (from < 0 || piece.length > largest) return
    if (this.event === undefined || this.event.length < piece.length)
      this.event = new Uint8Array(Math.ceil(piece.length / roomStep) * roomStep)
    this.event.set(piece)
    this.size = piece.length
    this.from = from
    this.to = to
  }

  /** Whether the piece is that event, whatever the string holds. */
  fits(piece: Uint8Array): boolean {
    const { event, size, from, to } = this
    const end = piece.length - (size - to)
    if (size === 0 || event === undefined || end < from) return false
    // What follows the string is short: going through it costs less than a second call of the engine.
    for (let at = to, mine = end; at < size; at += 1, mine += 1) if (piece[mine] !== event[at]) return false
    return compare.call(event, piece, 0, from, 0, from) === 0 && isString(piece, from, end)
  }
}
