import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { connect } from "node:net"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const events = chatEvents("m", ["a", "b", "c"])
const [first = ""] = events

let upstream: Awaited<ReturnType<typeof startUpstream>>
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({
    models: ["m"],
    script: (request) => {
      if (request.text.includes("breaks")) return [streamHead(), chunk(first), "reset"]
      if (request.text.includes("hangs")) return ["hang"]
      if (wantsStream(request)) return [streamHead(), ...events.map(chunk), lastChunk]
      return [{ pause: 20 }, json(completion("m", request.text.includes("second") ? "two" : "one"))]
    }
  })
  gateway = await startGateway({ server: { wire: "own" }, backends: [backendFor("a", upstream)] })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const chat = (content: string, stream = false) =>
  requestBytes("POST", path, JSON.stringify({ model: "m", messages: [{ role: "user", content }], stream }))

/** All that comes back for some bytes until the gateway ends the connection; `halfClose` sends nothing more behind them. */
const raw = (bytes: Uint8Array, halfClose = false): Promise<{ readonly text: string; readonly end: string }> =>
  new Promise((resolve) => {
    const socket = connect({ port: gateway.port, host: "127.0.0.1", allowHalfOpen: true })
    let text = ""
    socket.on("data", (piece: Buffer) => {
      text += piece.toString("latin1")
    })
    socket.on("end", () => {
      socket.destroy()
      resolve({ text, end: "in order" })
    })
    socket.on("error", () => resolve({ text, end: "by a reset" }))
    socket.write(bytes)
    if (halfClose) socket.end()
  })

const closing = Buffer.from("GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")

describe("with server.wire = own", () => {
  test("requests that are sent before the last is answered are answered in their order", async () => {
    const { end, text } = await raw(Buffer.concat([chat("first"), chat("second"), closing]))
    expect(text.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3)
    expect([...text.matchAll(/"content":"(\w+)"/g)].map(([, word]) => word)).toEqual(["one", "two"])
    expect(text).toEndWith('{"status":"alive"}')
    expect(end).toBe("in order")
  })

  test("a client that sends nothing more gets its answer", async () => {
    const { end, text } = await raw(chat("first"), true)
    expect(text).toContain('"content":"one"')
    expect(end).toBe("in order")
  })

  test("a stream passes through whole", async () => {
    using client = await dial(gateway.port)
    await client.send(chat("first", true))
    const answer = await client.answer()
    expect([answer.status, answer.end, answer.text]).toEqual([200, "complete", events.join("")])
  })

  test("a stream that breaks ends short behind its error, and by no reset", async () => {
    const { end, text } = await raw(chat("breaks", true))
    expect(text).toContain('"error"')
    expect(text).not.toContain("[DONE]")
    expect(text).not.toEndWith("0\r\n\r\n")
    expect(end).toBe("in order")
  })

  test("a client that leaves ends its request at the backend", async () => {
    const before = upstream.busy()
    const client = await dial(gateway.port)
    await client.send(chat("hangs"))
    await until(() => upstream.busy() === before + 1, "the backend is asked")
    client.hangUp()
    await until(() => upstream.busy() === before, "the backend is left")
    await gateway.quiet()
  })

  test("a proxy that posts by HTTP/1.0 and ends the connection ends its request at the backend", async () => {
    const before = upstream.busy()
    using client = await dial(gateway.port)
    await client.send(
      Buffer.from(Buffer.from(chat("hangs")).toString("latin1").replace("HTTP/1.1", "HTTP/1.0"), "latin1")
    )
    await until(() => upstream.busy() === before + 1, "the backend is asked")
    client.hangUp()
    await until(() => upstream.busy() === before, "the backend is left")
    await gateway.quiet()
  })

  test("the host of a whole URL is the one that counts, whatever the Host header says", async () => {
    const get = (url: string) => Buffer.from(`GET ${url} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    expect((await raw(get("http://localhost/v1/models"))).text).toStartWith("HTTP/1.1 200")
    expect((await raw(get("http://evil.example/v1/models"))).text).toStartWith("HTTP/1.1 403")
  })

  test("HTTP/1.0 without a Host is answered", async () => {
    const { text } = await raw(Buffer.from("GET /livez HTTP/1.0\r\n\r\n"))
    expect(text).toStartWith("HTTP/1.1 200 OK\r\n")
    expect(text).toContain("\r\nContent-Length: 18\r\n")
  })

  test("what two servers could read in two ways is refused in the shape of other errors, and nothing behind it is read", async () => {
    const body = '{"model":"m"}'
    const { end, text } = await raw(
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`
      )
    )
    expect(text.match(/HTTP\/1\.1 /g)).toHaveLength(1)
    expect(text).toStartWith("HTTP/1.1 400 Bad Request\r\n")
    const [, told = ""] = text.split("\r\n\r\n")
    expect(JSON.parse(told)).toEqual({
      error: {
        message: "A body has a length or comes in chunks, not both",
        type: "invalid_request_error",
        param: null,
        code: "bad_request"
      }
    })
    expect(end).toBe("in order")
  })
})
