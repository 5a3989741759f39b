import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { endingOf, errorEvent, Progress, openingOf, Tail } from "../../src/upstream/framing.ts"

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (data: Uint8Array) => new TextDecoder().decode(data)

describe("the first event of a stream", () => {
  const rows: ReadonlyArray<[string, string, string]> = [
    ["nothing yet", "", "Waiting"],
    ["comments only", ": keep-alive\n\n: prefill 3/10\n\n", "Waiting"],
    ["half a line", 'data: {"id', "Waiting"],
    ["a good event", 'data: {"id":"1","choices":[]}\n\n', "Good"],
    ["a good event after comments", ": ping\n\ndata: {}\n\n", "Good"],
    ["no space after the colon", 'data:{"id":"1"}\n\n', "Good"],
    ["CRLF lines", 'data: {"id":"1"}\r\n\r\n', "Good"],
    ["CR lines", 'data: {"id":"1"}\r\r', "Good"],
    ["a byte order mark", '\ufeffdata: {"id":"1"}\n\n', "Good"],
    ["a long line that is no error", `data: {"id":"${"x".repeat(80)}`, "Good"],
    ["an error", 'data: {"error":{"message":"x"}}\n\n', "Error"],
    ["an error without spaces", 'data:{ "error" : {"message":"x"}}\n\n', "Error"],
    ["an error event by name", 'event: error\ndata: {"message":"x"}\n\n', "Error"],
    ["an old vLLM error", 'data: {"object":"error","message":"x"}\n\n', "Error"],
    ["an error member that is null", 'data: {"error":null,"choices":[]}\n\n', "Good"]
  ]
  for (const [name, input, expected] of rows) {
    test(`${name} is ${expected}`, () => expect(openingOf(bytes(input))._tag as string).toBe(expected))
  }

  test("is judged the same however the stream is cut", () =>
    fc.assert(
      fc.property(fc.constantFrom(...rows.map((row) => row[1])), fc.nat(60), (input, cut) => {
        const whole = openingOf(bytes(input))._tag
        const part = openingOf(bytes(input).slice(0, cut))._tag
        expect(part === whole || part === "Waiting").toBe(true)
      })
    ))
})

describe("the end of a stream", () => {
  const rows: ReadonlyArray<[string, string, string]> = [
    ["the end marker", 'data: {"finish_reason":"stop"}\n\ndata: [DONE]\n\n', "done"],
    ["the end marker with a comment behind it", "data: [DONE]\n\n: after\n\n", "done"],
    ["the end marker without its blank line", "data: [DONE]", "done"],
    ["the end marker with CRLF", "data: [DONE]\r\n\r\n", "done"],
    ["a finish reason alone", 'data: {"choices":[{"finish_reason":"stop"}]}\n\n', "finished"],
    [
      "a finish reason and usage",
      'data: {"choices":[{"finish_reason": "length"}]}\n\ndata: {"usage":{}}\n\n',
      "finished"
    ],
    ["an error event, and the end marker", 'data: {"error":{"message":"x"}}\n\ndata: [DONE]\n\n', "failed"],
    ["an error event by its name", 'event: error\ndata: {"message":"x"}\n\n', "failed"],
    ["a flat error event", 'data: {"object":"error","message":"x"}\n\n', "failed"],
    ["an event whose error is null", 'data: {"error": null}\n\ndata: [DONE]\n\n', "done"],
    ["an error inside a text", 'data: {"content":"data: {\\"error\\":1}"}\n\ndata: [DONE]\n\n', "done"],
    ["a null finish reason", 'data: {"choices":[{"finish_reason":null}]}\n\n', "cut"],
    ["nothing", "", "cut"],
    ["a marker inside a text", 'data: {"content":"data: [DONE]"}\n\n', "cut"]
  ]
  for (const [name, input, expected] of rows) {
    test(`${name} is ${expected}`, () => expect(endingOf(input) as string).toBe(expected))
  }
})

test("the tail is the end of the stream under any chunking", () =>
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 30 }), (pieces) => {
      const tail = new Tail()
      const ascii = pieces.map((piece) => piece.map((byte) => byte & 0x7f))
      for (const piece of ascii) tail.push(piece)
      const whole = ascii.map(text).join("")
      const kept = tail.text()
      expect(whole.endsWith(kept)).toBe(true)
      expect(kept.length).toBe(Math.min(4096, whole.length))
    })
  ))

test("an error event stands on its own after any kind of end", () => {
  expect(text(errorEvent("{}", "data: a\n\n"))).toBe("data: {}\n\n")
  expect(text(errorEvent("{}", "data: a\r\n\r\n"))).toBe("data: {}\n\n")
  expect(text(errorEvent("{}", 'data: {"half'))).toBe("\n\ndata: {}\n\n")
  expect(text(errorEvent("{}", ""))).toBe("data: {}\n\n")
})

describe("progress", () => {
  const isProgress = (...pieces: ReadonlyArray<string>) => {
    const progress = new Progress()
    return pieces.map((piece) => progress.isIn(bytes(piece)))
  }

  test("is any piece with a line that is no comment", () => {
    expect(isProgress(": ping\n\n", ": ping\n\n: pong\r\n\r\n", ": ping\n\ndata: {}\n\n")).toEqual([false, false, true])
    expect(isProgress("data: :\n\n", "\n\n", "data", ": a\n: b")).toEqual([true, false, true, true])
  })

  test("is no comment, however it is cut", () => {
    const pieces = [":", " pi", "ng\n", "\n", "data: {}\n", ": ", "data: no\n"]
    expect(isProgress(...pieces)).toEqual(pieces.map((piece) => piece === "data: {}\n"))
    const text = fc.stringMatching(/^(:[a-z: ]{0,8}\n{1,2}){0,6}$/)
    fc.assert(
      fc.property(text, fc.array(fc.nat(40)), (comments, cuts) => {
        const at = [0, ...cuts.filter((cut) => cut < comments.length).sort((a, b) => a - b), comments.length]
        const pieces = at.slice(1).map((to, i) => comments.slice(at[i], to))
        expect(isProgress(...pieces, "d")).toEqual([...pieces.map(() => false), true])
      })
    )
  })
})
