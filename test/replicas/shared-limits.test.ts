import { describe, expect, test } from "bun:test"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { isDeciding, Limiter, type LimitDecision } from "../../src/admission/Limiter.ts"
import { sharedLimiter } from "../../src/admission/SharedLimiter.ts"
import { storeOf } from "../../src/config/cluster.ts"
import { RateLimited } from "../../src/domain/errors.ts"
import type { RateLimits } from "../../src/domain/rate-limits.ts"
import { StorePatience, type StoreWaits, usualWaits } from "../../src/replicas/patience.ts"
import { Replicas } from "../../src/replicas/Replicas.ts"
import { SharedStore } from "../../src/replicas/SharedStore.ts"
import { layerOf } from "../../src/telemetry/logging.ts"
import { logsAt } from "../kit/log.ts"
import { backendFor, patient, startGateway, until } from "../kit/gateway.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { startStore, storePath, type TestStore } from "../kit/sharedStore.ts"

interface Replica extends AsyncDisposable {
  readonly enter: (limits: RateLimits, tokens?: number) => Promise<LimitDecision>
  /** The same where nobody is asked: it fails where somebody has to be. */
  readonly enterAtOnce: (limits: RateLimits) => LimitDecision
  /** What is taken of all, and what this replica counts by itself. */
  readonly taken: (limits: RateLimits) => Promise<ReadonlyArray<number>>
  readonly isAway: () => boolean
  readonly processes: () => number
}

const quiet = layerOf(
  () => logsAt("error"),
  (_, done) => done(),
  false
)

