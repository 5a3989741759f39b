import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { Unreachable } from "../../src/domain/upstream-errors.ts"
import type { ConnectionPoolOptions } from "../../src/wire/ConnectionPool.ts"
import { connectOrder } from "../../src/wire/host.ts"
import { ask, callTo, client, hello, rejection, until } from "./caller.ts"
import { startRaw } from "../kit/rawServer.ts"

/** A server on several addresses of loopback at one port, and a name whose addresses the test decides. */
const town = async (addresses: ReadonlyArray<string>, options: ConnectionPoolOptions = {}) => {
  const seen: Array<string> = []
  const hosts: Array<string | null> = []
  let port = 0
  const servers = new Map<string, ReturnType<typeof Bun.serve>>()
  const open = (address: string) => {
    const server = Bun.serve({
      hostname: address,
      port,
      fetch: (request) => {
        seen.push(address)
        hosts.push(request.headers.get("host"))
        return new Response("hello")
      }
    })
    servers.set(address, server)
    port = server.port ?? 0
  }
  for (const address of addresses) open(address)
  let now = 0
  const name = { addresses, looked: 0, fails: undefined as string | undefined }
  const one = client({
    ...options,
    now: () => now,
    lookUp: (hostname) => {
      expect(hostname).toBe("backend.test")
      name.looked += 1
      if (name.fails !== undefined) return Promise.reject(Object.assign(new Error("no"), { code: name.fails }))
      return Promise.resolve(name.addresses)
    }
  })
  const url = `http://backend.test:${port}/`
  return {
    name,
    seen,
    hosts,
    one,
    port,
    open,
    close: (address: string) => servers.get(address)?.stop(true),
    pass: (ms: number) => {
      now += ms
    },
    ask: () => ask(one, url),
    rejected: () => rejection(one.send(callTo(url).call)),
    [Symbol.dispose]: () => {
      for (const server of servers.values()) void server.stop(true)
    }
  }
}

// Other systems have one address of loopback unless they are told of more.
const onLinux = process.platform === "linux"

describe.if(onLinux)("a name", () => {
  test("is looked up once for many calls, and told to the server as it was written", async () => {
    using place = await town(["127.0.0.2"])
    await Promise.all(Array.from({ length: 8 }, place.ask))
    for (let i = 0; i < 8; i += 1) await place.ask()
    expect(place.name.looked).toBe(1)
    expect(new Set(place.hosts)).toEqual(new Set([`backend.test:${place.port}`]))
  })

  test("that moved is followed within 30 seconds, though its connections are warm and its old address still answers", async () => {
    using place = await town(["127.0.0.2", "127.0.0.3"])
    place.name.addresses = ["127.0.0.2"]
    await Promise.all(Array.from({ length: 4 }, place.ask))
    place.name.addresses = ["127.0.0.3"]
    place.pass(29_000)
    await place.ask()
    place.seen.length = 0
    place.pass(1000)
    for (let i = 0; i < 4; i += 1) await place.ask()
    expect(place.seen).toEqual(Array(4).fill("127.0.0.3"))
    expect(place.one.idle()).toBe(1)
  })

  test("that moved is followed within the time that is set", async () => {
    using place = await town(["127.0.0.2", "127.0.0.3"], { namesKeptMs: () => 1000 })
    place.name.addresses = ["127.0.0.2"]
    await place.ask()
    place.name.addresses = ["127.0.0.3"]
    place.pass(1000)
    await place.ask()
    expect(place.seen).toEqual(["127.0.0.2", "127.0.0.3"])
  })

  test("that moved is followed at once when its old address refuses", async () => {
    using place = await town(["127.0.0.2", "127.0.0.3"])
    place.name.addresses = ["127.0.0.2"]
    await place.ask()
    await place.close("127.0.0.2")
    await until(() => place.one.idle() === 0)
    place.name.addresses = ["127.0.0.3"]
    expect(await place.ask()).toMatchObject({ text: "hello" })
    expect(place.seen.at(-1)).toBe("127.0.0.3")
  })

  test("is looked up beside the calls while they come, so that none waits for it", async () => {
    using place = await town(["127.0.0.2"])
    await place.ask()
    for (let i = 0; i < 10; i += 1) {
      place.pass(16_000)
      // It is known still: the call goes out in the same turn.
      const { call, connected, told } = callTo(`http://backend.test:${place.port}/`)
      const sent = place.one.send(call, connected)
      expect(told.connected).toBe(1)
      await new Promise<void>(
        (resolve) =>
          void sent.then((arrival) =>
            arrival.body.start({ piece: () => undefined, end: resolve, fail: () => resolve() })
          )
      )
      await until(() => place.name.looked === i + 2)
    }
  })

  test("with two addresses shares the calls between them, also on warm connections", async () => {
    using place = await town(["127.0.0.2", "127.0.0.3"])
    for (let i = 0; i < 20; i += 1) await place.ask()
    const count = (address: string) => place.seen.filter((each) => each === address).length
    expect([count("127.0.0.2"), count("127.0.0.3")]).toEqual([10, 10])
    expect(place.one.open()).toBe(2)
  })

  test("of which one address is dead costs no call, and that address is left alone for a while", async () => {
    using place = await town(["127.0.0.2", "127.0.0.3"])
    await place.close("127.0.0.3")
    for (let i = 0; i < 10; i += 1) expect(await place.ask()).toMatchObject({ text: "hello", connected: 1 })
    place.open("127.0.0.3")
    await place.ask()
    await place.ask()
    expect(new Set(place.seen)).toEqual(new Set(["127.0.0.2"]))
    place.pass(30_000)
    for (let i = 0; i < 4; i += 1) await place.ask()
    expect(place.seen).toContain("127.0.0.3")
  })

  test("that is gone gets no more calls, also while its old address answers", async () => {
    using place = await town(["127.0.0.2"])
    await place.ask()
    place.name.fails = "ENOTFOUND"
    place.pass(30_000)
    expect(await place.rejected()).toEqual(new Unreachable({ reason: "host name not found" }))
    expect(place.seen).toHaveLength(1)
    place.name.fails = undefined
    expect(await place.ask()).toMatchObject({ text: "hello" })
  })

  test("that cannot be looked up for now keeps the addresses it had", async () => {
    using place = await town(["127.0.0.2"])
    await place.ask()
    place.name.fails = "EAI_AGAIN"
    place.pass(31_000)
    expect(await place.ask()).toMatchObject({ text: "hello" })
  })

  test("that never could be looked up says so", async () => {
    using place = await town(["127.0.0.2"])
    place.name.fails = "EAI_AGAIN"
    expect(await place.rejected()).toEqual(new Unreachable({ reason: "host name could not be looked up" }))
    place.name.fails = "SOMETHING"
    expect(await place.rejected()).toEqual(new Unreachable({ reason: "host name could not be looked up" }))
  })
})

