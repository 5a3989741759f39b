import { describe, expect, test } from "bun:test"
import { connect as connectTls } from "node:tls"
import { answerFields } from "../../src/listener/response-head.ts"
import type { AnswerOutput, AnswerSource, ServerExchange } from "../../src/listener/server-exchange.ts"
import { good } from "../kit/tls.ts"
import { ask, call, echo, echoes, last, say, startHost, statuses } from "./host.ts"

const none = answerFields({})
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`

/** A source that is driven from outside. */
const source = () => {
  const opened = Promise.withResolvers<AnswerOutput>()
  const counts = { pulled: 0, cancelled: 0 }
  const cancelled = Promise.withResolvers<void>()
  const from: AnswerSource = {
    start: opened.resolve,
    pull: () => {
      counts.pulled += 1
    },
    cancel: () => {
      counts.cancelled += 1
      cancelled.resolve()
    }
  }
  return { from, opened: opened.promise, counts, cancelled: cancelled.promise }
}

/** Answers by hand: each request waits until it is taken. */
const byHand = () => {
  const came: Array<ServerExchange> = []
  const waiting: Array<(exchange: ServerExchange) => void> = []
  return {
    answer: (exchange: ServerExchange) => {
      const wake = waiting.shift()
      if (wake === undefined) came.push(exchange)
      else wake(exchange)
    },
    next: (): Promise<ServerExchange> => {
      const exchange = came.shift()
      return exchange === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(exchange)
    },
    waiting: () => came.length
  }
}

const goneOf = (exchange: ServerExchange) => new Promise<void>((resolve) => exchange.onGone(resolve))

describe("requests that come before the last is answered", () => {
  test("are answered in their order, one after the other", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send(get("/1") + get("/2") + get("/3"))
    const first = await hand.next()
    expect(hand.waiting()).toBe(0)
    say(first, "one")
    const second = await hand.next()
    expect(second.head.path).toBe("/2")
    expect(hand.waiting()).toBe(0)
    say(second, "two")
    say(await hand.next(), "three")
    const text = await caller.until((text) => text.endsWith("three"))
    expect(
      text
        .split("\r\n\r\n")
        .slice(1)
        .map((part) => part.split("HTTP")[0])
    ).toEqual(["one", "two", "three"])
  })

  test("are all answered when there are thousands, and answered at once", async () => {
    await using host = startHost((exchange) => say(exchange, exchange.head.path))
    using caller = await call(host.port)
    caller.send(Array.from({ length: 5000 }, (_, at) => get(`/${at}`)).join("") + last)
    const text = await caller.end()
    expect([...text.matchAll(/\r\n\r\n\/(\d+)/g)].map(([, at]) => Number(at))).toEqual(
      Array.from({ length: 5000 }, (_, at) => at)
    )
  })

  test("are read no further ahead than may be", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer, { aheadBytes: 1000 })
    using caller = await call(host.port)
    caller.send(get("/1"))
    const first = await hand.next()
    const filler = get(`/${"x".repeat(1000)}`)
    const all = 8000
    caller.send(filler.repeat(all))
    // The system holds some megabytes of it; the rest stays with the client.
    let before = -1
    while (caller.socket.bytesWritten !== before || before < 100_000) {
      before = caller.socket.bytesWritten
      await Bun.sleep(50)
    }
    expect(caller.socket.writableLength).toBeGreaterThan(0)
    say(first, "one")
    for (let at = 0; at < all; at += 1) say(await hand.next(), "x")
    await caller.until((text) => text.length > 50 * all && text.endsWith("\r\n\r\nx"))
  })
})

describe("a client that sends nothing more", () => {
  test("and waits gets its answer", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send(get("/1"))
    const exchange = await hand.next()
    caller.halfClose()
    expect(await caller.until((text) => text.includes("100 Continue"))).toBe("HTTP/1.1 100 Continue\r\n\r\n")
    say(exchange, "one")
    const text = await caller.end()
    expect(statuses(text)).toEqual([100, 200])
    expect(text).toContain("\r\nConnection: close\r\n")
    expect(caller.state()).toBe("ended")
  })

  test("gets the answers to all that it has asked, and none to what it has not asked whole", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send(get("/1") + get("/2") + "GET /3")
    const first = await hand.next()
    caller.halfClose()
    await caller.until((text) => text.includes("100 Continue"))
    say(first, "one")
    say(await hand.next(), "two")
    const text = await caller.end()
    expect(statuses(text).filter((status) => status !== 100)).toEqual([200, 200])
    expect(text).toEndWith("two")
  })

  test("and has gone is noticed while it is to be answered", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send(get("/1"))
    const exchange = await hand.next()
    const gone = goneOf(exchange)
    caller.socket.destroy()
    await gone
    expect(host.listener.connections).toBe(0)
    expect(host.listener.pending).toBe(0)
  })

  test("and has gone is noticed in the middle of a quiet stream", async () => {
    const { cancelled, counts, from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.send(get("/1"))
    const output = await opened
    output.enqueue(Buffer.from("one"))
    await caller.until((text) => text.includes("one"))
    caller.socket.destroy()
    await cancelled
    expect(counts.cancelled).toBe(1)
    expect(host.listener.pending).toBe(0)
  })

  test("and waits gets its stream to the end", async () => {
    const { from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.send(get("/1"))
    const output = await opened
    output.enqueue(Buffer.from("one"))
    await caller.until((text) => text.includes("one"))
    caller.halfClose()
    // What tells whether it is there is the beginning of the next chunk.
    await caller.until((text) => text.endsWith("one\r\n0"))
    output.enqueue(Buffer.from("two"))
    output.close()
    expect(await caller.end()).toEndWith("3\r\none\r\n03\r\ntwo\r\n0\r\n\r\n")
  })

  test("in the middle of a body is gone", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    const exchange = await hand.next()
    const body = exchange.bytes()
    caller.halfClose()
    expect(await body.catch((error: unknown) => String(error))).toContain("the client is gone")
    expect(statuses(await caller.end())).toEqual([])
  })
})

describe("an answer that does not wait for the body", () => {
  const body = "x".repeat(50_000)

  test("lets the next request be read behind the rest of it", async () => {
    await using host = startHost((exchange) => say(exchange, exchange.head.path))
    const post = `POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`
    using caller = await call(host.port)
    caller.send(post)
    await caller.until((text) => text.endsWith("/1"))
    caller.send(body + last)
    expect(statuses(await caller.end())).toEqual([200, 200])
  })

  test("in chunks too", async () => {
    await using host = startHost((exchange) => say(exchange, exchange.head.path))
    using caller = await call(host.port)
    caller.send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await caller.until((text) => text.endsWith("/1"))
    caller.send(`5\r\nGET /\r\n0\r\n\r\n${last}`)
    expect(statuses(await caller.end())).toEqual([200, 200])
  })

  test("arrives whole at a client that goes on sending, and ends the connection where there is too much", async () => {
    await using host = startHost((exchange) => say(exchange, "y".repeat(100_000)), { pastBytes: 4_000_000 })
    using caller = await call(host.port)
    caller.send("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
    for (let at = 0; at < 60; at += 1) caller.send(body)
    const text = await caller.end()
    expect(text).toContain("\r\nConnection: close\r\n")
    expect(text).toEndWith("y".repeat(100_000))
    expect(caller.state()).toBe("ended")
  })

  test("is followed by no other where the rest is badly framed", async () => {
    await using host = startHost((exchange) => say(exchange, exchange.head.path))
    using caller = await call(host.port)
    caller.send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    await caller.until((text) => text.endsWith("/1"))
    caller.send(`zz\r\n${last}`)
    expect(statuses(await caller.end())).toEqual([200])
  })
})

describe("a body", () => {
  test("is given piece by piece, and held back while nobody asks for more", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    const size = 30_000_000
    caller.send(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`)
    caller.send(Buffer.alloc(size, 97))
    const exchange = await hand.next()
    let before = -1
    while (caller.socket.writableLength !== before) {
      before = caller.socket.writableLength
      await Bun.sleep(100)
    }
    expect(before).toBeGreaterThan(size / 3)
    let got = 0
    for (let piece = await exchange.read(); piece !== undefined; piece = await exchange.read()) got += piece.byteLength
    expect(got).toBe(size)
    say(exchange, String(got))
    expect(await caller.end()).toEndWith(`\r\n\r\n${size}`)
  })

  test("in many small chunks comes in few pieces", async () => {
    const pieces: Array<number> = []
    await using host = startHost(async (exchange) => {
      for (let piece = await exchange.read(); piece !== undefined; piece = await exchange.read()) {
        pieces.push(piece.byteLength)
      }
      say(exchange, "done")
    })
    const chunks = "1\r\nx\r\n".repeat(3000)
    await ask(
      host.port,
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks}0\r\n\r\n`
    )
    expect(pieces.reduce((sum, size) => sum + size, 0)).toBe(3000)
    expect(pieces.length).toBeLessThan(20)
  })

  test("that goes wrong is refused, and who waits for it is told that the client is gone", async () => {
    const hand = byHand()
    await using host = startHost(hand.answer)
    using caller = await call(host.port)
    caller.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
    const exchange = await hand.next()
    const body = exchange.bytes()
    caller.send(`zz\r\n${last}`)
    expect(await body.catch((error: unknown) => String(error))).toContain("the client is gone")
    expect(statuses(await caller.end())).toEqual([400])
    expect(host.refused).toEqual([400])
  })
})

describe("an answer", () => {
  test("that breaks off ends short, its last piece first, and never by a reset", async () => {
    const { from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.send(get("/1") + last)
    const output = await opened
    output.enqueue(Buffer.from("one"))
    output.enqueue(Buffer.from("error"))
    output.error()
    expect(await caller.end()).toEndWith("3\r\none\r\n5\r\nerror\r\n")
    expect(caller.state()).toBe("ended")
    expect(statuses(caller.text())).toEqual([200])
  })

  test("that breaks off reaches a client that reads late", async () => {
    const { from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.socket.pause()
    caller.send(get("/1"))
    const output = await opened
    for (let at = 0; at < 100; at += 1) output.enqueue(Buffer.alloc(100_000, 97))
    output.enqueue(Buffer.from("error"))
    output.error()
    await Bun.sleep(50)
    caller.socket.resume()
    const text = await caller.end()
    expect(text).toEndWith("5\r\nerror\r\n")
    expect(text.length).toBeGreaterThan(10_000_000)
    expect(caller.state()).toBe("ended")
  })

  test("is asked for more only when the client has taken what there was", async () => {
    const { counts, from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.socket.pause()
    caller.send(get("/1"))
    const output = await opened
    expect(output.desiredSize).toBeGreaterThan(0)
    const pulledBefore = counts.pulled
    while (output.desiredSize > 0) output.enqueue(Buffer.alloc(100_000))
    const pulled = counts.pulled
    await Bun.sleep(20)
    expect(counts.pulled).toBe(pulled)
    expect(pulled).toBe(pulledBefore)
    caller.socket.resume()
    while (counts.pulled === pulled) await Bun.sleep(5)
    expect(output.desiredSize).toBeGreaterThan(0)
  })

  test("that is given a piece without bytes goes on, and asks for more", async () => {
    const { counts, from, opened } = source()
    await using host = startHost((exchange) => exchange.stream(200, none, from))
    using caller = await call(host.port)
    caller.send(get("/1") + last)
    const output = await opened
    output.enqueue(Buffer.from("one"))
    await caller.until((text) => text.includes("one"))
    const pulled = counts.pulled
    output.enqueue(new Uint8Array(0))
    while (counts.pulled === pulled) await Bun.sleep(5)
    output.enqueue(Buffer.from("two"))
    output.close()
    expect((await caller.until((text) => text.includes("two"))).split("\r\n\r\n")[1]).toBe("3\r\none\r\n3\r\ntwo\r\n0")
  })

  test("takes no line from the value of a field", () => {
    for (const value of ["a\r\nX: b", "a\nb", "a\rb", "a\0b", "\u20ac"]) {
      expect(() => answerFields({ "x-a": value })).toThrow("cannot be written")
    }
    for (const name of ["", "x a", "x:", "x\r\n"])
      expect(() => answerFields({ [name]: "a" })).toThrow("cannot be written")
  })

  test("frames its body itself, whatever its fields say", async () => {
    const fields = answerFields({
      "Content-Length": "98765",
      "transfer-encoding": "gzip",
      "keep-alive": "x",
      "x-a": "b"
    })
    await using host = startHost((exchange) => exchange.respond(200, fields, Buffer.from("abc")))
    const [head = "", body] = (await ask(host.port, last)).split("\r\n\r\n")
    expect(head).toContain("\r\nContent-Length: 3\r\n")
    expect(head).not.toMatch(/98765|gzip|keep-alive/i)
    expect([head.includes("x-a: b"), body]).toEqual([true, "abc"])
  })

  test("is given once", async () => {
    await using host = startHost((exchange) => {
      say(exchange, "one")
      say(exchange, "two")
      exchange.enqueue(Buffer.from("three"))
      exchange.close()
    })
    expect(await ask(host.port, get("/") + last)).not.toMatch(/two|three/)
  })

  test("of ten megabytes arrives whole", async () => {
    const body = Buffer.alloc(10_000_000, 97)
    await using host = startHost((exchange) => exchange.respond(200, none, body))
    expect((await ask(host.port, get("/") + last)).length).toBeGreaterThan(20_000_000)
  })

  test("to another protocol hands on the bytes of the connection as they come", async () => {
    let said = ""
    await using host = startHost((exchange) => {
      const line = exchange.switchTo("Upgrade: echo\r\nConnection: Upgrade\r\n", {
        data: (bytes) => {
          said += Buffer.from(bytes).toString()
          line?.out.body(Buffer.from(`<${Buffer.from(bytes).toString()}>`))
        },
        drained: () => undefined,
        look: () => undefined,
        closed: () => {
          said += "."
        }
      })
    })
    using caller = await call(host.port)
    caller.send(get("/"))
    await caller.until((text) => text.endsWith("\r\n\r\n"))
    caller.send("GET / HTTP/1.1\r\n\r\n")
    await caller.until((text) => text.endsWith("\r\n\r\n>"))
    caller.socket.destroy()
    while (!said.endsWith(".")) await Bun.sleep(5)
    expect(said).toBe("GET / HTTP/1.1\r\n\r\n.")
    expect(host.listener.connections).toBe(0)
  })
})

describe("over TLS", () => {
  test("requests are answered, large answers and bodies whole", async () => {
    const size = 5_000_000
    await using host = startHost(
      async (exchange) => exchange.respond(200, none, Buffer.alloc((await exchange.bytes()).byteLength, 98)),
      {},
      { tls: good }
    )
    const socket = connectTls({ port: host.port, host: "127.0.0.1", ca: good.cert })
    const pieces: Array<Buffer> = []
    socket.on("data", (piece: Buffer) => pieces.push(piece))
    socket.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${size}\r\nConnection: close\r\n\r\n`)
    socket.write(Buffer.alloc(size, 97))
    await new Promise((resolve) => socket.once("end", resolve))
    const text = Buffer.concat(pieces).toString("latin1")
    expect(text).toStartWith("HTTP/1.1 200 OK\r\n")
    expect(text.split("\r\n\r\n")[1]?.length).toBe(size)
  })
})

test("the echo says what came", async () => {
  await using host = startHost(echo)
  expect(echoes(await ask(host.port, last))).toMatchObject([{ path: "/last" }])
})
