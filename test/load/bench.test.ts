import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import fc from "fast-check"
import { bar } from "../../src/cli/bench-command.ts"
import { type Measured, percentile, tokensPerSecond } from "../../src/load/answer-meter.ts"
import { benchCost, benchRows, promptOf } from "../../src/load/bench.ts"
import type { TimedAnswer } from "../../src/load/timed-call.ts"
import { makeShell } from "../kit/shell.ts"
import { startProcess } from "../kit/gateway.ts"

// Commands are processes, and a busy machine starts them slowly.
setDefaultTimeout(60_000)

const { close, nexus, start, startUntil } = makeShell()
afterAll(close)

const mocking = async (...args: ReadonlyArray<string>) =>
  (await startUntil(/listens on (http:\S+\d)/, "mock", "-p", "0", "--quiet", ...args)).found

describe("nexus bench", () => {
  test("measures a server by its URL, tells beforehand what it takes, and never says more than it has measured", async () => {
    const url = await mocking("--model", "small", "--speed", "50", "--tokens", "40")
    const asked = ["bench", `${url}/v1`, "--requests", "4", "--max-tokens", "20", "--concurrency", "1,2"]
    const [shown, told] = await Promise.all([nexus(...asked), nexus(...asked, "--json")])
    expect(shown.code).toBe(0)
    expect(shown.stderr).toContain("Asks small at 127.0.0.1:")
    expect(shown.stderr).toContain("9 requests, about 1,800 tokens of prompts and at most 180 of answers")
    expect(shown.stderr).toContain("p95 and p5 are left out")
    expect(shown.stdout).toMatch(/127\.0\.0\.1:\d+ +small +1 +4 +0 +\d+ ms +- +\d+ +- +\d+/)
    expect(shown.stdout).toContain("█")
    const { rows } = JSON.parse(told.stdout) as { rows: ReadonlyArray<Record<string, unknown>> } // reason: its shape is what is tested
    expect(rows.map(({ answered, completion_tokens: tokens, concurrency }) => [concurrency, answered, tokens])).toEqual(
      [
        [1, 4, 80],
        [2, 4, 80]
      ]
    )
    // The mock writes no faster than it was told, whatever the machine does.
    for (const { tokens_per_second: speed } of rows) {
      const { median, p5 } = speed as { median: number; p5: null } // reason: its shape is what is tested
      expect(median).toBeLessThan(65)
      expect(p5).toBeNull()
    }
  })

  test("measures each backend of the gateway that could answer, or the gateway itself, and asks no cloud without --yes", async () => {
    const [near, far] = await Promise.all([mocking("--model", "small"), mocking("--model", "small", "--model", "far")])
    await using gateway = await startProcess({
      backends: [
        { name: "near", url: near },
        { name: "far", url: far, zone: "cloud" }
      ]
    })
    const few = ["--requests", "2", "--max-tokens", "5", "-p", String(gateway.port)]
    const [direct, all, through, dear, none] = await Promise.all([
      nexus("bench", "small", ...few),
      nexus("bench", "small", "--yes", ...few),
      nexus("bench", "small", "--gateway", ...few),
      nexus("bench", "far", ...few),
      nexus("bench", "nothing", ...few)
    ])
    expect(direct.stderr).toContain("far: left out")
    expect(direct.stdout).toMatch(/near +small +1 +2 +0/)
    expect(direct.stdout).not.toContain("far ")
    expect(all.stdout).toMatch(/near +small +1 +2 +0/)
    expect(all.stdout).toMatch(/far +small +1 +2 +0/)
    expect(through.stdout).toMatch(/near +small +1 +2 +0/)
    expect([dear.code, dear.stderr]).toEqual([1, expect.stringContaining("--yes asks there as well")])
    expect([none.code, none.stderr]).toEqual([1, expect.stringContaining("nothing")])
  })

  test("ends at Ctrl-C with what it has measured, and says why somebody could not be measured", async () => {
    const slow = await startUntil(
      /listens on (http:\S+\d)/,
      "mock",
      "-p",
      "0",
      "--model",
      "slow",
      "--fault",
      "stall=2 every=4"
    )
    const child = start("bench", slow.found, "--requests", "50", "--json")
    // The fourth request never ends, and the third is sent when the second has been answered.
    const reader = slow.child.stdout.getReader()
    let told = slow.text
    while ((told.match(/streamed: \d+ tokens/g)?.length ?? 0) < 3)
      told += new TextDecoder().decode((await reader.read()).value)
    child.kill("SIGINT")
    const shown: unknown = JSON.parse(await new Response(child.stdout).text())
    expect(await child.exited).toBe(0)
    expect(shown).toMatchObject({ whole: false, rows: [{ backend: new URL(slow.found).host, failed: 0 }] })
    const bad = await mocking("--model", "bad", "--fault", "status=401")
    const [failed, wrong, level] = await Promise.all([
      nexus("bench", bad, "--requests", "1"),
      nexus("bench", "https://api.example.com"),
      nexus("bench", "m", "--concurrency", "0")
    ])
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringContaining("bad at 127.0.0.1:")])
    expect(failed.stderr).toContain("status 401")
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining("--yes asks there as well")])
    expect(level.code).toBe(2)
  })
})

