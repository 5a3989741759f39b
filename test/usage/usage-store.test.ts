import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { outcomes } from "../../src/domain/request.ts"
import { type FigureSums, summedFigures } from "../../src/domain/usage-words.ts"
import { openDatabase } from "../../src/store/Database.ts"
import { mostTogether, PackedRecords, type RecordBatch } from "../../src/usage/packed-records.ts"
import {
  countTokens,
  disjointCounts,
  countSources,
  priceSources,
  type UsageRecord
} from "../../src/usage/usage-record.ts"
import { usageMigrations, UsageStore } from "../../src/usage/usage-store.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let files = 0
const opened = () => {
  files += 1
  const path = join(folder, `${files}.sqlite`)
  const database = openDatabase(path, usageMigrations)
  return { path, database, store: new UsageStore(database) }
}

const start = Date.UTC(2026, 10, 1)
const end = Date.UTC(2026, 10, 3)
const tokens = fc.nat(1_000_000)

const record: fc.Arbitrary<UsageRecord> = fc.record({
  at: fc.integer({ min: start, max: end - 1 }),
  requestId: fc.oneof(fc.uuid(), fc.string({ unit: "binary", maxLength: 80 })),
  key: fc.constantFrom("", "a", "b"),
  owner: fc.constantFrom("", "it's"),
  model: fc.constantFrom("m", "n"),
  served: fc.constantFrom("", "m:latest"),
  backend: fc.constantFrom("", "one", "two"),
  dialect: fc.constantFrom("openai", "anthropic"),
  endpoint: fc.constant("chat/completions"),
  shadow: fc.boolean(),
  outcome: fc.constantFrom(...outcomes),
  status: fc.constantFrom(200, 499, 502),
  stream: fc.boolean(),
  attempts: fc.nat(3),
  tokens: fc.record({ fresh: tokens, cacheRead: tokens, cacheWrite: tokens, output: tokens, reasoning: tokens }),
  counted: fc.constantFrom(...countSources),
  cost: fc.record({ nanos: fc.nat(2_000_000_000), by: fc.constantFrom(...priceSources) }),
  durationMs: fc.nat(100_000),
  firstByteMs: fc.option(fc.nat(1000), { nil: undefined })
})

const figuresOf = ({ cost, counted, durationMs, outcome, tokens: of }: UsageRecord): ReadonlyArray<number> => [
  1,
  outcome === "completed" ? 1 : 0,
  counted === "estimated" ? 1 : 0,
  of.fresh,
  of.cacheRead,
  of.cacheWrite,
  of.output,
  of.reasoning,
  durationMs,
  cost.nanos,
  cost.by === "unknown" && counted !== "none" ? 1 : 0
]

const packedOf = (records: ReadonlyArray<UsageRecord>): PackedRecords => {
  const packed = new PackedRecords()
  for (const each of records) packed.push(each)
  return packed
}

const addAll = (store: UsageStore, records: ReadonlyArray<UsageRecord>): void => {
  for (const batch of packedOf(records).batches) store.add(batch)
}

// The records of a batch, and what they have in common, as its text has them.
const unpacked = ({ at: began, kinds, text }: RecordBatch): ReadonlyArray<unknown> => {
  const rows: ReadonlyArray<readonly [number, string, number, ...ReadonlyArray<number>]> = JSON.parse(
    Buffer.from(text).toString()
  )
  return rows.map(([since, id, place, ...numbers]) => {
    const { series, shared } = kinds[place] ?? {}
    const [outcome, status, stream, attempts, counted, priced] = (shared ?? "").split(",").map(Number)
    const [durationMs, firstByteMs = -1] = numbers.slice(6)
    const asked = [began + since, outcome, status, stream, attempts]
    const all = [...asked, ...numbers.slice(0, 5), counted, numbers[5], priced, durationMs, firstByteMs]
    return Object.assign({ id, numbers: all }, series)
  })
}

