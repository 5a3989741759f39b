import { describe, expect, test } from "bun:test"
import { Unreachable } from "../../src/domain/upstream-errors.ts"
import type { UnackedBytes } from "../../src/wire/tcp-acks.ts"
import type { Suspicion, PortState } from "../../src/wire/liveness.ts"
import { canSwallow, swallow } from "../kit/blackHole.ts"
import { ask, callTo, chunkedHead, client, drain, hello, rejection, serverOf, until } from "./caller.ts"

const dead = new Unreachable({ reason: "the connection was dead: nothing that was sent arrived" })
const refused = new Unreachable({ reason: "connection refused" })

/** What the system says of all sockets; undefined where it says nothing. */
const system = (standing: UnackedBytes | undefined) => () =>
  Promise.resolve(standing === undefined ? undefined : () => standing)

const lost: UnackedBytes = { unacknowledged: 300, tries: 3 }
const arrived: UnackedBytes = { unacknowledged: 0, tries: 0 }

const never = new Promise<never>(() => undefined)

/** A client with one warm connection, whose time passes by its looks alone. */
const warm = async (url: string, standing: UnackedBytes | undefined, probePort: () => Promise<PortState>) => {
  let knocks = 0
  const one = client({
    watching: {
      unacked: system(standing),
      probePort: () => {
        knocks += 1
        return probePort()
      }
    }
  })
  await ask(one, url)
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 250) {
      one.look()
      // What was asked of the system is answered before the next look.
      await Bun.sleep(0)
    }
  }
  return { one, pass, knocks: () => knocks }
}

const watched = (url: string) => {
  const doubts: Array<Suspicion | undefined> = []
  let again = 0
  const { call } = callTo(url, {
    connectMs: 5000,
    caller: {
      again: () => {
        again += 1
        return true
      },
      silent: (doubt) => {
        doubts.push(doubt)
      }
    }
  })
  return { call, doubts, asked: () => again }
}

describe("a call on a kept connection whose other side is gone without a word", () => {
  test("ends within the connect limit, and the connections kept beside it are used no more", async () => {
    await using server = await serverOf([hello], [hello], [hello], ["hang"])
    const { one, pass } = await warm(server.url, lost, () => never)
    await Promise.all([ask(one, server.url), ask(one, server.url)])
    expect(one.idle()).toBe(2)
    const { call } = watched(server.url)
    let ended = false
    const sent = rejection(one.send(call)).finally(() => {
      ended = true
    })
    await until(() => server.requests.length === 4)
    await pass(1000)
    expect([one.idle(), ended]).toEqual([0, false])
    await pass(4000)
    expect(await sent).toEqual(dead)
    expect(one.open()).toBe(0)
  })

  test("goes out once more on a new one as soon as that was made, and counts as sent once", async () => {
    await using server = await serverOf([hello], ["hang"], [hello])
    const { one, pass } = await warm(server.url, lost, () => Promise.resolve("open"))
    const { call, asked } = watched(server.url)
    const sent = one.send(call)
    await until(() => server.requests.length === 2)
    await pass(1500)
    expect(await drain(await sent)).toMatchObject({ text: "hello" })
    expect([server.requests.length, asked()]).toEqual([3, 0])
  })

  test("ends within the connect limit where the system tells nothing, when no new one can be made", async () => {
    await using server = await serverOf([hello], ["hang"])
    const { one, pass } = await warm(server.url, undefined, () => never)
    const sent = rejection(one.send(watched(server.url).call))
    await until(() => server.requests.length === 2)
    await pass(5000)
    expect(await sent).toEqual(dead)
  })
})

