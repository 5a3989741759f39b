import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { frameHead, FrameReader, opcodes } from "../../src/listener/socket-frames.ts"
import { openWebSocket, type ServerWebSocket } from "../../src/listener/server-web-socket.ts"
import { call, echo, last, startHost, statuses } from "./host.ts"

const limits = { messageBytes: 100_000, idleMs: 120_000 }

/** A frame as a client sends it. */
const frame = (
  opcode: number,
  payload: Uint8Array,
  { final = true, reserved = 0, mask = [1, 2, 3, 4] } = {}
): Buffer => {
  const head = Buffer.from(frameHead(opcode, payload.byteLength), "latin1")
  head[0] = (final ? 128 : 0) | reserved | opcode
  head[1] = (head[1] ?? 0) | 128
  return Buffer.concat([head, Buffer.from(mask), payload.map((byte, at) => byte ^ (mask[at % 4] ?? 0))])
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text))

type Told = readonly [what: string, value?: string | number, more?: string]

/** What is told of these bytes, cut to pieces of these lengths. */
const read = (all: Buffer, lengths: ReadonlyArray<number> = [1e9]): ReadonlyArray<Told> => {
  const told: Array<Told> = []
  const reader = new FrameReader(
    {
      message: (message) =>
        told.push(typeof message === "string" ? ["text", message] : ["binary", Buffer.from(message).toString("hex")]),
      ping: (payload) => told.push(["ping", Buffer.from(payload).toString()]),
      pong: () => told.push(["pong"]),
      closedBy: (code, reason) => told.push(["close", code, reason]),
      bad: (code) => told.push(["bad", code])
    },
    limits.messageBytes
  )
  for (let at = 0, nth = 0; at < all.length; nth += 1) {
    const length = lengths[nth % lengths.length] ?? 1
    reader.push(Buffer.from(all.subarray(at, at + length)))
    at += length
  }
  return told
}

const lengths = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 })

