/**
 * `bun run soak --minutes N`: mixed traffic against the built gateway while its backends fail at random. Fails on a lost
 * or doubled request, a count that stays in flight, memory that keeps growing, or a drain that loses a stream. After it the
 * chaos: as many requests as `--chaos` says through bad networks, while backends and workers come, move, go mute and hang.
 *
 *     bun run soak [--minutes N] [--clients N] [--chaos N] [--seed N] [--source]
 *     bun run soak --queue [--minutes N] [--clients N] [--seed N] [--source]      few slots and all that waits for them
 *     bun run soak --cluster [--minutes N] [--clients N] [--seed N] [--source]    three replicas and the store that they share
 */
import { parseArgs } from "node:util"
import { startNexus } from "./legs.ts"
import { hasBinary, once, ready, type Running } from "./processes.ts"
import { rssOf } from "./procfs.ts"
import { chanceOf } from "./soak/chance.ts"
import { chaos } from "./soak/chaos.ts"
import { clusterSoak } from "./soak/cluster.ts"
import { queueSoak } from "./soak/queue.ts"
import { drainUnderLoad } from "./soak/drain.ts"
import { Ledger, startFaulty } from "./soak/faulty.ts"
import { growthOf } from "./soak/growth.ts"
import { Books, client } from "./soak/traffic.ts"
import { get } from "./wire.ts"

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    clients: { type: "string", default: "40" },
    chaos: { type: "string", default: "10000" },
    seed: { type: "string" },
    source: { type: "boolean", default: false },
    queue: { type: "boolean", default: false },
    cluster: { type: "boolean", default: false }
  }
})
const minutes = Number(values.minutes)
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const from = hasBinary() && !values.source ? "binary" : "nexus"

/** Tells what was found, and ends. */
const finish = (findings: ReadonlyArray<string>, output: string): never => {
  for (const finding of findings.slice(0, 40)) console.log(`FAIL  ${finding}`)
  if (findings.length > 0) console.log(`\n${output.slice(-3000)}`)
  console.log(
    findings.length === 0 ? "soak passed" : `soak failed: ${String(findings.length)} findings, seed ${String(seed)}`
  )
  process.exit(findings.length === 0 ? 0 : 1)
}

if (values.queue || values.cluster) {
  const soak = values.cluster ? clusterSoak : queueSoak
  const { failures, output } = await soak({ from, minutes, clients: Number(values.clients), seed })
  finish(failures, output)
}

const ledger = new Ledger()
const chance = chanceOf(seed)
const backends = Array.from({ length: 4 }, (_, at) => startFaulty(ledger, chanceOf(seed + at + 1)))
const gateway = startNexus(from, {
  mockPort: 0,
  server: [
    "first_byte_timeout_seconds = 2",
    "idle_timeout_seconds = 2",
    "stall_timeout_seconds = 10",
    "[health_check]",
    "interval_seconds = 1"
  ],
  aliasLines: ['"short-name" = "soak"'],
  backendLines: backends.flatMap(({ port }, at) => [
    "[[backends]]",
    `name = "b${String(at)}"`,
    `url = "http://127.0.0.1:${String(port)}"`,
    `priority = ${String(1 + (at >> 1))}`
  ])
})
await ready(gateway, get("/readyz"))
console.log(`soak of ${from === "binary" ? "dist/nexus" : "src/main.ts"}: ${String(minutes)} min, seed ${String(seed)}`)

const books = new Books()
const failures: Array<string> = []
const memory: Array<readonly [number, number]> = []
const start = performance.now()
const elapsed = (): number => (performance.now() - start) / 60_000

const inFlight = async ({ port }: Running): Promise<number> => {
  const { text } = await once(port, get("/nexus/backends"))
  const { backends } = JSON.parse(text) as { readonly backends: ReadonlyArray<{ readonly in_flight: number }> } // reason: our own endpoint
  return backends.reduce((sum, each) => sum + each.in_flight, 0)
}

// Clients stop, what is under way ends, and then nothing may be left.
const quiet = async (): Promise<void> => {
  const until = performance.now() + 5000
  let left = await inFlight(gateway)
  while ((left > 0 || ledger.active > 0) && performance.now() < until) {
    await Bun.sleep(50)
    left = await inFlight(gateway)
  }
  if (left > 0) failures.push(`${String(left)} requests stay in flight after all clients were served`)
  if (ledger.active > 0) failures.push(`${String(ledger.active)} calls to backends were never ended`)
}

const total = (): number => Object.values(books.outcomes).reduce((sum, count) => sum + count, 0)

const sampler = setInterval(() => {
  const megabytes = rssOf(gateway.pid) / 1e6
  memory.push([elapsed(), megabytes])
  if (memory.length % 6 === 0) {
    console.log(
      `${elapsed().toFixed(1)} min: ${String(total())} requests, ${String(books.wrongs.length)} wrong, RSS ${megabytes.toFixed(1)} MB`
    )
  }
}, 5000)

const roundMinutes = Math.min(1, minutes / 2)
let round = 0
while (elapsed() < minutes && books.wrongs.length < 50) {
  round += 1
  const until = Math.min(minutes, round * roundMinutes)
  const clients = Array.from({ length: Number(values.clients) }, (_, at) =>
    client(gateway.port, chanceOf(seed + round * 1000 + at), books, () => elapsed() < until)
  )
  await Promise.all(clients)
  await quiet()
}
clearInterval(sampler)

for (const [id, times] of ledger.begun)
  if (times > 1) failures.push(`${id} was answered by backends ${String(times)} times`)
failures.push(...books.wrongs)

const growth = growthOf(memory, minutes, 6)
if (growth.failure !== undefined) failures.push(growth.failure)

for (const backend of backends) backend.calm()
await Bun.sleep(2500)
failures.push(...(await drainUnderLoad(gateway, chance)))

const requests = Number(values.chaos)
if (requests > 0) failures.push(...(await chaos({ from, requests, clients: Number(values.clients), seed })))

const faults = Object.entries(ledger.faults).map(([name, count]) => `${name} ${String(count)}`)
console.log(
  `\nrequests      ${String(total())} in ${elapsed().toFixed(1)} min; calls to backends ${String(ledger.calls)}`
)
for (const [outcome, count] of Object.entries(books.outcomes).sort())
  console.log(`  ${outcome.padEnd(24)} ${String(count)}`)
console.log(`faults        ${faults.join(", ")}`)
console.log(`memory        ${growth.words}`)
finish(failures, gateway.output())
