import { describe, expect, test } from "bun:test"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { cachedIn, restarted } from "../../bench/fleet/workloads/restart.ts"

describe("eight chats on two llama-servers with four slots each", () => {
  const seeds = [1, 2, 3, 4, 5, 6]

  test.each(seeds)("have a slot each from the first turn on (arrivals %d)", async (seed) => {
    const result = await runVirtual(restarted, 20, seed)
    for (const turn of [2, 3, 4]) expect(cachedIn(turn).of(result)).toBeGreaterThan(86)
  })

  test.each(seeds)("have one again a turn after both were started anew (arrivals %d)", async (seed) => {
    const result = await runVirtual(restarted, 20, seed)
    for (const turn of [6, 7, 8]) expect(cachedIn(turn).of(result)).toBeGreaterThan(90)
  })
})
