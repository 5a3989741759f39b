/**
 * Many clients before few slots: requests of three keys wait in classes, some are hedged, some are left by their clients or
 * cancelled by an administrator while they wait; backends are killed, revived, taken out and put back by reloads.
 * In the end each request has had one outcome, nothing waits, nothing is held, and the metrics say what the clients saw.
 */
import { createHash } from "node:crypto"
import { type RunningNexus, type Setup, startNexus } from "../legs.ts"
import { once, ready } from "../processes.ts"
import { rssOf } from "../procfs.ts"
import { get } from "../wire.ts"
import { between, type Chance, chanceOf, pick } from "./chance.ts"
import { type Faulty, Ledger, startFaulty } from "./faulty.ts"
import { growthOf } from "./growth.ts"
import { Books, client } from "./traffic.ts"

/** What is run, and from what. */
export interface SoakOptions {
  readonly from: "nexus" | "binary"
  readonly minutes: number
  readonly clients: number
  readonly seed: number
}

const slots = [2, 2, 3]

const keys = { night: "batch", day: "normal", pager: "high" } as const

// Clients that are always there; all others come in waves.
const few = 5
const waveMinutes = 0.2

const secretOf = (key: string): string => `sk-soak-${key}`

const boss = "boss"

const keyLines = (name: string, more: string): ReadonlyArray<string> => [
  "[[auth.keys]]",
  `name = "${name}"`,
  `sha256 = "${createHash("sha256").update(secretOf(name)).digest("hex")}"`,
  more
]

const setupOf = (backends: ReadonlyArray<Faulty>, maxQueue: number, without?: number): Setup => ({
  mockPort: 0,
  server: [
    "first_byte_timeout_seconds = 2",
    "idle_timeout_seconds = 2",
    "stall_timeout_seconds = 10",
    "[health_check]",
    "interval_seconds = 1",
    "[queue]",
    `max_queue = ${String(maxQueue)}`,
    "queue_timeout_seconds = 6",
    "[routing.hedge]",
    'models = ["soak"]',
    "min_wait_seconds = 0.3",
    ...Object.entries(keys).flatMap(([name, priority]) => keyLines(name, `priority = "${priority}"`)),
    ...keyLines(boss, "admin = true")
  ],
  aliasLines: ['"short-name" = "soak"'],
  backendLines: backends.flatMap(({ port }, at) =>
    at === without
      ? []
      : [
          "[[backends]]",
          `name = "q${String(at)}"`,
          `url = "http://127.0.0.1:${String(port)}"`,
          `slots = ${String(slots[at] ?? 1)}`
        ]
  )
})

const bossLine = `Authorization: Bearer ${secretOf(boss)}\r\n`

const asked = async ({ port }: RunningNexus, path: string, method = "GET"): Promise<string> => {
  const request = get(path).toString().replace("GET", method).replace("\r\n\r\n", `\r\n${bossLine}\r\n`)
  return (await once(port, Buffer.from(request))).text
}

interface Listed {
  readonly id: string
  readonly phase: string
}

const underWay = async (gateway: RunningNexus): Promise<ReadonlyArray<Listed>> => {
  const { requests } = JSON.parse(await asked(gateway, "/admin/v1/requests")) as {
    readonly requests: ReadonlyArray<Listed>
  } // reason: our own endpoint
  return requests
}

/** Samples of a metric: the sum of each value of a label. */
const sumsBy = (metrics: string, name: string, label: string): Readonly<Record<string, number>> => {
  const sums: Record<string, number> = {}
  for (const [, labels = "", value] of metrics.matchAll(new RegExp(`^${name}(?:\\{(.*)\\})? (\\S+)$`, "gm"))) {
    const of = new RegExp(`${label}="([^"]*)"`).exec(labels)?.[1] ?? ""
    sums[of] = (sums[of] ?? 0) + Number(value)
  }
  return sums
}

const total = (sums: Readonly<Record<string, number>>): number => Object.values(sums).reduce((sum, one) => sum + one, 0)

