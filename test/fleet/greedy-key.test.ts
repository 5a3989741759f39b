import { describe, expect, test } from "bun:test"
import type { MachineSpec } from "../../bench/fleet/machine.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { greedyKey } from "../../bench/fleet/workloads/greedy.ts"

/** The first tokens of those who ask so early beside a key that keeps 48 under way, in seconds, the slowest last. */
const waitsBeside = async (kind: MachineSpec["kind"], servers: number, slots: number, seed = 1, within = Infinity) => {
  const rates = { prefill: 4000, decode: 50, crowding: 0.08 }
  const fleet = Array.from({ length: servers }, () => ({ kind, models: ["chat"], slots, rates, cacheTokens: 100_000 }))
  const { answers, from } = await runVirtual({ ...greedyKey, fleet }, 20, seed)
  return answers
    .filter(({ key, started }) => key !== "greedy" && started - from < within)
    .map(({ first, started }) => first - started)
    .toSorted((a, b) => a - b)
}

describe("beside a key that keeps 48 requests under way, nineteen of twenty others have their first token within four seconds", () => {
  test.each([
    ["generic", 2, 8],
    ["llamacpp", 2, 8],
    ["vllm", 2, 8],
    ["vllm", 4, 4]
  ] as const)("of %s servers, %d with %d slots each", async (kind, servers, slots) => {
    const waits = await waitsBeside(kind, servers, slots)
    expect(waits.length).toBeGreaterThan(60)
    expect(waits[Math.floor(waits.length * 0.95)]).toBeLessThan(4)
  })
})

describe("whoever asks beside a key that has all of servers that tell no slots waits there behind nobody for long, before these are found", () => {
  test.each([
    [3, 6],
    [4, 6]
  ])("of %d servers with %d slots each, nine of ten within two and a half seconds", async (servers, slots) => {
    const waits: Array<number> = []
    for (let seed = 1; seed <= 6; seed += 1) waits.push(...(await waitsBeside("generic", servers, slots, seed, 40)))
    waits.sort((a, b) => a - b)
    expect(waits.length).toBeGreaterThan(100)
    expect(waits[Math.floor(waits.length * 0.9)]).toBeLessThan(2.5)
  })
})
