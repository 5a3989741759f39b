/**
 * Bad days all at once: three backends behind bad networks, one that moves, one that goes mute, a worker that is stopped and
 * goes on. Each request carries a token of its own: none may be answered with another's, none be lost, and none be executed
 * more often than `x-nexus-attempts` says.
 */
import { readFileSync } from "node:fs"
import { type RunningNexus, type Setup, startNexus } from "../legs.ts"
import { everyCore, ready } from "../processes.ts"
import { get } from "../wire.ts"
import { chanceOf } from "./chance.ts"
import { Ledger, startFaulty } from "./faulty.ts"
import { startToxic } from "./toxics.ts"
import { Books, client } from "./traffic.ts"

/** What is run, and from what. */
export interface ChaosOptions {
  readonly from: "nexus" | "binary"
  readonly requests: number
  readonly clients: number
  readonly seed: number
}

const workersOf = ({ pid }: RunningNexus): ReadonlyArray<number> =>
  readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, "latin1")
    .split(" ")
    .filter(Boolean)
    .map(Number)

const setupOf = (ports: ReadonlyArray<number>): Setup => ({
  mockPort: 0,
  server: [
    "workers = 2",
    "connect_timeout_seconds = 1",
    "first_byte_timeout_seconds = 5",
    "idle_timeout_seconds = 3",
    "stall_timeout_seconds = 10",
    "[health_check]",
    "interval_seconds = 1"
  ],
  aliasLines: ['"short-name" = "soak"'],
  backendLines: ports.flatMap((port, at) => [
    "[[backends]]",
    `name = "c${String(at)}"`,
    `url = "http://127.0.0.1:${String(port)}"`
  ])
})

/** Runs it; gives what went wrong. */
export const chaos = async ({ from, requests, clients, seed }: ChaosOptions): Promise<ReadonlyArray<string>> => {
  const ledger = new Ledger()
  const backends = Array.from({ length: 3 }, (_, at) => startFaulty(ledger, chanceOf(seed + 10 + at)))
  const networks = backends.map(({ port }, at) => startToxic(port, chanceOf(seed + 20 + at)))
  const [moving, mute, flaky] = backends
  const [leaving, , shaky] = networks
  if (moving === undefined || mute === undefined || flaky === undefined) return ["chaos: no backends"]
  if (leaving === undefined || shaky === undefined) return ["chaos: no networks"]
  // Two fail by what is between them and the gateway alone; the third has bad days of its own besides.
  moving.calm()
  mute.calm()
  const gateway = startNexus(from, setupOf(networks.map(({ port }) => port)), { core: everyCore })
  await ready(gateway, get("/readyz"))
  const books = new Books()
  const failures: Array<string> = []
  let asked = 0
  const going = (): boolean => asked < requests
  const happened: Array<string> = []

  const at = async (share: number): Promise<boolean> => {
    const isTime = (): boolean => asked >= requests * share
    while (going() && !isTime()) await Bun.sleep(20)
    return going()
  }
  const events = async (): Promise<void> => {
    if (await at(0.15)) {
      const [worker] = workersOf(gateway)
      if (worker === undefined) return void failures.push("chaos: no worker to stop")
      process.kill(worker, "SIGSTOP")
      await Bun.sleep(3000)
      process.kill(worker, "SIGCONT")
      happened.push(`a worker stopped for 3 s at ${String(asked)}`)
    }
    if (await at(0.35)) {
      happened.push(`a backend mute for 8 s from ${String(asked)}`)
      mute.mute()
      await Bun.sleep(8000)
      mute.revive()
    }
    if (await at(0.55)) {
      const next = startToxic(moving.port, chanceOf(seed + 30))
      networks.push(next)
      gateway.rewrite(setupOf([next.port, ...networks.slice(1, 3).map(({ port }) => port)]))
      happened.push(`a backend moved at ${String(asked)}`)
      await Bun.sleep(2500)
      leaving.down(true)
    }
    if (await at(0.7)) {
      happened.push(`a network down for 3 s from ${String(asked)}`)
      shaky.down(true)
      await Bun.sleep(3000)
      shaky.down(false)
    }
    if (await at(0.85)) {
      const worker = workersOf(gateway).at(-1)
      if (worker !== undefined) process.kill(worker, "SIGSTOP")
      await Bun.sleep(2000)
      if (worker !== undefined) process.kill(worker, "SIGCONT")
      happened.push(`the other worker stopped for 2 s at ${String(asked)}`)
    }
  }
  const under = Array.from({ length: clients }, (_, number) =>
    client(gateway.port, chanceOf(seed + 5000 + number), books, () => {
      if (!going() || books.wrongs.length >= 50) return false
      asked += 1
      return true
    })
  )
  await Promise.all([events(), ...under])

  let multiplied = 0
  for (const [id, said] of books.attempts) {
    const executed = ledger.executed.get(id) ?? 0
    if (executed <= said) continue
    multiplied += 1
    if (multiplied <= 10)
      failures.push(`chaos: ${id} was executed ${String(executed)} times in ${String(said)} attempts`)
  }
  failures.push(...books.wrongs.map((wrong) => `chaos: ${wrong}`))
  await gateway.stop("SIGTERM")
  const toxics: Record<string, number> = {}
  for (const { counts } of networks) {
    for (const [name, count] of Object.entries(counts)) toxics[name] = (toxics[name] ?? 0) + count
  }
  const listed = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort()
      .map(([name, count]) => `${name} ${String(count)}`)
      .join(", ")
  console.log(
    [
      `chaos         ${String(asked)} requests, ${String(ledger.calls)} executions, ${String(multiplied)} more often than said; longest ${(books.longestMs / 1000).toFixed(1)} s`,
      `  outcomes    ${listed(books.outcomes)}`,
      `  toxics      ${listed(toxics)}`,
      `  faults      ${listed(ledger.faults)}`,
      `  events      ${happened.join("; ")}`
    ].join("\n")
  )
  if (failures.length > 0) console.log(gateway.output().slice(-2000))
  return failures
}
