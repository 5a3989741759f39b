import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { readInTwoWays } from "../fuzz/requests.ts"
import { inPieces, readQuickly } from "./reading.ts"
import { agrees, change, changed, good, probe } from "./request-texts.ts"

const numRuns = 400

const lengths = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 })

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

  test("a short one with every change at every split, and others with changes of chance", () => {
    expect(readInTwoWays(10_000, 7, ["GET / HTTP/1.0\r\n\r\n"])).toBe(10_000)
    expect(readInTwoWays(5000, 7, [])).toBe(5000)
  })

  test("any bytes, without an exception", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), lengths, (bytes, sizes) =>
        agrees(Buffer.from(bytes).toString("latin1"), sizes, false)
      ),
      { numRuns }
    ))
})
