/**
 * `bun run strain`: what clients that mean harm, or just leave, cost the built gateway. Fails when memory, sockets or
 * requests in flight are not where they were.
 *
 *     bun run strain [--clients 50] [--megabytes 500] [--requests 10000] [--rest 60] [--seed N] [--source] [--quiet-seconds N]
 *
 * `--quiet-seconds` adds a stream that says nothing for so long, which must survive.
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
    "quiet-seconds": { type: "string", default: "0" }
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

console.log(`strain of ${from === "binary" ? "dist/nexus" : "src/main.ts"}, seed ${String(seed)}`)
const quietSeconds = Number(values["quiet-seconds"])
const quiet = quietSeconds > 0 ? quietStream(from, quietSeconds) : Promise.resolve("")
for (const scheme of schemes) await stalled(scheme)
for (const scheme of schemes) await left(scheme)
const quietFailure = await quiet
must(quietFailure === "", quietFailure)
for (const failure of failures) console.log(`FAIL  ${failure}`)
console.log(failures.length === 0 ? "strain passed" : `strain failed: ${String(failures.length)} findings`)
process.exit(failures.length === 0 ? 0 : 1)
