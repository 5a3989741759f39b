import { describe, expect, test } from "bun:test"
import { badFraming, headTooLarge, notHttp, readHead } from "../../src/wire/head.ts"
import { AnswerReader } from "../../src/wire/reader.ts"

/** How an answer ends whose bytes come at once, or one by one; the connection stays open. */
const outcome = (text: string, single: boolean): string => {
  let result = "open"
  const reader: AnswerReader = new AnswerReader({
    head: () => reader.release(),
    piece: () => undefined,
    end: (clean) => (result = clean ? "clean" : "followed"),
    bad: (reason) => (result = reason),
    lost: () => (result = "lost")
  })
  const bytes = Buffer.from(text, "latin1")
  if (single) for (let at = 0; at < bytes.length; at += 1) reader.push(bytes.subarray(at, at + 1))
  else reader.push(bytes)
  return result
}

const ok = "HTTP/1.1 200 OK\r\n"
const chunked = `${ok}Transfer-Encoding: chunked\r\n\r\n`
const many = (count: number) => Array.from({ length: count }, (_, nth) => `X-${nth}: a\r\n`).join("")

const malformed: ReadonlyArray<[what: string, text: string, reason: string]> = [
  ["a length after a blank that is none of HTTP's", `${ok}Content-Length:\xa05\r\n\r\nhello`, badFraming],
  ["a length before a form feed", `${ok}Content-Length: 5\f\r\n\r\nhello`, badFraming],
  ["a banner of another protocol", "SSH-2.0-OpenSSH_9.6\r\n", notHttp],
  ["a banner without an end", "220 mail.example ESMTP ready", notHttp],
  ["an HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", notHttp],
  ["HTTP/2 frames", "\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64", notHttp],
  ["a TLS alert", "\x15\x03\x01\0\x02\x02\x46", notHttp],
  ["HTTP/0.9", "<html>hello</html>", notHttp],
  ["another major version", "HTTP/2.0 200 OK\r\n\r\n", notHttp],
  ["another minor version", "HTTP/1.2 200 OK\r\n\r\n", notHttp],
  ["no status", "HTTP/1.1\r\n\r\n", notHttp],
  ["a status of two digits", "HTTP/1.1 20 OK\r\n\r\n", notHttp],
  ["a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", notHttp],
  ["a status below 100", "HTTP/1.1 099 OK\r\n\r\n", notHttp],
  ["a status above 599", "HTTP/1.1 600 OK\r\n\r\n", notHttp],
  ["two spaces before the status", "HTTP/1.1  200 OK\r\n\r\n", notHttp],
  ["a switch of protocols", "HTTP/1.1 101 Switching Protocols\r\n\r\n", notHttp],
  ["an empty line at the front", `\r\n${ok}Content-Length: 0\r\n\r\n`, notHttp],
  ["bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", notHttp],
  ["a bare line feed in a head", `${ok}A: b\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a bare return in a value", `${ok}A: b\rc\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a bare return in the status line", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", notHttp],
  ["a folded line", `${ok}A: b\r\n c\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a folded first line", `${ok} c\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["NUL in a value", `${ok}A: b\0c\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a line without a colon", `${ok}Hello\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a line without a name", `${ok}: a\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["a space before the colon", `${ok}Content-Length : 0\r\n\r\n`, notHttp],
  ["a name that is no token", `${ok}A(b): c\r\nContent-Length: 0\r\n\r\n`, notHttp],
  ["257 lines", `${ok}${many(257)}\r\n`, headTooLarge],
  ["a head of 64 KB and a byte", `${ok}Content-Length: 0\r\nA: ${"a".repeat(65_498)}\r\n\r\n`, headTooLarge],
  ["a head above 64 KB without an end", `${ok}A: ${"a".repeat(70_000)}`, headTooLarge],
  ["eleven interim heads", `${"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(11)}${ok}Content-Length: 0\r\n\r\n`, notHttp],
  ["two different lengths", `${ok}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`, badFraming],
  ["two different lengths in one line", `${ok}Content-Length: 5, 6\r\n\r\nhello`, badFraming],
  ["a length and chunks", `${ok}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, badFraming],
  ["an empty length", `${ok}Content-Length:\r\n\r\n`, badFraming],
  ["a negative length", `${ok}Content-Length: -1\r\n\r\n`, badFraming],
  ["a length with a sign", `${ok}Content-Length: +5\r\n\r\nhello`, badFraming],
  ["a hexadecimal length", `${ok}Content-Length: 0x5\r\n\r\nhello`, badFraming],
  ["a broken length", `${ok}Content-Length: 5.0\r\n\r\nhello`, badFraming],
  ["a length with words", `${ok}Content-Length: 5 bytes\r\n\r\nhello`, badFraming],
  ["a length beyond all bounds", `${ok}Content-Length: 99999999999999999999\r\n\r\n`, badFraming],
  ["a length just beyond what can be counted", `${ok}Content-Length: 9007199254740993\r\n\r\n`, badFraming],
  ["an unknown coding", `${ok}Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n`, badFraming],
  ["two codings", `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, badFraming],
  ["the coding twice", `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, badFraming],
  ["a coding that looks like it", `${ok}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, badFraming],
  ["a coding that is empty", `${ok}Transfer-Encoding:\r\n\r\n0\r\n\r\n`, badFraming],
  ["a chunk size with a prefix", `${chunked}0x5\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk size that is no number", `${chunked}hello\r\n`, badFraming],
  ["a chunk size with a sign", `${chunked}+5\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a negative chunk size", `${chunked}-5\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["an empty chunk size", `${chunked}\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk size that is only an extension", `${chunked};a=b\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a space before a chunk size", `${chunked} 5\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["two chunk sizes", `${chunked}5 5\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk size beyond what can be counted", `${chunked}20000000000001\r\n`, badFraming],
  ["a chunk size without an end", `${chunked}00000000000000000`, badFraming],
  ["a chunk size ended by a line feed", `${chunked}5\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk size ended by a return", `${chunked}5\rhello\r\n0\r\n\r\n`, badFraming],
  ["an extension without an end", `${chunked}5;${"a".repeat(5000)}`, badFraming],
  ["spaces without an end", `${chunked}5${" ".repeat(5000)}`, badFraming],
  ["an extension with a line feed", `${chunked}5;a\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk longer than its size", `${chunked}4\r\nhello\r\n0\r\n\r\n`, badFraming],
  ["a chunk without its end", `${chunked}5\r\nhello0\r\n\r\n`, badFraming],
  ["a chunk ended by a line feed", `${chunked}5\r\nhello\n0\r\n\r\n`, badFraming],
  ["a chunk ended by a return", `${chunked}5\r\nhello\rX`, badFraming],
  ["a last chunk with something behind it", `${chunked}0\r\n\rX`, badFraming],
  ["a trailer ended by a line feed", `${chunked}0\r\nA: b\n\r\n`, badFraming],
  ["a trailer ended by a return", `${chunked}0\r\nA: b\rX`, badFraming],
  ["trailers without an end", `${chunked}0\r\n${many(10_000)}`, badFraming]
]

const good: ReadonlyArray<[what: string, text: string, outcome: string]> = [
  ["the same length twice", `${ok}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`, "clean"],
  ["the same length twice in one line", `${ok}Content-Length: 5, 5\r\n\r\nhello`, "clean"],
  ["a length with space around it", `${ok}Content-Length: \t 5 \r\n\r\nhello`, "clean"],
  ["no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "clean"],
  ["a reason in another language", "HTTP/1.1 200 \xe9\r\nContent-Length: 0\r\n\r\n", "clean"],
  ["256 lines", `${ok}${many(255)}Content-Length: 0\r\n\r\n`, "clean"],
  ["a head of 64 KB", `${ok}Content-Length: 0\r\nA: ${"a".repeat(65_497)}\r\n\r\n`, "clean"],
  ["ten interim heads", `${"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(10)}${ok}Content-Length: 0\r\n\r\n`, "clean"],
  ["a coding in capitals", `${ok}TRANSFER-ENCODING: Chunked\r\n\r\n0\r\n\r\n`, "clean"],
  ["a chunk size in capitals, with zeros", `${chunked}00000A\r\n0123456789\r\n000\r\n\r\n`, "clean"],
  ["a chunk size padded with spaces", `${chunked}5  \r\nhello\r\n0 \r\n\r\n`, "clean"],
  ["no body by its status, whatever is declared", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "clean"],
  ["no body by its status, chunks or not", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", "clean"],
  ["a body that goes on", `${ok}Content-Length: 6\r\n\r\nhello`, "open"],
  ["a body until close", `${ok}\r\nhello`, "open"]
]

describe("an answer with", () => {
  for (const [what, text, reason] of malformed) {
    test(`${what} is refused, at once and byte by byte`, () => {
      expect([outcome(text, false), outcome(text, true)]).toEqual([reason, reason])
    })
  }
  for (const [what, text, expected] of good) {
    test(`${what} is taken, at once and byte by byte`, () => {
      expect([outcome(text, false), outcome(text, true)]).toEqual([expected, expected])
    })
  }
})

const headOf = (...lines: ReadonlyArray<string>) => {
  const head = readHead(lines.join("\r\n"))
  if (typeof head === "string") throw new Error(head)
  return head
}

describe("headers", () => {
  test("are found by name in any case, joined when repeated, null when absent", () => {
    const head = headOf("HTTP/1.1 200 OK", "X-A: 1", "x-a:  2 ", "X-B:")
    expect(["x-a", "x-b", "x-c", "constructor"].map((name) => head.header(name))).toEqual(["1, 2", "", null, null])
  })
})

describe("a connection", () => {
  const length = "Content-Length: 0"
  const rows: ReadonlyArray<[what: string, lines: ReadonlyArray<string>, keeps: boolean, keepSeconds?: number]> = [
    ["is kept", ["HTTP/1.1 200 OK", length], true],
    ["is not kept when it is to be closed", ["HTTP/1.1 200 OK", length, "Connection: Close"], false],
    ["is not kept when close is one of several", ["HTTP/1.1 200 OK", length, "Connection: x, close"], false],
    ["is not kept with HTTP/1.0", ["HTTP/1.0 200 OK", length], false],
    ["is kept with HTTP/1.0 that says so", ["HTTP/1.0 200 OK", length, "Connection: keep-alive"], true],
    ["is not kept when only its close ends the body", ["HTTP/1.1 200 OK"], false],
    ["is kept as long as it says", ["HTTP/1.1 200 OK", length, "Keep-Alive: timeout=5, max=100"], true, 5],
    ["is kept without a time that is no number", ["HTTP/1.1 200 OK", length, "Keep-Alive: timeout=x"], true]
  ]
  for (const [what, lines, keeps, keepSeconds] of rows) {
    test(what, () => expect(headOf(...lines)).toMatchObject({ keeps, keepSeconds }))
  }
})
