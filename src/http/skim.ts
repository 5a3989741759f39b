/**
 * Large JSON bodies made small enough to parse in passing: long strings, which are prompts and images, are left out.
 */
import { isUtf8 } from "node:buffer"

const quote = 0x22
const backslash = 0x5c

const encoder = new TextEncoder()
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/** Index behind the string that starts at `at` (its opening quote); the length of the body when it has no end. */
export const endOfString = (body: Uint8Array, at: number): number => {
  let close = at
  for (;;) {
    close = body.indexOf(quote, close + 1)
    if (close < 0) return body.length
    let slashes = 0
    while (body[close - 1 - slashes] === backslash) slashes += 1
    if (slashes % 2 === 0) return close + 1
  }
}

/** Strings longer than this, in bytes as they are written, are left out. */
const longString = 1024

// What stands for a string that was left out: a character that no text begins with, and the length of the string.
const standIn = (bytes: number): string => `"\\u0000${String(bytes)}"`

/** The length of a string of a skimmed body, in bytes where it was left out and in UTF-16 units where not. */
export const lengthOf = (text: string): number => (text.codePointAt(0) === 0 ? Number(text.slice(1)) : text.length)

/**
 * The text of a body with each long string replaced by a stand-in that tells its length; undefined when the body is no
 * UTF-8. What is in those strings is not looked at: an escape in them that is no JSON is for the backend to find.
 */
export const skim = (body: Uint8Array): string | undefined => {
  if (!isUtf8(body)) return undefined
  const pieces: Array<Uint8Array> = []
  let from = 0
  let at = body.indexOf(quote)
  while (at >= 0) {
    const to = endOfString(body, at)
    const closed = to > at + 1 && body[to - 1] === quote
    if (closed && to - at - 2 > longString) {
      pieces.push(body.subarray(from, at), encoder.encode(standIn(to - at - 2)))
      from = to
    }
    at = body.indexOf(quote, to)
  }
  pieces.push(body.subarray(from))
  return decoder.decode(pieces.length === 1 ? body : Buffer.concat(pieces))
}
