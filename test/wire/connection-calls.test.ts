import { describe, expect, test } from "bun:test"
import { BadAnswer, TimedOut, Unreachable } from "../../src/domain/upstream-errors.ts"
import { Abort } from "../../src/wire/abort.ts"
import { startRaw } from "../kit/rawServer.ts"
import { ask, callTo, client, drain, hello, chunkedHead, rejection, serverOf, until } from "./caller.ts"

describe("a request", () => {
  test("is written with our framing and host, and the given headers", async () => {
    await using server = await serverOf([hello])
    const headers = { "content-type": "application/json", "x-a": "\u00e9", host: "evil", "Content-Length": "1" }
    const body = new TextEncoder().encode('{"a":1}')
    expect(await ask(client(), `${server.url}/v1/x?y=%20z`, { headers, body })).toMatchObject({
      status: 200,
      text: "hello"
    })
    const [seen] = server.requests
    expect(seen?.head).toBe(
      `POST /v1/x?y=%20z HTTP/1.1\r\nHost: 127.0.0.1:${server.port}\r\ncontent-type: application/json\r\n` +
        `x-a: \u00e9\r\nContent-Length: 7\r\nConnection: keep-alive\r\n\r\n`
    )
    expect(seen?.text).toBe('{"a":1}')
  })

  test("for another protocol says so, whatever its headers say", async () => {
    await using server = await serverOf([hello])
    const call = {
      ...callTo(server.url, { headers: { upgrade: "h2c", connection: "close" } }).call,
      upgrade: "websocket"
    }
    await client().send({ ...call, method: "GET", body: new Uint8Array(0) })
    expect(server.requests[0]?.head).toEndWith("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    expect(server.requests[0]?.head).not.toMatch(/h2c|close/)
  })

  for (const [what, headers] of [
    ["a line break in a value", { "x-a": "b\r\nX-Evil: 1" }],
    ["a line feed in a value", { "x-a": "b\nX-Evil: 1" }],
    ["NUL in a value", { "x-a": "b\0" }],
    ["a character outside of Latin 1 in a value", { "x-a": "\u{1f600}" }],
    ["a line break in a name", { "x-a: b\r\nx": "c" }],
    ["an empty name", { "": "c" }]
  ] as const) {
    test(`with ${what} is not sent`, async () => {
      await using server = await serverOf([hello])
      const error = await rejection(client().send(callTo(server.url, { headers }).call))
      expect(error).toEqual(new Unreachable({ reason: "a header that cannot be sent" }))
      expect(server.accepted()).toBe(0)
    })
  }

  test("of many megabytes arrives whole", async () => {
    await using server = await serverOf([hello])
    const body = new Uint8Array(20_000_000).map((_, at) => at % 251)
    await ask(client(), server.url, { body })
    expect(Bun.hash(server.requests[0]?.body ?? "")).toBe(Bun.hash(body))
  })

  test("that is answered before it was read gets the answer, and its connection is not used again", async () => {
    await using server = await startRaw({
      script: () => [hello],
      greet: (nth) => (nth === 0 ? ["deaf", hello, "hang"] : [])
    })
    const one = client()
    const body = new Uint8Array(20_000_000)
    expect(await ask(one, server.url, { body })).toMatchObject({ text: "hello" })
    expect([one.idle(), one.open()]).toEqual([0, 0])
    expect(await ask(one, server.url)).toMatchObject({ text: "hello" })
    expect(server.accepted()).toBe(2)
  })
})

describe("addresses", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    test(`with the name localhost reach a server on ${hostname} only`, async () => {
      using server = Bun.serve({ hostname, port: 0, fetch: () => new Response("here") })
      expect(await ask(client(), `http://localhost:${server.port}/`)).toMatchObject({ text: "here" })
    })
  }

  test("of the sixth version are taken in brackets", async () => {
    using server = Bun.serve({
      hostname: "::1",
      port: 0,
      fetch: (request) => new Response(request.headers.get("host"))
    })
    expect(await ask(client(), `http://[::1]:${server.port}/`)).toMatchObject({ text: `[::1]:${server.port}` })
  })

  const closedPort = async () => {
    await using server = await serverOf([])
    return server.port
  }
  test("where nobody listens are unreachable, and the words name no address", async () => {
    const error = await rejection(client().send(callTo(`http://127.0.0.1:${await closedPort()}`).call))
    expect(error).toEqual(new Unreachable({ reason: "connection refused" }))
  })

  test("whose name does not exist are unreachable", async () => {
    const error = await rejection(client().send(callTo("http://nowhere.invalid:80").call))
    expect(error).toEqual(new Unreachable({ reason: "host name not found" }))
  })

  for (const url of ["ftp://127.0.0.1", "https://", "nonsense", ""]) {
    test(`like "${url}" are refused`, async () => {
      expect(await rejection(client().send(callTo(url).call))).toEqual(new Unreachable({ reason: "bad URL" }))
    })
  }
})

