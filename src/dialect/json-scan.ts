/**
 * Goes through a JSON text in bytes as JSON.parse would, slice by slice and without building anything; what stands in its
 * upper levels is told to whoever listens.
 */

/** Levels that are told of. */
const toldDepth = 5

/** Takes what stands in the upper levels; places are indices into the bytes, quotes included. */
export interface JsonListener {
  /** The name of the next value of the object that is open; its size as of a string. */
  readonly key: (from: number, to: number, size: number) => void
  /** A string of so many UTF-8 bytes, each escape counted as one. */
  readonly string: (from: number, to: number, size: number) => void
  /** A number, true, false or null. */
  readonly plain: (from: number, to: number) => void
  readonly open: (kind: "array" | "object") => void
  readonly close: () => void
  /** A string, or the name of a field, that stands deeper than all of that. */
  readonly deep: (from: number, to: number, size: number, isKey: boolean) => void
}

/** How far a scan is; `syntax` and `depth` say why it goes no further. */
export type ScanProgress = "going" | "whole" | "syntax" | "depth"

// Bytes looked at in one slice: a few milliseconds.
const usualSlice = 256 * 1024

// A string without a quote or backslash in so many bytes is a long one: they are searched for natively, and what is before
// them is passed over, so much at once.
const longRun = 64
const passedBytes = 1024 * 1024

const quote = 0x22
const backslash = 0x5c

// What may come next.
const value = 0
const element = 1
const firstKey = 2
const key = 3
const colon = 4
const after = 5
const inString = 6
const inNumber = 7

// Where in a number it is: behind its sign, its zero, a digit, its point, and so on.
const minus = 0
const zero = 1
const digit = 2
const point = 3
const fraction = 4
const e = 5
const sign = 6
const power = 7

const isDigit = (byte: number): boolean => byte >= 0x30 && byte <= 0x39

/** What comes of a number by its next byte; -1 when it is over, or is none. */
const numberStep = (state: number, byte: number): number => {
  if (isDigit(byte)) {
    if (state === minus) return byte === 0x30 ? zero : digit
    if (state === zero) return -1
    if (state === point) return fraction
    return state === e || state === sign ? power : state
  }
  if (byte === 0x2e) return state === zero || state === digit ? point : -1
  if (byte === 0x65 || byte === 0x45) return state === zero || state === digit || state === fraction ? e : -1
  return (byte === 0x2b || byte === 0x2d) && state === e ? sign : -1
}

const mayEnd = (state: number): boolean => state === zero || state === digit || state === fraction || state === power

const isHex = (byte: number | undefined): boolean =>
  byte !== undefined && (isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66))

const simpleEscapes = new Set([...'"\\/bfnrt'].map((letter) => letter.codePointAt(0)))

/** Bytes of the escape at `at`; 0 when it is none. */
const escapeLength = (body: Uint8Array, at: number): number => {
  const letter = body[at + 1]
  if (letter !== 0x75) return simpleEscapes.has(letter) ? 2 : 0
  return isHex(body[at + 2]) && isHex(body[at + 3]) && isHex(body[at + 4]) && isHex(body[at + 5]) ? 6 : 0
}

/** The word that begins with a byte. */
const wordOf = (byte: number): string | undefined =>
  byte === 0x74 ? "true" : byte === 0x66 ? "false" : byte === 0x6e ? "null" : undefined

/** Whether the bytes at a place are those of a word of ASCII letters. */
export const startsWithWord = (body: Uint8Array, at: number, word: string): boolean => {
  for (let i = 0; i < word.length; i += 1) if (body[at + i] !== word.codePointAt(i)) return false
  return true
}

/** The bytes of a text four at a time, from the first place `begin` on that memory lets read so. */
interface Words {
  readonly begin: number
  readonly all: Int32Array
}

const wordsOf = (body: Uint8Array): Words => {
  const begin = -body.byteOffset & 3
  return { begin, all: new Int32Array(body.buffer, body.byteOffset + begin, Math.max(0, body.length - begin) >> 2) }
}

/** Whether there is a control character between two places, which no string has as it is. */
const hasControl = (body: Uint8Array, { all, begin }: Words, from: number, to: number): boolean => {
  const first = (from - begin + 3) >> 2
  const last = (to - begin) >> 2
  let at = from
  if (first < last) {
    for (; at < begin + first * 4; at += 1) if ((body[at] ?? 0) < 0x20) return true
    // The first bit of a byte is set where it is less than a blank.
    let less = 0
    for (let word = first; word < last; word += 1) {
      const four = all[word] ?? 0
      less |= (four - 0x20202020) & ~four
    }
    if ((less & 0x80808080) !== 0) return true
    at = begin + last * 4
  }
  for (; at < to; at += 1) if ((body[at] ?? 0) < 0x20) return true
  return false
}

const grown = (levels: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
  const larger = new Uint8Array(levels.length * 2)
  larger.set(levels)
  return larger
}

/** One text on its way through; `maxDepth` is how many levels of arrays and objects it may have. */
export class JsonScan {
  private readonly body: Uint8Array
  private readonly listener: JsonListener
  private readonly maxDepth: number
  private readonly sliceBytes: number
  private at = 0
  private state = value
  private depth = 0
  /** Which of the levels are objects. */
  private objects = new Uint8Array(64)
  // Of the string or number under way.
  private from = 0
  private isKey = false
  private escaped = 0
  private run = 0
  private numeral = minus
  private members = 0
  // The next quote and backslash, once they have been searched for.
  private nextQuote = -1
  private nextBackslash = -1
  private words: Words | undefined

