import { describe, expect, test } from "bun:test"
import { Effect, Layer, PubSub } from "effect"
import { ConnectionLost, Unreachable } from "../../src/domain/upstream-errors.ts"
import { type ClockGap, ProcessPauses } from "../../src/upstream/ProcessPauses.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { ask, callTo, client, drain, hello, chunkedHead, rejection, serverOf, until } from "./caller.ts"

/** Pauses that a test tells of. */
const longPauses = () => {
  const all = Effect.runSync(PubSub.unbounded<ClockGap>())
  return {
    ProcessPauses: Layer.succeed(ProcessPauses, { lostMs: Effect.succeed(0), follow: PubSub.subscribe(all) }),
    news: (gap: ClockGap) => PubSub.publish(all, gap)
  }
}

const never = new Promise<never>(() => undefined)

describe("connections", () => {
  test("are used again, the last used first", async () => {
    const gate = Promise.withResolvers<void>()
    await using server = await serverOf([{ until: gate.promise }, hello], [hello])
    const one = client()
    const slow = ask(one, server.url)
    await until(() => server.requests.length === 1)
    await ask(one, server.url)
    gate.resolve()
    await slow
    expect([one.idle(), one.open()]).toEqual([2, 2])
    for (let nth = 0; nth < 3; nth += 1) expect(await ask(one, server.url)).toMatchObject({ connected: 1 })
    expect(server.requests.map(({ connection }) => connection)).toEqual([0, 1, 0, 0, 0])
  })

  test("are shared by the paths of a backend and not by backends", async () => {
    await using server = await serverOf([hello])
    await using other = await serverOf([hello])
    const one = client()
    for (const url of [`${server.url}/a`, `${server.url}/b`, `${other.url}/a`]) await ask(one, url)
    expect([server.accepted(), other.accepted(), one.idle()]).toEqual([1, 1, 2])
  })

  test("are new when asked for, and kept then in place of an older one", async () => {
    await using server = await serverOf([hello])
    const one = client()
    for (const fresh of [false, true, true]) await ask(one, server.url, { fresh })
    expect([server.accepted(), one.idle()]).toEqual([3, 1])
  })

  test("that wait are dropped after a long pause of the process, and those under way are not", async () => {
    const gate = Promise.withResolvers<void>()
    await using server = await serverOf([{ until: gate.promise }, hello], [hello])
    const { ProcessPauses, news } = longPauses()
    await Effect.gen(function* () {
      const { send } = yield* Transport
      const one = { ...client(), send }
      const slow = ask(one, server.url)
      yield* Effect.promise(() => until(() => server.requests.length === 1))
      yield* Effect.promise(() => ask(one, server.url))
      yield* news({ lostMs: 7000, awayMs: 7000 })
      yield* Effect.promise(() => until(() => server.open() === 1))
      gate.resolve()
      yield* Effect.promise(() => slow)
      expect(server.requests.length).toBe(2)
    }).pipe(Effect.provide(Layer.provide(Transport.layer, ProcessPauses)), Effect.runPromise)
  })

  test("are kept up to the bound", async () => {
    await using server = await serverOf([hello])
    const one = client({ maxIdlePerOrigin: 2 })
    await Promise.all(Array.from({ length: 5 }, () => ask(one, server.url)))
    expect([server.accepted(), one.idle(), one.open()]).toEqual([5, 2, 2])
    await until(() => server.open() === 2)
  })

  for (const [what, head] of [
    ["says close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"],
    ["is HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    ["is followed by more bytes", `${hello}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`],
    ["keeps them for a second", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 5\r\n\r\nhello"]
  ] as const) {
    test(`are not used again after an answer that ${what}`, async () => {
      await using server = await serverOf([head])
      const one = client()
      for (let nth = 0; nth < 2; nth += 1) expect(await ask(one, server.url)).toMatchObject({ text: "hello" })
      expect([server.accepted(), one.idle(), one.open()]).toEqual([2, 0, 0])
      await until(() => server.open() === 0)
    })
  }

  for (const [what, head, keptMs] of [
    ["30 seconds", hello, 30_000],
    ["the backend's own time less a second", hello.replace("\r\n", "\r\nKeep-Alive: timeout=5, max=100\r\n"), 4000],
    ["30 seconds when the backend offers more", hello.replace("\r\n", "\r\nKeep-Alive: timeout=75\r\n"), 30_000]
  ] as const) {
    test(`idle no longer than ${what}`, async () => {
      await using server = await serverOf([head])
      let now = 0
      const one = client({ now: () => now })
      await ask(one, server.url)
      now += keptMs - 1
      await ask(one, server.url)
      expect(server.accepted()).toBe(1)
      now += keptMs
      await ask(one, server.url)
      expect(server.accepted()).toBe(2)
    })
  }

  test("are closed when nobody uses them", async () => {
    await using server = await serverOf([hello])
    const one = client({ idleMs: 1 })
    await ask(one, server.url)
    expect(server.open()).toBe(1)
    await until(() => server.open() === 0, 8000)
    expect([one.idle(), one.open()]).toEqual([0, 0])
  }, 120_000)

  test("that close or speak while they idle are dropped", async () => {
    const speak = Promise.withResolvers<void>()
    await using server = await serverOf([hello, { until: speak.promise }, "HTTP/1.1 408 Late\r\n\r\n"], [hello])
    const one = client()
    await ask(one, server.url)
    expect(one.idle()).toBe(1)
    speak.resolve()
    await until(() => one.idle() === 0)
    expect(await ask(one, server.url)).toMatchObject({ text: "hello", connected: 1 })
    server.dropAll()
    await until(() => one.idle() === 0)
    expect(one.open()).toBe(0)
  })

  test("end with the client, and so do the calls", async () => {
    await using server = await serverOf([hello], ["hang"], [chunkedHead, "hang"])
    const one = client()
    await ask(one, server.url)
    const waiting = rejection(one.send(callTo(server.url).call))
    const flowing = drain(await one.send(callTo(server.url).call))
    one.close()
    expect([one.idle(), one.open()]).toEqual([0, 0])
    expect(await waiting).toBeInstanceOf(ConnectionLost)
    expect(await flowing).toMatchObject({ error: { _tag: "ConnectionLost" } })
    expect(await rejection(one.send(callTo(server.url).call))).toBeInstanceOf(Unreachable)
    await until(() => server.open() === 0)
  })
})

describe("a used connection that closes before any byte of an answer", () => {
  for (const how of ["fin", "reset"] as const) {
    test(`(${how}) costs one more call on a new connection, unseen`, async () => {
      await using server = await serverOf([hello], [how], [hello])
      const one = client()
      await ask(one, server.url)
      expect(await ask(one, server.url)).toMatchObject({ text: "hello", connected: 2 })
      expect(server.requests.map(({ connection, nth }) => [connection, nth])).toEqual([
        [0, 0],
        [0, 1],
        [1, 0]
      ])
    })
  }

  test("is not made good twice", async () => {
    await using server = await serverOf([hello], ["reset"])
    const one = client()
    await ask(one, server.url)
    const error = await rejection(one.send(callTo(server.url).call))
    expect(error).toMatchObject({ _tag: "ConnectionLost", answered: false })
    expect(server.requests).toHaveLength(3)
  })

  test("is no replay when the call was given up", async () => {
    await using server = await serverOf([hello], ["hang"])
    const one = client()
    await ask(one, server.url)
    const { call } = callTo(server.url)
    const sent = rejection(one.send(call))
    await until(() => server.requests.length === 2)
    call.abort.abort("enough")
    expect(await sent).toBe("enough")
    await until(() => server.open() === 0)
    expect([server.requests.length, server.accepted()]).toEqual([2, 1])
  })

  test("counts as sent when nobody listens any more", async () => {
    const server = await serverOf([hello], [{ until: never }])
    const one = client()
    await ask(one, server.url)
    const sent = rejection(one.send(callTo(server.url).call))
    await until(() => server.requests.length === 2)
    await server.kill()
    expect(await sent).toMatchObject({ _tag: "ConnectionLost", answered: false })
  })

  test("is not made good after an interim answer", async () => {
    await using server = await serverOf([hello], ["HTTP/1.1 100 Continue\r\n\r\n", "fin"])
    const one = client()
    await ask(one, server.url)
    const error = await rejection(one.send(callTo(server.url).call))
    expect(error).toMatchObject({ _tag: "ConnectionLost", answered: true })
    expect(server.requests).toHaveLength(2)
  })
})
