import { afterEach, beforeEach, describe, expect, test } from "bun:test"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import type { LimitUse } from "../../src/domain/limit-use.ts"
import { json } from "../kit/answers.ts"
import { samplesOf } from "../kit/metrics.ts"
import { backendFor, type Gateway, startProcess, until } from "../kit/gateway.ts"
import { askAs, keyOf, startKeyed } from "../kit/clientKeys.ts"

const messages = [{ role: "user", content: "hi" }]

let upstream: FakeUpstream
let gateway: Gateway

beforeEach(async () => {
  upstream = await startUpstream({ models: [{ id: "small" }, { id: "large" }] })
  gateway = await startKeyed(
    {
      few: { requests_per_minute: 2 },
      words: { tokens_per_minute: 100 },
      ada: { owner: "ada" },
      eve: { owner: "ada" },
      free: { requests_per_minute: 1000 },
      boss: { admin: true }
    },
    {
      backends: [backendFor("one", upstream)],
      limits: { requests_per_minute: 50, owners: [{ name: "ada", requests_per_minute: 1 }] },
      models: [{ name: "large", requests_per_minute: 1 }],
      routing: { aliases: { big: "large" } }
    }
  )
})

afterEach(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

const chat = (key: string, model = "small", more: Readonly<Record<string, unknown>> = {}) =>
  askAs(gateway, key, "/v1/chat/completions", { model, messages, ...more })

describe("how near keys are to their limits", () => {
  const taken = async () => {
    const answer = await askAs(gateway, "boss", "/metrics")
    const samples = samplesOf(answer.text)
    const told = samples.filter(({ name }) => name === "nexus_limit_taken")
    const allowed = samples.filter(({ name }) => name === "nexus_limit_allowed")
    expect(allowed.map(({ labels }) => labels)).toEqual(told.map(({ labels }) => labels))
    return new Map(told.map(({ labels, value }) => [`${labels["scope"]} ${labels["of"]} ${labels["quota"]}`, value]))
  }

  test("is among the metrics, and at /admin/v1/limits for who may administer keys", async () => {
    expect((await taken()).get("key few requests_per_minute")).toBe(0)
    await chat("few")
    await chat("ada", "large")
    const near = await taken()
    for (const name of ["key few", "owner ada", "model large"]) {
      expect(near.get(`${name} requests_per_minute`)).toBeGreaterThan(0)
      expect(near.get(`${name} requests_per_minute`)).toBeLessThanOrEqual(1)
    }
    expect(near.get("key words tokens_per_minute")).toBe(0)
    const { limits } = (await askAs(gateway, "boss", "/admin/v1/limits")).json()
    expect(limits[0]).toMatchObject({ quota: "requests_per_minute", allowed: 1 })
    expect(
      limits
        .map(({ scope, name }: LimitUse) => `${scope} ${name}`)
        .slice(0, 3)
        .toSorted()
    ).toEqual(["key few", "model large", "owner ada"])
    expect((await askAs(gateway, "free", "/admin/v1/limits")).status).toBe(403)
  })

  test("is told by the limits of the moment once they have been changed, and by none where there is none any more", async () => {
    const settings = (few: Readonly<Record<string, number>>) => ({
      backends: [backendFor("one", upstream)],
      auth: { keys: [keyOf("few", few), keyOf("boss", { admin: true })] }
    })
    await using running = await startProcess(settings({ requests_per_minute: 2 }))
    const told = async (): Promise<ReadonlyArray<LimitUse>> =>
      (await askAs(running, "boss", "/admin/v1/limits")).json().limits
    const changed = async (few: Readonly<Record<string, number>>) => {
      running.rewrite(settings(few))
      expect((await askAs(running, "boss", "/admin/v1/config/reload", {})).status).toBe(200)
    }
    const ask = () => askAs(running, "few", "/v1/chat/completions", { model: "small", messages })
    await ask()
    await ask()
    expect((await ask()).status).toBe(429)
    const raised = performance.now()
    await changed({ requests_per_minute: 500 })
    const [use, ...more] = await told()
    expect([use?.name, use?.quota, use?.allowed, more]).toEqual(["few", "requests_per_minute", 500, []])
    expect(use?.taken).toBeLessThanOrEqual(2)
    const left = Number((await ask()).headers.get("x-ratelimit-remaining-requests"))
    // The two that were taken come back with time.
    const back = Math.min(2, Math.floor(((performance.now() - raised) * 500) / 60_000))
    expect(left).toBeWithin(497, 498 + back)
    await changed({ max_concurrent: 3 })
    expect(await told()).toEqual([{ scope: "key", name: "few", quota: "max_concurrent", allowed: 3, taken: 0 }])
    await changed({})
    expect(await told()).toEqual([])
  }, 120_000)
})

describe("a limit that is reached", () => {
  test("of requests is told in OpenAI's headers, with each answer and with the refusal", async () => {
    const first = await chat("few")
    expect([first.status, first.headers.get("x-ratelimit-limit-requests")]).toEqual([200, "2"])
    expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("1")
    expect(first.headers.get("x-ratelimit-reset-requests")).toMatch(/^\d+(\.\d)?s$/)
    await chat("few")
    const refused = await chat("few")
    expect(refused.status).toBe(429)
    expect(refused.json().error).toMatchObject({ type: "rate_limit_error", code: "rate_limit_exceeded" })
    expect(refused.json().error.message).toStartWith("Rate limit reached for the key 'few': 2 requests per minute")
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(20)
    expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0")
    expect((await chat("free")).status).toBe(200)
  })

  test("is remembered as what a request was refused for, which quotes nothing of one", async () => {
    await chat("ada")
    await chat("eve")
    await chat("free", "<secret>")
    await gateway.quiet()
    const { requests } = (await askAs(gateway, "boss", "/admin/v1/decisions")).json()
    const refusals = new Map(requests.map(({ key, refusal }: { key: string; refusal?: string }) => [key, refusal]))
    expect(refusals.get("eve")).toStartWith("rate_limit_exceeded: Rate limit reached for the owner 'ada': 1 requests")
    expect(refusals.get("free")).toBe("model_not_found")
    expect(refusals.get("ada")).toBeUndefined()
  })

  test("is told in Anthropic's headers and shape to its clients", async () => {
    const ask = () => askAs(gateway, "few", "/v1/messages", { model: "small", max_tokens: 5, messages })
    const first = await ask()
    expect(first.status).toBe(200)
    expect(first.headers.get("anthropic-ratelimit-requests-limit")).toBe("2")
    expect(first.headers.get("anthropic-ratelimit-requests-remaining")).toBe("1")
    expect(first.headers.get("anthropic-ratelimit-requests-reset")).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    expect(first.headers.get("x-ratelimit-limit-requests")).toBeNull()
    await ask()
    const refused = await ask()
    expect([refused.status, refused.json().type, refused.json().error.type]).toEqual([429, "error", "rate_limit_error"])
    expect(refused.headers.get("anthropic-ratelimit-requests-remaining")).toBe("0")
  })

  test("of an owner is that of all of their keys together, and of a model that of all who ask for it", async () => {
    expect([(await chat("ada")).status, (await chat("eve")).status]).toEqual([200, 429])
    expect([(await chat("free", "large")).status, (await chat("few", "big")).status]).toEqual([200, 429])
  })

  test("of an alias is that of all who ask by it, or by a rule's name, beside that of the model it leads to", async () => {
    await using two = await startKeyed(
      { free: {}, boss: { admin: true } },
      {
        backends: [backendFor("one", upstream)],
        models: [
          { name: "nick", requests_per_minute: 2 },
          { name: "ruled", requests_per_minute: 1 },
          { name: "lar*", requests_per_minute: 4 }
        ],
        routing: { aliases: { large2: "large", nick: "small", deep: "nick" } },
        routes: [{ name: "r", match: { model: "ruled" }, model: "small" }]
      }
    )
    const named = async (model: string) =>
      (await askAs(two, "free", "/v1/chat/completions", { model, messages })).status
    const asked = []
    for (const model of ["nick", "x/deep", "nick", "deep", "small", "ruled", "ruled"]) asked.push(await named(model))
    expect(asked).toEqual([200, 200, 429, 429, 200, 200, 429])
    // A pattern that means an alias and its model counts once.
    expect([await named("large2"), await named("large"), await named("large2"), await named("large")]).toEqual([
      200, 200, 200, 200
    ])
    expect([await named("large2"), await named("large")]).toEqual([429, 429])
    const { limits } = (await askAs(two, "boss", "/admin/v1/limits")).json()
    expect(limits.map(({ name }: LimitUse) => name).toSorted()).toEqual(["large", "nick", "ruled"])
  })

  test("of a model counts what comes through a group that has no other one, and not what may go to several", async () => {
    await using one = await startKeyed(
      { free: {} },
      {
        backends: [backendFor("one", upstream)],
        models: [{ name: "large", requests_per_minute: 2 }],
        routing: { groups: { only: ["large@one", "large"], both: ["large", "small"] }, aliases: { nick: "only" } }
      }
    )
    const asked = []
    for (const model of ["both", "only", "both", "nick", "large", "only", "nick", "both"]) {
      asked.push((await askAs(one, "free", "/v1/chat/completions", { model, messages })).status)
    }
    expect(asked).toEqual([200, 200, 200, 200, 429, 429, 429, 200])
  })

  test("of tokens is settled by those that were taken", async () => {
    const big = await chat("words", "small", { max_tokens: 90 })
    expect([big.status, big.headers.get("x-ratelimit-limit-tokens")]).toEqual([200, "100"])
    expect(Number(big.headers.get("x-ratelimit-remaining-tokens"))).toBeLessThanOrEqual(10)
    await gateway.quiet()
    const next = await chat("words", "small", { max_tokens: 20 })
    expect(next.status).toBe(200)
    expect((await chat("words", "small", { max_tokens: 90 })).status).toBe(429)
  })

  test("of tokens counts all answers and texts that one request asks for before they come", async () => {
    const input = Array.from({ length: 10 }, () => "x".repeat(36))
    for (const asks of [
      () => chat("words", "small", { max_tokens: 30, n: 3 }),
      () => askAs(gateway, "words", "/v1/embeddings", { model: "small", input })
    ]) {
      const held = Promise.withResolvers<void>()
      const before = upstream.calls().length
      upstream.script(() => [{ until: held.promise }, json({ error: { message: "no" } }, 400)])
      const asked = asks()
      await until(() => upstream.calls().length > before, "it is under way")
      expect((await chat("words", "small", { max_tokens: 20 })).status).toBe(429)
      held.resolve()
      expect((await asked).status).toBe(400)
      await gateway.quiet()
    }
  })

  test("of tokens has back what a request reserved that nobody answered", async () => {
    upstream.script(() => [json({ error: { message: "no" } }, 400)])
    for (let time = 0; time < 5; time += 1) {
      expect((await chat("words", "small", { max_tokens: 90 })).status).toBe(400)
      await gateway.quiet()
    }
  })
})