describe("the frames of a client", () => {
  const message = fc.record({
    isText: fc.boolean(),
    parts: fc.array(fc.string({ unit: "grapheme", maxLength: 60 }), { minLength: 1, maxLength: 4 }),
    ping: fc.boolean(),
    mask: fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255))
  })

  test("are put together to the messages that were sent, however they are cut, with pings between them", () =>
    fc.assert(
      fc.property(fc.array(message, { maxLength: 4 }), lengths, (messages, sizes) => {
        const expected: Array<Told> = []
        const frames = messages.flatMap(({ isText, mask, parts, ping }) => {
          if (ping && parts.length > 1) expected.push(["ping", "p"])
          expected.push(isText ? ["text", parts.join("")] : ["binary", Buffer.from(parts.join("")).toString("hex")])
          return parts.flatMap((part, at) => {
            const opcode = at > 0 ? opcodes.continuation : isText ? opcodes.text : opcodes.binary
            const sent = frame(opcode, bytes(part), { final: at === parts.length - 1, mask })
            return at === 0 && ping && parts.length > 1 ? [sent, frame(opcodes.ping, bytes("p"), { mask })] : [sent]
          })
        })
        expect(read(Buffer.concat(frames), sizes)).toEqual(expected)
      }),
      { numRuns: 300 }
    ))

  for (const size of [0, 125, 126, 65_535, 65_536, 100_000]) {
    test(`of ${size} bytes have the one length that says so`, () => {
      const payload = new Uint8Array(size).fill(97)
      expect(read(frame(opcodes.text, payload), [1000])).toEqual([["text", "a".repeat(size)]])
    })
  }

  const close = (code: number, reason = "") => {
    const head = Buffer.alloc(2)
    head.writeUInt16BE(code)
    return new Uint8Array(Buffer.concat([head, Buffer.from(reason)]))
  }
  const unmasked = Buffer.concat([Buffer.from([129, 1]), Buffer.from("a")])
  const wrong: ReadonlyArray<readonly [string, Buffer, number]> = [
    ["5.1 a frame without a mask", unmasked, 1002],
    ["5.2 a reserved bit", frame(opcodes.text, bytes("a"), { reserved: 64 }), 1002],
    ["5.2 a kind that is not known", frame(3, bytes("a")), 1002],
    ["5.2 a control frame that is not known", frame(11, bytes("a")), 1002],
    ["5.2 a length that is longer than need be", Buffer.from([130, 254, 0, 1, 0, 0, 0, 0, 97]), 1002],
    [
      "5.2 a length of eight bytes that is longer than need be",
      Buffer.from([130, 255, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 97]),
      1002
    ],
    ["5.4 a part without a beginning", frame(opcodes.continuation, bytes("a")), 1002],
    [
      "5.4 a message in the middle of another",
      Buffer.concat([frame(opcodes.text, bytes("a"), { final: false }), frame(opcodes.text, bytes("a"))]),
      1002
    ],
    ["5.5 a control frame in parts", frame(opcodes.ping, bytes("a"), { final: false }), 1002],
    ["5.5 a control frame of more than 125 bytes", frame(opcodes.ping, new Uint8Array(126)), 1002],
    ["5.5.1 a code of one byte", frame(opcodes.close, new Uint8Array(1)), 1002],
    ["7.4.1 a code that nobody may send", frame(opcodes.close, close(1006)), 1002],
    ["7.4.2 a code that is none", frame(opcodes.close, close(999)), 1002],
    ["8.1 a text that is none", frame(opcodes.text, new Uint8Array([0xc3, 0x28])), 1007],
    ["8.1 a reason that is none", frame(opcodes.close, new Uint8Array([3, 232, 0xc3])), 1007],
    ["10.4 a message that is too long", frame(opcodes.binary, new Uint8Array(100_001)), 1009],
    [
      "10.4 a message whose parts are too long",
      Buffer.concat([
        frame(opcodes.binary, new Uint8Array(60_000), { final: false }),
        frame(opcodes.continuation, new Uint8Array(60_000))
      ]),
      1009
    ]
  ]
  for (const [what, sent, code] of wrong) {
    test(`end it where they hold what RFC 6455 does not allow: ${what}`, () => {
      const told = read(Buffer.concat([sent, frame(opcodes.text, bytes("behind"))]), [7])
      expect(told).toEqual([["bad", code]])
    })
  }

  test("close it with a code and a reason, or with none", () => {
    expect(read(frame(opcodes.close, close(4321, "because é")))).toEqual([["close", 4321, "because é"]])
    expect(read(frame(opcodes.close, new Uint8Array(0)))).toEqual([["close", 1005, ""]])
  })

  test("of any bytes cause no exception", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), lengths, (any, sizes) => {
        const told = read(Buffer.from(any), sizes)
        expect(told.filter(([what]) => what === "bad").length).toBeLessThan(2)
      }),
      { numRuns: 300 }
    ))
})

/** A listener whose requests become sockets; what is told of the last one. */
const startSockets = (idleMs = limits.idleMs) => {
  const told: Array<string> = []
  const opened = Promise.withResolvers<ServerWebSocket>()
  const host = startHost((exchange) => {
    const owner = {
      opened: opened.resolve,
      message: (message: string | Uint8Array) => told.push(typeof message === "string" ? message : "binary"),
      drained: () => told.push("drained"),
      closed: (code: number, reason: string) => told.push(`closed ${code} ${reason}`)
    }
    if (!openWebSocket(exchange, owner, "X-A: b\r\n", { ...limits, idleMs })) return echo(exchange)
  })
  const until = async (said: string) => {
    while (!told.includes(said)) await Bun.sleep(5)
  }
  return { host, told, opened: opened.promise, until }
}