const columnsOf = ({ cost, counted, requestId: id, tokens: of, ...record }: UsageRecord): unknown => {
  const { at, attempts, durationMs, firstByteMs, outcome, status, stream, ...series } = record
  const asked = [at, outcomes.indexOf(outcome), status, stream ? 1 : 0, attempts]
  const counts = [of.fresh, of.cacheRead, of.cacheWrite, of.output, of.reasoning, countSources.indexOf(counted)]
  return {
    ...series,
    id,
    numbers: [...asked, ...counts, cost.nanos, priceSources.indexOf(cost.by), durationMs, firstByteMs ?? -1]
  }
}

const inOrder = (rows: ReadonlyArray<unknown>): ReadonlyArray<string> =>
  rows.map((row) => JSON.stringify(row, (_, value: unknown) => (isRow(value) ? sorted(value) : value))).toSorted()

const isRow = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const sorted = (row: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(row).toSorted(([one], [other]) => (one < other ? -1 : 1)))

const sumOf = (records: ReadonlyArray<UsageRecord>): FigureSums =>
  Object.fromEntries(
    summedFigures.map((figure, at) => [figure, records.reduce((sum, each) => sum + (figuresOf(each)[at] ?? 0), 0)])
  ) as unknown as FigureSums // reason: it has every figure

const whole = { from: start, to: end }

describe("records that wait", () => {
  test("come out as they went in, in their order, however many come and go between (law)", () => {
    const step = fc.record({
      come: fc.array(record, { maxLength: 20 }),
      times: fc.constantFrom(1, 1, 200),
      go: fc.nat(4)
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
        const packed = new PackedRecords()
        const expected: Array<UsageRecord> = []
        for (const { come, go, times } of steps) {
          for (const each of Array.from({ length: times }, () => come).flat()) {
            packed.push(each)
            expected.push(each)
          }
          expect(packed.size).toBe(expected.length)
          for (let gone = 0; gone < go; gone += 1) {
            const count = packed.batches[0]?.count ?? 0
            expect(count).toBeLessThanOrEqual(mostTogether)
            expect(packed.drop()).toBe(count)
            expected.splice(0, count)
          }
        }
        expect(packed.size).toBe(expected.length)
        expect(packed.batches.flatMap(unpacked)).toEqual(expected.map(columnsOf))
      }),
      { numRuns: 40 }
    )
  })

  test("have every number as it is, and what is none or beyond all counting as one (law)", () => {
    const [one] = fc.sample(record, { numRuns: 1, seed: 1 })
    if (one === undefined) throw new Error("no record")
    const number = fc.oneof(fc.maxSafeInteger(), fc.double(), fc.constantFrom(0x7fff_fffe, 0x7fff_ffff, 0x8000_0000))
    fc.assert(
      fc.property(number, (nanos) => {
        const [batch] = packedOf([{ ...one, cost: { nanos, by: "list" } }]).batches
        const rows: ReadonlyArray<ReadonlyArray<unknown>> = JSON.parse(Buffer.from(batch?.text ?? []).toString())
        const most = Number.MAX_SAFE_INTEGER
        const expected = Number.isFinite(nanos) ? Math.max(-most, Math.min(most, Math.round(nanos))) : 0
        expect(rows[0]?.[8]).toBe(expected + 0)
      })
    )
  })
})

