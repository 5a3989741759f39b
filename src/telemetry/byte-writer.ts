/**
 * Bytes written one after the other into a buffer that grows: text, numbers as protobuf has them, and what was written before.
 */

const encoder = new TextEncoder()

// Beyond that a native encoder is quicker than a loop.
const shortText = 64

const least = 1024

const float = new Float64Array(1)
const floatBytes = new Uint8Array(float.buffer)

const digits = new Uint8Array(103)
for (let value = 0; value < 16; value += 1) digits[value.toString(16).charCodeAt(0)] = value

const wrap = 2 ** 32

// What may be written of single bytes, ids and numbers between two longer things, each of which makes room for it.
const slack = 128

/** How many bytes a number takes as a varint. */
export const varintSize = (value: number): number => {
  // Most are small; below 0 it has all of its 64 bits.
  if (value < 128) return value < 0 ? 10 : 1
  if (value < 16_384) return 2
  let size = 1
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) size += 1
  return size
}

/** The UTF-8 of a text. */
export const utf8 = (text: string): Uint8Array => encoder.encode(text)

/** A buffer that grows. */
export class ByteWriter {
  private bytes = new Uint8Array(slack)
  private spare: Uint8Array<ArrayBuffer> | undefined
  private expected = least
  /** How many have been written. */
  at = 0

  /** All that was written since the last time; what comes next goes into a new buffer. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = this.bytes.subarray(0, this.at)
    // The next ones will be about as many.
    this.expected = Math.max(least, Math.ceil(this.at * 1.125))
    this.bytes = this.spare ?? new Uint8Array(slack)
    this.spare = undefined
    this.at = 0
    return taken
  }

  /** Writes over what {@link take} gave, which nobody reads any more: fresh memory costs more than what is put into it. */
  reuse(taken: Uint8Array<ArrayBuffer>): void {
    this.spare = new Uint8Array(taken.buffer)
  }

  /** One byte; like all numbers it goes into the room that the last longer thing has left. */
  byte(value: number): void {
    this.bytes[this.at++] = value
  }

  put(bytes: Uint8Array): void {
    this.reserve(bytes.length)
    this.bytes.set(bytes, this.at)
    this.at += bytes.length
  }

  /** Puts one byte in the place of the last one. */
  replaceLast(value: number): void {
    this.bytes[this.at - 1] = value
  }

  /** The last byte; 0 before the first. */
  get last(): number {
    return this.bytes[this.at - 1] ?? 0
  }

  /** Text as UTF-8. */
  text(text: string): void {
    const { length } = text
    if (length <= shortText && this.ascii(text)) return
    this.reserve(length * 3)
    this.at += encoder.encodeInto(text, this.bytes.subarray(this.at)).written
  }

  /** Text that is as long in UTF-8 as it is; writes nothing and says so where it is not. */
  ascii(text: string): boolean {
    const { length } = text
    this.reserve(length)
    const { at, bytes } = this
    for (let from = 0; from < length; from += 1) {
      const code = text.charCodeAt(from)
      if (code > 127) return false
      bytes[at + from] = code
    }
    this.at = at + length
    return true
  }

  /** The bytes that hexadecimal digits stand for. */
  hex(text: string): void {
    const { bytes } = this
    let { at } = this
    for (let from = 0; from < text.length; from += 2) {
      bytes[at++] = ((digits[text.charCodeAt(from)] ?? 0) << 4) | (digits[text.charCodeAt(from + 1)] ?? 0)
    }
    this.at = at
  }

  /** A whole number between -2^53 and 2^53. */
  varint(value: number): void {
    if (value < 0) return this.negative(value)
    let rest = value
    while (rest >= 128) {
      this.bytes[this.at++] = (rest % 128) | 128
      rest = rest < wrap ? rest >>> 7 : Math.floor(rest / 128)
    }
    this.bytes[this.at++] = rest
  }

  // In two's complement: nine times seven bits, and the one that is left.
  private negative(value: number): void {
    let rest = value
    for (let bits = 0; bits < 63; bits += 7) {
      const next = Math.floor(rest / 128)
      this.bytes[this.at++] = (rest - next * 128) | 128
      rest = next
    }
    this.bytes[this.at++] = 1
  }

  /** A whole number below 2^53 times a thousand, in eight bytes. */
  thousands(value: number): void {
    // By quotients: a remainder of numbers beyond 32 bits is a call of its own.
    const high = Math.floor(value / wrap)
    const low = (value - high * wrap) * 1000
    const over = Math.floor(low / wrap)
    this.word(low - over * wrap)
    this.word(high * 1000 + over)
  }

  double(value: number): void {
    float[0] = value
    this.put(floatBytes)
  }

  /** Leaves room for the length of what is written from now on; gives the place for {@link closed}. */
  opened(): number {
    this.reserve(2)
    this.at += 2
    return this.at
  }

  /** Writes the length of what was written since that place in front of it. */
  closed(from: number): void {
    const length = this.at - from
    const size = varintSize(length)
    if (size !== 2) {
      this.reserve(size)
      this.bytes.copyWithin(from + size - 2, from, this.at)
    }
    this.at = from - 2
    this.varint(length)
    this.at += length
  }

  private word(value: number): void {
    const { bytes } = this
    bytes[this.at++] = value & 255
    bytes[this.at++] = (value >>> 8) & 255
    bytes[this.at++] = (value >>> 16) & 255
    bytes[this.at++] = (value >>> 24) & 255
  }

  private reserve(more: number): void {
    const needed = this.at + more + slack
    if (needed <= this.bytes.length) return
    const grown = new Uint8Array(Math.max(this.expected, needed, this.bytes.length * 2))
    grown.set(this.bytes)
    this.bytes = grown
  }
}
