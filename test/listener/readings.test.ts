import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { inPieces, readQuickly } from "./reading.ts"
import { readSlowly } from "./slow-reader.ts"

const numRuns = 400

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
const good = fc
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

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })

const odd = fc.constantFrom(
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
)

const change = fc.record({
  at: fc.nat(),
  how: fc.constantFrom("insert", "replace", "cut", "double", "byte"),
  what: odd,
  byte: fc.integer({ min: 0, max: 255 }),
  length: fc.integer({ min: 1, max: 6 })
})
type Change = typeof change extends fc.Arbitrary<infer A> ? A : never

const changed = (text: string, { at, byte, how, length, what }: Change): string => {
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

// What shows whether a reader is still lost, or has found a request where there is none.
const probe = "\r\n\r\n0\r\n\r\nGET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"

const agrees = (text: string, sizes: ReadonlyArray<number>, lazy: boolean) => {
  const quick = readQuickly(inPieces(text, sizes), { lazy })
  const slow = readSlowly(text)
  expect(quick.requests).toEqual([...slow.requests])
  // The quick one judges a line or a head when all of it is there.
  if (quick.rest === "unfinished") expect(slow.rest).not.toBe("whole")
  else expect<string>(quick.rest).toBe(slow.rest)
}

describe("requests are read as a second reader reads them:", () => {
  test("good ones, one behind the other, however they are cut", () =>
    fc.assert(
      fc.property(fc.array(good, { minLength: 1, maxLength: 4 }), lengths, fc.boolean(), (made, sizes, lazy) => {
        const text = made.map(({ text }) => text).join("")
        const quick = readQuickly(inPieces(text, sizes), { lazy })
        expect(quick.rest).toBe("whole")
        expect(quick.requests.map(({ body }) => body)).toEqual(made.map(({ body }) => body))
        agrees(text, sizes, lazy)
      }),
      { numRuns }
    ))

  test("good ones at every single byte boundary", () => {
    const text =
      "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n" +
      "\r\nPOST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nxyzGET /c HTTP/1.0\r\n\r\n"
    const whole = readQuickly([Buffer.from(text)])
    expect(whole.requests.map(({ body }) => body)).toEqual(["abc0123456789abcdef", "xyz", ""])
    for (let at = 1; at < text.length; at += 1) {
      expect(readQuickly([Buffer.from(text.slice(0, at)), Buffer.from(text.slice(at))])).toEqual(whole)
    }
    expect(readQuickly(inPieces(text, [1]))).toEqual(whole)
  })

  test("changed ones, however they are cut, and never a request that the other does not see", () =>
    fc.assert(
      fc.property(
        fc.array(good, { minLength: 1, maxLength: 3 }),
        fc.array(change, { minLength: 1, maxLength: 3 }),
        lengths,
        fc.boolean(),
        (made, changes, sizes, lazy) => {
          const text = changes.reduce(changed, made.map(({ text }) => text).join(""))
          agrees(text, sizes, lazy)
          agrees(text + probe, sizes, lazy)
        }
      ),
      { numRuns: 4 * numRuns }
    ))

  test("changed ones alike under any cutting, refusals included", () =>
    fc.assert(
      fc.property(
        good,
        fc.array(change, { minLength: 1, maxLength: 2 }),
        lengths,
        lengths,
        (made, changes, one, other) => {
          const text = changes.reduce(changed, made.text) + probe
          expect(readQuickly(inPieces(text, one))).toEqual(readQuickly(inPieces(text, other)))
        }
      ),
      { numRuns: 2 * numRuns }
    ))

  test("any bytes, without an exception", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), lengths, (bytes, sizes) =>
        agrees(Buffer.from(bytes).toString("latin1"), sizes, false)
      ),
      { numRuns }
    ))
})