describe("the file", () => {
  test("takes a record with a number that is none, which would hold up all after it forever", () => {
    const queue = new PackedRecords()
    const [one, other] = fc.sample(record, { numRuns: 2, seed: 1 })
    if (one === undefined || other === undefined) throw new Error("no records")
    queue.push({ ...one, tokens: { ...one.tokens, fresh: NaN }, cost: { nanos: NaN, by: "list" }, durationMs: NaN })
    queue.push(other)
    const { database, store } = opened()
    for (const batch of queue.batches) store.add(batch)
    expect(database.query("select fresh, cost_usd, duration_ms from usage").all()).toEqual([
      { fresh: 0, cost_usd: 0, duration_ms: 0 },
      { fresh: other.tokens.fresh, cost_usd: other.cost.nanos / 1e9, duration_ms: other.durationMs }
    ])
    database.close()
  })

  test("has sums that are those of its records, by whatever they are grouped, and however they came in", () => {
    fc.assert(
      fc.property(fc.array(fc.array(record, { maxLength: 45 }), { maxLength: 5 }), (batches) => {
        const { database, store } = opened()
        for (const batch of batches) addAll(store, batch)
        const all = batches.flat()
        for (const shadows of [true, false]) {
          const own = all.filter(({ shadow }) => shadow === shadows)
          for (const by of [[], ["key"], ["model", "backend"], ["day"], ["owner", "hour"]] as const) {
            const { rows, total } = store.report({ ...whole, by, shadows })
            expect(total).toEqual(sumOf(own))
            for (const figure of summedFigures) {
              expect(rows.reduce((sum, row) => sum + row[figure], 0)).toBe(total[figure])
            }
          }
        }
        const money = database.query<{ sum: number | null }, []>("select sum(cost_nanos) as sum from usage_rows").get()
        expect(money?.sum ?? 0).toBe(sumOf(all).cost_nanos)
        database.close()
      }),
      { numRuns: 20 }
    )
  })

  test("has each record as it was", () => {
    fc.assert(
      fc.property(fc.array(record, { maxLength: 65 }), (records) => {
        const { database, store } = opened()
        addAll(store, records)
        const numbers =
          "at, outcome, status, stream, attempts, fresh, cache_read, cache_write, output, reasoning, counted, cost_nanos, priced, duration_ms, coalesce(first_byte_ms, -1)"
        const texts =
          "'key', key, 'owner', owner, 'model', model, 'served', served, 'backend', backend, 'dialect', dialect, 'endpoint', endpoint"
        const rows = database
          .query<{ row: string }, []>(
            `select json_object(${texts}, 'shadow', json(iif(shadow, 'true', 'false')), 'id', request_id, 'numbers', json_array(${numbers})) as row
             from usage_rows r join usage_series s on s.id = r.series`
          )
          .all()
          .map(({ row }): unknown => JSON.parse(row))
        expect(inOrder(rows)).toEqual(inOrder(records.map(columnsOf)))
        database.close()
      }),
      { numRuns: 20 }
    )
  })

  test("keeps its sums when its records are deleted, the oldest first and no more batches than wanted at a time", () => {
    const { database, store } = opened()
    const sample = fc.sample(record, { numRuns: 100, seed: 2 })
    const records = sample.map((each, at): UsageRecord =>
      Object.assign(each, { shadow: false, at: start + at * 60_000 })
    )
    for (let at = 0; at < 100; at += 10) addAll(store, records.slice(at, at + 10))
    const before = store.report({ ...whole, by: [], shadows: false }).total
    // In the middle of the sixth: some of its records are to be kept yet.
    const middle = start + 55 * 60_000
    expect([store.prune(middle, 3), store.prune(middle, 3), store.prune(middle, 3)]).toEqual([3, 2, 0])
    const left = database.query<{ count: number; first: number }, []>(
      "select count(*) as count, min(at) as first from usage_rows"
    )
    expect(left.get()).toEqual({ count: 50, first: start + 50 * 60_000 })
    expect(store.report({ ...whole, by: [], shadows: false }).total).toEqual(before)
    store.pruneHours(end)
    expect(store.report({ ...whole, by: [], shadows: false }).total.requests).toBe(0)
    database.close()
  })

  test("of a version before shows its records beside those of now, and deletes them when they are too old", () => {
    const path = join(folder, "before.sqlite")
    const before = openDatabase(path, { ...usageMigrations, steps: usageMigrations.steps.slice(0, 3) })
    before.run("insert into usage_series values (7, 'a', '', 'm', 'm', 'one', 'openai', 'chat/completions', 0)")
    const values = `${start}, 'then', 7, ${outcomes.indexOf("completed")}, 200, 1, 1, 5, 6, 7, 8, 0, 1, 2000000000, 2, 90, 30`
    before.run(`insert into usage_records values (1, ${values})`)
    before.close()
    const database = openDatabase(path, usageMigrations)
    const store = new UsageStore(database)
    const [one] = fc.sample(record, { numRuns: 1, seed: 4 })
    if (one === undefined) throw new Error("no record")
    addAll(store, [{ ...one, requestId: "now", at: end - 1 }])
    const all = database.query<{ id: string; cost: number }, []>(
      "select request_id id, cost_usd cost from usage order by ended"
    )
    expect(all.all()).toEqual([
      { id: "then", cost: 2 },
      { id: "now", cost: one.cost.nanos / 1e9 }
    ])
    const then = database.query("select * from usage where request_id = 'then'")
    expect(then.get()).toMatchObject({ key: "a", outcome: "completed", priced: "config", first_byte_ms: 30 })
    expect(store.prune(start + 1, 10)).toBe(1)
    expect(all.all()).toEqual([{ id: "now", cost: one.cost.nanos / 1e9 }])
    database.close()
  })

  test("that is full takes nothing of a batch, and all of it when there is room again", () => {
    const { database, store } = opened()
    const batch = fc.sample(record, { numRuns: 400, seed: 3 })
    const { page_count: pages } = database.query<{ page_count: number }, []>("pragma page_count").get() ?? {
      page_count: 0
    }
    database.run(`pragma max_page_count = ${pages + 2}`)
    expect(() => addAll(store, batch)).toThrow("full")
    const count = database.query<{ count: number }, []>("select count(*) as count from usage_rows")
    expect(count.get()).toEqual({ count: 0 })
    database.run("pragma max_page_count = 1000000")
    addAll(store, batch)
    expect(count.get()).toEqual({ count: 400 })
    const all = { ...whole, by: [] as const }
    const both =
      store.report({ ...all, shadows: true }).total.requests + store.report({ ...all, shadows: false }).total.requests
    expect(both).toBe(400)
    database.close()
  })

  test("can be read by nobody else, and knows one of a later version", () => {
    const { database, path } = opened()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    database.close()
    const older = { ...usageMigrations, steps: [] }
    expect(() => openDatabase(path, older)).toThrow("later version")
  })
})

