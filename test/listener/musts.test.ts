/**
 * What RFC 9110 and RFC 9112 say that a server must or must not do, a test each, on real sockets.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { answerFields } from "../../src/listener/response-head.ts"
import { ask, call, echo, echoes, type Host, last, say, startHost, statuses } from "./host.ts"

let host: Host

beforeAll(() => {
  host = startHost((exchange) => {
    switch (exchange.head.path) {
      case "/204":
        return exchange.respond(204, answerFields({}), new Uint8Array(0))
      case "/304":
        return exchange.respond(304, answerFields({ "content-length": "5" }), new Uint8Array(0))
      case "/stream":
        return exchange.stream(200, answerFields({}), {
          start: (output) => {
            output.enqueue(Buffer.from("one"))
            output.enqueue(Buffer.from("two"))
            output.close()
          },
          pull: () => undefined,
          cancel: () => undefined
        })
      case "/unread":
        return say(exchange, "unread")
      default:
        return echo(exchange)
    }
  })
})

afterAll(() => host[Symbol.asyncDispose]())

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`
const post = (fields: string, body: string) => `POST / HTTP/1.1\r\nHost: a\r\n${fields}\r\n${body}`

/** What is refused: by its section, what it is, its bytes, and the status. */
const refused: ReadonlyArray<readonly [string, string, string, number]> = [
  ["9112 2.2", "a line ended by a line feed alone", "GET / HTTP/1.1\nHost: a\n\n", 400],
  ["9112 2.2", "a line feed alone in the middle of a head", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400],
  ["9112 2.2", "a carriage return alone", "GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400],
  ["9112 2.2", "white space between the first line and the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400],
  ["9112 2.2", "two empty lines before a request", `\r\n\r\n${last}`, 400],
  ["9112 2.3", "a version in small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 2.3", "a version of two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400],
  ["9112 2.3", "no version", "GET /\r\nHost: a\r\n\r\n", 400],
  ["9110 15.6.6", "another major version", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505],
  ["9112 3", "two spaces behind the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3", "two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3", "a tab in the first line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3", "white space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400],
  ["9112 3", "white space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3", "a target that is too long", `GET /${"a".repeat(13_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 414],
  ["9110 9.1", "a method that is no token", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3.2", "no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["9112 3.2", "two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400],
  ["9112 3.2", "a Host with a user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400],
  ["9112 3.2", "a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400],
  ["9112 3.2", "a Host with two ports", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", 400],
  ["9112 3.2", "a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400],
  ["9112 3.2", "two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400],
  ["9112 3.2.1", "a target that is no path", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9110 4.1", "a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9110 4.1", "a target that is not ASCII", "GET /\u00e9 HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9110 4.2.1", "a URL without a host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9110 4.2.4", "a URL with a user", "GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3.2.2", "a URL of another scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9112 3.2.4", "an asterisk without OPTIONS", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400],
  ["9110 9.3.6", "CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 501],
  ["9112 5.1", "white space before the colon of a field", get("/", "X : b\r\n"), 400],
  ["9112 5.1", "a field without a colon", get("/", "X\r\n"), 400],
  ["9112 5.1", "a field without a name", get("/", ": b\r\n"), 400],
  ["9110 5.1", "a field whose name is no token", get("/", "X@: b\r\n"), 400],
  ["9112 5.2", "a folded field", get("/", "X: b\r\n c\r\n"), 400],
  ["9112 5.2", "a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n"), 400],
  ["9110 5.5", "a NUL in a field", get("/", "X: a\0b\r\n"), 400],
  ["9110 5.5", "another control character in a field", get("/", "X: a\u0001b\r\n"), 400],
  ["9110 5.4", "a field that is too long", get("/", `X: ${"a".repeat(17_000)}\r\n`), 431],
  ["9110 5.4", "too many fields", get("/", "X: a\r\n".repeat(200)), 431],
  ["9110 8.6", "a length that is no number", post("Content-Length: 5a\r\n", "hello"), 400],
  ["9110 8.6", "a length with a sign", post("Content-Length: +5\r\n", "hello"), 400],
  ["9110 8.6", "a negative length", post("Content-Length: -1\r\n", ""), 400],
  ["9110 8.6", "a hexadecimal length", post("Content-Length: 0x5\r\n", "hello"), 400],
  ["9110 8.6", "an empty length", post("Content-Length: \r\n", ""), 400],
  ["9110 8.6", "a length with a zero before it", post("Content-Length: 05\r\n", "hello"), 400],
  ["9110 8.6", "a length above all numbers", post(`Content-Length: ${"9".repeat(30)}\r\n`, ""), 400],
  ["9110 8.6", "a length with a space that is none", post("Content-Length: \u00a05\r\n", "hello"), 400],
  ["9112 6.3", "two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400],
  ["9112 6.3", "the same length twice", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400],
  ["9112 6.3", "a list of lengths", post("Content-Length: 5, 5\r\n", "hello"), 400],
  ["9112 6.3", "a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400],
  ["9112 6.1", "a transfer coding that is not known", post("Transfer-Encoding: gzip\r\n", ""), 501],
  ["9112 6.1", "chunks that are not the last coding", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "chunks behind another coding", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "chunks twice", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "chunks in two fields", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ""), 400],
  ["9112 6.1", "a coding that looks like chunks", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "a coding with a parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400],
  ["9112 6.1", "an empty coding", post("Transfer-Encoding: \r\n", ""), 400],
  ["9112 6.1", "a coding behind a vertical tab", post("Transfer-Encoding: \u000bchunked\r\n", "0\r\n\r\n"), 400],
  ["9112 7.1", "a chunk without a size", post("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n"), 400],
  ["9112 7.1", "a chunk size with a sign", post("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"), 400],
  ["9112 7.1", "a chunk size with 0x", post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"), 400],
  ["9112 7.1", "a chunk size that overflows", post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n"), 400],
  ["9112 7.1", "a chunk size above all numbers", post("Transfer-Encoding: chunked\r\n", "ffffffffffffffff\r\n"), 400],
  [
    "9112 7.1",
    "white space before a chunk size",
    post("Transfer-Encoding: chunked\r\n", " 5\r\nhello\r\n0\r\n\r\n"),
    400
  ],
  [
    "9112 7.1",
    "white space alone behind a chunk size",
    post("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
    400
  ],
  [
    "9112 7.1",
    "a chunk size ended by a line feed alone",
    post("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"),
    400
  ],
  [
    "9112 7.1",
    "a chunk that is longer than its size",
    post("Transfer-Encoding: chunked\r\n", "5\r\nhelloX\r\n0\r\n\r\n"),
    400
  ],
  ["9112 7.1", "a chunk without its line end", post("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n"), 400],
  [
    "9112 7.1",
    "a chunk with a line feed alone behind it",
    post("Transfer-Encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n"),
    400
  ],
  [
    "9112 7.1.1",
    "a chunk extension that is too long",
    post("Transfer-Encoding: chunked\r\n", `5;${"a".repeat(2000)}\r\n`),
    400
  ],
  [
    "9112 7.1.1",
    "a chunk extension with a line feed",
    post("Transfer-Encoding: chunked\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
    400
  ],
  ["9112 7.1.2", "a trailer that is no field", post("Transfer-Encoding: chunked\r\n", "0\r\nx\r\n\r\n"), 400],
  ["9112 7.1.2", "a folded trailer", post("Transfer-Encoding: chunked\r\n", "0\r\nX: a\r\n b\r\n\r\n"), 400],
  [
    "9112 7.1.2",
    "trailers that are too long",
    post("Transfer-Encoding: chunked\r\n", `0\r\n${"X: a\r\n".repeat(2000)}\r\n`),
    431
  ],
  ["9110 10.1.1", "an expectation that is not known", get("/", "Expect: something\r\n"), 417],
  ["9110 7.8", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["9112 2.2", "the beginning of TLS", "\u0016\u0003\u0001\u0002\0\u0001\0", 400]
]

describe("is refused, and the connection ends, and nothing behind it is a request:", () => {
  for (const [section, what, bytes, status] of refused) {
    test(`${section}: ${what}`, async () => {
      const text = await ask(host.port, bytes + last)
      expect(statuses(text)).toEqual([status])
      expect(text).toContain("\r\nConnection: close\r\n")
      expect(text).toMatch(/\r\nContent-Length: [1-9]\d*\r\n/)
    })
  }
})

/** What is taken, and what of it is seen. */
const taken: ReadonlyArray<readonly [string, string, string, object]> = [
  ["9112 2.2", "an empty line before a request", `\r\n${get("/x")}`, { path: "/x" }],
  ["9112 2.3", "a higher minor version", "GET /x HTTP/1.9\r\nHost: a\r\n\r\n", { path: "/x", isOld: false }],
  ["9110 9.1", "a method that is not known", "FROB /x HTTP/1.1\r\nHost: a\r\n\r\n", { method: "FROB" }],
  ["9110 9.1", "a method in small letters as another one", "get /x HTTP/1.1\r\nHost: a\r\n\r\n", { method: "get" }],
  [
    "9112 3.2.2",
    "a whole URL, whose host is the one that counts",
    "GET http://b:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
    { path: "/x?y", host: "b:8" }
  ],
  ["9112 3.2.2", "a whole URL without a path", "GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", { path: "/", host: "b" }],
  ["9112 3.2.4", "an asterisk with OPTIONS", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", { path: "*" }],
  [
    "9112 3.2.4",
    "a URL without a path with OPTIONS",
    "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
    { path: "*", host: "b" }
  ],
  ["9112 3.2", "an empty Host", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", { host: "" }],
  ["9112 3.2", "the address of a host", "GET /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", { host: "[::1]:80" }],
  ["9110 5.1", "names of fields whatever their case", post("cOnTeNt-LeNgTh: 2\r\n", "ab"), { body: "ab" }],
  ["9112 5.1", "white space around a value", post("Content-Length:\t 2 \t\r\n", "ab"), { body: "ab" }],
  ["9110 5.5", "a DEL in a value, which frames nothing", get("/x", "X: a\u007fb\r\n"), { path: "/x" }],
  ["9110 5.5", "bytes above ASCII in a value", get("/x", "X: \u00e9\u00ff\r\n"), { path: "/x" }],
  ["9112 6.3", "no framing as no body", "POST /x HTTP/1.1\r\nHost: a\r\n\r\n", { body: "" }],
  ["9112 6.3", "a body of any method", "GET /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab", { body: "ab" }],
  [
    "9112 6.1",
    "the coding whatever its case",
    post("Transfer-Encoding: ChunKed\r\n", "2\r\nab\r\n0\r\n\r\n"),
    { body: "ab" }
  ],
  [
    "9112 7.1",
    "sizes in either case and with zeros",
    post("Transfer-Encoding: chunked\r\n", "00A\r\n0123456789\r\n00\r\n\r\n"),
    { body: "0123456789" }
  ],
  [
    "9112 7.1.1",
    "extensions that are not known",
    post("Transfer-Encoding: chunked\r\n", '2 ; a="b"\r\nab\r\n0;x\r\n\r\n'),
    { body: "ab" }
  ],
  [
    "9112 7.1.2",
    "trailers, which say nothing",
    post("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\nContent-Length: 9\r\nHost: b\r\n\r\n"),
    { body: "ab", host: "a" }
  ]
]

describe("is taken, and the next request behind it:", () => {
  for (const [section, what, bytes, seen] of taken) {
    test(`${section}: ${what}`, async () => {
      const text = await ask(host.port, bytes + last)
      expect(statuses(text)).toEqual([200, 200])
      const [first, second] = echoes(text)
      expect(first).toMatchObject(seen)
      expect(second).toMatchObject({ path: "/last", body: "" })
    })
  }
})

describe("an answer", () => {
  test("9110 6.6.1: tells its date, as a fixed date of GMT", async () => {
    expect(await ask(host.port, last)).toContain("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n")
  })

  test("9112 6.3: has a length, by which it ends", async () => {
    const [head = "", body = ""] = (await ask(host.port, last)).split("\r\n\r\n")
    expect(head).toContain(`\r\nContent-Length: ${body.length}`)
    expect(head).not.toContain("Transfer-Encoding")
  })

  test("9110 9.3.2: to HEAD is the head of GET and nothing more", async () => {
    const text = await ask(host.port, `HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n${last}`)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*?Content-Length: 6\d\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  })

  test("9110 9.3.2: to HEAD whose body is not known has no chunks", async () => {
    const text = await ask(host.port, `HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n${last}`)
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*?Transfer-Encoding: chunked\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  })

  test("9110 15.3.5: without content has no length and no body", async () => {
    const [head = ""] = (await ask(host.port, get("/204") + last)).split("\r\n\r\n")
    expect(head).toStartWith("HTTP/1.1 204 No Content\r\n")
    expect(head).not.toMatch(/Content-Length|Transfer-Encoding/)
  })

  test("9110 15.4.5: that nothing has changed has no body, and may tell a length", async () => {
    const text = await ask(host.port, get("/304") + last)
    expect(text).toMatch(/^HTTP\/1\.1 304 Not Modified\r\n[^]*?Content-Length: 5\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
  })

  test("9112 7.1: whose length is not known comes in chunks", async () => {
    const text = await ask(host.port, get("/stream") + last)
    expect(text).toMatch(/Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\nHTTP\/1\.1 200/)
  })

  test("9112 6.1: to HTTP/1.0 has no chunks: its end is the end of the connection", async () => {
    const text = await ask(host.port, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    expect(text).not.toContain("Transfer-Encoding")
    expect(text).toContain("\r\nConnection: close\r\n")
    expect(text).toEndWith("\r\n\r\nonetwo")
  })

  test("9110 2.5: says the version of the server, whatever that of the client", async () => {
    expect(await ask(host.port, "GET / HTTP/1.0\r\n\r\n")).toStartWith("HTTP/1.1 200 OK\r\n")
  })
})

describe("a connection", () => {
  test("9112 9.3: stays open for HTTP/1.1", async () => {
    const text = await ask(host.port, get("/1") + get("/2") + last)
    expect(echoes(text).map(({ path }) => path)).toEqual(["/1", "/2", "/last"])
    expect(text.match(/Connection: close/g)).toHaveLength(1)
  })

  test("9112 9.3: ends behind an HTTP/1.0 request", async () => {
    expect(statuses(await ask(host.port, "GET / HTTP/1.0\r\n\r\n"))).toEqual([200])
  })

  test("9112 9.3: stays open for HTTP/1.0 when that asks for it, and tells so", async () => {
    const text = await ask(host.port, `GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n${last}`)
    expect(statuses(text)).toEqual([200, 200])
    expect(text).toContain("\r\nConnection: keep-alive\r\n")
  })

  test("9112 9.6: takes no request behind one that asks to close", async () => {
    for (const value of ["close", "x, Close", "keep-alive, close"]) {
      const text = await ask(host.port, get("/1", `Connection: ${value}\r\n`) + get("/2"))
      expect(echoes(text).map(({ path }) => path)).toEqual(["/1"])
      expect(text).toContain("\r\nConnection: close\r\n")
    }
  })

  test("9110 10.1.1: gives leave for a body that is asked for", async () => {
    using caller = await call(host.port)
    caller.send("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")
    expect(await caller.until((text) => text.endsWith("\r\n\r\n"))).toBe("HTTP/1.1 100 Continue\r\n\r\n")
    caller.send("ab")
    const text = await caller.end()
    expect(statuses(text)).toEqual([100, 200])
    expect(echoes(text)).toMatchObject([{ body: "ab" }])
  })

  test("9110 10.1.1: gives no leave for a body that has come already, or that is none", async () => {
    const whole = "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab"
    const none = "GET /y HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"
    expect(statuses(await ask(host.port, whole + none + last))).toEqual([200, 200, 200])
  })

  test("9110 10.1.1: gives no leave to HTTP/1.0, which knows of none", async () => {
    using caller = await call(host.port)
    caller.send("POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    caller.send("ab")
    expect(statuses(await caller.end())).toEqual([200])
  })

  test("9110 10.1.1: ends behind an answer that did not wait for the body", async () => {
    const text = await ask(
      host.port,
      "POST /unread HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    )
    expect(statuses(text)).toEqual([200])
    expect(text).toContain("\r\nConnection: close\r\n")
  })
})
