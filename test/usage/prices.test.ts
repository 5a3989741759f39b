import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { costOf, isFree, type Price, PriceList, priceRule, ruledPrice } from "../../src/usage/price.ts"
import table from "../../src/usage/public-prices.json"
import { completion, json } from "../kit/answers.ts"
import { claude, claudeMessage, says } from "../kit/claude.ts"
import { modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const count = fc.nat(50_000_000)
const tokens = fc.record({ fresh: count, cacheRead: count, cacheWrite: count, output: count, reasoning: count })
const dollars = fc.nat(1_000_000_000).map((micro) => micro / 1_000_000)
const none = { fresh: 0, cacheRead: 0, cacheWrite: 0, output: 0, reasoning: 0 }

const own: fc.Arbitrary<Price> = fc
  .record({
    input_usd: dollars,
    cache_read_usd: dollars,
    cache_write_usd: dollars,
    output_usd: dollars,
    request_usd: dollars
  })
  .map((setting) => priceRule({ model: "m", ...setting }, 0).price)

describe("money", () => {
  test("is a whole number of billionths of a dollar, and more tokens never cost less", () => {
    fc.assert(
      fc.property(own, tokens, count, (price, of, more) => {
        const cost = costOf(price, of, 0)
        expect(Number.isSafeInteger(cost) && cost >= 0).toBe(true)
        expect(costOf(price, { ...of, output: of.output + more }, 0)).toBeGreaterThanOrEqual(cost)
      })
    )
  })

  test("of a million tokens is what the config says of them, to the millionth of a dollar", () => {
    fc.assert(
      fc.property(fc.nat(1_000_000_000), (micro) => {
        const { price } = priceRule({ model: "m", input_usd: micro / 1_000_000, output_usd: micro / 1_000_000 }, 0)
        expect(costOf(price, { ...none, fresh: 1_000_000 }, 0)).toBe(micro * 1000)
        expect(costOf(price, { ...none, output: 1_000_000 }, 0)).toBe(micro * 1000)
        expect(costOf(price, { ...none, cacheRead: 1_000_000 }, 0)).toBe(micro * 1000)
      })
    )
  })

  test("of a machine is that of its time, or of what it takes from the wall", () => {
    const byHour = priceRule({ model: "m", hour_usd: 1.8 }, 0).price
    expect(costOf(byHour, none, 2000)).toBe(1_000_000)
    const byEnergy = priceRule({ model: "m", watts: 350 }, 0.3).price
    expect(costOf(byEnergy, none, 3_600_000)).toBe(105_000_000)
  })

  test("for a long prompt is that of long prompts", () => {
    const list = new PriceList({ hosts: {}, rows: { p: { m: [100, 10, 100, 200, -1, 1000, 300, 30, 300, 400] } } })
    const price = list.of("", "p", "m")
    if (price === undefined) throw new Error("no price")
    expect(costOf(price, { ...none, fresh: 900, cacheRead: 100, output: 10 }, 0)).toBe(93)
    expect(costOf(price, { ...none, fresh: 901, cacheRead: 100, output: 10 }, 0)).toBe(277)
  })

  test("is that of the first rule that fits", () => {
    const rules = [
      priceRule({ model: "gpt-4o*", backend: "azure-*", input_usd: 1 }, 0),
      priceRule({ model: "*", input_usd: 2 }, 0)
    ]
    expect(ruledPrice(rules, { name: "azure-eu" }, "gpt-4o-mini")?.input).toBe(1_000_000)
    expect(ruledPrice(rules, { name: "openai" }, "gpt-4o-mini")?.input).toBe(2_000_000)
    expect(ruledPrice(rules.slice(0, 1), { name: "openai" }, "gpt-4o-mini")).toBeUndefined()
  })
})

describe("the list of public prices", () => {
  const list = new PriceList(table)

  test("has prices, each with a source that is there or none, and says when it was made", () => {
    expect(list.size).toBeGreaterThan(1000)
    expect(list.made).toMatch(/^\d{4}-\d\d-\d\d$/)
    for (const rows of Object.values(table.rows)) {
      for (const [model, row] of Object.entries(rows)) {
        const [, , , , source = -1] = row
        expect([model, row.every((each) => Number.isSafeInteger(each)), source < table.sources.length]).toEqual([
          model,
          true,
          true
        ])
        expect(row.length === 5 || row.length === 10).toBe(true)
      }
    }
  })

  test("knows a provider by its host before its kind, and nothing of who is not in it", () => {
    expect(list.of("api.openai.com", "", "gpt-4o")?.input).toBe(2_500_000)
    expect(list.of("api.deepseek.com", "openai", "deepseek-chat")).toBeDefined()
    expect(list.of("team.openai.azure.com", "openai", "gpt-4o")?.output).toBe(10_000_000)
    expect(list.of("llm.example", "generic", "gpt-4o")).toBeUndefined()
    expect(list.of("api.openai.com", "", "constructor")).toBeUndefined()
    expect(list.of("api.openai.com", "__proto__", "toString")).toBeUndefined()
  })

  test("takes nothing from a file that is no list", () => {
    for (const wrong of [undefined, null, 3, "x", [], { rows: 1 }, { hosts: { a: 1 }, rows: { a: { m: [1, 2] } } }]) {
      expect(new PriceList(wrong).of("a", "a", "m")).toBeUndefined()
    }
    expect(isFree(priceRule({ model: "m" }, 5).price)).toBe(true)
  })
})

const usage = { prompt_tokens: 1000, completion_tokens: 100, prompt_tokens_details: { cached_tokens: 400 } }

const world = async (name: string, settings: SettingsTree, more: SettingsTree = {}, zone: SettingsTree = {}) => {
  const local = await startUpstream({
    models: ["gpt-4o"],
    script: (r) => [json({ ...completion(modelOf(r), "hi"), usage })]
  })
  const script = () => [json(claudeMessage({ content: [says("hi")] }))]
  const cloud = await startUpstream({ models: [claude], type: "anthropic", script })
  const gateway = await startGateway({
    backends: [backendFor("local", local), backendFor("cloud", cloud, { type: "anthropic", ...zone })],
    ...settings,
    usage: { enabled: true, path: join(folder, `${name}.sqlite`), ...more }
  })
  for (const model of ["gpt-4o", claude]) {
    const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }] })
    expect((await ask(gateway.port, "POST", "/v1/chat/completions", body)).status).toBe(200)
  }
  const metrics = (await ask(gateway.port, "GET", "/metrics")).text
  const { rows } = JSON.parse((await ask(gateway.port, "GET", "/admin/v1/usage?by=backend")).text)
  for (const { cost_nanos: nanos, of } of rows) {
    const told = new RegExp(`^nexus_cost_dollars_total{[^}]*backend="${of[0]}"[^}]*} (\\S+)$`, "m").exec(metrics)
    expect(Number(told?.[1] ?? 0)).toBeCloseTo(nanos / 1e9, 12)
  }
  for (const each of [gateway, local, cloud]) await each[Symbol.asyncDispose]()
  return Object.fromEntries(
    rows.map((row: { of: [string]; cost_nanos: number; unpriced: number }) => [
      row.of[0],
      [row.cost_nanos, row.unpriced]
    ])
  )
}

