/**
 * Goes through a JSON text in bytes, slice by slice, for no more than its measure: where its long strings are, how many values
 * it has and how deep they stand, and whether a number in it is one that JSON.parse may round. What is wrong with it is for
 * JSON.parse to find, so strings are passed over from quote to quote.
 */
import type { StringPlace } from "./string-pieces.ts"

/** How far it is; `syntax` and `depth` say why it goes no further. */
export type SkimProgress = "going" | "whole" | "syntax" | "depth"

// Bytes looked at in one slice: a millisecond.
const sliceBytes = 256 * 1024

// A string is looked at byte by byte for so many, then its quote is searched for natively.
const nearBytes = 12

const quote = 0x22
const zero = 0x30
const backslash = 0x5c

// What bytes are outside of strings.
const none = 0
const plain = 1
const digit = 2
const point = 3
const open = 4
const close = 5
const comma = 6
const colon = 7
const begin = 8
const minus = 9

const classes = new Uint8Array(256)
const classify = (letters: string, as: number): void => {
  for (let at = 0; at < letters.length; at += 1) classes[letters.charCodeAt(at)] = as
}
classify(" \n\r\t+truefalsn", plain)
classify("0123456789", digit)
classify("-", minus)
classify(".eE", point)
classify("[{", open)
classify("]}", close)
classify(",", comma)
classify(":", colon)
classify('"', begin)

// A number of fewer digits, and nothing but digits, is written as it came.
const exactDigits = 16

/** One text on its way through. */
export class JsonSkim {
  private readonly body: Uint8Array
  private readonly maxDepth: number
  private readonly longBytes: number
  private at = 0
  private depth = 0
  // Where the string under way begins, and the last one has ended.
  private from = -1
  private ended = -1
  private digits = 0
  /** Where the long strings are that are values. */
  readonly spans: Array<StringPlace> = []
  /** How many arrays and objects, and members of them beyond the first, it has come by. */
  size = 0
  /** Whether there is a number that may not be written as it came once it has been parsed. */
  rounds = false

  /** `longBytes`: what a long string has more of; `maxDepth`: how many levels of arrays and objects there may be. */
  constructor(body: Uint8Array, { longBytes, maxDepth }: { readonly longBytes: number; readonly maxDepth: number }) {
    this.body = body
    this.longBytes = longBytes
    this.maxDepth = maxDepth
  }

  /** Goes through the next slice. */
  step(): SkimProgress {
    const { body } = this
    const end = Math.min(body.length, this.at + sliceBytes)
    while (this.at < end) {
      const fault = this.from < 0 ? this.outside(end) : this.string(end)
      if (fault !== undefined) return fault
    }
    if (this.at < body.length) return "going"
    return this.from < 0 && this.depth === 0 ? "whole" : "syntax"
  }

  private outside(end: number): "syntax" | "depth" | undefined {
    const { body, maxDepth } = this
    let { at, depth, digits, size } = this
    let fault: "syntax" | "depth" | undefined
    for (; at < end && fault === undefined && this.from < 0; at += 1) {
      const kind = classes[body[at] ?? 0]
      if (kind === digit) {
        digits += 1
        if (digits === exactDigits) this.rounds = true
        continue
      }
      if (kind === point ? digits > 0 : kind === minus && body[at + 1] === zero) this.rounds = true
      digits = 0
      if (kind === begin) this.from = at
      else if (kind === comma) size += 1
      else if (kind === open) {
        size += 1
        depth += 1
        if (depth > maxDepth) fault = "depth"
      } else if (kind === close) {
        depth -= 1
        if (depth < 0) fault = "syntax"
      } else if (kind === colon) this.named()
      else if (kind === none) fault = "syntax"
    }
    this.at = at
    this.depth = depth
    this.digits = digits
    this.size = size
    return fault
  }

  // What has just ended is the name of a field.
  private named(): void {
    const last = this.spans.at(-1)
    if (last !== undefined && last.to === this.ended) this.spans.pop()
  }

  private string(end: number): "syntax" | undefined {
    const { body } = this
    let { at } = this
    while (at < end) {
      const near = Math.min(at + nearBytes, end)
      while (at < near) {
        const byte = body[at]
        if (byte === quote) return this.ends(at + 1)
        at += byte === backslash ? 2 : 1
      }
      if (near === end) break
      const found = body.indexOf(quote, at)
      if (found < 0) return "syntax"
      let first = found
      while (first > at && body[first - 1] === backslash) first -= 1
      if ((found - first) % 2 === 0) return this.ends(found + 1)
      at = found + 1
    }
    this.at = at
    return undefined
  }

  private ends(to: number): undefined {
    const { from, longBytes } = this
    if (to - from > longBytes) this.spans.push({ from, to })
    this.from = -1
    this.ended = to
    this.at = to
  }
}
