/**
 * Requests as texts, good ones and such as were changed, and where the two readings of one differ.
 */
import * as fc from "fast-check"
import { between, type Chance } from "../../bench/soak/chance.ts"
import { inPieces, type QuickReadings, readQuickly } from "./reading.ts"
import { type Readings, readSlowly } from "./slow-reader.ts"

const lineOf = ([name, value]: readonly [string, string]) => `${name}: ${value}\r\n`

const plainFields = fc.array(
  fc.tuple(
    fc.constantFrom("X-A", "cookie", "Content-Type", "accept", "x-a", "__proto__"),
    fc.constantFrom("", "a", " b:c\t", "\u00e9; q=1", "\u00a05")
  ),
  { maxLength: 5 }
)

const chunked = (pieces: ReadonlyArray<string>, extension: string, trailers: string): string =>
  [
    ...pieces
      .filter((piece) => piece !== "")
      .map((piece, nth) => `${nth % 2 === 0 ? "" : "00"}${piece.length.toString(16)}${extension}\r\n${piece}\r\n`),
    `0${extension}\r\n${trailers}\r\n`
  ].join("")

/** Requests that are good. */
export const good = fc
  .record({
    before: fc.constantFrom("", "", "\r\n"),
    method: fc.constantFrom("GET", "POST", "OPTIONS", "M-SEARCH", "post"),
    target: fc.constantFrom("/", "/v1/models?x=1&y=%20", "http://a.b:80/x", "HTTPS://[::1]?q", "//a", "/a\\b"),
    version: fc.constantFrom("1.1", "1.1", "1.0", "1.3"),
    host: fc.constantFrom("localhost", "127.0.0.1:80", "[::1]:1", "", "a_b.c"),
    fields: plainFields,
    pieces: fc.array(fc.string({ unit: "binary-ascii", maxLength: 30 }), { maxLength: 6 }),
    framing: fc.constantFrom("length", "chunked", "none"),
    extension: fc.constantFrom("", ";a", ' ;a="b"', ";"),
    trailers: fc.constantFrom("", "X-T: 1\r\n", "X-T: 1\r\nX-U:\r\n"),
    expect: fc.constantFrom("", "", "Expect: 100-continue\r\n")
  })
  .map((made) => {
    const framing = made.version === "1.0" && made.framing === "chunked" ? "length" : made.framing
    const body = framing === "none" ? "" : made.pieces.join("")
    const framed = {
      length: `Content-Length: ${body.length}\r\n\r\n${body}`,
      chunked: `Transfer-Encoding: Chunked\r\n\r\n${chunked(made.pieces, made.extension, made.trailers)}`,
      none: "\r\n"
    }[framing]
    const lines = made.fields.map(lineOf).join("")
    const first = `${made.method} ${made.target} HTTP/${made.version}\r\nHost: ${made.host}\r\n`
    return { text: `${made.before}${first}${lines}${made.expect}${framed}`, body }
  })

const odd: ReadonlyArray<string> = [
  "\r",
  "\n",
  "\r\n",
  "\r\n\r\n",
  "\n\n",
  "\0",
  "\t",
  " ",
  "  ",
  "\u00a0",
  "\u0085",
  "\u000b",
  ":",
  ";",
  ",",
  "0",
  "00",
  "+",
  "-",
  "0x",
  "\u007f",
  "#",
  "HTTP/1.1",
  "HTTP/2.0",
  "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "Host: b\r\n",
  "Content-Length: 3\r\n",
  "Content-Length : 3\r\n",
  "Content-Length: 3, 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "Transfer-Encoding:\u000bchunked\r\n",
  " folded\r\n",
  "Expect: a\r\n",
  "0\r\n\r\n"
]

const ways = ["insert", "replace", "cut", "double", "byte"] as const

/** One change of a text, wherever it falls. */
export const change = fc.record({
  at: fc.nat(),
  how: fc.constantFrom(...ways),
  what: fc.constantFrom(...odd),
  byte: fc.integer({ min: 0, max: 255 }),
  length: fc.integer({ min: 1, max: 6 })
})
type Change = typeof change extends fc.Arbitrary<infer A> ? A : never

/** A text with a change in it. */
export const changed = (text: string, { at, byte, how, length, what }: Change): string => {
  const place = at % (text.length + 1)
  const before = text.slice(0, place)
  switch (how) {
    case "insert":
      return before + what + text.slice(place)
    case "replace":
      return before + what + text.slice(place + what.length)
    case "cut":
      return before + text.slice(place + length)
    case "double":
      return before + text.slice(place, place + length) + text.slice(place)
    case "byte":
      return before + String.fromCharCode(byte) + text.slice(place + 1)
  }
}

/** A text with one change, as chance has it. */
export const changedSomewhere = (text: string, chance: Chance): string =>
  changed(text, {
    at: between(chance, 0, text.length),
    how: ways[between(chance, 0, ways.length - 1)] ?? "cut",
    what: odd[between(chance, 0, odd.length - 1)] ?? "",
    byte: between(chance, 0, 255),
    length: between(chance, 1, 6)
  })

/** Every single change of a text. */
export function* everyChange(text: string): Generator<string> {
  const none = { what: "", byte: 0, length: 1 } as const
  for (let at = 0; at <= text.length; at += 1) {
    for (const what of odd) {
      yield changed(text, { ...none, at, how: "insert", what })
      yield changed(text, { ...none, at, how: "replace", what })
    }
    for (let length = 1; length <= 6; length += 1) {
      yield changed(text, { ...none, at, how: "cut", length })
      yield changed(text, { ...none, at, how: "double", length })
    }
    for (let byte = 0; byte < 256; byte += 1) yield changed(text, { ...none, at, how: "byte", byte })
  }
}

/** What shows whether a reader is still lost, or has found a request where there is none. */
export const probe = "\r\n\r\n0\r\n\r\nGET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"

/** Whether both readings are the same; the quick one judges a line or a head when all of it is there. */
const isSame = (quick: QuickReadings, slow: Readings): boolean =>
  (quick.rest === "unfinished" ? slow.rest !== "whole" : quick.rest === slow.rest) &&
  Bun.deepEquals(quick.requests, slow.requests)

/** Reads a text in pieces as it is read as a whole by the second reader; fails where the two differ. */
export const agrees = (text: string, sizes: ReadonlyArray<number>, lazy: boolean, slow = readSlowly(text)): void => {
  const quick = readQuickly(inPieces(text, sizes), { lazy })
  if (!isSame(quick, slow)) throw new Error(JSON.stringify({ text, sizes, lazy, quick, slow }, undefined, 2))
}
