import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { BudgetBook, type BudgetRule, periodEnd, periodStart, type Reservation } from "../../src/usage/budget.ts"
import { completion, json } from "../kit/answers.ts"
import { modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, until } from "../kit/gateway.ts"
import { scrape, total } from "../kit/metrics.ts"
import { ask } from "../kit/rawClient.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const rule = (more: Partial<BudgetRule> = {}): BudgetRule => ({
  name: "b",
  each: "all",
  per: "month",
  falls: false,
  ...more
})

const now = Date.UTC(2026, 10, 29, 12)

const spender = fc.record({
  key: fc.constantFrom("a", "b"),
  owner: fc.constantFrom("", "x"),
  model: fc.constantFrom("m", "n")
})

describe("a budget", () => {
  test("begins and ends with its period, and every moment is in exactly one", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("day", "week", "month"),
        fc.integer({ min: 0, max: 4_000_000_000_000 }),
        (per, at) => {
          const [from, to] = [periodStart(per, at), periodEnd(per, at)]
          expect(from <= at && at < to).toBe(true)
          expect(periodEnd(per, from)).toBe(to)
          expect(periodStart(per, to)).toBe(to)
          if (per === "week") expect(new Date(from).getUTCDay()).toBe(1)
          if (per === "month") expect(new Date(from).getUTCDate()).toBe(1)
        }
      )
    )
  })

  // Requests come and go in any order; each is reserved with an estimate and settled with what it really cost.
  const step = fc.record({ who: spender, estimate: fc.nat(100), cost: fc.nat(120), ends: fc.boolean() })

  test("is overrun by no more than what requests cost beyond their estimates, however many are under way", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 0, max: 500 }), (steps, hard) => {
        const book = new BudgetBook([rule({ hard })])
        const open: Array<{ readonly reservation: Reservation; readonly of: (typeof steps)[number] }> = []
        let spent = 0
        let beyond = 0
        const end = ({ of, reservation }: (typeof open)[number]): void => {
          book.release(reservation)
          book.spend(of.who, now, of.cost, now)
          spent += of.cost
          beyond += Math.max(0, of.cost - of.estimate)
        }
        for (const each of steps) {
          const reservation = book.reserve(each.who, each.estimate, now)
          if ("nanos" in reservation) open.push({ reservation, of: each })
          const [first] = open
          if (each.ends && first !== undefined) end(open.shift() ?? first)
          expect(spent).toBeLessThanOrEqual(hard + beyond)
        }
        for (const each of open) end(each)
        expect(spent).toBeLessThanOrEqual(hard + beyond)
        const standing = book.standing(now)
        expect(standing.every(({ reserved }) => reserved === 0)).toBe(true)
        expect(standing.reduce((sum, each) => sum + each.spent, 0)).toBe(spent)
      })
    )
  })

  test("of each has what that one spent, and all of them together what all spent, as the ledger would tell it again", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(spender, fc.nat(1000))), (spendings) => {
        const rules = [rule({ each: "key" }), rule({ each: "owner", keys: ["a"] }), rule({ models: ["m*"] })]
        const book = new BudgetBook(rules)
        for (const [who, nanos] of spendings) book.spend(who, now, nanos, now)
        const again = new BudgetBook(rules)
        again.restate(
          spendings.map(([who, nanos]) => ({ ...who, nanos, at: now })),
          now
        )
        const told = (of: BudgetBook) =>
          of.standing(now).map(({ of: whose, rule: { each }, spent }) => [each, whose, spent])
        expect(told(again)).toEqual(told(book))
        const sumOf = (isMeant: (who: (typeof spendings)[number][0]) => boolean): number =>
          spendings.reduce((sum, [who, nanos]) => sum + (isMeant(who) ? nanos : 0), 0)
        const spentOf = (each: string, whose: string): number =>
          book.standing(now).find(({ of, rule: own }) => own.each === each && of === whose)?.spent ?? 0
        expect(spentOf("key", "a")).toBe(sumOf(({ key }) => key === "a"))
        expect(spentOf("owner", "x")).toBe(sumOf(({ key, owner }) => key === "a" && owner === "x"))
        expect(spentOf("all", "")).toBe(sumOf(({ model }) => model === "m"))
      })
    )
  })

  test("begins anew with the next period, and what was spent before it counts no more", () => {
    const book = new BudgetBook([rule({ hard: 100, per: "day" })])
    const who = { key: "a", owner: "", model: "m" }
    book.spend(who, now, 100, now)
    expect(book.reserve(who, 1, now)).toHaveProperty("account")
    const next = periodEnd("day", now)
    expect(book.reserve(who, 1, next)).toHaveProperty("nanos", 1)
    book.spend(who, now, 100, next)
    expect(book.standing(next)).toMatchObject([{ spent: 0, reserved: 1 }])
  })

  test("that is for others since it was read anew counts nothing of what these did not do", () => {
    const who = { key: "a,b", owner: "", model: "m" }
    const before = new BudgetBook([rule({ hard: 100, keys: ["a", "*"] })])
    before.reserve(who, 90, now)
    const same = new BudgetBook([rule({ hard: 100, keys: ["a", "*"] })], before)
    expect(same.reserve(who, 90, now)).toHaveProperty("account")
    const other = new BudgetBook([rule({ hard: 100, keys: ["a,*"] })], before)
    expect(other.reserve(who, 90, now)).toHaveProperty("nanos", 90)
  })
})

