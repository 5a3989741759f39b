import { describe, expect, test } from "bun:test"
import { cachedShare, firstToken } from "../../bench/fleet/sums.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import type { World } from "../../bench/fleet/workload.ts"
import { keepUnderWay, question } from "../../bench/fleet/workloads/crowd.ts"
import { busyBatch } from "../../bench/fleet/workloads/batch.ts"
import { agentsOnLlama, agentsOnVllm } from "../../bench/fleet/workloads/agents.ts"
import { Standing } from "../../src/fleet/standing.ts"
import { waitBeside } from "../../src/router/expected-end.ts"

test("agents on llama-servers with fewer slots than conversations find nearly all of their prompts cached", async () => {
  const fleet = agentsOnLlama.fleet.map((spec) => ({ ...spec, slots: 2 }))
  // In virtual time, and by chance that is fixed: it comes out the same on every machine.
  for (const seed of [1, 2])
    expect(cachedShare.of(await runVirtual({ ...agentsOnLlama, fleet }, 20, seed))).toBeGreaterThan(92)
}, 120_000)

test("agents whose prompts do not all fit into the caches of vLLM spread out again before long", async () => {
  const fleet = agentsOnVllm.fleet.map((spec) => ({ ...spec, cacheTokens: 80_000 }))
  // With this seed four of them begin at one server.
  expect(cachedShare.of(await runVirtual({ ...agentsOnVllm, fleet }, 20, 503))).toBeGreaterThan(90)
}, 120_000)

test("a batch has most of servers with two slots each, and those who chat beside it are answered at once or soon", async () => {
  const [spec] = busyBatch.fleet
  if (spec === undefined) throw new Error("no server")
  const fleet = Array.from({ length: 4 }, () => ({ ...spec, kind: "llamacpp" as const, slots: 2 }))
  const result = await runVirtual({ ...busyBatch, fleet }, 20, 1)
  const tokens = result.answers.reduce((sum, { answerTokens, key }) => (key === "batch" ? sum + answerTokens : sum), 0)
  expect(tokens / result.makespan).toBeGreaterThan(240)
  expect(firstToken(50, ({ key }) => key === "chat").of(result)).toBeLessThan(0.5)
  expect(firstToken(95, ({ key }) => key === "chat").of(result)).toBeLessThan(3)
}, 120_000)

test("many who chat with one key wait for no slots that a batch is given instead", async () => {
  const drive = async (world: World) => {
    const work = Array.from({ length: 160 }, () =>
      question(world, "batch", "chat", { prompt: [500, 1500], answer: [250, 550] })
    )
    let isOver = false
    const batch = keepUnderWay(world, 48, () => work.pop()).then(() => {
      isOver = true
    })
    const chat = async (over: () => boolean) => {
      await world.clock.sleep(world.chance() * 10)
      while (!over()) {
        await world.ask(question(world, "chat", "chat", { prompt: [150, 600], answer: [150, 450] }))
        await world.clock.sleep(2 + world.chance() * 4)
      }
    }
    await Promise.all([batch, ...Array.from({ length: 16 }, () => chat(() => isOver))])
  }
  const result = await runVirtual({ ...busyBatch, drive }, 20, 1)
  expect(firstToken(95, ({ key }) => key === "chat").of(result)).toBeLessThan(6)
}, 120_000)

describe("how long a turn waits for a slot beside other conversations", () => {
  // Answers have 100 tokens, which take a second.
  const standing = new Standing()
  for (let nth = 0; nth < 9; nth += 1) {
    const at = 10_000 * nth
    const running = standing.begins({ prompt: 10, output: 1000, chain: undefined }, at)
    standing.answers(running, at + 10)
    const tokens = { prompt: 10, cached: 0, completion: 100 }
    standing.ends(running, at + 1010, { tokens, written: 100, whole: false })
  }

  test("is nothing while there are slots for all", () => {
    for (const count of [0, 1, 2, 3]) expect(waitBeside(standing, count, 4, 0)).toBe(0)
  })

  test("grows with the number of conversations, and shrinks with their pauses", () => {
    const byCount = [4, 6, 8, 12].map((count) => waitBeside(standing, count, 4, 500))
    expect(byCount).toEqual(byCount.toSorted((a, b) => a - b))
    const byPause = [0, 100, 1000, 100_000].map((pause) => waitBeside(standing, 8, 4, pause))
    expect(byPause).toEqual(byPause.toSorted((a, b) => b - a))
    expect(byPause.at(0)).toBeGreaterThan(0)
    expect(byPause.at(-1)).toBe(0)
  })

  test("for one that is taken is until an answer as long as those before ends, and not as long as it may be", () => {
    standing.begins({ prompt: 10, output: 1000, chain: undefined }, 200_000)
    expect(standing.forecast.freeIn(1, 0, 200_000)).toBeWithin(900, 1200)
  })

  test("grows with how long an answer goes on beyond what was expected, so that nobody waits for ever beside a free server", () => {
    const far = [210_000, 240_000, 300_000].map((now) => standing.forecast.freeIn(1, 0, now))
    expect(far.map((ms) => Math.round(ms / 100) / 10)).toEqual([2.5, 10, 25])
  })
})

test("the share of a prompt that counts as cached, where nobody follows conversations, is what a server has told of others", () => {
  const standing = new Standing()
  const work = { prompt: 1000, output: 100, chain: undefined }
  expect(standing.shareCached(work)).toBe(0)
  for (let nth = 0; nth < 40; nth += 1) {
    const at = 10_000 * nth
    const running = standing.begins(work, at)
    standing.answers(running, at + 10)
    const tokens = { prompt: 1000, cached: nth === 0 ? 0 : 950, completion: 100 }
    standing.ends(running, at + 1010, { tokens, written: 100, whole: false })
  }
  expect(standing.shareCached(work)).toBeCloseTo(0.95)
})
