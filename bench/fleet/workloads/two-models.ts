/**
 * D: two models, asked in turn by chance, before two Ollamas that have room for one each.
 */
import { answered, endToEnd, failed, firstToken, makespan, modelLoads, refused } from "../sums.ts"
import type { MachineSpec } from "../machine.ts"
import { aiming, atMostOf, notAbove, type Workload } from "../workload.ts"
import { arrive, question } from "./crowd.ts"

const models = ["red", "blue"]

const ollama: MachineSpec = {
  kind: "ollama",
  models,
  slots: 4,
  rates: { prefill: 1500, decode: 45, crowding: 0.15 },
  cacheTokens: 50_000,
  loads: { room: 1, seconds: 12 }
}

/** The workload. */
export const twoModels: Workload = {
  letter: "D",
  title: "two models on two Ollamas that hold one",
  speed: 20,
  fleet: [ollama, ollama],
  keys: ["client"],
  batchKeys: [],
  drive: (world) =>
    arrive(
      world,
      0.8,
      Array.from({ length: 80 }, () =>
        question(world, "client", models[world.chance() < 0.5 ? 0 : 1] ?? "", {
          prompt: [200, 1000],
          answer: [50, 200]
        })
      )
    ),
  figures: [
    aiming(modelLoads, atMostOf(1 / 10, "1/10")),
    aiming(makespan, atMostOf(1 / 2.5, "1/2.5")),
    firstToken(50),
    firstToken(95),
    endToEnd(95),
    answered("answered"),
    aiming(refused, notAbove(0)),
    failed
  ]
}