describe("what a request cost", () => {
  test("is the list's price at a cloud, and nothing at home, whatever the model is called there", async () => {
    const { input = 0, output = 0 } = new PriceList(table).of("", "anthropic", claude) ?? {}
    expect(input).toBeGreaterThan(0)
    expect(await world("list", {})).toEqual({ local: [0, 0], cloud: [(12 * input + 5 * output) / 1000, 0] })
  })

  test("is the list's price at a cloud whose zone has a name of its own, and nothing where that is said to be at home", async () => {
    const { input = 0, output = 0 } = new PriceList(table).of("", "anthropic", claude) ?? {}
    const listed = [(12 * input + 5 * output) / 1000, 0]
    expect(await world("own-zone", {}, {}, { zone: "eu-dc" })).toEqual({ local: [0, 0], cloud: listed })
    expect(await world("lan", {}, {}, { zone: "lan" })).toEqual({ local: [0, 0], cloud: [0, 0] })
  })

  test("is the config's price where it has one, and not known where nobody tells it", async () => {
    const prices = [
      { model: "gpt-4o", backend: "local", input_usd: 1, cache_read_usd: 0.1, output_usd: 4, request_usd: 0.001 }
    ]
    expect(await world("config", { prices }, { public_prices: false })).toEqual({
      local: [600_000 + 40_000 + 400_000 + 1_000_000, 0],
      cloud: [0, 1]
    })
  })

  test("is that of a list of one's own, and a list that cannot be read stops nothing", async () => {
    const file = join(folder, "own.json")
    writeFileSync(file, JSON.stringify({ rows: { anthropic: { [claude]: [1000, 0, 0, 2000, -1] } } }))
    expect(await world("own", {}, { prices_file: file })).toEqual({ local: [0, 0], cloud: [22, 0] })
    expect(await world("gone", {}, { prices_file: join(folder, "none.json") })).toEqual({
      local: [0, 0],
      cloud: [0, 1]
    })
  })
})