/** What metrics say against what clients saw: those who left may have been answered by then, in whatever way. */
const disagreements = (metrics: string, { asked, outcomes, statuses }: Books): ReadonlyArray<string> => {
  const left = outcomes["left"] ?? 0
  const found: Array<string> = []
  const within = (what: string, value: number, least: number): void => {
    if (value < least || value > least + left)
      found.push(
        `${what}: the metrics have ${String(value)}, clients ${String(least)} beside ${String(left)} that left`
      )
  }
  const told = sumsBy(metrics, "nexus_requests_total", "status")
  within("requests", total(told), asked - left)
  const seen: Record<string, number> = {}
  for (const [status, count] of Object.entries(statuses)) {
    const kind = `${status.slice(0, 1)}xx`
    seen[kind] = (seen[kind] ?? 0) + count
  }
  for (const kind of new Set([...Object.keys(seen), ...Object.keys(told)])) {
    within(`status ${kind}`, told[kind] ?? 0, seen[kind] ?? 0)
  }
  for (const gauge of [
    "nexus_queued_requests",
    "nexus_requests_in_flight",
    "nexus_backend_requests_in_flight",
    "nexus_open_streams"
  ]) {
    const value = total(sumsBy(metrics, gauge, "backend"))
    if (value !== 0) found.push(`${gauge} stays at ${String(value)}`)
  }
  return found
}

/** Bad days for the backends, and changes of the config, until it is over. */
const trouble = async (
  gateway: RunningNexus,
  backends: ReadonlyArray<Faulty>,
  chance: Chance,
  going: () => boolean,
  happened: Record<string, number>
): Promise<void> => {
  const note = (what: string): void => void (happened[what] = (happened[what] ?? 0) + 1)
  while (going()) {
    await Bun.sleep(between(chance, 1500, 4000))
    const at = between(chance, 0, backends.length - 1)
    const backend = backends[at]
    if (backend === undefined || !going()) return
    const what = pick(chance, { killed: 4, muted: 2, "taken out": 3, "given a shorter queue": 2 })
    note(what)
    if (what === "killed") backend.kill()
    else if (what === "muted") backend.mute()
    else gateway.rewrite(setupOf(backends, what === "taken out" ? 32 : 12, what === "taken out" ? at : undefined))
    await Bun.sleep(between(chance, 500, 2500))
    if (what === "killed" || what === "muted") backend.revive()
    else gateway.rewrite(setupOf(backends, 32))
  }
}

/** Ends requests that wait, now and then. */
const cancelling = async (gateway: RunningNexus, chance: Chance, books: Books, going: () => boolean): Promise<void> => {
  while (going()) {
    await Bun.sleep(between(chance, 200, 800))
    const waiting = (await underWay(gateway)).filter(({ phase }) => phase === "queued")
    const one = waiting[between(chance, 0, waiting.length - 1)]
    if (one === undefined) continue
    books.cancelled.add(one.id)
    await asked(gateway, `/admin/v1/requests/${one.id}`, "DELETE")
  }
}

/** What went wrong, and what the gateway said. */
export interface SoakFindings {
  readonly failures: ReadonlyArray<string>
  readonly output: string
}

