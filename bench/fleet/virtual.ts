/**
 * `bun run bench fleet --virtual`: the same workloads on the same machines in virtual time, seed after seed, in seconds.
 */
import { table } from "../report.ts"
import { chanceOf } from "../soak/chance.ts"
import type { Told } from "./client.ts"
import { machineOf } from "./machine.ts"
import { VirtualClock } from "./virtual-clock.ts"
import { type ReplicaSetup, VirtualReplicas } from "./virtual-replicas.ts"
import type { Result, Workload } from "./workload.ts"

/** How a run went, and what the gateway found out. */
interface VirtualResult extends Result {
  readonly seed: number
  readonly waited: number
  /** The slots that it has found of each machine for each of its models; 0 where it has not. */
  readonly found: ReadonlyArray<ReadonlyArray<number>>
}

/** Runs a workload once. */
export const runVirtual = async (
  workload: Workload,
  speed: number,
  seed: number,
  replicas: ReplicaSetup = { count: 1, tells: "all" }
): Promise<VirtualResult> => {
  const clock = new VirtualClock(speed)
  const real = performance.now
  // What is measured has no other clock.
  performance.now = () => (clock.now() * 1000) / speed
  try {
    const machines = workload.fleet.map((spec) => machineOf(spec, clock))
    const nexus = new VirtualReplicas(clock, machines, workload, seed, replicas)
    const answers: Array<Told> = []
    const from = clock.now()
    let isOver = false
    const driven = workload
      .drive({
        clock,
        chance: chanceOf(seed),
        restart: () => {
          for (const machine of machines) machine.restart()
        },
        ask: async (question) => {
          const told = await nexus.ask(question)
          answers.push(told)
          return told
        }
      })
      .then(() => {
        isOver = true
      })
    await clock.runUntil(() => isOver)
    await driven
    return {
      answers,
      counted: machines.map(({ counted }) => counted),
      from,
      makespan: clock.now() - from,
      seed,
      waited: nexus.waited,
      found: nexus.found
    }
  } finally {
    performance.now = real
  }
}

const foundText = (slots: ReadonlyArray<number>): string =>
  slots.map((each) => (each === 0 ? "-" : String(each))).join("+")

/** Runs it with each seed; a row for each. */
export const virtualTable = async (
  workload: Workload,
  speed: number,
  seeds: ReadonlyArray<number>,
  replicas: ReplicaSetup
): Promise<string> => {
  const { figures } = workload
  const results = []
  for (const seed of seeds) results.push(await runVirtual(workload, speed, seed, replicas))
  return table([
    ["seed", ...figures.map(({ what }) => what), "waited", "slots found"],
    ...results.map((result) =>
      [
        [String(result.seed)],
        figures.map(({ digits, of }) => of(result).toFixed(digits)),
        [String(result.waited), result.found.map(foundText).join(" ")]
      ].flat()
    ),
    ["mark", ...figures.map(({ target }) => target?.text ?? ""), "", ""]
  ])
}
