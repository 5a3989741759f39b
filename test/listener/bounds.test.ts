import { describe, expect, test } from "bun:test"
import { usualLimits } from "../../src/listener/HttpListener.ts"
import { answerFields } from "../../src/listener/response-head.ts"
import type { ServerExchange } from "../../src/listener/server-exchange.ts"
import { type ConnectionShared, ServerConnection, type ServerSocket } from "../../src/listener/server-connection.ts"
import { call, echo, last, say, startHost, statuses } from "./host.ts"

const none = answerFields({})
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`
const { headMs, idleMs, pastAllMs, pastMs, stallMs, uploadMs } = usualLimits

/** Answers nobody, and tells of each that came. */
const silent = () => {
  const came = Promise.withResolvers<ServerExchange>()
  return { answer: (exchange: ServerExchange) => came.resolve(exchange), came: came.promise }
}

const connected = async (host: ReturnType<typeof startHost>, count = 1) => {
  while (host.listener.connections < count) await Bun.sleep(5)
}

/** A connection without a network, whose requests are answered at once. */
const alone = () => {
  let open = true
  const shared: ConnectionShared = {
    limits: usualLimits,
    handle: (exchange) => say(exchange, "no"),
    onRefused: () => undefined,
    told: (text) => ({ type: "text/plain", text }),
    date: () => "",
    time: 0,
    stopping: false,
    pending: 0,
    all: new Set(),
    onLeft: () => {
      open = false
    }
  }
  const nothing = () => undefined
  const socket: ServerSocket = {
    write: (bytes: string | Uint8Array) => bytes.length,
    pause: nothing,
    resume: nothing,
    shutdown: nothing,
    end: nothing,
    terminate: nothing
  }
  return { connection: new ServerConnection(socket, "127.0.0.1", shared), isOpen: () => open, shared }
}

describe("a connection is closed", () => {
  test("without a word when nothing has come of its first request in time", async () => {
    await using host = startHost()
    using caller = await call(host.port)
    await connected(host)
    host.pass(headMs - 1)
    expect(caller.state()).toBe("open")
    host.pass(1)
    expect(await caller.end()).toBe("")
    expect(caller.state()).toBe("ended")
  })

  test("with 408 when its head does not come in time, however often a byte of it comes", async () => {
    await using host = startHost()
    using caller = await call(host.port)
    const head = get("/")
    for (let at = 0; at < 10; at += 1) {
      caller.send(head.slice(at, at + 1))
      await Bun.sleep(10)
      host.pass(headMs / 8)
    }
    expect(statuses(await caller.end())).toEqual([408])
    expect(host.refused).toEqual([408])
  })

  test("when no further request comes in time, and one that comes in time has all of its own", async () => {
    await using host = startHost()
    using caller = await call(host.port)
    for (let at = 0; at < 3; at += 1) {
      const before = caller.text().length
      caller.send(get("/"))
      await caller.until((text) => text.length > before && text.endsWith("}"))
      host.pass(idleMs - 1)
    }
    expect(caller.state()).toBe("open")
    host.pass(1)
    await caller.end()
    expect(caller.state()).toBe("ended")
  })

  test("with 408 when its body stops coming while it is waited for", async () => {
    await using host = startHost(echo)
    using caller = await call(host.port)
    caller.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
    await connected(host)
    while (host.listener.pending === 0) await Bun.sleep(5)
    host.pass(uploadMs - 1)
    expect(caller.state()).toBe("open")
    host.pass(1)
    expect(statuses(await caller.end())).toEqual([408])
  })

  test("when its client takes nothing of its answer in time, and the one who answers is told", async () => {
    const { answer, came } = silent()
    await using host = startHost(answer)
    using caller = await call(host.port)
    caller.socket.pause()
    caller.send(get("/"))
    const exchange = await came
    const gone = Promise.withResolvers<void>()
    exchange.stream(200, none, {
      start: (output) => {
        while (output.desiredSize > 0) output.enqueue(Buffer.alloc(100_000))
      },
      pull: () => undefined,
      cancel: gone.resolve
    })
    host.pass(stallMs - 1)
    expect(host.listener.connections).toBe(1)
    host.pass(1)
    await gone.promise
    expect(host.listener.connections).toBe(0)
  })

  test("never while its request is answered slowly", async () => {
    const { answer, came } = silent()
    await using host = startHost(answer)
    using caller = await call(host.port)
    caller.send(get("/"))
    const exchange = await came
    host.pass(100 * idleMs)
    say(exchange, "late")
    expect(await caller.until((text) => text.endsWith("late"))).toStartWith("HTTP/1.1 200 OK")
  })

  test("when a client that was told of the end does not close, nor read", async () => {
    await using host = startHost()
    using caller = await call(host.port)
    caller.socket.removeAllListeners("end")
    caller.send(last)
    await caller.until((text) => text.endsWith("}"))
    expect(host.listener.connections).toBe(1)
    host.pass(pastMs)
    expect(host.listener.connections).toBe(0)
  })

  test("when the rest of a body that nobody wants comes too slowly, and in any case after a while", async () => {
    for (const [everyMs, goneAfterMs] of [
      [pastMs, pastMs],
      [pastMs - 1000, pastAllMs + pastMs]
    ] as const) {
      const { connection, isOpen, shared } = alone()
      connection.data(Buffer.from("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"))
      while (isOpen() && shared.time < 10 * pastAllMs) {
        shared.time += everyMs
        connection.look()
        if (isOpen()) connection.data(Buffer.from("x"))
      }
      expect(shared.time).toBeWithin(goneAfterMs - everyMs, goneAfterMs + everyMs)
    }
  })

  test("after so many requests, with a word", async () => {
    await using host = startHost(echo, { requests: 3 })
    using caller = await call(host.port)
    caller.send(get("/1") + get("/2") + get("/3") + get("/4"))
    const text = await caller.end()
    expect(statuses(text)).toEqual([200, 200, 200])
    expect(text.match(/Connection: close/g)).toHaveLength(1)
  })
})

describe("connections", () => {
  test("above their number are turned away, unless an idle one can make room", async () => {
    const { answer, came } = silent()
    await using host = startHost((exchange) => (exchange.head.path === "/wait" ? answer(exchange) : echo(exchange)), {
      connections: 2
    })
    using busy = await call(host.port)
    busy.send(get("/wait"))
    await came
    using idle = await call(host.port)
    idle.send(get("/"))
    await idle.until((text) => text.endsWith("}"))
    using next = await call(host.port)
    next.send(get("/wait"))
    await idle.end()
    while (host.listener.pending < 2) await Bun.sleep(5)
    using turned = await call(host.port)
    expect(statuses(await turned.end())).toEqual([503])
    expect(busy.state()).toBe("open")
    expect(host.listener.connections).toBe(2)
  })

  test("are let go when they end, whatever ended them", async () => {
    await using host = startHost()
    for (let round = 0; round < 20; round += 1) {
      using caller = await call(host.port)
      caller.send(round % 2 === 0 ? get("/") : "GET")
      if (round % 2 === 0) await caller.until((text) => text.endsWith("}"))
      if (round % 3 === 0) caller.halfClose()
      else caller.socket.destroy()
    }
    while (host.listener.connections > 0) await Bun.sleep(5)
    expect(host.listener.pending).toBe(0)
  })
})

describe("a listener that stops", () => {
  test("takes no connection, closes idle ones, and lets what is under way end", async () => {
    const { answer, came } = silent()
    await using host = startHost((exchange) => (exchange.head.path === "/wait" ? answer(exchange) : echo(exchange)))
    using busy = await call(host.port)
    busy.send(get("/wait"))
    const exchange = await came
    using idle = await call(host.port)
    idle.send(get("/"))
    await idle.until((text) => text.endsWith("}"))
    const stopped = host.listener.stop(false)
    await idle.end()
    expect(
      await call(host.port).then(
        () => "connected",
        () => "refused"
      )
    ).toBe("refused")
    expect(host.listener.pending).toBe(1)
    say(exchange, "done")
    const text = await busy.end()
    expect(text).toContain("\r\nConnection: close\r\n")
    expect(text).toEndWith("done")
    await stopped
    expect(host.listener.connections).toBe(0)
  })

  test("at once cuts what is under way", async () => {
    const { answer, came } = silent()
    await using host = startHost(answer)
    using busy = await call(host.port)
    busy.send(get("/"))
    await came
    await host.listener.stop(true)
    await busy.end()
    expect([host.listener.connections, host.listener.pending]).toEqual([0, 0])
  })
})