/** A limiter as a replica has it, with a link of its own. */
const startReplica = async (
  { url }: Pick<TestStore, "url">,
  whenAway: "count_locally" | "refuse" = "count_locally",
  waits: StoreWaits = patient
): Promise<Replica> => {
  const settings = storeOf({ url, name: "nexus", insecure_skip_verify: false, when_away: whenAway })
  if (settings === undefined) throw new Error("no store")
  const scope = await Effect.runPromise(Scope.make())
  const layer = sharedLimiter(() => whenAway).pipe(
    Layer.provideMerge(Replicas.layer({ name: "r", worker: 1, workers: 1, since: undefined, ageMs: undefined })),
    Layer.provideMerge(SharedStore.layer(settings, async (host) => host)),
    Layer.provide(quiet),
    Layer.provide(Layer.succeed(StorePatience, waits))
  )
  const services = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const limiter = Context.get(services, Limiter)
  const rule = (limits: RateLimits) => ({ id: "key a", scope: "key", name: "a", of: "the key 'a'", limits }) as const
  return {
    enterAtOnce: (limits) => {
      const decision = limiter.enter([rule(limits)], 0)
      if (isDeciding(decision)) throw new Error("it waits for the store")
      return decision
    },
    enter: async (limits, tokens = 0) => {
      const decision = limiter.enter([rule(limits)], tokens)
      return isDeciding(decision) ? Effect.runPromise(decision) : decision
    },
    taken: async (limits) => {
      const uses = await Effect.runPromise(limiter.takenByAll([rule(limits)]))
      return (uses ?? []).map(({ taken }) => taken)
    },
    isAway: Context.get(services, SharedStore).isAway,
    processes: Context.get(services, Replicas).processes,
    [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const isIn = (decision: LimitDecision): boolean => !(decision instanceof RateLimited)

/** How many of so many are let in, some at a time. */
const passed = async (replicas: ReadonlyArray<Replica>, count: number, limits: RateLimits): Promise<number> => {
  let sum = 0
  let next = 0
  const ask = async (): Promise<void> => {
    while (next < count) {
      const replica = replicas[next % replicas.length]
      next += 1
      const decision = await replica?.enter(limits)
      if (decision === undefined || decision instanceof RateLimited) continue
      sum += 1
      decision.end(0, performance.now())
    }
  }
  await Promise.all(Array.from({ length: 8 }, ask))
  return sum
}

/** What comes back of a limit from a moment on. */
const backSince = (since: number, perMinute: number): number => ((performance.now() - since) * perMinute) / 60_000

const end = (decision: LimitDecision, tokens = 0): void => {
  if (decision instanceof RateLimited) throw decision
  decision.end(tokens, performance.now())
}

describe.skipIf(storePath === undefined)("limits of replicas", () => {
  test("are one limit for both of them, within 2 %, under 20,000 requests", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    const began = performance.now()
    const limit = 6000
    const count = await passed([a, b], 20_000, { requestsPerMinute: limit })
    const due = limit + backSince(began, limit)
    expect(count).toBeGreaterThan(limit * 0.98)
    expect(count).toBeLessThan(due * 1.02)
  }, 60_000)

  test("are asked of the store for few of many requests, and what was taken for more of them is given back", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    const scripts = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await store.client.info("commandstats"))?.[1] ?? 0)
    const limits = { requestsPerMinute: 60_000, tokensPerMinute: 6_000_000 }
    end(await a.enter(limits, 10), 10)
    const before = await scripts()
    const began = performance.now()
    let last: LimitDecision | undefined
    for (let nth = 0; nth < 1000; nth += 1) {
      last = await a.enter(limits, 10)
      end(last, 12)
    }
    // Some more for what is told once a second and oftener, however long that takes.
    expect((await scripts()) - before).toBeLessThan(175 + (performance.now() - began) / 40)
    if (last === undefined || last instanceof RateLimited) throw new Error("it was let in")
    expect(last.left.requests?.left).toBeLessThanOrEqual(60_000)
    expect(last.left.requests?.left).toBeGreaterThan(58_000)
    const level = async (): Promise<number> => Number(await store.client.hget("{nexus}:limit key a", "r"))
    const taken = await level()
    await until(async () => (await level()) > taken, "it is given back")
  }, 60_000)

  test("reserve tokens for both, and settle them by what was taken", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    const limits = { tokensPerMinute: 1000 }
    const began = performance.now()
    const first = await a.enter(limits, 800)
    const refused = await b.enter(limits, 800)
    expect(refused).toBeInstanceOf(RateLimited)
    const waits = refused instanceof RateLimited ? refused.retryAfterSeconds : 0
    expect(waits).toBeLessThanOrEqual(36)
    expect(waits).toBeGreaterThanOrEqual(36 - (performance.now() - began) / 1000)
    end(first, 100)
    let next = await b.enter(limits, 800)
    await until(async () => isIn(next) || isIn((next = await b.enter(limits, 800))), "there is room again")
    if (next instanceof RateLimited) throw next
    expect(next.left.tokens).toMatchObject({ limit: 1000 })
    expect(next.left.tokens?.left ?? 0).toBeLessThanOrEqual(101 + backSince(began, 1000))
    // What took more than was reserved is owed.
    end(next, 2000)
    await until(async () => !isIn(await a.enter(limits, 1)), "it is owed")
  }, 60_000)

  test("on requests at a time that are many are asked of the store for few of them, and hold for both", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    await until(() => a.processes() === 2 && b.processes() === 2, "both know of both")
    const limits = { maxConcurrent: 1000 }
    const under: Array<LimitDecision> = []
    for (let nth = 0; nth < 1100; nth += 1) under.push(await (nth % 2 === 0 ? a : b).enter(limits))
    const inside = under.filter(isIn)
    // What one has for requests to come is no place for the other.
    expect(inside.length).toBeWithin(995, 1001)
    const held = async (): Promise<number> => store.client.zcard("{nexus}:held key a")
    expect(await held()).toBeLessThanOrEqual(1000)
    for (const each of inside) end(each)
    await until(async () => (await held()) === 0, "none is held")
    end(await a.enter(limits))
    const scripts = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await store.client.info("commandstats"))?.[1] ?? 0)
    const before = await scripts()
    const began = performance.now()
    for (let nth = 0; nth < 500; nth += 1) end(await a.enter(limits))
    expect((await scripts()) - before).toBeLessThan(75 + (performance.now() - began) / 40)
  }, 60_000)

  test("tell each of them how near all are to it, whoever was asked; nothing while the store is away", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    const limits = { requestsPerMinute: 60, tokensPerMinute: 6000, maxConcurrent: 5 }
    expect(await b.taken(limits)).toEqual([0, 0, 0])
    const one = await a.enter(limits, 3000)
    const two = await b.enter(limits, 2000)
    for (const each of [a, b]) {
      const [requests = -1, tokens = -1, underWay] = await each.taken(limits)
      expect(underWay).toBe(2)
      // Some may have come back meanwhile.
      expect([requests >= 0, requests <= 2, tokens >= 0, tokens <= 5000]).toEqual([true, true, true, true])
    }
    end(one, 3000)
    end(two, 2000)
    for (let underWay = 2; underWay !== 0;) underWay = (await a.taken(limits)).at(2) ?? 0
    await store.kill()
    await until(a.isAway, "it has noticed")
    expect(await a.taken(limits)).toEqual([])
  })

  test("that are raised let more in at once, at both, and lowered count what was taken", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    // So few that one comes back in half a minute, which no machine stands still for.
    const [before, after] = [
      { requestsPerMinute: 2, tokensPerMinute: 200 },
      { requestsPerMinute: 6, tokensPerMinute: 600 }
    ]
    const began = performance.now()
    for (let nth = 0; nth < 2; nth += 1) end(await a.enter(before, 100), 100)
    const refused = await b.enter(before, 100)
    expect(refused).toMatchObject({ _tag: "RateLimited" })
    const waits = refused instanceof RateLimited ? refused.retryAfterSeconds : 0
    expect(waits).toBeWithin(30 - (performance.now() - began) / 1000, 31)
    const raised = await b.enter(after, 100)
    if (raised instanceof RateLimited) throw raised
    const back = backSince(began, 6)
    expect(raised.left.requests).toMatchObject({ limit: 6 })
    expect(raised.left.requests?.left).toBeWithin(3, 4 + back)
    expect(raised.left.tokens?.left).toBeWithin(300, 301 + 100 * back)
    end(raised, 100)
    // Who has not read the new settings yet goes by the old ones, and takes nothing of what is more.
    expect(isIn(await a.enter(before, 100))).toBe(false)
    for (let nth = 0; nth < 2; nth += 1) end(await b.enter(after, 100), 100)
    expect(isIn(await a.enter(before, 100))).toBe(false)
    const still = await b.enter(after, 100)
    if (still instanceof RateLimited) throw still
    expect(still.left.requests?.left).toBeLessThan(1 + backSince(began, 6))
    end(still, 100)
  }, 60_000)

  test("that are lowered a lot keep nobody waiting for longer than what was taken would have", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    const [before, after] = [{ requestsPerMinute: 600 }, { requestsPerMinute: 6 }]
    const began = performance.now()
    const gone = () => (performance.now() - began) / 1000
    for (let nth = 0; nth < 600; nth += 1) await a.enter(before)
    const refused = await a.enter(after)
    // A minute for what was taken of the larger one, and ten seconds for one more.
    expect(refused).toMatchObject({ _tag: "RateLimited" })
    expect(refused instanceof RateLimited ? refused.retryAfterSeconds : 0).toBeWithin(55 - gone(), 71)
    expect(refused instanceof RateLimited ? refused.left?.requests?.resetMs : 0).toBeWithin(
      1000 * (100 - gone()),
      121_000
    )
    expect(await a.taken(after)).toHaveLength(1)
    await store.kill()
    await until(a.isAway, "it has noticed")
    const alone = await a.enter(after)
    expect(alone instanceof RateLimited ? alone.retryAfterSeconds : 0).toBeWithin(40 - gone(), 71)
  }, 60_000)

  test("on requests at a time hold for both, and a place is free again when its request has ended", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    const limits = { maxConcurrent: 2 }
    const [one, two] = [await a.enter(limits), await b.enter(limits)]
    expect([isIn(one), isIn(two), isIn(await a.enter(limits)), isIn(await b.enter(limits))]).toEqual([
      true,
      true,
      false,
      false
    ])
    const areHeld = async (count: number): Promise<void> =>
      until(async () => (await store.client.zcard("{nexus}:held key a")) === count, `${count} are held`)
    end(one)
    await areHeld(1)
    const three = await b.enter(limits)
    expect(isIn(three)).toBe(true)
    end(two)
    end(three)
    await areHeld(0)
  }, 60_000)

  test("give the places of a replica that is gone back when its leases run out", async () => {
    await using store = await startStore()
    await using b = await startReplica(store)
    const limits = { maxConcurrent: 1 }
    const a = await startReplica(store)
    expect(isIn(await a.enter(limits))).toBe(true)
    await a[Symbol.asyncDispose]()
    expect(isIn(await b.enter(limits))).toBe(false)
    const [lease = ""] = (await store.client.zrangebyscore("{nexus}:held key a", "-inf", "+inf")).map(String)
    const ends = await store.client.zscore("{nexus}:held key a", lease)
    const [seconds = 0] = await store.client.time()
    expect(Number(ends) / 1000 - seconds).toBeWithin(1, 8)
    await store.client.zadd("{nexus}:held key a", 1, lease)
    expect(isIn(await b.enter(limits))).toBe(true)
  }, 60_000)

  test("are counted by each by its share while the store is away, and settled when it is back", async () => {
    await using store = await startStore()
    await using a = await startReplica(store)
    await using b = await startReplica(store)
    await until(() => a.processes() === 2 && b.processes() === 2, "both know of both")
    const limits = { requestsPerMinute: 100 }
    const began = performance.now()
    expect(await passed([a, b], 40, limits)).toBe(40)
    await store.kill()
    await until(() => a.isAway() && b.isAway(), "both have noticed")
    let alone = 0
    for (let nth = 0; nth < 300; nth += 1) if (isIn((nth % 2 === 0 ? a : b).enterAtOnce(limits))) alone += 1
    const back = backSince(began, 100)
    // What was left when it went, whoever asked for it, and not a whole limit more for each.
    expect(alone).toBeGreaterThanOrEqual(50)
    expect(alone).toBeLessThanOrEqual(62 + back)
    await store.revive()
    await until(() => !a.isAway() && !b.isAway(), "both are back")
    // A store that has forgotten everything is told what was let in.
    const most = 60 + backSince(began, 100)
    const level = () => store.client.hget("{nexus}:limit key a", "r")
    await until(async () => Number((await level()) ?? 100) < most, "it is told")
  }, 60_000)

  test("are refused while it is away where that is wanted", async () => {
    await using store = await startStore()
    await using a = await startReplica(store, "refuse")
    expect(isIn(await a.enter({ requestsPerMinute: 10 }))).toBe(true)
    await store.kill()
    await until(a.isAway, "it has noticed")
    const refused = await a.enter({ requestsPerMinute: 10 })
    expect(refused).toBeInstanceOf(RateLimited)
    expect(refused).toMatchObject({ retryAfterSeconds: 1 })
  }, 60_000)

  test("keep nobody waiting for a store that is late, though a later answer would still be heard", async () => {
    await using store = await startStore()
    // Whoever waited for the answer would wait until the store is away.
    await using a = await startReplica(store, "count_locally", { ...patient, requestMs: usualWaits.requestMs })
    const limits = { requestsPerMinute: 10_000, maxConcurrent: 100 }
    end(await a.enter(limits))
    store.freeze()
    for (let nth = 0; nth < 5; nth += 1) end(await a.enter(limits))
    expect(a.isAway()).toBe(false)
    store.thaw()
  }, 60_000)

  test("keep nobody waiting for a store that is frozen, and take nothing twice of what it did when it woke", async () => {
    await using store = await startStore()
    await using a = await startReplica(store, "count_locally", usualWaits)
    const limits = { requestsPerMinute: 10_000, maxConcurrent: 100 }
    end(await a.enter(limits))
    store.freeze()
    // While nobody has noticed each waits for a moment, and not for an answer that never comes; then nobody waits.
    for (let nth = 0; nth < 50; nth += 1) end(await a.enter(limits))
    await until(a.isAway, "it has noticed")
    for (let nth = 0; nth < 50; nth += 1) end(a.enterAtOnce(limits))
    store.thaw()
    await until(() => !a.isAway(), "it is back")
    const level = async () => Number(await store.client.hget("{nexus}:limit key a", "r"))
    for (let tries = 0; tries < 400 && (await level()) >= 9950; tries += 1) await Bun.sleep(5)
    // Whose end was told at the moment it froze has a lease that runs out.
    await until(async () => (await store.client.zcard("{nexus}:held key a")) < 3, "no more are held than that")
    expect(await level()).toBeGreaterThan(9700)
  }, 60_000)
})

