import { describe, expect, test } from "bun:test"
import { arrive, question } from "../../bench/fleet/workloads/crowd.ts"
import { twoModels } from "../../bench/fleet/workloads/two-models.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"

/** How often models are loaded for 80 questions that come so often, each of a conversation that does not go on. */
const loadsAt = async (perSecond: number, seed: number) => {
  const fleet = twoModels.fleet.map((spec) => ({ ...spec, slots: 2, loads: { room: 1, seconds: 8 } }))
  const { counted } = await runVirtual(
    {
      ...twoModels,
      fleet,
      drive: (world) =>
        arrive(
          world,
          perSecond,
          Array.from({ length: 80 }, () =>
            question(world, "client", world.chance() < 0.5 ? "red" : "blue", { prompt: [200, 1000], answer: [50, 200] })
          )
        )
    },
    20,
    seed
  )
  return counted.reduce((sum, { loads }) => sum + loads, 0)
}

describe("two models on two servers that hold one each, and work on two requests at a time", () => {
  test.each([
    ["stay where they are when many wait", 0.8, 4],
    ["stay where they are when few wait", 0.8, 6],
    ["are loaded on a server each, though one of these has never loaded any", 0.33, 6]
  ])("%s", async (_, perSecond, seed) => {
    expect(await loadsAt(perSecond, seed)).toBe(2)
  })
})
