import { describe, expect, test } from "bun:test"
import { BadAnswer, ConnectionLost } from "../../src/domain/upstream-errors.ts"
import type { ReceivedAnswer } from "../../src/wire/received-answer.ts"
import { startRaw } from "../kit/rawServer.ts"
import { ask, callTo, chunkedHead, client, drain, rejection, serverOf, until } from "./caller.ts"

const cutShort = new ConnectionLost({ reason: "connection lost in the middle of the answer", answered: true })
const badlyFramed = new BadAnswer({ reason: "the answer is badly framed" })

describe("a body", () => {
  test("until close ends with the connection", async () => {
    await using server = await serverOf(["HTTP/1.1 200 OK\r\n\r\nhel", "lo", "fin"])
    const one = client()
    const { call } = callTo(server.url)
    const arrival = await one.send(call)
    expect(arrival.body.length).toBeUndefined()
    expect(await drain(arrival)).toEqual({ text: "hello", bytes: 5, error: undefined })
    expect(one.open()).toBe(0)
  })

  test("that is declared tells its length", async () => {
    await using server = await serverOf(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe", { pause: 1 }, "llo"])
    const arrival = await client().send(callTo(server.url).call)
    expect(arrival.body.length).toBe(5)
    expect(await drain(arrival)).toMatchObject({ text: "hello", error: undefined })
  })

  test("that is empty ends, and leaves the connection for the next call", async () => {
    await using server = await serverOf(
      ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
      ["HTTP/1.1 204 No Content\r\n\r\n"],
      [`${chunkedHead}0\r\n\r\n`],
      ["HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx"]
    )
    const one = client()
    for (const status of [200, 204, 200]) expect(await ask(one, server.url)).toMatchObject({ status, text: "" })
    expect(await ask(one, server.url)).toMatchObject({ status: 404, text: "x" })
    expect(server.accepted()).toBe(1)
  })

  for (const [what, head, how] of [
    ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "fin"],
    ["with a length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "reset"],
    ["in chunks", `${chunkedHead}3\r\nabc\r\n`, "fin"],
    ["in chunks", `${chunkedHead}3\r\nabc\r\n`, "reset"],
    ["whose last chunk is cut", `${chunkedHead}3\r\nabc\r\n0\r\n`, "fin"],
    ["until close", "HTTP/1.1 200 OK\r\n\r\nabc", "reset"]
  ] as const) {
    test(`${what} that breaks off (${how}) fails after what has come`, async () => {
      const gate = Promise.withResolvers<void>()
      await using server = await serverOf([head, { until: gate.promise }, how])
      const one = client()
      const arrival = await one.send(callTo(server.url).call)
      expect(await drain(arrival, () => gate.resolve())).toEqual({ text: "abc", bytes: 3, error: cutShort })
      expect(one.open()).toBe(0)
    })
  }

  test("with bad chunks fails after the good ones, and the connection is closed", async () => {
    await using server = await serverOf([`${chunkedHead}3\r\nabc\r\nxyz\r\n`, "hang"])
    const one = client()
    const arrival = await one.send(callTo(server.url).call)
    expect(await drain(arrival)).toEqual({ text: "abc", bytes: 3, error: badlyFramed })
    expect(one.open()).toBe(0)
    await until(() => server.open() === 0)
  })

  for (const [what, text, error] of [
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", badlyFramed],
    ["half a head", "HTTP/1.1 200 OK\r\nContent-", cutShort]
  ] as const) {
    test(`after a head with ${what} is not waited for`, async () => {
      await using server = await serverOf([text, "fin"])
      expect(await rejection(client().send(callTo(server.url).call))).toEqual(error)
    })
  }

  test("waits for whoever starts it late, also when the backend has long said all", async () => {
    let said = false
    await using server = await startRaw({
      *script() {
        for (const step of [chunkedHead, "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n"]) yield step
        said = true
        yield "fin"
      }
    })
    const arrival = await client().send(callTo(server.url).call)
    await until(() => said)
    expect(await drain(arrival)).toEqual({ text: "abcdef", bytes: 6, error: undefined })
  })

  for (const [what, steps] of [
    ["with its head", [`${chunkedHead}3\r\nabc\r\n`, "hang"]],
    ["later", [chunkedHead, { pause: 2 }, "3\r\nabc\r\n", "hang"]]
  ] as const) {
    test(`whose receiver throws at a piece that came ${what} fails, and takes its connection with it`, async () => {
      await using server = await serverOf(steps)
      const one = client()
      const arrival = await one.send(callTo(server.url).call)
      const { error } = await drain(arrival, () => {
        throw new Error("a defect")
      })
      expect(error?._tag).toBe("ConnectionLost")
      expect(one.open()).toBe(0)
      await until(() => server.open() === 0)
    })
  }
})

describe("a body held back", () => {
  const total = 64
  const megabyte = new Uint8Array(1_000_000).fill(97)
  const flood = async () => {
    let sent = 0
    const server = await startRaw({
      *script() {
        yield `HTTP/1.1 200 OK\r\nContent-Length: ${total * megabyte.byteLength}\r\n\r\n`
        for (; sent < total; sent += 1) yield megabyte
      }
    })
    return { server, sent: () => sent }
  }
  /** Waits until a count stands still for a while. */
  const still = async (count: () => number): Promise<number> => {
    for (let last = -1, since = performance.now(); performance.now() - since < 150; await Bun.sleep(5)) {
      if (count() !== last) {
        last = count()
        since = performance.now()
      }
    }
    return count()
  }

  test("slows its backend down, gives nothing, and loses nothing", async () => {
    const { server, sent } = await flood()
    await using _ = server
    const arrival: ReceivedAnswer = await client().send(callTo(server.url).call)
    let pieces = 0
    const whole = drain(arrival, () => {
      pieces += 1
      if (pieces === 1) arrival.body.pause()
    })
    await until(() => pieces === 1)
    // What the system keeps for the two ends of a connection.
    expect(await still(sent)).toBeLessThan(20)
    expect(pieces).toBe(1)
    arrival.body.resume()
    expect(await whole).toMatchObject({ bytes: total * megabyte.byteLength, error: undefined })
  })

  test("before it is started slows its backend down as well", async () => {
    const { server, sent } = await flood()
    await using _ = server
    const arrival = await client().send(callTo(server.url).call)
    expect(await still(sent)).toBeLessThan(20)
    expect(await drain(arrival)).toMatchObject({ bytes: total * megabyte.byteLength, error: undefined })
  })

  test("can be held and let go with every piece", async () => {
    const { server } = await flood()
    await using _ = server
    const arrival: ReceivedAnswer = await client().send(callTo(server.url).call)
    let held = false
    const whole = drain(arrival, () => {
      expect(held).toBe(false)
      held = true
      arrival.body.pause()
      queueMicrotask(() => {
        held = false
        arrival.body.resume()
      })
    })
    expect(await whole).toMatchObject({ bytes: total * megabyte.byteLength, error: undefined })
  })

  test("can be given up", async () => {
    const { server } = await flood()
    await using _ = server
    const arrival = await client().send(callTo(server.url).call)
    arrival.body.start({ piece: () => arrival.body.pause(), end: () => undefined, fail: () => undefined })
    await Bun.sleep(1)
    arrival.body.abort()
    await until(() => server.open() === 0)
  })

  test("keeps its end to itself until it is let go", async () => {
    await using server = await serverOf([chunkedHead, "3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n", "fin"])
    const arrival = await client().send(callTo(server.url).call)
    const seen: Array<string> = []
    arrival.body.start({
      piece: (bytes) => {
        seen.push(new TextDecoder().decode(bytes))
        arrival.body.pause()
      },
      end: () => seen.push("end"),
      fail: () => seen.push("fail")
    })
    for (const count of [1, 2, 3]) {
      await until(() => seen.length === count)
      expect(seen).toHaveLength(count)
      arrival.body.resume()
    }
    expect(seen).toEqual(["abc", "def", "end"])
  })
})

test("a thousand streams flow at the same time", async () => {
  const count = 1000
  const gate = Promise.withResolvers<void>()
  await using server = await serverOf([
    chunkedHead,
    "5\r\nfirst\r\n",
    { until: gate.promise },
    "4\r\nlast\r\n0\r\n\r\n"
  ])
  const one = client({ maxIdlePerOrigin: count })
  let begun = 0
  const streams = Array.from({ length: count }, async () => {
    const arrival = await one.send(callTo(server.url).call)
    let seen = false
    return drain(arrival, () => {
      if (!seen) begun += 1
      seen = true
    })
  })
  await until(() => begun === count, 60_000)
  expect([one.open(), one.idle()]).toEqual([count, 0])
  gate.resolve()
  for (const stream of await Promise.all(streams))
    expect(stream).toEqual({ text: "firstlast", bytes: 9, error: undefined })
  expect([one.open(), one.idle()]).toEqual([count, count])
}, 120_000)