  constructor(body: Uint8Array, listener: JsonListener, { maxDepth = Infinity, sliceBytes = usualSlice } = {}) {
    this.body = body
    this.listener = listener
    this.maxDepth = maxDepth
    this.sliceBytes = sliceBytes
  }

  /** How many bytes it has gone through. */
  get passed(): number {
    return this.at
  }

  /** How many arrays and objects, and members of them beyond the first, it has come by. */
  get size(): number {
    return this.members
  }

  /** Goes through the next slice. */
  step(): ScanProgress {
    const { body } = this
    const end = Math.min(body.length, this.at + this.sliceBytes)
    while (this.at < end) {
      const fault =
        this.state === inString ? this.string(end) : this.state === inNumber ? this.number(end) : this.token(end)
      if (fault !== undefined) return fault
    }
    if (this.at < body.length) return "going"
    if (this.state === inNumber) this.endNumber()
    return this.state === after && this.depth === 0 ? "whole" : "syntax"
  }

  private token(end: number): "syntax" | "depth" | undefined {
    const { body } = this
    let { at } = this
    let byte = body[at] ?? 0
    while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) {
      at += 1
      if (at >= end) break
      byte = body[at] ?? 0
    }
    this.at = at
    if (at >= end) return undefined
    const { state } = this
    if (byte === quote) return this.beginString()
    this.at = at + 1
    if (state === after) {
      if (byte === 0x2c && this.depth > 0) {
        this.state = this.objects[this.depth] === 1 ? key : value
        this.members += 1
        return undefined
      }
      return this.close(byte)
    }
    if (state === colon) {
      this.state = value
      return byte === 0x3a ? undefined : "syntax"
    }
    if (state === firstKey || (state === element && byte === 0x5d)) return this.close(byte)
    if (state === key) return "syntax"
    if (byte === 0x7b || byte === 0x5b) return this.open(byte === 0x7b)
    if (isDigit(byte) || byte === 0x2d) {
      this.from = at
      this.numeral = byte === 0x2d ? minus : byte === 0x30 ? zero : digit
      this.state = inNumber
      return undefined
    }
    const word = wordOf(byte)
    if (word === undefined || !startsWithWord(body, at, word)) return "syntax"
    this.at = at + word.length
    this.state = after
    if (this.depth <= toldDepth) this.listener.plain(at, this.at)
    return undefined
  }

  private open(isObject: boolean): "depth" | undefined {
    if (this.depth >= this.maxDepth) return "depth"
    if (this.depth < toldDepth) this.listener.open(isObject ? "object" : "array")
    this.depth += 1
    this.members += 1
    if (this.depth === this.objects.length) this.objects = grown(this.objects)
    this.objects[this.depth] = isObject ? 1 : 0
    this.state = isObject ? firstKey : element
    return undefined
  }

  private close(byte: number): "syntax" | undefined {
    if (this.depth === 0 || byte !== (this.objects[this.depth] === 1 ? 0x7d : 0x5d)) return "syntax"
    this.depth -= 1
    this.state = after
    if (this.depth < toldDepth) this.listener.close()
    return undefined
  }

  private beginString(): "syntax" | undefined {
    if (this.state === colon || this.state === after) return "syntax"
    this.isKey = this.state === key || this.state === firstKey
    this.from = this.at
    this.escaped = 0
    this.run = 0
    this.state = inString
    this.at += 1
    return undefined
  }

  private string(end: number): "syntax" | undefined {
    const { body } = this
    let { at, run } = this
    while (at < end) {
      const byte = body[at] ?? 0
      if (byte === quote) {
        this.at = at + 1
        this.endString()
        return undefined
      }
      if (byte === backslash) {
        const length = escapeLength(body, at)
        if (length === 0) return "syntax"
        this.escaped += length - 1
        at += length
        run = 0
        continue
      }
      if (byte < 0x20) return "syntax"
      at += 1
      run += 1
      if (run < longRun) continue
      run = 0
      const to = Math.min(this.nextMark(at), at + passedBytes)
      this.words ??= wordsOf(body)
      if (hasControl(body, this.words, at, to)) {
        this.at = to
        return "syntax"
      }
      at = to
    }
    this.at = at
    this.run = run
    return undefined
  }

  /** Where the next quote or backslash is. */
  private nextMark(at: number): number {
    const { body } = this
    if (this.nextQuote < at) this.nextQuote = body.indexOf(quote, at)
    if (this.nextQuote < 0) this.nextQuote = body.length
    if (this.nextBackslash < at) this.nextBackslash = body.indexOf(backslash, at)
    if (this.nextBackslash < 0) this.nextBackslash = body.length
    return Math.min(this.nextQuote, this.nextBackslash)
  }

  private endString(): void {
    const { from, at } = this
    this.state = this.isKey ? colon : after
    const size = at - from - 2 - this.escaped
    if (this.depth > toldDepth) this.listener.deep(from, at, size, this.isKey)
    else if (this.isKey) this.listener.key(from, at, size)
    else this.listener.string(from, at, size)
  }

  private number(end: number): "syntax" | undefined {
    const { body } = this
    let { at, numeral } = this
    while (at < end) {
      const next = numberStep(numeral, body[at] ?? 0)
      if (next < 0) break
      numeral = next
      at += 1
    }
    this.at = at
    this.numeral = numeral
    if (at >= end) return undefined
    return this.endNumber()
  }

  private endNumber(): "syntax" | undefined {
    if (!mayEnd(this.numeral)) return "syntax"
    this.state = after
    if (this.depth <= toldDepth) this.listener.plain(this.from, this.at)
    return undefined
  }
}