describe("a call whose backend thinks", () => {
  for (const [what, standing] of [
    ["has acknowledged it", arrived],
    ["is asked where the system tells nothing", undefined],
    ["reads a long request slowly", { unacknowledged: 300, tries: 0 }]
  ] as const) {
    test(`waits on when it ${what}`, async () => {
      const gate = Promise.withResolvers<void>()
      await using server = await serverOf([hello], [{ until: gate.promise }, hello])
      const { one, pass } = await warm(server.url, standing, () => Promise.resolve("open"))
      const { call, doubts } = watched(server.url)
      const sent = one.send(call)
      await until(() => server.requests.length === 2)
      await pass(300_000)
      gate.resolve()
      expect(await drain(await sent)).toMatchObject({ text: "hello" })
      expect(new Set(doubts)).toEqual(new Set([undefined]))
    })
  }

  test("has its port tried after a second, then ever less often up to every five seconds, however many wait", async () => {
    await using server = await serverOf([hello], ["hang"])
    const { one, pass, knocks } = await warm(server.url, arrived, () => Promise.resolve("open"))
    const sent = Array.from({ length: 8 }, () => rejection(one.send(watched(server.url).call)))
    await until(() => server.requests.length === 9)
    await pass(750)
    expect(knocks()).toBe(0)
    await pass(250)
    expect(knocks()).toBe(1)
    await pass(59_000)
    expect(knocks()).toBeGreaterThanOrEqual(12)
    expect(knocks()).toBeLessThanOrEqual(18)
    one.close()
    await Promise.all(sent)
  })

  test("has no port tried while bytes come, and none for the time its client holds them back", async () => {
    const steps = Array.from({ length: 40 }, () => "1\r\na\r\n")
    await using server = await serverOf([hello], [chunkedHead, ...steps, "hang"])
    const { one, pass, knocks } = await warm(server.url, arrived, () => Promise.resolve("open"))
    const arrival = await one.send(watched(server.url).call)
    arrival.body.pause()
    await pass(20_000)
    expect(knocks()).toBe(0)
    arrival.body.abort()
  })
})

describe("a caller that waits", () => {
  test("hears that the port refuses, again and again, and that it takes connections again", async () => {
    await using server = await serverOf([hello], ["hang"])
    let answer: PortState = refused
    const { one, pass } = await warm(server.url, arrived, () => Promise.resolve(answer))
    const { call, doubts } = watched(server.url)
    const sent = rejection(one.send(call))
    await until(() => server.requests.length === 2)
    await pass(1000)
    expect(new Set(doubts)).toEqual(new Set([undefined]))
    await pass(1000)
    expect(doubts.at(-1)).toEqual({ gone: "connection refused" })
    answer = "open"
    await pass(6000)
    expect(doubts.at(-1)).toBeUndefined()
    one.close()
    await sent
  })

  test("hears that the port does not answer only as a suspicion", async () => {
    await using server = await serverOf([hello], ["hang"])
    const { one, pass } = await warm(server.url, arrived, () => never)
    const { call, doubts } = watched(server.url)
    const sent = rejection(one.send(call))
    await until(() => server.requests.length === 2)
    await pass(5500)
    expect(new Set(doubts)).toEqual(new Set([undefined]))
    await pass(1000)
    expect(doubts).toContainEqual({ gone: undefined })
    one.close()
    await sent
  })

  test("hears nothing of a refusal from before it asked", async () => {
    await using server = await serverOf([hello], ["hang"])
    let answer: PortState = refused
    const { one, pass } = await warm(server.url, arrived, () => Promise.resolve(answer))
    const early = watched(server.url)
    const first = rejection(one.send(early.call))
    await until(() => server.requests.length === 2)
    await pass(1250)
    early.call.abort.abort("enough")
    await first
    answer = "open"
    const late = watched(server.url)
    const second = rejection(one.send(late.call))
    await until(() => server.requests.length === 3)
    await pass(5000)
    expect(new Set(late.doubts)).toEqual(new Set([undefined]))
    one.close()
    await second
  })
})

test.if(canSwallow)(
  "an address that keeps a call waiting is not the only one for long, and is left alone then",
  async () => {
    using server = Bun.serve({ hostname: "127.0.0.2", port: 0, fetch: () => new Response("hello") })
    const port = server.port ?? 0
    using _ = await swallow(port)
    const one = client({ lookUp: () => Promise.resolve(["127.0.0.1", "127.0.0.2"]) })
    const looking = setInterval(() => one.look(), 20)
    for (let i = 0; i < 6; i += 1) {
      expect(await ask(one, `http://backend.test:${port}/`)).toMatchObject({ text: "hello", connected: 1 })
    }
    clearInterval(looking)
    expect(await ask(one, `http://backend.test:${port}/`)).toMatchObject({ text: "hello" })
    expect(one.open()).toBeLessThanOrEqual(2)
  }
)
