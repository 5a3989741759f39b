/**
 * C and E: questions that arrive by chance, before machines that are not alike, and before one that is stuck now and then.
 */
import { answered, endToEnd, extraRequests, failed, firstToken, refused } from "../sums.ts"
import type { MachineSpec } from "../machine.ts"
import { aiming, atMostOf, notAbove, type Workload } from "../workload.ts"
import { arrive, question, type Sizes } from "./crowd.ts"

const machine = (slots: number, prefill: number, decode: number): MachineSpec => ({
  kind: "generic",
  models: ["chat"],
  slots,
  rates: { prefill, decode, crowding: 0.08 },
  cacheTokens: 100_000
})

const arrivals =
  (count: number, perSecond: number, sizes: Sizes): Workload["drive"] =>
  (world) =>
    arrive(
      world,
      perSecond,
      Array.from({ length: count }, () => question(world, "client", "chat", sizes))
    )

/** C. */
export const unevenMachines: Workload = {
  letter: "C",
  title: "one fast, one medium, two slow machines",
  speed: 20,
  fleet: [machine(8, 6000, 90), machine(4, 2500, 45), machine(4, 1000, 22), machine(4, 1000, 22)],
  keys: ["client"],
  batchKeys: [],
  drive: arrivals(400, 1.35, { prompt: [300, 2500], answer: [60, 320] }),
  figures: [
    firstToken(50),
    firstToken(95),
    endToEnd(50),
    aiming(endToEnd(95), atMostOf(1 / 2, "1/2")),
    answered("answered"),
    aiming(refused, notAbove(0)),
    failed
  ]
}

const quick: MachineSpec = { ...machine(8, 4000, 60), kind: "vllm" }

/** E. */
export const slowTail: Workload = {
  letter: "E",
  title: "one of three has a slow tail",
  speed: 10,
  fleet: [quick, quick, { ...quick, tail: { share: 0.1, seconds: 10 } }],
  keys: ["client"],
  batchKeys: [],
  hedged: true,
  drive: arrivals(500, 4, { prompt: [200, 1200], answer: [40, 200] }),
  figures: [
    firstToken(50),
    firstToken(95),
    aiming(firstToken(99), atMostOf(1 / 5, "1/5")),
    endToEnd(95),
    aiming(extraRequests, notAbove(5)),
    aiming(refused, notAbove(0)),
    failed
  ]
}