/** Runs it. */
export const queueSoak = async ({ clients, from, minutes, seed }: SoakOptions): Promise<SoakFindings> => {
  const ledger = new Ledger()
  const backends = slots.map((_, at) => startFaulty(ledger, chanceOf(seed + at + 1)))
  const gateway = startNexus(from, setupOf(backends, 32))
  await ready(gateway, get("/readyz"))
  const books = new Books()
  const happened: Record<string, number> = {}
  const memory: Array<readonly [number, number]> = []
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 60_000
  const going = (): boolean => elapsed() < minutes && books.wrongs.length < 50
  let most = 0
  const sampler = setInterval(() => {
    memory.push([elapsed(), rssOf(gateway.pid) / 1e6])
    void underWay(gateway).then((all) => {
      most = Math.max(most, all.filter(({ phase }) => phase === "queued").length)
    })
  }, 1000)
  const names = Object.keys(keys)
  const one = (at: number, until: () => boolean): Promise<void> =>
    client(gateway.port, chanceOf(seed + 100 + at + Math.floor(elapsed() * 600)), books, until, (id) =>
      [
        `Authorization: Bearer ${secretOf(names[at % names.length] ?? "")}`,
        `X-Request-Id: ${id}`,
        `Session-Id: ${String(at % 7)}`,
        ...(at % 5 === 0 ? ["X-Nexus-Priority: batch"] : []),
        ""
      ].join("\r\n")
    )
  // Between them there are free slots, which hedges need.
  const waves = async (): Promise<void> => {
    while (going()) {
      const until = elapsed() + waveMinutes
      const wave = (): boolean => going() && elapsed() < until
      await Promise.all(Array.from({ length: clients - few }, (_, at) => one(few + at, wave)))
      await Bun.sleep(4000)
    }
  }
  await Promise.all([
    trouble(gateway, backends, chanceOf(seed + 50), going, happened),
    cancelling(gateway, chanceOf(seed + 51), books, going),
    ...Array.from({ length: few }, (_, at) => one(at, going)),
    waves()
  ])
  clearInterval(sampler)
  const failures: Array<string> = [...books.wrongs]
  const until = performance.now() + 10_000
  let left = await underWay(gateway)
  while ((left.length > 0 || ledger.active > 0) && performance.now() < until) {
    await Bun.sleep(100)
    left = await underWay(gateway)
  }
  for (const { id, phase } of left) failures.push(`${id} is still ${phase} after all clients were served`)
  if (ledger.active > 0) failures.push(`${String(ledger.active)} calls to backends were never ended`)
  const { queue = [] } = JSON.parse(await asked(gateway, "/v1/stats")) as {
    readonly queue?: ReadonlyArray<{ readonly model: string; readonly waiting: number }>
  } // reason: our own endpoint
  for (const { model, waiting } of queue)
    if (waiting > 0) failures.push(`${String(waiting)} wait for ${model} for ever`)
  const metrics = await asked(gateway, "/metrics")
  failures.push(...disagreements(metrics, books))
  const had = total(books.outcomes)
  if (had !== books.asked) failures.push(`${String(books.asked)} requests had ${String(had)} outcomes`)
  // One that has left is known to the gateway sooner than to its backend.
  for (const [at, { busiest }] of backends.entries()) {
    if (busiest() > 2 * (slots[at] ?? 1)) failures.push(`q${String(at)} was given ${String(busiest())} at a time`)
  }
  if (most < 5) failures.push(`no more than ${String(most)} waited at a time`)
  const growth = growthOf(memory, minutes, 21)
  if (growth.failure !== undefined) failures.push(growth.failure)
  await gateway.stop("SIGTERM")
  const listed = (counts: Readonly<Record<string, number>>): string =>
    Object.entries(counts)
      .sort()
      .map(([name, count]) => `${name} ${String(count)}`)
      .join(", ")
  const waits = sumsBy(metrics, "nexus_queue_wait_seconds_count", "class")
  console.log(
    [
      `queue         ${String(books.asked)} requests in ${elapsed().toFixed(1)} min, ${String(ledger.calls)} calls to backends; at most ${String(most)} waited at a time, longest ${(books.longestMs / 1000).toFixed(1)} s`,
      `  outcomes    ${listed(books.outcomes)}`,
      `  waited      ${listed(waits)}`,
      `  at a time   ${backends.map(({ busiest }, at) => `q${String(at)} ${String(busiest())} (slots ${String(slots[at])})`).join(", ")}`,
      `  hedges      ${listed(sumsBy(metrics, "nexus_hedges_total", "outcome"))}`,
      `  faults      ${listed(ledger.faults)}`,
      `  events      ${listed(happened)}`,
      `  memory      ${growth.words}`
    ].join("\n")
  )
  return { failures, output: gateway.output() }
}
