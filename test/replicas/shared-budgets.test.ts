import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { Replicas } from "../../src/replicas/Replicas.ts"
import { SharedStore, StoreFailed } from "../../src/replicas/SharedStore.ts"
import { BudgetBook, type NoRoom, type Reservation } from "../../src/usage/budget.ts"
import { sharedAccounts } from "../../src/usage/shared-accounts.ts"
import { completion, json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { startStore, storePath, type TestStore } from "../kit/sharedStore.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-shared-budgets-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

// A request costs a dollar, as its price says and its estimate does.
const settings = (
  store: Pick<TestStore, "url">,
  upstream: { readonly url: string },
  more: SettingsTree
): SettingsTree => ({
  cluster: { url: store.url },
  backends: [backendFor("b", upstream)],
  prices: [{ model: "*", request_usd: 1 }],
  ...more
})

const asked = async ({ url }: Pick<Gateway, "url">): Promise<Response> => {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "hi" }] })
  })
  await answer.text()
  return answer
}

const ask = async (gateway: Pick<Gateway, "url">): Promise<number> => (await asked(gateway)).status

interface Budget {
  readonly spent_nanos: number
  readonly reserved_nanos: number
}

const budgetOf = async ({ url }: Pick<Gateway, "url">): Promise<Budget> => {
  const said = (await (await fetch(`${url}/admin/v1/usage`)).json()) as { budgets: ReadonlyArray<Budget> }
  return said.budgets[0] ?? { spent_nanos: 0, reserved_nanos: 0 }
}

/** Asks again and again until it is so. */
const eventually = async (holds: () => Promise<boolean>, what: string): Promise<void> => {
  for (let tries = 0; tries < 400; tries += 1) {
    if (await holds()) return
    await Bun.sleep(25)
  }
  throw new Error(`never so: ${what}`)
}

const isAway = async ({ url }: Pick<Gateway, "url">): Promise<boolean> => {
  const { cluster } = (await (await fetch(`${url}/health`)).json()) as { cluster: { store: { status: string } } }
  return cluster.store.status === "away"
}

/** Waits until two gateways know of each other: the share of one that knows of no other is all there is. */
const bothKnown = async (...gateways: ReadonlyArray<Pick<Gateway, "url">>): Promise<void> => {
  for (const { url } of gateways)
    await eventually(async () => {
      const { cluster } = (await (await fetch(`${url}/health`)).json()) as { cluster: { replicas: Array<unknown> } }
      return cluster.replicas.length === 2
    }, "both are there")
}

const dollar = 1e9

const named = (name: string, per = "month", hard = 10): SettingsTree => ({
  usage: { path: join(folder, `${name}.sqlite`) },
  budgets: [{ name: "team", per, hard_usd: hard }]
})

