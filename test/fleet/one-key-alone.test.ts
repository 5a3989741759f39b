import { expect, test } from "bun:test"
import { keepUnderWay, question } from "../../bench/fleet/workloads/crowd.ts"
import { greedyKey } from "../../bench/fleet/workloads/greedy.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"

test("a key that alone is in use soon has all slots, though there are others", async () => {
  const rates = { prefill: 4000, decode: 50, crowding: 0 }
  const timesWith = async (keys: ReadonlyArray<string>) => {
    let left = 100
    const { answers } = await runVirtual(
      {
        ...greedyKey,
        fleet: [{ kind: "llamacpp", models: ["chat"], slots: 8, rates, cacheTokens: 100_000 }],
        keys,
        drive: (world) =>
          keepUnderWay(world, 24, () =>
            (left -= 1) >= 0
              ? question(world, "greedy", "chat", { prompt: [300, 1200], answer: [150, 450] })
              : undefined
          )
      },
      20,
      1
    )
    return Math.max(...answers.map(({ ended }) => ended))
  }
  expect(await timesWith(["greedy", "idle"])).toBeLessThan(1.08 * (await timesWith(["greedy"])))
})

test("a key that alone is in use has all slots of a server that tells none within seconds, though none of its answers ends", async () => {
  let left = 8
  const { answers } = await runVirtual(
    {
      ...greedyKey,
      fleet: [
        {
          kind: "generic",
          models: ["chat"],
          slots: 8,
          rates: { prefill: 4000, decode: 50, crowding: 0 },
          cacheTokens: 100_000
        }
      ],
      keys: ["greedy", "idle"],
      drive: (world) =>
        keepUnderWay(world, 8, () =>
          (left -= 1) >= 0 ? question(world, "greedy", "chat", { prompt: [300, 600], answer: [4000, 4000] }) : undefined
        )
    },
    1,
    1
  )
  expect(Math.max(...answers.map(({ first, started }) => first - started))).toBeLessThan(12)
})
