/**
 * `bun run bench fleet`: workloads on simulated servers, by Nexus, by Nexus as it was, and by policies of others.
 *
 *     bun run bench fleet [--workload A,G] [--placers nexus,oracle] [--speed 20] [--seed 1] [--nexus DIR]
 *         [--before DIR] [--json FILE]
 *     bun run bench fleet --virtual [--workload A,G] [--speed 20] [--seed 1,2,3] [--replicas 2 [--apart]]
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { root } from "../processes.ts"
import { fingerprint } from "../report.ts"
import { agentsOnLlama, agentsOnVllm } from "./workloads/agents.ts"
import { busyBatch } from "./workloads/batch.ts"
import { greedyKey } from "./workloads/greedy.ts"
import { slowTail, unevenMachines } from "./workloads/open.ts"
import { restarted } from "./workloads/restart.ts"
import { twoModels } from "./workloads/two-models.ts"
import { placersOf } from "./entrants.ts"
import { runOnce } from "./run-once.ts"
import { fleetFigures, fleetTable } from "./table.ts"
import { virtualTable } from "./virtual.ts"
import type { Workload } from "./workload.ts"

const workloads: ReadonlyArray<Workload> = [
  agentsOnVllm,
  busyBatch,
  unevenMachines,
  twoModels,
  slowTail,
  greedyKey,
  agentsOnLlama,
  restarted
]

const usage = `bun run bench fleet [--workload A,G] [--placers nexus,oracle] [--speed 20] [--seed 1] [--nexus DIR] [--before DIR] [--json FILE]
bun run bench fleet --virtual [--workload A,G] [--speed 20] [--seed 1,2,3] [--replicas 2 [--apart]]
${workloads.map(({ letter, title }) => `${letter}  ${title}`).join("\n")}`

/** Those of a list that are named, all without names. */
const named = <T>(all: ReadonlyArray<T>, nameOf: (one: T) => string, names: string | undefined): ReadonlyArray<T> => {
  const wanted = names?.split(",")
  const unknown = wanted?.filter((name) => all.every((one) => nameOf(one) !== name)) ?? []
  if (unknown.length > 0) throw new Error(`no ${unknown.join(", ")}; there are ${all.map(nameOf).join(", ")}`)
  return all.filter((one) => wanted?.includes(nameOf(one)) ?? true)
}

/** Runs what the arguments say. */
export const fleet = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      workload: { type: "string" },
      placers: { type: "string" },
      speed: { type: "string" },
      seed: { type: "string", default: "1" },
      nexus: { type: "string", default: root },
      before: { type: "string" },
      json: { type: "string" },
      virtual: { type: "boolean", default: false },
      replicas: { type: "string", default: "1" },
      apart: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) {
    console.log(usage)
    return
  }
  const chosen = named(workloads, ({ letter }) => letter, values.workload?.toUpperCase())
  const placers = named(placersOf(values.nexus, values.before), ({ name }) => name, values.placers)
  const seeds = values.seed.split(",").map(Number)
  const [seed = 1] = seeds
  const told = values.speed === undefined ? undefined : Number(values.speed)
  if ((told !== undefined && !(told > 0)) || !seeds.every(Number.isSafeInteger))
    throw new Error("--speed is above 0, and --seed a whole number")
  const count = Number(values.replicas)
  if (!(Number.isSafeInteger(count) && count > 0)) throw new Error("--replicas is a whole number above 0")
  if (values.virtual) {
    for (const workload of chosen) {
      const speed = told ?? workload.speed
      const rows = await virtualTable(workload, speed, seeds, {
        count,
        tells: values.apart ? "standings" : "all"
      })
      console.log(`\n### ${workload.letter}: ${workload.title} (${String(speed)} times as fast)\n\n${rows}`)
    }
    return
  }
  if (count > 1) throw new Error("several replicas are for --virtual")
  if (seeds.length > 1) throw new Error("several seeds are for --virtual")
  const machine = fingerprint()
  console.log(`${machine.cpu}, commit ${machine.commit}, seed ${String(seed)}`)
  const results = []
  for (const workload of chosen) {
    const speed = told ?? workload.speed
    const columns = []
    for (const placer of placers)
      columns.push({ placer: placer.name, ...(await runOnce(workload, placer, speed, seed)) })
    console.log(
      `\n### ${workload.letter}: ${workload.title} (${String(speed)} times as fast)\n\n${fleetTable(workload, columns)}`
    )
    results.push({ workload: workload.letter, speed, columns: fleetFigures(workload, columns) })
  }
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine, seed, at: new Date().toISOString(), results }, null, 2)}\n`)
  }
}
