import { describe, expect, test } from "bun:test"
import { standingOf } from "../../src/registry/live-state.ts"
import { startKeyed } from "../kit/clientKeys.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, startProcess, until } from "../kit/gateway.ts"
import { startStore, storePath, type TestStore } from "../kit/sharedStore.ts"
import { ask, type RawClient } from "../kit/rawClient.ts"
import { type Held, line, post, startHeld, untilQueued } from "../kit/waiting-line.ts"

const as = (key: string): ReadonlyArray<string> => [`authorization: Bearer nx-${key}`]

/** What replicas tell each other, as it is told. */
const standingsOf = async ({ client }: TestStore) => {
  const listener = client.duplicate()
  const said: Array<{ readonly id: string; readonly queue?: { readonly waiting: ReadonlyArray<object> } }> = []
  listener.on("message", (_, text: string) => said.push(JSON.parse(text)))
  await listener.subscribe("{nexus}:standings")
  return { said, [Symbol.dispose]: () => listener.disconnect() }
}

/** Lets the server answer all, each once it has come; gives what reached it, in order. */
const answered = async (held: Held, clients: ReadonlyArray<RawClient>): Promise<ReadonlyArray<string>> => {
  for (const [nth] of clients.entries()) {
    await until(() => held.asked().length > nth, `request ${nth} has come`)
    held.answer(nth)
  }
  for (const client of clients) expect((await client.answer()).status).toBe(200)
  return held.asked()
}

describe.skipIf(storePath === undefined)("requests that wait at two replicas for one slot", () => {
  test("of a key that fills one of them do not keep those of another key waiting at the other one", async () => {
    await using store = await startStore()
    await using held = await startHeld()
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", held.upstream, { slots: 1 })] }
    const keys = { greedy: { admin: true }, modest: { admin: true } }
    await using a = await startKeyed(keys, settings)
    await using b = await startKeyed(keys, settings)
    using standings = await standingsOf(store)
    const first = await post(a.port, "g0", as("greedy"))
    await held.upstream.call(0)
    const names = Array.from({ length: 20 }, (_, at) => `g${at + 1}`)
    const rest = await line(a.port, names, () => as("greedy"), as("greedy"))
    await until(() => b.backend("one").in_flight === 1, "the other one knows that the slot is taken")
    const modest = await post(b.port, "modest", as("modest"))
    await untilQueued(b.port, 1, as("modest"))
    // Whoever tells twice after he was told has heard.
    const from = standings.said.length
    const tellers = () =>
      Map.groupBy(
        standings.said.slice(from).filter(({ queue }) => (queue?.waiting.length ?? 0) > 0),
        ({ id }) => id
      )
    await until(() => [...tellers().values()].filter(({ length }) => length > 2).length === 2, "both have heard")
    const asked = await answered(held, [first, modest, ...rest])
    expect(asked.indexOf("modest")).toBeLessThan(6)
    await a.quiet()
    await b.quiet()
  }, 120_000)

  test("are all answered, whichever of the replicas ends, and whether the store is there or not", async () => {
    await using store = await startStore()
    await using held = await startHeld()
    const settings = { cluster: { url: store.url }, backends: [backendFor("one", held.upstream, { slots: 1 })] }
    await using a = await startGateway(settings)
    const killed = await startProcess(settings)
    await using _ = killed
    const first = await post(a.port, "a0")
    await held.upstream.call(0)
    const rest = await line(a.port, ["a1", "a2", "a3"])
    await until(() => a.backend("one").in_flight === 1, "it is known")
    for (let nth = 0; nth < 3; nth += 1) await post(killed.port, `k${nth}`)
    killed.signal("SIGKILL")
    await killed.exited
    await store.kill()
    const mine = [first, ...rest]
    const done = Promise.all(mine.map(async (client) => (await client.answer()).status))
    let over = false
    void done.then(() => {
      over = true
    })
    let nth = 0
    await until(() => {
      if (held.asked().length > nth) held.answer(nth++)
      return over
    }, "all are answered")
    expect(await done).toEqual([200, 200, 200, 200])
  }, 120_000)
})

/** Tokens that servers are thought to hold. */
const held = ({ running }: Gateway): number =>
  [...running.snapshot().backends.values()].reduce((sum, { live }) => sum + standingOf(live, "m").cache.tokens, 0)

describe.skipIf(storePath === undefined)("a prompt that one replica has a server compute", () => {
  test("is known to be there by the others, but by none that has another server under that name", async () => {
    await using store = await startStore()
    await using one = await startUpstream({ models: ["m"] })
    await using two = await startUpstream({ models: ["m"] })
    const cluster = { url: store.url }
    const backends = [backendFor("one", one), backendFor("two", two)]
    await using a = await startGateway({ cluster, backends })
    await using b = await startGateway({ cluster, backends })
    await using c = await startGateway({ cluster, backends: [backendFor("one", two), backendFor("two", one)] })
    const end = performance.now() + 60_000
    for (let nth = 0; held(b) === 0 && performance.now() < end; nth += 1) {
      const content = `${nth} ${"What is the sea made of? ".repeat(400)}`
      const body = JSON.stringify({ model: "m", messages: [{ role: "user", content }] })
      expect((await ask(a.port, "POST", "/v1/chat/completions", body)).status).toBe(200)
    }
    expect(held(b)).toBeGreaterThan(0)
    expect(held(a)).toBeGreaterThan(0)
    expect(held(c)).toBe(0)
    await a.quiet()
  }, 120_000)
})
