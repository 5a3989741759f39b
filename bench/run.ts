/**
 * `bun run bench`: all rows, or those named, as a table; ratios to the floor of the same run are judged.
 *
 *     bun run bench [row…] [--quick] [--trials N] [--seconds S] [--legs floor,nexus] [--json FILE] [--litellm PROGRAM]
 */
import { writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { fleet } from "./fleet/main.ts"
import { realLlama } from "./fleet/real-llama.ts"
import { availableLegs } from "./legs.ts"
import type { Context, Row } from "./measure.ts"
import { page } from "./page.ts"
import { pinSelf } from "./processes.ts"
import { fingerprint, judge, tableOf } from "./report.ts"
import { bodies } from "./rows/bodies.ts"
import { dialects } from "./rows/dialects.ts"
import { kept } from "./rows/kept.ts"
import { limits } from "./rows/limits.ts"
import { memory } from "./rows/memory.ts"
import { client, skeleton } from "./rows/parts.ts"
import { latency, requests } from "./rows/requests.ts"
import { backends, models } from "./rows/scale.ts"
import { startup } from "./rows/start.ts"
import { frames, memoryOfStreams, tokens } from "./rows/streams.ts"
import { failover, overload } from "./rows/trouble.ts"
import { replicas } from "./rows/replicas.ts"
import { watch } from "./rows/watch.ts"
import { workers } from "./rows/workers.ts"

const rows: ReadonlyArray<Row> = [
  requests,
  latency,
  tokens,
  frames,
  memoryOfStreams,
  kept,
  memory,
  bodies,
  models,
  backends,
  startup,
  overload,
  failover,
  workers,
  client,
  skeleton,
  dialects,
  watch,
  limits,
  replicas
]

// Their columns are other ones, and so are their options.
const others: Readonly<Record<string, (args: ReadonlyArray<string>) => Promise<void>>> = {
  fleet,
  llama: realLlama,
  page
}
const other = others[process.argv[2] ?? ""]
if (other !== undefined) {
  if (other === fleet) pinSelf()
  await other(process.argv.slice(3)).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error)
    process.exit(2)
  })
  process.exit(0)
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    trials: { type: "string" },
    seconds: { type: "string" },
    legs: { type: "string" },
    json: { type: "string" },
    litellm: { type: "string" },
    help: { type: "boolean", short: "h", default: false }
  }
})

const usage = `bun run bench [row…] [--quick] [--trials N] [--seconds S] [--legs floor,nexus] [--json FILE] [--litellm PROGRAM]
rows: ${rows.map(({ name }) => name).join(", ")}; \`page\`, and \`bun run bench fleet --help\`, \`bun run bench llama --help\``

const unknown = positionals.filter((name) => rows.every((row) => row.name !== name))
if (values.help || unknown.length > 0) {
  console.log(unknown.length > 0 ? `no row ${unknown.join(", ")}\n${usage}` : usage)
  process.exit(unknown.length > 0 ? 2 : 0)
}

const wanted = values.legs?.split(",")
const context: Context = {
  trials: Number(values.trials ?? (values.quick ? 2 : 5)),
  seconds: Number(values.seconds ?? (values.quick ? 1 : 4)),
  legs: availableLegs().filter((leg) => wanted?.includes(leg) ?? true),
  ...(values.litellm === undefined ? {} : { litellm: values.litellm })
}

pinSelf()
const machine = fingerprint()
console.log(
  `${machine.cpu}, ${String(machine.cores)} cores, Linux ${machine.kernel}, Bun ${machine.bun}, commit ${machine.commit}` +
    `${machine.pinned ? ", one core for the proxy and one for mock and generator" : ", not pinned"}; ` +
    `${String(context.trials)} trials of ${String(context.seconds)} s, median ± half the spread`
)

const results = []
let missed = 0
for (const row of rows.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const { measures, notes } = await row.run(context)
  const judged = measures.map(judge)
  missed += judged.flatMap(({ met }) => Object.values(met)).filter((yes) => !yes).length
  results.push({ row: row.name, measures: measures.map((measure, at) => ({ ...measure, ...judged[at] })), notes })
  console.log(`\n### ${row.name}: ${row.title}\n\n${tableOf(measures)}\n`)
  for (const note of notes) console.log(`- ${note}`)
}

if (values.json !== undefined) {
  writeFileSync(
    values.json,
    `${JSON.stringify({ machine, context, at: new Date().toISOString(), results }, null, 2)}\n`
  )
}
console.log(`\n${missed === 0 ? "every mark is met" : `${String(missed)} marks are missed`}`)
process.exit(0)