const handshake = (change: (lines: Array<string>) => Array<string> = (lines) => lines) =>
  [
    ...change([
      "GET / HTTP/1.1",
      "Host: a",
      "Upgrade: WebSocket",
      "Connection: keep-alive, Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    ]),
    "",
    ""
  ].join("\r\n")

describe("a WebSocket", () => {
  test("is opened as RFC 6455 tells in its example, and speaks with a client of the platform", async () => {
    const { host, opened, told, until } = startSockets()
    await using _ = host
    using caller = await call(host.port)
    caller.send(handshake())
    const head = await caller.until((text) => text.endsWith("\r\n\r\n"))
    expect(head).toStartWith("HTTP/1.1 101 Switching Protocols\r\n")
    expect(head).toContain("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")
    expect(head).toContain("\r\nX-A: b\r\n")
    caller.send(frame(opcodes.text, bytes("hello")))
    await until("hello")
    ;(await opened).send("there")
    expect(await caller.until((text) => text.endsWith("there"))).toEndWith("\r\n\r\n\u0081\u0005there")
    caller.send(frame(opcodes.ping, bytes("p")))
    await caller.until((text) => text.endsWith("\u008a\u0001p"))
    caller.send(frame(opcodes.close, new Uint8Array([3, 232])))
    expect(await caller.end()).toEndWith("\u0088\u0002\u0003\u00e8")
    expect(told).toEqual(["hello", "closed 1000 "])
    expect(host.listener.pending).toBe(0)
  })

  test("speaks with a client of the platform, both ways and at any size", async () => {
    const { host, opened, told, until } = startSockets()
    await using _ = host
    const client = new WebSocket(`ws://127.0.0.1:${host.port}/`)
    const got: Array<string> = []
    client.addEventListener("message", ({ data }: MessageEvent<string>) => got.push(data))
    const closed = new Promise<CloseEvent>((resolve) => client.addEventListener("close", resolve))
    await new Promise((resolve) => client.addEventListener("open", resolve))
    const sizes = [0, 1, 125, 126, 1000, 65_535, 65_536, 99_999]
    for (const size of sizes) client.send("a".repeat(size))
    const socket = await opened
    for (const size of [...sizes, 3_000_000]) socket.send("b".repeat(size))
    while (got.length < sizes.length + 1) await Bun.sleep(5)
    await until("a".repeat(99_999))
    expect(got.map(({ length }) => length)).toEqual([...sizes, 3_000_000])
    expect(told.filter((said) => said !== "drained").map(({ length }) => length)).toEqual(sizes)
    socket.close(4000, "enough")
    expect(await closed).toMatchObject({ code: 4000, reason: "enough", wasClean: true })
    await until("closed 4000 enough")
  })

  test("whose client is lost, or breaks the protocol, is closed once, and says so", async () => {
    for (const [act, code] of [
      ["lost", 1006],
      ["bad", 1002]
    ] as const) {
      const { host, told } = startSockets()
      await using _ = host
      using caller = await call(host.port)
      caller.send(handshake())
      await caller.until((text) => text.endsWith("\r\n\r\n"))
      if (act === "lost") caller.socket.destroy()
      else caller.send(frame(3, bytes("a")))
      while (told.length === 0) await Bun.sleep(5)
      expect(told).toEqual([`closed ${code} `])
      if (act === "bad") expect(await caller.end()).toEndWith("\u0088\u0002\u0003\u00ea")
    }
  })

  test("whose client is silent is pinged, and closed when it stays so", async () => {
    const { host, told, until } = startSockets(10_000)
    await using _ = host
    using caller = await call(host.port)
    caller.send(handshake())
    await caller.until((text) => text.endsWith("\r\n\r\n"))
    host.pass(5000)
    await caller.until((text) => text.endsWith("\u0089\0"))
    caller.send(frame(opcodes.pong, new Uint8Array(0)))
    caller.send(frame(opcodes.text, bytes("here")))
    await until("here")
    host.pass(9000)
    expect(told).toEqual(["here"])
    host.pass(1000)
    await until("closed 1006 ")
  })

  const without = (name: string) => (lines: Array<string>) => lines.filter((line) => !line.startsWith(name))
  const others: ReadonlyArray<readonly [string, (lines: Array<string>) => Array<string>]> = [
    ["another method", (lines) => ["POST / HTTP/1.1", ...lines.slice(1)]],
    ["HTTP/1.0", (lines) => ["GET / HTTP/1.0", ...lines.slice(1)]],
    ["no Upgrade", without("Upgrade")],
    ["no Connection", without("Connection")],
    ["no key", without("Sec-WebSocket-Key")],
    ["a key of another length", (lines) => [...lines.slice(0, -1), "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ"]],
    ["two keys", (lines) => [...lines, lines.at(-1) ?? ""]],
    ["another version", (lines) => lines.map((line) => line.replace("13", "12"))],
    ["a body", (lines) => [...lines, "Content-Length: 2"]]
  ]
  for (const [what, change] of others) {
    test(`is not made of a request with ${what}`, async () => {
      const { host } = startSockets()
      await using _ = host
      using caller = await call(host.port)
      caller.send(`${handshake(change)}${what === "a body" ? "ab" : ""}${last}`)
      expect(statuses(await caller.end())[0]).toBe(200)
    })
  }
})