test.if(onLinux)(
  "a call under way on an address that left the name ends well, and its connection is not kept",
  async () => {
    const gate = Promise.withResolvers<void>()
    await using server = await startRaw({ script: () => [{ until: gate.promise }, hello] })
    const name = { addresses: ["127.0.0.1"] }
    let now = 0
    const one = client({ now: () => now, lookUp: () => Promise.resolve(name.addresses) })
    const sent = ask(one, `http://backend.test:${server.port}/`)
    await until(() => server.requests.length === 1)
    using elsewhere = Bun.serve({ hostname: "127.0.0.4", port: server.port, fetch: () => new Response("new") })
    name.addresses = [elsewhere.hostname ?? ""]
    now += 30_000
    expect(await ask(one, `http://backend.test:${server.port}/`)).toMatchObject({ text: "new" })
    gate.resolve()
    expect(await sent).toMatchObject({ text: "hello" })
    expect([one.idle(), server.requests.length]).toEqual([1, 1])
  }
)

describe("the order of addresses", () => {
  const address = fc.oneof(fc.ipV4(), fc.ipV6())
  const origins = fc
    .uniqueArray(address, { maxLength: 6 })
    .chain((all) => fc.tuple(...all.map((each) => fc.record({ address: fc.constant(each), avoidUntil: fc.nat(10) }))))

  test("leaves none out and adds none", () =>
    fc.assert(
      fc.property(origins, fc.nat(), fc.nat(10), (all, turn, now) => {
        expect(new Set(connectOrder(all, turn, now))).toEqual(new Set(all))
        expect(connectOrder(all, turn, now)).toHaveLength(all.length)
      })
    ))

  test("puts what failed lately behind all others", () =>
    fc.assert(
      fc.property(origins, fc.nat(), fc.nat(10), (all, turn, now) => {
        const avoided = connectOrder(all, turn, now).map(({ avoidUntil }) => avoidUntil > now)
        if (all.length > 1) expect(avoided).toEqual(avoided.toSorted((a, b) => Number(a) - Number(b)))
      })
    ))

  test("gives each good address of a family the first place equally often", () =>
    fc.assert(
      fc.property(fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 6 }), (all) => {
        const good = all.map((each) => ({ address: each, avoidUntil: 0 }))
        const firsts = good.map((_, turn) => connectOrder(good, turn, 0)[0])
        expect(new Set(firsts)).toEqual(new Set(good))
      })
    ))

  test("takes the other family only when nothing of the first one is good", () => {
    const localhost = [
      { address: "::1", avoidUntil: 0 },
      { address: "127.0.0.1", avoidUntil: 0 }
    ]
    for (let turn = 0; turn < 4; turn += 1) expect(connectOrder(localhost, turn, 0)[0]?.address).toBe("::1")
    const [six = { address: "", avoidUntil: 0 }] = localhost
    six.avoidUntil = 10
    expect(connectOrder(localhost, 0, 5)[0]?.address).toBe("127.0.0.1")
  })
})
