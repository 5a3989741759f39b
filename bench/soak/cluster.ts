/**
 * Three replicas and the store that they share, each behind a link of its own: the store is killed and comes back empty, is frozen,
 * is slow; one replica is cut off from it; one is killed and started again. No request may be lost but those that were under way on
 * the one that was killed, none answered with another's token; no hard budget overrun by more than its rule says; and in the end the
 * store and the ledgers know of what was answered.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startStore } from "../../test/kit/sharedStore.ts"
import { startLink } from "../../test/kit/tcpLink.ts"
import { quantile } from "../figures.ts"
import { type RunningNexus, type Setup, startNexus } from "../legs.ts"
import { everyCore, freePort, once, ready } from "../processes.ts"
import { get, post } from "../wire.ts"
import { between, type Chance, chanceOf, pick } from "./chance.ts"
import { Ledger, startFaulty } from "./faulty.ts"
import type { SoakFindings, SoakOptions } from "./queue.ts"

// What the tight budget has room for, at a dollar a request; the other one has no end that can be reached.
const tightUsd = 300
const perMinute = 1200

const events = { kill: 3, freeze: 3, slow: 3, swallow: 3, cut: 2, "kill a replica": 3 }

// What is lost of the ledger of one that is killed: the last 0.4 s, and what a busy machine makes of it.
const ledgerMs = 600

/** What came of a request. */
interface Outcome {
  readonly replica: number
  readonly status: number
  readonly began: number
  readonly ended: number
}

interface Health {
  readonly cluster: { readonly store: { readonly status: string }; readonly replicas: ReadonlyArray<unknown> }
}

interface Usage {
  readonly total: { readonly completed: number }
  readonly replicas?: { readonly answered: number; readonly silent: number }
  readonly budgets: ReadonlyArray<{
    readonly name: string
    readonly spent_nanos: number
    readonly reserved_nanos: number
  }>
}

const said = async <A>({ port }: RunningNexus, path: string): Promise<A | undefined> => {
  const { status, text } = await once(port, get(path))
  return status === 200 ? (JSON.parse(text) as A) : undefined // reason: our own endpoint
}

const spentOf = (usage: Usage | undefined, name: string): number =>
  (usage?.budgets.find((each) => each.name === name)?.spent_nanos ?? 0) / 1e9