describe("tokens", () => {
  const usage = fc.record(
    {
      prompt: fc.oneof(tokens, fc.constant(Number.NaN), fc.constant(-5), fc.double()),
      cached: tokens,
      completion: fc.oneof(tokens, fc.constant(Infinity)),
      cachedWrite: tokens,
      reasoning: tokens
    },
    { requiredKeys: ["prompt", "cached", "completion"] }
  )

  test("are four counts that no two share a part of: none is negative, and those of the prompt make up the prompt", () => {
    fc.assert(
      fc.property(usage, (said) => {
        const { cacheRead, cacheWrite, fresh, output, reasoning } = disjointCounts(said)
        for (const count of [fresh, cacheRead, cacheWrite, output, reasoning]) {
          expect(Number.isSafeInteger(count) && count >= 0).toBe(true)
        }
        if (Number.isSafeInteger(said.prompt) && said.prompt >= 0)
          // A sum of nothing has no sign.
          expect(fresh + cacheRead + cacheWrite).toBe(said.prompt + 0)
        expect(reasoning).toBeLessThanOrEqual(output)
      })
    )
  })

  test("are said or marked as estimated, and none are made up where nothing was answered", () => {
    const seen = {
      usage: undefined,
      begun: undefined,
      answered: true,
      countable: true,
      generates: true,
      promptTokens: 7,
      written: 3,
      bytes: 900
    }
    expect(countTokens({ ...seen, usage: { prompt: 5, cached: 2, completion: 1 } })).toMatchObject({
      counted: "said",
      tokens: { fresh: 3, cacheRead: 2, output: 1 }
    })
    expect(countTokens(seen)).toMatchObject({ counted: "estimated", tokens: { fresh: 7, output: 3 } })
    expect(countTokens({ ...seen, written: undefined })).toMatchObject({
      counted: "estimated",
      tokens: { fresh: 7, output: 150 }
    })
    expect(countTokens({ ...seen, begun: { prompt: 9, cached: 4, completion: 1 } })).toMatchObject({
      counted: "estimated",
      tokens: { fresh: 5, cacheRead: 4, output: 3 }
    })
    expect(countTokens({ ...seen, generates: false })).toMatchObject({ tokens: { fresh: 7, output: 0 } })
    for (const nothing of [{ answered: false }, { countable: false }]) {
      expect(countTokens({ ...seen, ...nothing })).toMatchObject({ counted: "none", tokens: { fresh: 0, output: 0 } })
    }
  })
})