const usage = { prompt_tokens: 100, completion_tokens: 100 }

const prices = [{ model: "*", backend: "cloud", input_usd: 10_000, output_usd: 10_000 }]

let worlds = 0

/** A dear backend and one that costs nothing; a request costs two dollars, and may cost no more than it says. */
const world = async (
  budget: SettingsTree,
  settings: SettingsTree = {},
  path = join(folder, `${(worlds += 1)}.sqlite`)
) => {
  let held: Promise<void> = Promise.resolve()
  const script = (request: Parameters<typeof modelOf>[0]) => [
    { until: held },
    json({ ...completion(modelOf(request), "hi"), usage })
  ]
  const cloud = await startUpstream({ models: ["big"], script })
  const local = await startUpstream({ models: ["small"], script })
  const gateway = await startGateway({
    usage: { path },
    prices,
    budgets: [{ name: "all of it", per: "month", ...budget }],
    backends: [backendFor("cloud", cloud), backendFor("local", local)],
    routing: { fallbacks: { big: ["small"] } },
    ...settings
  })
  const content = "x".repeat(400)
  return {
    gateway,
    cloud,
    hold: (until: Promise<void>) => {
      held = until
    },
    post: (at = "/v1/chat/completions", model = "big", more: object = {}) =>
      ask(
        gateway.port,
        "POST",
        at,
        JSON.stringify({ model, max_tokens: 100, messages: [{ role: "user", content }], ...more })
      ),
    [Symbol.asyncDispose]: async () => {
      for (const each of [gateway, cloud, local]) await each[Symbol.asyncDispose]()
    }
  }
}

test("what was spent of a budget and what may be are metrics, and how the ledger stands is in /health", async () => {
  await using at = await world({ hard_usd: 10, soft_usd: 4, each: "model" })
  expect((await at.post()).status).toBe(200)
  const { port } = at.gateway
  const samples = await scrape(port)
  const [spent, limits] = ["nexus_budget_spent_dollars", "nexus_budget_limit_dollars"].map((wanted) =>
    samples.filter(({ name }) => name === wanted).map(({ labels, value }) => [labels, value])
  )
  expect(spent).toEqual([[{ budget: "all of it", of: "big" }, 2]])
  expect(limits).toEqual([
    [{ budget: "all of it", limit: "soft" }, 4],
    [{ budget: "all of it", limit: "hard" }, 10]
  ])
  expect(total(samples, "nexus_usage_failing", { worker: "1" })).toBe(0)
  expect(samples.some(({ name }) => name === "nexus_usage_waiting_records")).toBe(true)
  const health = JSON.parse((await ask(port, "GET", "/health")).text)
  expect(health.usage).toEqual({ waiting: expect.any(Number), dropped: 0, failure: null })
})