/** Runs it; gives what went wrong. */
export const clusterSoak = async ({ clients, from, minutes, seed }: SoakOptions): Promise<SoakFindings> => {
  const folder = mkdtempSync(join(tmpdir(), "nexus-cluster-soak-"))
  const chance = chanceOf(seed)
  const ledger = new Ledger()
  const backends = [1, 2].map((at) => startFaulty(ledger, chanceOf(seed + at)))
  for (const backend of backends) backend.calm()
  await using store = await startStore()
  const links = [0, 1, 2].map(() => startLink(store.port))
  const ports = links.map(() => freePort())
  const setupOf = (at: number): Setup => ({
    mockPort: 0,
    server: ["[health_check]", "interval_seconds = 1"],
    backendLines: backends.flatMap(({ port }, nth) => [
      "[[backends]]",
      `name = "c${String(nth)}"`,
      `url = "http://127.0.0.1:${String(port)}"`
    ]),
    tables: [
      "[cluster]",
      `url = "redis://127.0.0.1:${String(links[at]?.port)}"`,
      `replica_name = "r${String(at)}"`,
      "[usage]",
      `path = ${JSON.stringify(join(folder, `r${String(at)}.sqlite`))}`,
      "[[prices]]",
      'model = "*"',
      "request_usd = 1",
      "[[budgets]]",
      'name = "wide"',
      'models = ["soak"]',
      "hard_usd = 1_000_000",
      "[[budgets]]",
      'name = "tight"',
      'models = ["other"]',
      `hard_usd = ${String(tightUsd)}`,
      "[[models]]",
      'name = "soak"',
      "requests_per_minute = 10_000_000",
      "tokens_per_minute = 1_000_000_000",
      "[[models]]",
      'name = "other"',
      `requests_per_minute = ${String(perMinute)}`
    ]
  })
  const begin = (at: number): RunningNexus =>
    startNexus(from, setupOf(at), { port: ports[at] ?? freePort(), core: everyCore })
  const replicas = [0, 1, 2].map(begin)
  const failures: Array<string> = []
  const healed = async (): Promise<boolean> => {
    const all = await Promise.all(replicas.map((each) => said<Health>(each, "/health")))
    return all.every((each) => each?.cluster.store.status === "connected" && each.cluster.replicas.length === 3)
  }
  const within = async (what: string, seconds: number, holds: () => Promise<boolean>): Promise<number> => {
    const began = performance.now()
    while (!(await holds())) {
      if (performance.now() - began > seconds * 1000) {
        failures.push(`${what}: not within ${String(seconds)} s`)
        break
      }
      await Bun.sleep(50)
    }
    return (performance.now() - began) / 1000
  }
  for (const each of replicas) await ready(each, get("/readyz"))
  await within("three replicas that know of each other", 20, healed)

  const outcomes = new Map<"soak" | "other", Array<Outcome>>([
    ["soak", []],
    ["other", []]
  ])
  const kills: Array<{ readonly replica: number; readonly at: number; back: number }> = []
  let sent = 0
  const ask = async (model: "soak" | "other", replica: number): Promise<void> => {
    sent += 1
    const id = `r${String(sent)}`
    const began = performance.now()
    const body = `{"soak":{"id":"${id}","frames":0},"model":"${model}","messages":[{"role":"user","content":"x"}]}`
    const { status, text } = await once(ports[replica] ?? 0, post("/v1/chat/completions", body))
    const ended = performance.now()
    outcomes.get(model)?.push({ replica, status, began, ended })
    if (status === 200 && !text.includes(`"${id}"`)) failures.push(`${id}: somebody else's answer`)
    // One that has just begun says of itself that it is not ready.
    const isOff = status === 503 && kills.some((kill) => kill.replica === replica && began <= kill.back)
    const isOne = status === 200 || status === 0 || isOff || (model === "other" && (status === 402 || status === 429))
    if (!isOne) failures.push(`${id}: status ${String(status)} of '${model}': ${text.slice(0, 200)}`)
  }

  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 60_000
  // In the last fifth all is quiet, and what the tight budget has left is asked for by all.
  const isStormy = (): boolean => elapsed() < minutes * 0.8
  const happened: Record<string, number> = {}
  let slowest = 0
  const client = async (of: Chance): Promise<void> => {
    while (elapsed() < minutes && failures.length < 50) {
      const isTight = of() < (isStormy() ? 0.02 : 0.3)
      await ask(isTight ? "other" : "soak", between(of, 0, 2))
      await Bun.sleep(between(of, 0, 20))
    }
  }
  const happen: Readonly<Record<keyof typeof events, (replica: number) => Promise<void>>> = {
    kill: async () => {
      await store.kill()
      await Bun.sleep(between(chance, 300, 4000))
      await store.revive()
    },
    freeze: async () => {
      store.freeze()
      await Bun.sleep(between(chance, 100, 3000))
      store.thaw()
    },
    slow: async () => {
      for (const each of links) each.delay(between(chance, 3, 40))
      await Bun.sleep(between(chance, 1000, 4000))
      for (const each of links) each.delay(0)
    },
    swallow: async (replica) => {
      links[replica]?.set("swallows")
      await Bun.sleep(between(chance, 500, 5000))
      links[replica]?.set("open")
    },
    cut: async (replica) => {
      links[replica]?.set("cut")
      await Bun.sleep(between(chance, 500, 5000))
      links[replica]?.set("open")
    },
    "kill a replica": async (replica) => {
      const kill = { replica, at: performance.now(), back: Infinity }
      kills.push(kill)
      await replicas[replica]?.stop("SIGKILL")
      await Bun.sleep(between(chance, 0, 5000))
      const next = begin(replica)
      replicas[replica] = next
      await ready(next, get("/readyz"))
      kill.back = performance.now()
    }
  }
  const windows: Array<{ readonly from: number; to: number }> = []
  const storm = async (): Promise<void> => {
    await Bun.sleep(1000)
    while (isStormy() && failures.length < 50) {
      const event = pick(chance, events)
      happened[event] = (happened[event] ?? 0) + 1
      const window = { from: performance.now(), to: Infinity }
      windows.push(window)
      await happen[event](between(chance, 0, 2))
      window.to = performance.now()
      slowest = Math.max(slowest, await within(`healed after '${event}'`, 15, healed))
      await Bun.sleep(between(chance, 500, 2000))
    }
  }
  await Promise.all([storm(), ...Array.from({ length: clients }, (_, at) => client(chanceOf(seed + 100 + at)))])

  const all = [...outcomes.values()].flat()
  const passed = (of: ReadonlyArray<Outcome>): number => of.filter(({ status }) => status === 200).length
  // Whoever asked one that was killed, or was not yet there again, may have got nothing.
  const lost = all.filter(
    ({ began, ended, replica, status }) =>
      status === 0 && !kills.some((kill) => kill.replica === replica && ended >= kill.at - 50 && began <= kill.back)
  )
  if (lost.length > 0) failures.push(`${String(lost.length)} requests were lost that nobody was killed under`)
  const untold = all.filter(
    ({ ended, replica, status }) =>
      status === 200 &&
      kills.some((kill) => kill.replica === replica && ended > kill.at - ledgerMs && ended < kill.back)
  ).length
  const answered = Map.groupBy(
    all.filter(({ status }) => status === 200),
    ({ began, ended }) => windows.some((window) => ended > window.from && began < window.to)
  )
  const p99 = (isStorm: boolean): string =>
    quantile(
      (answered.get(isStorm) ?? []).map(({ began, ended }) => ended - began),
      0.99
    ).toFixed(0)
  const wide = outcomes.get("soak") ?? []
  const tight = outcomes.get("other") ?? []
  const agrees = async (name: string, of: ReadonlyArray<Outcome>): Promise<void> => {
    let spent = 0
    const broken = of.filter(({ status }) => status === 0).length
    const fits = (): boolean => spent >= passed(of) - untold && spent <= passed(of) + broken
    await within(`what was spent of '${name}'`, 10, async () => {
      const usages = await Promise.all(replicas.map((each) => said<Usage>(each, "/admin/v1/usage")))
      spent = spentOf(usages[0], name)
      return usages.every((each) => spentOf(each, name) === spent) && fits()
    })
    if (!fits())
      failures.push(
        `'${name}': ${String(spent)} are spent of ${String(passed(of))} that were answered (${String(untold)} may be missing)`
      )
    else
      console.log(
        `  ${name.padEnd(10)}  ${String(spent)} spent, ${String(passed(of))} answered, at most ${String(untold)} may be missing`
      )
  }
  console.log(
    `cluster       ${String(all.length)} requests in ${elapsed().toFixed(1)} min, p99 ${p99(false)} ms while all is well and ${p99(true)} ms while it is not; healed within ${slowest.toFixed(1)} s`
  )
  await agrees("wide", wide)
  await agrees("tight", tight)
  const usages = await Promise.all(replicas.map((each) => said<Usage>(each, "/admin/v1/usage")))
  const completed = usages[0]?.total.completed ?? 0
  if (completed < passed(all) - untold)
    failures.push(`the ledgers have ${String(completed)} of ${String(passed(all))} requests`)
  // While the store is away each may spend its part of what was left, and one more where it is late.
  const most = tightUsd + replicas.length * (1 + kills.length)
  if (passed(tight) > most)
    failures.push(`${String(passed(tight))} passed under the tight budget of ${String(tightUsd)}`)
  if (minutes >= 1 && passed(tight) < tightUsd * 0.5)
    failures.push(`only ${String(passed(tight))} passed under the tight budget`)
  const statuses = Map.groupBy(all, ({ status }) => status)
  console.log(
    [
      `  statuses    ${[...statuses].map(([status, of]) => `${String(status)}: ${String(of.length)}`).join(", ")}`,
      `  events      ${Object.entries(happened)
        .map(([name, count]) => `${name} ${String(count)}`)
        .join(", ")}`
    ].join("\n")
  )
  const output = replicas.map((each) => each.output().slice(-1000)).join("\n---\n")
  await Promise.all(replicas.map((each) => each.stop("SIGTERM")))
  for (const link of links) link[Symbol.dispose]()
  rmSync(folder, { recursive: true, force: true })
  return { failures, output }
}
