/**
 * `bun run strain`: what clients that mean harm, or just leave, cost the built gateway. Fails when memory, sockets or
 * requests in flight are not where they were.
 *
 *     bun run strain [--clients 50] [--megabytes 500] [--requests 10000] [--rest 60] [--seed N] [--source] [--quiet-seconds N]
 *                    [--wire bun|own] [--idle 10000] [--only stalled,left,idle]
 *
 * `--quiet-seconds` adds a stream that says nothing for so long, which must survive; `--wire` is the side of the clients, and
 * `--idle` how many connections are held open that say nothing.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { good } from "../test/kit/tls.ts"
import { startNexus } from "./legs.ts"
import { hasBinary, once, ready, type Running } from "./processes.ts"
import { rssOf, socketsOf } from "./procfs.ts"
import { chanceOf } from "./soak/chance.ts"
import { Ledger, startFaulty } from "./soak/faulty.ts"
import { forms, startFlood } from "./strain/flood.ts"
import { idle } from "./strain/idle.ts"
import { leave } from "./strain/left.ts"
import { quietStream } from "./strain/quiet.ts"
import { stall } from "./strain/stalled.ts"
import { get } from "./wire.ts"

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "50" },
    megabytes: { type: "string", default: "500" },
    requests: { type: "string", default: "10000" },
    rest: { type: "string", default: "60" },
    seed: { type: "string" },
    source: { type: "boolean", default: false },
    "quiet-seconds": { type: "string", default: "0" },
    wire: { type: "string", default: "bun" },
    idle: { type: "string", default: "10000" },
    only: { type: "string", default: "stalled,left,idle" }
  }
})
const from = hasBinary() && !values.source ? "binary" : "nexus"
const seed = Number(values.seed ?? Date.now() % 1_000_000)
const failures: Array<string> = []
const must = (holds: boolean, what: string): void => {
  if (!holds) failures.push(what)
}

const folder = mkdtempSync(join(tmpdir(), "nexus-strain-"))
process.on("exit", () => {
  rmSync(folder, { recursive: true, force: true })
})
process.env["NODE_EXTRA_CA_CERTS"] = join(folder, "trusted.pem")
writeFileSync(join(folder, "trusted.pem"), good.cert)

const schemes = ["http", "https"] as const
type Scheme = (typeof schemes)[number]

const tlsOf = (scheme: Scheme) => (scheme === "https" ? good : undefined)

const gatewayFor = async (scheme: Scheme, port: number): Promise<Running> => {
  const url = `${scheme}://127.0.0.1:${String(port)}`
  const gateway = startNexus(from, {
    mockPort: 0,
    server: [`wire = "${values.wire}"`],
    backendLines: ["[[backends]]", 'name = "one"', `url = "${url}"`]
  })
  await ready(gateway, get("/readyz"))
  return gateway
}

// Plain http must keep to 100 MB. Bun's fetch alone holds about 2 MB of each TLS stream that nobody reads.
const most: Readonly<Record<Scheme, number>> = { http: 100, https: 300 }

const stalled = async (scheme: Scheme): Promise<void> => {
  const flood = startFlood(tlsOf(scheme))
  for (const form of forms) {
    const gateway = await gatewayFor(scheme, flood.port)
    const clients = Number(values.clients)
    const megabytes = Number(values.megabytes)
    await stall(gateway, flood, { form, megabytes: 1, clients: 1 })
    const { before, settled, peak, taken, held } = await stall(gateway, flood, { form, megabytes, clients })
    console.log(
      `stalled  ${scheme.padEnd(5)} ${form.padEnd(8)} ${String(clients)} × ${String(megabytes)} MB: RSS ${before.toFixed(0)} MB, ` +
        `+${(settled - before).toFixed(0)} held back, +${(peak - before).toFixed(0)} at most; ` +
        `${taken.toFixed(0)} MB left the backend, ${String(held)} answers waiting`
    )
    must(settled - before < most[scheme], `${scheme} ${form}: memory moves by ${(settled - before).toFixed(0)} MB`)
    must(held === clients, `${scheme} ${form}: ${String(held)} of ${String(clients)} answers wait`)
    await gateway.stop()
  }
}

const inFlight = async ({ port }: Running): Promise<number> => {
  const { text } = await once(port, get("/nexus/backends"))
  return (JSON.parse(text) as { backends: [{ in_flight: number }] }).backends[0].in_flight // reason: our own endpoint, one backend
}

const left = async (scheme: Scheme): Promise<void> => {
  const ledger = new Ledger()
  const backend = startFaulty(ledger, chanceOf(seed), tlsOf(scheme))
  backend.calm()
  const gateway = await gatewayFor(scheme, backend.port)
  const look = async (moment: string) => {
    const now = { rss: rssOf(gateway.pid) / 1e6, sockets: socketsOf(gateway.pid), inFlight: await inFlight(gateway) }
    console.log(
      `left     ${scheme.padEnd(5)} ${moment.padEnd(12)} RSS ${now.rss.toFixed(1)} MB, ${String(now.sockets)} sockets, ` +
        `${String(now.inFlight)} in flight, ${String(ledger.active)} at the backend (${String(ledger.calls)} calls)`
    )
    return now
  }
  const requests = Number(values.requests)
  const rest = () => Bun.sleep(Number(values.rest) * 1000)
  await look("at start")
  // A process that has never worked is smaller than it will ever be again.
  await leave(gateway, chanceOf(seed + 1), Math.ceil(requests / 10))
  await rest()
  const before = await look("warm")
  await leave(gateway, chanceOf(seed + 2), requests)
  await look(`${String(requests)} left`)
  await rest()
  const after = await look(`${values.rest} s later`)
  must(after.rss < before.rss * 1.2, `${scheme}: RSS ${before.rss.toFixed(1)} MB before, ${after.rss.toFixed(1)} after`)
  must(after.sockets <= before.sockets * 1.2, `${scheme}: ${String(after.sockets)} sockets are left`)
  must(after.inFlight === 0 && ledger.active === 0, `${scheme}: requests stay in flight`)
  await gateway.stop()
}

// Who has asked once is kept for 150 s, looked at each 4 s; who has not has about 10 s, and a body has 60.
const patience = { least: 145, most: 165 } as const

const idling = async (): Promise<void> => {
  const backend = startFaulty(new Ledger(), chanceOf(seed))
  backend.calm()
  const gateway = await gatewayFor("http", backend.port)
  const count = Number(values.idle)
  const { before, beside, bytes, held, left: stay, silences } = await idle(gateway, count, patience.most)
  const ms = (microseconds: number): string => (microseconds / 1000).toFixed(1)
  console.log(
    `idle     http  ${String(held)} of ${String(count)} held, ${(bytes / 1024).toFixed(1)} KB each; beside them ${String(beside.failed)} of ` +
      `${String(beside.done)} requests failed, p99 ${ms(beside.latency.p99)} ms (${ms(before.latency.p99)} before); ${String(stay)} sockets are left`
  )
  for (const { answered, closed, leastAfter = 0, mostAfter = 0, name, opened } of silences) {
    const when = closed === 0 ? "" : ` after ${leastAfter.toFixed(0)} to ${mostAfter.toFixed(0)} s`
    console.log(
      `idle     http  ${name}: ${String(opened)} opened, ${String(answered)} told something, ${String(closed)} closed${when}`
    )
    must(closed === opened, `${name}: ${String(opened - closed)} are still open`)
    if (name !== "asked once") continue
    must(answered === opened, `${name}: ${String(opened - answered)} got no answer`)
    must(leastAfter >= patience.least && mostAfter <= patience.most, `${name}: closed${when}`)
  }
  must(held >= count, `${String(held)} of ${String(count)} connections are held`)
  must(beside.failed === 0 && beside.done > 0, `${String(beside.failed)} requests fail beside idle connections`)
  must(stay <= 2, `${String(stay)} sockets are left of idle connections`)
  await gateway.stop()
}

console.log(
  `strain of ${from === "binary" ? "dist/nexus" : "src/main.ts"} with wire = "${values.wire}", seed ${String(seed)}`
)
const parts = values.only.split(",")
const quietSeconds = Number(values["quiet-seconds"])
const quiet = quietSeconds > 0 ? quietStream(from, quietSeconds) : Promise.resolve("")
if (parts.includes("stalled")) for (const scheme of schemes) await stalled(scheme)
if (parts.includes("left")) for (const scheme of schemes) await left(scheme)
if (parts.includes("idle")) await idling()
const quietFailure = await quiet
must(quietFailure === "", quietFailure)
for (const failure of failures) console.log(`FAIL  ${failure}`)
console.log(failures.length === 0 ? "strain passed" : `strain failed: ${String(failures.length)} findings`)
process.exit(failures.length === 0 ? 0 : 1)
