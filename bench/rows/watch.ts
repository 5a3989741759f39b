/**
 * What it costs to be watched: the same gateway process without and with traces, a line for each request, and a page that
 * follows, switched on and off by reloads in turn.
 */
import { disturbanceNote, type Field } from "../compare.ts"
import { smallRequest, startNexus } from "../legs.ts"
import { steadyLoad, type SteadyLoad } from "../load.ts"
import { above, below, both, type Mark, Readings, type Row } from "../measure.ts"
import { ready, startMockProcess } from "../processes.ts"
import { cpuByThread, cpuOf, cpuOfMachine, cpuSince } from "../procfs.ts"

const otlp = (mockPort: number, ...more: ReadonlyArray<string>): ReadonlyArray<string> => [
  "[telemetry.otlp]",
  `endpoint = "http://127.0.0.1:${String(mockPort)}/otlp"`,
  ...more
]

const every = "sampling_ratio = 1"

const accessLog = ["[logging]", 'level = "info"', 'format = "json"', "access_log = true"]

/** Before that many requests of each kind the compiler is at work on what they run, which is read as theirs. */
const warmRequests = 60_000

interface Variant {
  readonly name: string
  readonly tables: (mockPort: number) => ReadonlyArray<string>
  readonly followed?: boolean
  /** Of the time with it by the time without it. */
  readonly mark?: Mark
}

/** What the process has taken in a turn, in microseconds, and what it has answered. */
interface Reading {
  readonly cpu: number
  readonly done: number
}

const variants: ReadonlyArray<Variant> = [
  // What differs here is the machine's doing, and no ratio below says more than that.
  { name: "none of it (control)", tables: () => ["# on"], mark: both(above(0.97, "×"), below(1.03, "×")) },
  { name: "traces, 200 a second", tables: (port) => otlp(port) },
  { name: "traces of all", tables: (port) => otlp(port, every) },
  { name: "traces of a tenth", tables: (port) => otlp(port, "sampling_ratio = 0.1") },
  { name: "traces of all as JSON", tables: (port) => otlp(port, every, 'protocol = "http/json"') },
  { name: "access log", tables: () => accessLog },
  { name: "a follower of events", tables: () => [], followed: true },
  { name: "all of it", tables: (port) => [...otlp(port), ...accessLog], followed: true, mark: below(1.08, "×") },
  {
    name: "all of it, traces of all",
    tables: (port) => [...otlp(port, every), ...accessLog],
    followed: true,
    mark: below(1.08, "×")
  }
]

/** Follows the events of a gateway as the live page does, until it is ended. */
const follow = async (port: number): Promise<() => Promise<void>> => {
  const ending = new AbortController()
  const answer = await fetch(`http://127.0.0.1:${String(port)}/admin/v1/events`, { signal: ending.signal })
  if (answer.status !== 200 || answer.body === null) throw new Error(`events: status ${String(answer.status)}`)
  const reading = (async (): Promise<void> => {
    try {
      for await (const _ of answer.body ?? []);
    } catch {
      // It is ended from here.
    }
  })()
  return () => {
    ending.abort()
    return reading
  }
}

const reload = async (port: number): Promise<void> => {
  const { status } = await fetch(`http://127.0.0.1:${String(port)}/admin/v1/config/reload`, { method: "POST" })
  if (status !== 200) throw new Error(`reload: status ${String(status)}`)
}

/** A turn takes so long, in seconds, and so many requests at least; as it begins what a reload has made anew settles. */
const turns = { settles: { seconds: 0.1, requests: 300 }, lasts: { seconds: 0.4, requests: 1000 } } as const

/** Waits until so long has passed and so much been answered; a load that answers nothing any more is waited for no longer. */
const passes = async (load: SteadyLoad, { requests, seconds }: (typeof turns)["lasts" | "settles"]): Promise<void> => {
  const from = load.done()
  await Bun.sleep(seconds * 1000)
  for (let waited = 0; waited < 500 && load.done() - from < requests; waited += 1) await Bun.sleep(20)
}

/** The order of turns: what drifts or comes again and again meets both alike. */
const order = [false, true, true, false, true, false, false, true] as const

/** CPU of a small request at 32 at a time, off as floor, on as nexus. */
export const watch: Row = {
  name: "watch",
  title: "Traces by OTLP, access log and a live page: on (as nexus) against off (as floor), in turns of one process",
  run: async ({ seconds, trials }) => {
    const readings = new Readings()
    const request = smallRequest()
    const [mock, collector] = await Promise.all([startMockProcess(), startMockProcess()])
    const setup = { mockPort: mock.port }
    const gateway = startNexus("nexus", setup)
    const field: Pick<Field, "disturbance"> = { disturbance: 0 }
    const others = (): number =>
      [process.pid, gateway.pid, mock.pid, collector.pid].reduce((sum, pid) => sum - cpuOf(pid), cpuOfMachine())
    const read = async (load: SteadyLoad): Promise<Reading> => {
      const [strange, start, done, own] = [others(), performance.now(), load.done(), cpuByThread(gateway.pid)]
      await passes(load, turns.lasts)
      const read = { cpu: cpuSince(gateway.pid, own), done: load.done() - done }
      field.disturbance = Math.max(field.disturbance, (others() - strange) / 1000 / (performance.now() - start))
      return read
    }
    const under = async (load: SteadyLoad, { followed = false, tables }: Variant): Promise<Reading> => {
      gateway.rewrite({ ...setup, tables: tables(collector.port) })
      await reload(gateway.port)
      const end = followed ? await follow(gateway.port) : undefined
      try {
        await passes(load, turns.settles)
        return await read(load)
      } finally {
        await end?.()
      }
    }
    const off: Variant = { name: "off", tables: () => [] }
    let failed = 0
    try {
      await ready(gateway, request)
      const load = await steadyLoad(gateway.port, request, 32)
      try {
        const all = [off, ...variants]
        while (load.done() < warmRequests * all.length) for (const variant of all) await under(load, variant)
        for (let trial = 0; trial < trials; trial += 1) {
          for (const variant of variants) {
            const sums = { floor: { cpu: 0, done: 0 }, nexus: { cpu: 0, done: 0 } }
            for (let at = 0; at * turns.lasts.seconds < seconds * 2; at += 1) {
              const isOn = order[at % order.length] === true
              const { cpu, done } = await under(load, isOn ? variant : off)
              const sum = sums[isOn ? "nexus" : "floor"]
              sum.cpu += cpu
              sum.done += done
            }
            const [without, on] = [sums.floor.cpu / sums.floor.done, sums.nexus.cpu / sums.nexus.done]
            readings.add(variant.name, "floor", without)
            readings.add(variant.name, "nexus", on)
            readings.add(`${variant.name}, of the time without`, "nexus", on / without)
          }
        }
      } finally {
        await load.end()
      }
      failed = load.failed()
    } finally {
      await gateway.stop()
      await mock.stop()
      await collector.stop()
    }
    return {
      measures: variants.flatMap(({ mark, name }) => [
        readings.measure(name, "µs/request", 1),
        readings.measure(`${name}, of the time without`, "×", 3, mark)
      ]),
      notes: [`${String(failed)} requests failed`, disturbanceNote(field)]
    }
  }
}
