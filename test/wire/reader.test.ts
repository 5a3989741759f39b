import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { Head } from "../../src/wire/head.ts"
import { AnswerReader } from "../../src/wire/reader.ts"

/** What came out of a reader. */
interface Read {
  status: number
  heads: number
  body: string
  outcome: "open" | "clean" | "followed" | "lost" | "lost unanswered" | string
  head: Head | undefined
}

/** Reads bytes that come in these pieces, and then what closes the connection. */
const read = (pieces: ReadonlyArray<Buffer>, close?: "fin" | "rst", eager = true): Read => {
  const result: Read = { status: 0, heads: 0, body: "", outcome: "open", head: undefined }
  const settle = (outcome: string) => {
    expect(result.outcome).toBe("open")
    result.outcome = outcome
  }
  const reader: AnswerReader = new AnswerReader({
    head: (head) => {
      result.heads += 1
      result.status = head.status
      result.head = head
      if (eager) reader.release()
    },
    piece: (bytes) => {
      expect(result.outcome).toBe("open")
      expect(bytes.byteLength).toBeGreaterThan(0)
      result.body += Buffer.from(bytes).toString("latin1")
    },
    end: (clean) => settle(clean ? "clean" : "followed"),
    bad: settle,
    lost: (answered) => settle(answered ? "lost" : "lost unanswered")
  })
  for (const piece of pieces) reader.push(piece)
  if (close !== undefined) reader.close(close === "fin")
  reader.release()
  return result
}

const bytes = (text: string) => Buffer.from(text, "latin1")
const readText = (text: string, close?: "fin" | "rst") => read([bytes(text)], close)

/** The text in pieces of these lengths, used in a circle. */
const cut = (text: string, lengths: ReadonlyArray<number>): ReadonlyArray<Buffer> => {
  const pieces: Array<Buffer> = []
  const whole = bytes(text)
  for (let at = 0, nth = 0; at < whole.length; nth += 1) {
    const length = lengths[nth % lengths.length] ?? 1
    pieces.push(whole.subarray(at, at + length))
    at += length
  }
  return pieces
}

const bodies = fc.array(fc.string({ unit: "binary-ascii", maxLength: 40 }), { maxLength: 8 })
const lines = fc.array(
  fc.tuple(fc.constantFrom("X-A", "server", "Date", "Content-Type"), fc.constantFrom("", "a", " b:c ", "\u00e9; q=1")),
  { maxLength: 5 }
)
const headersOf = (list: ReadonlyArray<readonly [string, string]>) =>
  list.map(([name, value]) => `${name}: ${value}\r\n`).join("")

const interim = fc.array(
  fc.constantFrom("HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
  { maxLength: 3 }
)

const chunkedOf = (pieces: ReadonlyArray<string>, extension: string, trailers: string): string =>
  [
    ...pieces
      .filter((piece) => piece !== "")
      .map((piece, nth) => {
        const size = nth % 2 === 0 ? piece.length.toString(16).toUpperCase() : `00${piece.length.toString(16)}`
        return `${size}${extension}\r\n${piece}\r\n`
      }),
    `0${extension}\r\n${trailers}\r\n`
  ].join("")

/** A good answer: its bytes, its body, and whether it needs the end of the connection. */
const answers = fc
  .record({
    interim,
    lines,
    pieces: bodies,
    framing: fc.constantFrom("length", "chunked", "close", "none"),
    extension: fc.constantFrom("", ";a", ' ;a="b"', "  "),
    trailers: fc.constantFrom("", "X-T: 1\r\n", "X-T: 1\r\nX-U:\r\n"),
    reason: fc.constantFrom("", " ", " OK", " Not so good")
  })
  .map(({ interim, lines, pieces, framing, extension, trailers, reason }) => {
    const body = framing === "none" ? "" : pieces.join("")
    const status = framing === "none" ? 204 : 200
    const framed = {
      length: `Content-Length: ${body.length}\r\n\r\n${body}`,
      chunked: `Transfer-Encoding: chunked\r\n\r\n${chunkedOf(pieces, extension, trailers)}`,
      close: `\r\n${body}`,
      none: "\r\n"
    }[framing]
    const text = `${interim.join("")}HTTP/1.1 ${status}${reason}\r\n${headersOf(lines)}${framed}`
    return { text, body, status, untilClose: framing === "close", framing }
  })

const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 })