describe("a hard limit", () => {
  test("lets no more pass than it has room for, of a hundred at a time, and says so in the client's own shape", async () => {
    await using at = await world({ hard_usd: 10 }, { routing: { fallbacks: {} } })
    const go = Promise.withResolvers<void>()
    at.hold(go.promise)
    let answered = 0
    const one = async () => {
      const answer = await at.post()
      answered += 1
      return answer
    }
    const all = Promise.all(Array.from({ length: 100 }, one))
    await until(() => answered === 95, "those that there is no room for have been refused")
    go.resolve()
    const answers = await all
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(5)
    const refused = answers.find(({ status }) => status !== 200)
    expect([refused?.status, refused?.header("x-should-retry"), refused?.header("x-nexus-budget")]).toEqual([
      402,
      "false",
      "all of it"
    ])
    expect(JSON.parse(refused?.text ?? "")).toEqual({
      error: {
        message: expect.stringMatching(
          /^The budget 'all of it' has no room for this request: \$[\d.]+ of \$10\.00 are spent this month/
        ),
        type: "insufficient_quota",
        param: null,
        code: "insufficient_quota"
      }
    })
    const messages = await at.post("/v1/messages")
    expect([messages.status, JSON.parse(messages.text)]).toEqual([
      402,
      expect.objectContaining({ type: "error", error: expect.objectContaining({ type: "billing_error" }) })
    ])
    const { total } = JSON.parse((await ask(at.gateway.port, "GET", "/admin/v1/usage")).text)
    expect(total).toMatchObject({ completed: 5, cost_nanos: 10_000_000_000, unpriced: 0 })
  })

  test("has room for all the answers and texts that one request asks for, or refuses it", async () => {
    await using at = await world({ hard_usd: 10 }, { routing: { fallbacks: {} } })
    // Of 100 tokens each: a prompt and nine answers there is room for, and for ten of them no more.
    const statusOf = async (path: string, more: object) => (await at.post(path, "big", more)).status
    const text = "x".repeat(400)
    expect(await statusOf("/v1/chat/completions", { n: 10 })).toBe(402)
    expect(await statusOf("/v1/completions", { prompt: text, best_of: 10 })).toBe(402)
    expect(await statusOf("/v1/completions", { prompt: Array.from({ length: 6 }, () => text) })).toBe(402)
    expect(await statusOf("/v1/embeddings", { input: Array.from({ length: 11 }, () => text) })).toBe(402)
    expect(at.cloud.calls()).toHaveLength(0)
    expect(await statusOf("/v1/chat/completions", { n: 9 })).toBe(200)
  })

  test("holds after a restart, by what the ledger tells", async () => {
    const path = join(folder, "again.sqlite")
    {
      await using at = await world({ hard_usd: 3 }, {}, path)
      expect((await at.post()).status).toBe(200)
      expect((await at.post()).status).toBe(402)
    }
    await using again = await world({ hard_usd: 3 }, {}, path)
    expect((await again.post()).status).toBe(402)
    expect(again.cloud.calls()).toHaveLength(0)
  })

  test("has what costs nothing answer in place of what is too dear, where that is wanted", async () => {
    await using at = await world({ hard_usd: 3, on_budget: "fallback" })
    expect((await at.post()).header("x-nexus-backend")).toBe("cloud")
    const second = await at.post()
    expect([second.status, second.header("x-nexus-backend"), second.header("x-nexus-budget")]).toEqual([
      200,
      "local",
      "all of it; exceeded"
    ])
    expect(at.cloud.calls()).toHaveLength(1)
  })

  test("of a model holds in every spelling of its name, and usage has one name for it", async () => {
    await using at = await world({ hard_usd: 3, each: "model", models: ["big"] })
    const told = []
    for (const model of ["any/big", "big", "another/big", "big:nitro"]) {
      told.push((await at.post("/v1/chat/completions", model)).status)
    }
    expect(told).toEqual([200, 402, 402, 402])
    const { rows } = JSON.parse((await ask(at.gateway.port, "GET", "/admin/v1/usage?by=model")).text)
    expect(rows.map(({ of, requests }: { of: ReadonlyArray<string>; requests: number }) => [of, requests])).toEqual([
      [["big"], 4]
    ])
  })

  test.each(["any/big", "any/big:nitro"])(
    "of a model that is written %s in the budget holds for that model, after a restart too",
    async (name) => {
      const path = join(folder, `${encodeURIComponent(name)}.sqlite`)
      const told = []
      for (const models of [[name, "any/big"], ["big"]]) {
        await using at = await world({ hard_usd: 3, models: [name] }, {}, path)
        for (const model of models) told.push((await at.post("/v1/chat/completions", model)).status)
      }
      expect(told).toEqual([200, 402, 402])
    }
  )

  test("of another key or model holds up nobody", async () => {
    await using at = await world({ hard_usd: 0, keys: ["somebody"] })
    expect((await at.post()).status).toBe(200)
    await using other = await world({ hard_usd: 0, models: ["huge*"] })
    expect((await other.post()).status).toBe(200)
  })
})

describe("a soft limit", () => {
  test("that is passed is told in a header, and once a period at its webhook", async () => {
    const told: Array<unknown> = []
    using hook = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: async (request) => {
        told.push(await request.json())
        return new Response()
      }
    })
    await using at = await world({ soft_usd: 3, each: "model", webhook_url: hook.url.href })
    const heads = []
    for (let n = 0; n < 4; n += 1) heads.push((await at.post()).header("x-nexus-budget") ?? "")
    expect(heads).toEqual([
      "",
      "",
      "all of it/big; spent=4.00; soft=3.00; per=month",
      "all of it/big; spent=6.00; soft=3.00; per=month"
    ])
    await until(() => told.length > 0, "the webhook is called")
    expect(told).toEqual([
      { budget: "all of it", of: "big", limit: "soft", spent_usd: "4.00", limit_usd: "3.00", per: "month" }
    ])
  })
})