const answered: fc.Arbitrary<TimedAnswer> = fc
  .record({ firstMs: fc.nat(1000), more: fc.integer({ min: 1, max: 5000 }), tokens: fc.nat(500), whole: fc.boolean() })
  .map(({ firstMs, more, tokens, whole }) => ({
    status: 200,
    whole,
    firstMs,
    lastMs: firstMs + more,
    usage: { prompt: 10, cached: 0, completion: tokens },
    pieces: 3,
    fault: whole ? undefined : "it broke off",
    backend: undefined,
    said: undefined
  }))

describe("the figures of a bench", () => {
  test("lie between the least and the most that was measured, and tell of the tail from twenty answers on alone", () =>
    fc.assert(
      fc.property(fc.array(answered, { minLength: 1, maxLength: 40 }), (answers) => {
        const target = { name: "t", model: "m", call: () => expect.unreachable() }
        const [row] = benchRows({ target, level: 1, ms: 1000, answers })
        const good = answers.filter(({ whole }) => whole)
        const first = good.map(({ firstMs = 0 }) => firstMs)
        expect([row?.answered, row?.failed]).toEqual([good.length, answers.length - good.length])
        expect(row?.first_token_ms.p95 === null).toBe(good.length < 20)
        const { median, p95 } = row?.first_token_ms ?? { median: null, p95: null }
        expect(median === null).toBe(good.length === 0)
        if (median !== null) {
          expect(median).toBeGreaterThanOrEqual(Math.min(...first))
          expect(median).toBeLessThanOrEqual(p95 ?? Math.max(...first))
        }
      })
    ))

  test("speak of no speed where less than two tokens came, and percentiles keep their order", () =>
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, min: 0, max: 1e6 }), { minLength: 1 }), (values) => {
        const parts = [0, 0.05, 0.5, 0.95, 1].map((part) => percentile(values, part) ?? Number.NaN)
        expect(parts).toEqual(parts.toSorted((a, b) => a - b))
        const measured: Measured = {
          status: 200,
          whole: true,
          firstMs: 1,
          lastMs: 9,
          usage: { prompt: 1, cached: 0, completion: 1 },
          pieces: 1,
          fault: undefined
        }
        expect(tokensPerSecond(measured)).toBeUndefined()
      })
    ))

  test("a prompt begins otherwise each time, and what is told beforehand is what is asked for", () => {
    expect(promptOf(50, "a1")).not.toBe(promptOf(50, "b2"))
    expect(promptOf(50, "a1").slice(0, 10)).not.toBe(promptOf(50, "b2").slice(0, 10))
    expect(promptOf(200, "a").split(" ").length).toBeGreaterThan(150)
    // One beforehand, and never fewer than there are at a time.
    expect(benchCost(2, { levels: [1, 8], requests: 4, promptTokens: 10, maxTokens: 5 })).toEqual({
      requests: 26,
      promptTokens: 260,
      maxTokens: 130
    })
  })

  test("bars are as wide as they should be, to an eighth of a column", () =>
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: 0, max: 60 }), (columns) => {
        expect(Math.abs(Bun.stringWidth(bar(columns)) - columns)).toBeLessThanOrEqual(1)
      })
    ))
})