describe("a request under a hard budget", () => {
  const spender = { key: "k", owner: "", model: "m" }
  const hard = 100

  test("is told to the others with what it cost when its replica leaves, and nothing is held for more", async () => {
    const book = new BudgetBook([{ name: "team", each: "all", per: "month", hard, falls: false }])
    const told: Array<unknown> = []
    await Effect.gen(function* () {
      const none = yield* SharedStore
      const run: SharedStore["Service"]["run"] =
        () =>
        (...[, , , statements]) => {
          told.push(statements)
          return Effect.succeed([0, 0, 50])
        }
      const accounts = yield* sharedAccounts({
        bookNow: () => book,
        wallNow: () => 0,
        ledgerId: () => "ledger",
        restated: () => undefined,
        whenAway: () => "count_locally"
      }).pipe(Effect.provideService(SharedStore, { ...none, isOn: true, isAway: () => false, run }))
      const reserved = accounts.reserve(spender, 1)
      if (Effect.isEffect(reserved) || !("nanos" in reserved)) throw new Error("what is held is enough for it")
      book.release(reserved)
      accounts.release(reserved)
      accounts.spend(book.spend(spender, 0, 1, 0))
    }).pipe(Effect.scoped, Effect.provide(Replicas.none), Effect.runPromise)
    expect(told.at(-1)).toMatchObject([{ spent: 1, reserved: 0, part: 0 }])
  })

  /** A process whose store answers statements as it is told to. */
  const withStore = <A>(
    answer: () => Effect.Effect<ReadonlyArray<number>, StoreFailed>,
    use: (reserve: (nanos: number) => Reservation | NoRoom | Effect.Effect<Reservation | NoRoom>) => Promise<A>,
    whenAway: "count_locally" | "refuse" = "count_locally"
  ): Promise<A> =>
    Effect.gen(function* () {
      const book = new BudgetBook([{ name: "team", each: "all", per: "month", hard, falls: false }])
      const none = yield* SharedStore
      const accounts = yield* sharedAccounts({
        bookNow: () => book,
        wallNow: () => 0,
        ledgerId: () => "ledger",
        restated: () => undefined,
        whenAway: () => whenAway
      }).pipe(Effect.provideService(SharedStore, { ...none, isOn: true, isAway: () => false, run: () => answer }))
      return yield* Effect.promise(() => use((nanos) => accounts.reserve(spender, nanos)))
    }).pipe(Effect.scoped, Effect.provide(Replicas.none), Effect.runPromise)

  const made = (of: Reservation | NoRoom | Effect.Effect<Reservation | NoRoom>): Promise<Reservation | NoRoom> =>
    Effect.isEffect(of) ? Effect.runPromise(of) : Promise.resolve(of)

  // The test itself would wait for ever for a store that never answers.
  test("does not wait for a store that does not answer, and is let in on its replica's share of what is left", async () => {
    const first = await withStore(
      () => Effect.never,
      async (reserve) => made(reserve(1))
    )
    expect(first).toMatchObject({ nanos: 1 })
  })

  test("is refused where the store does not answer and that is wanted, as one that cannot be counted", async () => {
    const first = await withStore(
      () => Effect.never,
      async (reserve) => made(reserve(1)),
      "refuse"
    )
    expect(first).toMatchObject({ isUnknown: true })
  })

  test("is refused after another one was let in on a guess, where the store has never said what is left", async () => {
    const [one, other] = await withStore(
      () => Effect.fail(new StoreFailed({ message: "Command timed out", answered: false })),
      async (reserve) => [await made(reserve(60)), await made(reserve(30))]
    )
    expect(one).toMatchObject({ nanos: 60 })
    expect(other).toMatchObject({ isUnknown: true })
  })

  test("asks nobody where what its replica holds is enough, and is refused where there is no room", async () => {
    // Of a hundred, thirty are spent elsewhere, and ten are held here.
    await withStore(
      () => Effect.succeed([30, 0, 10]),
      async (reserve) => {
        expect(await made(reserve(1))).toMatchObject({ nanos: 1 })
        for (let nth = 1; nth < 10; nth += 1) expect(Effect.isEffect(reserve(1))).toBe(false)
        expect(await made(reserve(95))).not.toHaveProperty("nanos")
        expect(await made(reserve(95))).not.toHaveProperty("isUnknown")
      }
    )
  })

  test("is let in by no more than is told to be held while it is on its way that the rest is given back", async () => {
    const book = new BudgetBook([{ name: "team", each: "all", per: "month", hard, falls: false }])
    let told = 0
    let isLate = false
    await Effect.gen(function* () {
      const none = yield* SharedStore
      const run: SharedStore["Service"]["run"] =
        () =>
        (...[, , , statements]) => {
          told = (statements as ReadonlyArray<{ readonly reserved: number }>)[0]?.reserved ?? 0
          return isLate ? Effect.never : Effect.succeed([0, 0, 30])
        }
      const accounts = yield* sharedAccounts({
        bookNow: () => book,
        wallNow: () => 0,
        ledgerId: () => "ledger",
        restated: () => undefined,
        whenAway: () => "count_locally"
      }).pipe(Effect.provideService(SharedStore, { ...none, isOn: true, isAway: () => false, run }))
      expect(yield* Effect.promise(() => made(accounts.reserve(spender, 1)))).toMatchObject({ nanos: 1 })
      isLate = true
      yield* Effect.forkScoped(accounts.restate)
      yield* Effect.yieldNow
      let held = 1
      while (held < 30 && !Effect.isEffect(accounts.reserve(spender, 1))) held += 1
      expect(told).toBeWithin(1, 30)
      expect(held).toBe(told)
    }).pipe(Effect.scoped, Effect.provide(Replicas.none), Effect.runPromise)
  })

  test("is let in by a little of what is left while the store is late, and not by all of it", async () => {
    let isLate = false
    const passed = await withStore(
      () => (isLate ? Effect.never : Effect.succeed([0, 0, 0])),
      async (reserve) => {
        await Bun.sleep(0)
        isLate = true
        let count = 0
        for (let nth = 0; nth < 50; nth += 1) if ("nanos" in (await made(reserve(1)))) count += 1
        return count
      }
    )
    expect(passed).toBeWithin(20, 27)
  })
})