describe("a good answer", () => {
  test("is the same under any split", () =>
    fc.assert(
      fc.property(answers, lengths, fc.boolean(), ({ text, body, status, untilClose }, lengths, eager) => {
        const result = read(cut(text, lengths), untilClose ? "fin" : undefined, eager)
        expect(result).toMatchObject({ status, heads: 1, body, outcome: untilClose ? "followed" : "clean" })
      }),
      { numRuns: 500 }
    ))

  test("is the same at every single byte boundary", () => {
    const text = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n10;x\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n`
    for (let at = 1; at < text.length; at += 1) {
      expect(read([bytes(text.slice(0, at)), bytes(text.slice(at))])).toMatchObject({
        body: "abc0123456789abcdef",
        outcome: "clean"
      })
    }
  })

  test("that is followed by anything is good, and says that it is followed", () =>
    fc.assert(
      fc.property(answers, lengths, fc.string({ minLength: 1, maxLength: 20 }), (answer, lengths, junk) => {
        fc.pre(!answer.untilClose)
        const { body, outcome } = readText(answer.text + junk)
        expect({ body, outcome }).toEqual({ body: answer.body, outcome: "followed" })
        expect(read(cut(answer.text + junk, lengths)).body).toBe(answer.body)
      })
    ))

  test("that is cut anywhere is lost, and never taken for whole", () =>
    fc.assert(
      fc.property(answers, lengths, fc.nat(), fc.constantFrom("fin", "rst"), (answer, lengths, where, close) => {
        fc.pre(!answer.untilClose)
        const at = where % answer.text.length
        const result = read(cut(answer.text.slice(0, at), lengths), close)
        expect(result.outcome).toBe(at === 0 ? "lost unanswered" : "lost")
        expect(answer.body.startsWith(result.body)).toBe(true)
      })
    ))

  test("until close is lost when the connection is reset", () => {
    expect(readText("HTTP/1.1 200 OK\r\n\r\nabc", "rst")).toMatchObject({ body: "abc", outcome: "lost" })
    expect(readText("HTTP/1.1 200 OK\r\n\r\nabc", "fin")).toMatchObject({ body: "abc", outcome: "followed" })
  })
})

describe("any bytes at all", () => {
  test("end in one outcome and never throw, however they are cut", () =>
    fc.assert(
      fc.property(
        answers,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
        lengths,
        (answer, edits, lengths) => {
          const damaged = bytes(answer.text)
          for (const [at, byte] of edits) damaged[at % damaged.length] = byte
          const whole = read([damaged], "fin")
          const cuts = read(cut(damaged.toString("latin1"), lengths), "fin")
          expect(whole.outcome).not.toBe("open")
          expect(cuts.body).toBe(whole.body)
          // Where the extra bytes fall into a later piece, the answer alone does not tell that it is followed.
          if (whole.outcome !== "followed") expect(cuts.outcome).toBe(whole.outcome)
        }
      ),
      { numRuns: 500 }
    ))
})

describe("the reader", () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n"

  test("gives nothing while it is held, and everything in order when it is let go", () => {
    const seen: Array<string> = []
    const reader: AnswerReader = new AnswerReader({
      head: () => seen.push("head"),
      piece: (bytes) => {
        seen.push(Buffer.from(bytes).toString())
        reader.hold()
      },
      end: (clean) => seen.push(clean ? "clean" : "followed"),
      bad: (reason) => seen.push(reason),
      lost: () => seen.push("lost")
    })
    reader.push(bytes(chunked))
    reader.close(true)
    expect(seen).toEqual(["head"])
    for (const next of ["ab", "cd", "ef", "clean"]) {
      reader.release()
      expect(seen.at(-1)).toBe(next)
    }
    expect(seen).toHaveLength(5)
  })

  test("gives nothing after it was stopped, not even from the same bytes", () => {
    const seen: Array<string> = []
    const reader: AnswerReader = new AnswerReader({
      head: () => reader.release(),
      piece: (bytes) => {
        seen.push(Buffer.from(bytes).toString())
        reader.stop()
      },
      end: () => seen.push("end"),
      bad: (reason) => seen.push(reason),
      lost: () => seen.push("lost")
    })
    reader.push(bytes(chunked))
    reader.push(bytes(chunked))
    reader.close(false)
    expect(seen).toEqual(["ab"])
  })

  test("takes a body without a copy", () => {
    const event = bytes("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
    let buffer: ArrayBufferLike | undefined
    const reader: AnswerReader = new AnswerReader({
      head: () => reader.release(),
      piece: (bytes) => (buffer = bytes.buffer),
      end: () => undefined,
      bad: () => undefined,
      lost: () => undefined
    })
    reader.push(event)
    expect(buffer).toBe(event.buffer)
  })

  test("reads a head that comes byte by byte in linear time", () => {
    const text = `HTTP/1.1 200 OK\r\nX: ${"x".repeat(60_000)}\r\nContent-Length: 0\r\n\r\n`
    const from = performance.now()
    expect(read(cut(text, [1])).outcome).toBe("clean")
    expect(performance.now() - from).toBeLessThan(1000)
  })
})
