import { describe, expect, test } from "bun:test"
import { type StoreWaits, usualWaits } from "../../src/replicas/patience.ts"
import { completion, json } from "../kit/answers.ts"
import { askAs, startKeyed } from "../kit/clientKeys.ts"
import { modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree } from "../kit/gateway.ts"
import { startStore, storePath, type TestStore } from "../kit/sharedStore.ts"
import { reading } from "../config/reading.ts"

const path = "/v1/chat/completions"

const chat = (text: string, model = "m") => ({ model, messages: [{ role: "user", content: text }] })

const startWorld = async (store: TestStore, cache: SettingsTree = {}, storeWaits?: StoreWaits) => {
  const upstream = await startUpstream({
    models: ["m"],
    script: (seen) => [json(completion(modelOf(seen), `the answer: ${"very ".repeat(200)}secret`))]
  })
  const start = () =>
    startKeyed(
      { one: { admin: true }, two: {} },
      {
        cluster: { url: store.url },
        cache: { store: "shared", ...cache },
        models: [{ name: "m", cache_seconds: 60 }],
        backends: [backendFor("b", upstream)]
      },
      storeWaits
    )
  const [a, b] = [await start(), await start()]
  return {
    a,
    b,
    found: async (at: typeof a, text: string, key = "one") =>
      (await askAs(at, key, path, chat(text))).headers.get("x-nexus-cache"),
    standing: async (at: typeof a, method = "GET") => {
      const { json: told, status } = await askAs(at, "one", "/admin/v1/cache", undefined, {}, method)
      return { status, ...told() }
    },
    // What came while the store was slow or not there yet is not kept, so it is asked for again.
    kept: async (entries: number, at: typeof a, text: string, key = "one") => {
      const told = async () => (await askAs(b, "one", "/admin/v1/cache")).json().entries
      while ((await told()) !== entries) await askAs(at, key, path, chat(text))
    },
    [Symbol.asyncDispose]: async () => {
      for (const each of [a, b, upstream]) await each[Symbol.asyncDispose]()
    }
  }
}

describe.skipIf(storePath === undefined)("answers that replicas keep together", () => {
  test("are given by another replica than the one that got them, to the key that asked alone, and lie there sealed", async () => {
    await using store = await startStore()
    await using world = await startWorld(store)
    const { a, b, found, kept, standing } = world
    expect(await found(a, "a secret question")).toBe("miss")
    await kept(1, a, "a secret question")
    const again = await askAs(b, "one", path, chat("a secret question"))
    expect(again.headers.get("x-nexus-cache")).toBe("hit")
    expect(again.json().choices[0].message.content).toContain("secret")
    expect(Number(again.headers.get("age"))).toBeLessThan(60)
    expect(await found(b, "a secret question", "two")).toBe("miss")
    const names = (await store.client.keys("*answer*")).filter((name) => name.includes("answer:"))
    for (const name of names) {
      const lies = `${name} ${await store.client.get(name)}`
      for (const text of [lies, Buffer.from(lies.split(" ")[1] ?? "", "base64").toString("latin1")])
        expect(text).not.toMatch(/secret|question|choices/)
      expect(await store.client.pttl(name)).toBeGreaterThan(0)
    }
    await kept(2, b, "a secret question", "two")
    expect((await standing(a, "DELETE")).entries).toBe(2)
    expect([(await standing(b)).entries, await found(b, "a secret question")]).toEqual([0, "miss"])
  }, 60_000)

  test("are no more than is allowed, those that end first go first, and one that was changed is none", async () => {
    await using store = await startStore()
    await using world = await startWorld(store, { max_mb: 0.005 })
    const { a, b, found, kept, standing } = world
    for (let nth = 0; nth < 8; nth += 1) {
      expect(await found(a, `question ${nth}`)).toBe("miss")
      await kept(Math.min(nth + 1, 2), a, `question ${nth}`)
    }
    const { bytes, entries } = await standing(b)
    expect([bytes <= 0.005 * 1_048_576, entries]).toEqual([true, 2])
    while ((await found(b, "question 7")) !== "hit") await Bun.sleep(5)
    expect(await found(b, "question 0")).toBe("miss")
    for (const name of (await store.client.keys("*")).filter((each) => each.includes("answer:")))
      await store.client.set(name, "bm90IHdoYXQgd2FzIGtlcHQ=", "KEEPTTL")
    expect(await found(b, "question 7")).toBe("miss")
  }, 60_000)

  test("are not waited for while the store is away: requests are answered, and who asks for the answers is told", async () => {
    await using store = await startStore()
    // A request that waited for the answer to a command would wait for longer than this test may take.
    const waits = { requestMs: usualWaits.requestMs, commandMs: 100_000, silentMs: 100_000 }
    await using world = await startWorld(store, {}, waits)
    const { a, found, standing } = world
    expect(await found(a, "one")).toBe("miss")
    store.freeze()
    expect(await found(a, "two")).toBe("miss")
    store.thaw()
    await store.kill()
    expect(await found(a, "one")).toBe("miss")
    while ((await standing(a)).status === 200) await Bun.sleep(5)
    expect(await standing(a)).toMatchObject({ status: 409 })
    await store.revive()
    while ((await standing(a)).status !== 200) await Bun.sleep(5)
    expect(await found(a, "three")).toBe("miss")
    while ((await found(a, "three")) !== "hit") await Bun.sleep(5)
  }, 60_000)
})

test("a shared cache takes a store that is shared", () => {
  const result = reading(`[cache]\nstore = "shared"`, {})
  expect(JSON.stringify(result)).toContain("it needs cluster.url")
})
