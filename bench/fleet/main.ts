/**
 * `bun run bench fleet`: workloads on simulated servers, by Nexus, by Nexus as it was, and by policies of others.
 *
 *     bun run bench fleet [--workload A,G] [--placers nexus,oracle] [--speed 20] [--seed 1] [--before DIR] [--json FILE]
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { root } from "../processes.ts"
import { fingerprint } from "../report.ts"
import { agentsOnLlama, agentsOnVllm } from "./workloads/agents.ts"
import { busyBatch } from "./workloads/batch.ts"
import { greedyKey } from "./workloads/greedy.ts"
import { slowTail, unevenMachines } from "./workloads/open.ts"
import { twoModels } from "./workloads/two-models.ts"
import { placersOf } from "./entrants.ts"
import { runOnce } from "./run-once.ts"
import { fleetFigures, fleetTable } from "./table.ts"
import type { Workload } from "./workload.ts"

const workloads: ReadonlyArray<Workload> = [
  agentsOnVllm,
  busyBatch,
  unevenMachines,
  twoModels,
  slowTail,
  greedyKey,
  agentsOnLlama
]

const usage = `bun run bench fleet [--workload A,G] [--placers nexus,oracle] [--speed 20] [--seed 1] [--before DIR] [--json FILE]
${workloads.map(({ letter, title }) => `${letter}  ${title}`).join("\n")}`

/** Runs what the arguments say. */
export const fleet = async (args: ReadonlyArray<string>): Promise<void> => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      workload: { type: "string" },
      placers: { type: "string" },
      speed: { type: "string", default: "20" },
      seed: { type: "string", default: "1" },
      before: { type: "string" },
      json: { type: "string" },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) {
    console.log(usage)
    return
  }
  const letters = values.workload?.toUpperCase().split(",")
  const names = values.placers?.split(",")
  const chosen = workloads.filter(({ letter }) => letters?.includes(letter) ?? true)
  const placers = placersOf(root, values.before).filter(({ name }) => names?.includes(name) ?? true)
  const [speed, seed] = [Number(values.speed), Number(values.seed)]
  const machine = fingerprint()
  console.log(`${machine.cpu}, commit ${machine.commit}; ${String(speed)} times as fast, seed ${String(seed)}`)
  const results = []
  for (const workload of chosen) {
    const columns = []
    for (const placer of placers)
      columns.push({ placer: placer.name, ...(await runOnce(workload, placer, speed, seed)) })
    console.log(`\n### ${workload.letter}: ${workload.title}\n\n${fleetTable(workload, columns)}`)
    results.push({ workload: workload.letter, columns: fleetFigures(workload, columns) })
  }
  if (values.json !== undefined) {
    writeFileSync(
      values.json,
      `${JSON.stringify({ machine, speed, seed, at: new Date().toISOString(), results }, null, 2)}\n`
    )
  }
}