describe.skipIf(storePath === undefined)("budgets of replicas", () => {
  test("are not overrun by requests that come to all of them at once", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    await using a = await startGateway(settings(store, upstream, named("a1")))
    await using b = await startGateway(settings(store, upstream, named("b1")))
    await bothKnown(a, b)
    const statuses = await Promise.all(Array.from({ length: 40 }, (_, nth) => ask(nth % 2 === 0 ? a : b)))
    // Some may have been refused for what others had only reserved.
    for (let nth = 0; nth < 5; nth += 1) statuses.push(await ask(a), await ask(b))
    const passed = statuses.filter((status) => status === 200).length
    expect(passed).toBeLessThanOrEqual(10)
    expect(passed).toBeGreaterThan(4)
    expect(statuses.filter((status) => status !== 200).every((status) => status === 402)).toBe(true)
    await eventually(async () => (await budgetOf(b)).spent_nanos === passed * dollar, "each knows what all have spent")
    await eventually(async () => (await budgetOf(b)).reserved_nanos === 0, "nothing is reserved any more")
  }, 120_000)

  test("are all of one replica where the others are quiet", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    await using a = await startGateway(settings(store, upstream, named("a5", "month", 100)))
    await using b = await startGateway(settings(store, upstream, named("b5", "month", 100)))
    await bothKnown(a, b)
    expect(await ask(b)).toBe(200)
    let passed = 1
    for (let nth = 0; nth < 120; nth += 1) if ((await ask(a)) === 200) passed += 1
    expect(passed).toBeWithin(98, 101)
  }, 60_000)

  test("of a replica that was killed are free again, though nobody looked for a while", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    const month = Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth())
    // As a process leaves it that held nine dollars and is long gone.
    await store.client.hset(`{nexus}:budget team month ${month} `, { held: 9 * dollar, "held gone": 9 * dollar })
    await store.client.zadd(`{nexus}:budget holders team month ${month} `, 1, "gone")
    // The list is gone once nobody holds anything: another process is on it for longer than this takes.
    await store.client.zadd(`{nexus}:budget holders team month ${month} `, Date.now() + 3_600_000, "another")
    await using a = await startGateway(settings(store, upstream, named("a6")))
    for (let nth = 0; nth < 10; nth += 1) expect(await ask(a)).toBe(200)
    expect(await store.client.ttl(`{nexus}:budget holders team month ${month} `)).toBeGreaterThan(3600)
  }, 60_000)

  test("are known again to a store that has forgotten everything, from the ledgers", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    await using a = await startGateway(settings(store, upstream, named("a2")))
    await using b = await startGateway(settings(store, upstream, named("b2")))
    for (const gateway of [a, a, a, b, b]) expect(await ask(gateway)).toBe(200)
    await store.kill()
    await eventually(async () => (await isAway(a)) && (await isAway(b)), "both have noticed")
    await store.revive()
    await eventually(async () => (await budgetOf(a)).spent_nanos === 5 * dollar, "a knows what b has spent")
    await eventually(async () => (await budgetOf(b)).spent_nanos === 5 * dollar, "b knows what a has spent")
  }, 60_000)

  test("are kept to while the store is away: each has its part of what was left", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    await using a = await startGateway(settings(store, upstream, named("a3")))
    await using b = await startGateway(settings(store, upstream, named("b3")))
    await bothKnown(a, b)
    for (const gateway of [a, b]) expect(await ask(gateway)).toBe(200)
    await eventually(
      async () => (await budgetOf(a)).spent_nanos === 2 * dollar && (await budgetOf(b)).spent_nanos === 2 * dollar,
      "both know of both"
    )
    await store.kill()
    await eventually(async () => (await isAway(a)) && (await isAway(b)), "both have noticed")
    const passedBy = async (gateway: Gateway): Promise<number> => {
      let passed = 0
      for (let nth = 0; nth < 9; nth += 1) if ((await ask(gateway)) === 200) passed += 1
      return passed
    }
    const [byA, byB] = [await passedBy(a), await passedBy(b)]
    expect(byA + byB).toBeWithin(6, 9)
    await store.revive()
    await eventually(async () => (await budgetOf(a)).spent_nanos === (2 + byA + byB) * dollar, "all of it is counted")
  }, 60_000)

  test("refuse while it is away where that is wanted", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(completion("m", "hi"))] })
    const wanted = settings(store, upstream, named("a4"))
    await using a = await startGateway({ ...wanted, cluster: { url: store.url, when_away: "refuse" } })
    expect(await ask(a)).toBe(200)
    await store.kill()
    await eventually(() => isAway(a), "it has noticed")
    const refused = await asked(a)
    // It may be let in another time.
    expect([refused.status, refused.headers.get("x-should-retry")]).toEqual([402, null])
    await until(() => a.inFlight() === 0, "quiet")
  }, 60_000)
})
