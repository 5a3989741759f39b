/**
 * The texts of strings in a JSON body, with escapes as the characters they are; long ones piece by piece.
 */

const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

// Bytes that are looked at in one go.
const pieceBytes = 64 * 1024

/** Whether a string between these places, quotes included, is to be taken piece by piece. */
export const isLongString = (from: number, to: number): boolean => to - from > pieceBytes

/** The text between two places inside of a string; `plain` where it has no escape. */
export const stringText = (body: Uint8Array, from: number, to: number, plain: boolean): string => {
  const raw = decoder.decode(body.subarray(from, to))
  return plain ? raw : String(JSON.parse(`"${raw}"`))
}

const backslash = 0x5c
const longestEscape = 6

/** The last place up to `to` that is neither inside of a character nor of an escape. */
const parting = (body: Uint8Array, from: number, to: number): number => {
  let at = to
  while (at > from && ((body[at] ?? 0) & 0xc0) === 0x80) at -= 1
  let last = at - 1
  while (last > at - longestEscape && last >= from && body[last] !== backslash) last -= 1
  if (last < from || body[last] !== backslash) return at
  // Of backslashes in a row every second one is escaped.
  let first = last
  while (first > from && body[first - 1] === backslash) first -= 1
  if ((last - first) % 2 === 1) return at
  const length = body[last + 1] === 0x75 ? longestEscape : 2
  return last + length > at ? last : at
}

/** Where a string stands in its body, quotes included. */
export interface StringPlace {
  readonly from: number
  readonly to: number
}

/** Where the pieces of a string begin and end, whose quotes these places are. */
function* cuts(body: Uint8Array, { from, to }: StringPlace) {
  const end = to - 1
  for (let at = from + 1; at < end;) {
    const next = at + pieceBytes >= end ? end : parting(body, at, at + pieceBytes)
    yield [at, next] as const
    at = next
  }
}

/** The text of a string, in pieces; its places are those of its quotes. */
export function* stringPieces(body: Uint8Array, span: StringPlace) {
  for (const [at, next] of cuts(body, span)) {
    yield stringText(body, at, next, body.subarray(at, next).indexOf(backslash) < 0)
  }
}

/** The same as JSON.parse would have it, which it throws what that throws for. */
export function* parsedPieces(body: Uint8Array, span: StringPlace) {
  for (const [at, next] of cuts(body, span)) {
    const text: unknown = JSON.parse(`"${decoder.decode(body.subarray(at, next))}"`)
    yield String(text)
  }
}