describe("a call given up", () => {
  const limit = new TimedOut({ limit: "idle", afterMs: 10 })

  test("before it was sent is not sent", async () => {
    await using server = await serverOf([hello])
    const abort = new Abort()
    abort.abort(limit)
    expect(await rejection(client().send(callTo(server.url, { abort }).call))).toBe(limit)
    expect(server.accepted()).toBe(0)
  })

  test("while it connects leaves no connection behind", async () => {
    await using server = await serverOf([hello])
    const one = client()
    const { call, told } = callTo(server.url)
    const sent = rejection(one.send(call))
    call.abort.abort(limit)
    expect(await sent).toBe(limit)
    expect([one.open(), told.connected]).toEqual([0, 0])
    await until(() => server.accepted() === 1 && server.open() === 0)
    expect(server.requests).toEqual([])
  })

  test("while it waits closes its connection at once", async () => {
    await using server = await serverOf(["hang"])
    const one = client()
    const { call } = callTo(server.url)
    const sent = rejection(one.send(call))
    await until(() => server.requests.length === 1)
    const from = performance.now()
    call.abort.abort(limit)
    expect(await sent).toBe(limit)
    expect(((await server.requests[0]?.gone) ?? Infinity) - from).toBeLessThan(50)
    expect(one.open()).toBe(0)
  })

  test("while it uploads closes its connection", async () => {
    await using server = await startRaw({ script: () => [], greet: () => ["deaf", "hang"] })
    const one = client()
    const { call, connected, told } = callTo(server.url, { body: new Uint8Array(20_000_000) })
    const sent = rejection(one.send(call, connected))
    await until(() => told.connected === 1)
    call.abort.abort(limit)
    expect(await sent).toBe(limit)
    expect(one.open()).toBe(0)
  })

  test("in the middle of its body fails the body with the reason, not from inside", async () => {
    await using server = await serverOf([chunkedHead, "3\r\nabc\r\n", "hang"])
    const one = client()
    const { call } = callTo(server.url)
    let inside = false
    const arrival = await one.send(call)
    const failed = Promise.withResolvers<unknown>()
    arrival.body.start({
      piece: () => {
        inside = true
        call.abort.abort(limit)
        inside = false
      },
      end: () => failed.reject(new Error("it ended")),
      fail: (error) => failed.resolve(inside ? "inside" : error)
    })
    expect(await failed.promise).toBe(limit)
    await server.requests[0]?.gone
    expect(one.open()).toBe(0)
  })

  test("between its head and its body fails the body with the reason", async () => {
    await using server = await serverOf([chunkedHead, "3\r\nabc\r\n", "hang"])
    const { call } = callTo(server.url)
    const arrival = await client().send(call)
    call.abort.abort(limit)
    expect(await drain(arrival)).toEqual({ text: "", bytes: 0, error: limit })
  })

  test("by its body is over without a further callback", async () => {
    await using server = await serverOf([`${chunkedHead}3\r\nabc\r\n3\r\ndef\r\n`, "hang"])
    const one = client()
    const { call } = callTo(server.url)
    const arrival = await one.send(call)
    const seen: Array<string> = []
    arrival.body.start({
      piece: (bytes) => {
        seen.push(new TextDecoder().decode(bytes))
        arrival.body.abort()
      },
      end: () => seen.push("end"),
      fail: () => seen.push("fail")
    })
    await until(() => server.open() === 0)
    call.abort.abort(limit)
    await Bun.sleep(1)
    expect(seen).toEqual(["abc"])
    expect(one.open()).toBe(0)
  })

  test("after its end changes nothing", async () => {
    await using server = await serverOf([hello])
    const one = client()
    const { call } = callTo(server.url)
    const arrival = await one.send(call)
    await drain(arrival)
    call.abort.abort(limit)
    arrival.body.abort()
    expect(one.idle()).toBe(1)
  })
})

test("an answer of nonsense is refused, and its connection closed", async () => {
  await using server = await startRaw({ script: () => [], greet: () => ["SSH-2.0-OpenSSH_9.6\r\n", "hang"] })
  const one = client()
  const error = await rejection(one.send(callTo(server.url).call))
  expect(error).toEqual(new BadAnswer({ reason: "the answer is not valid HTTP" }))
  expect(one.open()).toBe(0)
  await until(() => server.open() === 0)
})
