/**
 * Replaces the model name in a JSON body and nothing else: numbers, key order, spacing and unknown fields stay as they
 * came.
 */

import { endOfString } from "./skim.ts"

const quote = 0x22

const decoder = new TextDecoder()
const encoder = new TextEncoder()

interface Span {
  readonly from: number
  readonly to: number
}

const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

const skipSpace = (body: Uint8Array, from: number): number => {
  let at = from
  while (isSpace(body[at])) at += 1
  return at
}

const plainModel = encoder.encode('"model"')

const isModelKey = (body: Uint8Array, from: number, to: number): boolean => {
  if (to - from === plainModel.length) return plainModel.every((byte, i) => body[from + i] === byte)
  // Only an escaped spelling is longer; each of the five letters takes at most six bytes.
  return (
    to - from > plainModel.length && to - from <= 32 && JSON.parse(decoder.decode(body.subarray(from, to))) === "model"
  )
}

/** Where the value of the last top-level `model` is: the one that JSON.parse takes. */
const modelSpan = (body: Uint8Array): Span | undefined => {
  let depth = 0
  let span: Span | undefined
  let at = 0
  while (at < body.length) {
    const byte = body[at]
    if (byte === quote) {
      const end = endOfString(body, at)
      const colon = skipSpace(body, end)
      if (depth === 1 && body[colon] === 0x3a) {
        const from = skipSpace(body, colon + 1)
        if (isModelKey(body, at, end) && body[from] === quote) {
          const to = endOfString(body, from)
          span = { from, to }
        } else if (isModelKey(body, at, end)) span = undefined
        at = body[from] === quote ? endOfString(body, from) : from
        continue
      }
      at = end
      continue
    }
    if (byte === 0x7b || byte === 0x5b) depth += 1
    else if (byte === 0x7d || byte === 0x5d) depth -= 1
    at += 1
  }
  return span
}

/** The body with another model name; the same body when it holds no model name. `body` must be valid JSON. */
export const replaceModel = (body: Uint8Array, model: string): Uint8Array => {
  const span = modelSpan(body)
  if (span === undefined) return body
  const name = encoder.encode(JSON.stringify(model))
  const out = new Uint8Array(body.length - (span.to - span.from) + name.length)
  out.set(body.subarray(0, span.from))
  out.set(name, span.from)
  out.set(body.subarray(span.to), span.from + name.length)
  return out
}