const ask = (url: string, model = "m"): Promise<Response> =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
  })

describe.skipIf(storePath === undefined)("gateways that share a store", () => {
  test("let together as many requests of a model in as one would, and say what is left", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = {
      cluster: { url: store.url },
      backends: [backendFor("b", upstream)],
      models: [{ name: "m", requests_per_minute: 10 }]
    }
    await using a = await startGateway(settings)
    await using b = await startGateway(settings)
    const began = performance.now()
    const statuses: Array<number> = []
    const left: Array<number> = []
    while (statuses.at(-1) !== 429) {
      const answer = await ask(statuses.length % 2 === 0 ? a.url : b.url)
      statuses.push(answer.status)
      left.push(Number(answer.headers.get("x-ratelimit-remaining-requests")))
      await answer.text()
    }
    expect(statuses.slice(0, -1).every((status) => status === 200)).toBe(true)
    expect(statuses.length - 1).toBeWithin(10, 11 + backSince(began, 10))
    expect(left[1]).toBeWithin(8, 9 + backSince(began, 10))
  }, 60_000)

  test("go on while the store is frozen, with what each may let in by itself", async () => {
    await using store = await startStore()
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = {
      cluster: { url: store.url },
      backends: [backendFor("b", upstream)],
      models: [{ name: "m", requests_per_minute: 6 }]
    }
    await using a = await startGateway(settings, undefined, undefined, usualWaits)
    store.freeze()
    const began = performance.now()
    const statuses: Array<number> = []
    while (statuses.at(-1) !== 429) statuses.push((await ask(a.url)).status)
    store.thaw()
    expect(statuses.slice(0, -1).every((status) => status === 200)).toBe(true)
    expect(statuses.length - 1).toBeWithin(6, 9 + backSince(began, 6))
  }, 60_000)
})
