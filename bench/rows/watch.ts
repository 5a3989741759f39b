/**
 * What it costs to be watched: the same gateway process without and with traces, a line for each request, and a page that
 * follows, switched on and off by reloads in turn.
 */
import { disturbanceNote, type Field } from "../compare.ts"
import { smallRequest, startNexus } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { atMost, Readings, type Row } from "../measure.ts"
import { ready, startMockProcess } from "../processes.ts"
import { cpuOf, cpuOfMachine, cpuOfThreads } from "../procfs.ts"

const otlp = (mockPort: number, ...more: ReadonlyArray<string>): ReadonlyArray<string> => [
  "[telemetry.otlp]",
  `endpoint = "http://127.0.0.1:${String(mockPort)}/otlp"`,
  ...more
]

const accessLog = ["[logging]", 'level = "info"', 'format = "json"', "access_log = true"]

/** Before that many requests of each kind the compiler is at work on what they run, which is read as theirs. */
const warmRequests = 60_000

interface Variant {
  readonly name: string
  readonly tables: (mockPort: number) => ReadonlyArray<string>
  readonly followed?: boolean
}

const variants: ReadonlyArray<Variant> = [
  // What differs here is the machine's doing, and no ratio below says more than that.
  { name: "none of it (control)", tables: () => [] },
  { name: "traces of all", tables: (port) => otlp(port) },
  { name: "traces of a tenth", tables: (port) => otlp(port, "sampling_ratio = 0.1") },
  { name: "traces of all as JSON", tables: (port) => otlp(port, 'protocol = "http/json"') },
  { name: "access log", tables: () => accessLog },
  { name: "a follower of events", tables: () => [], followed: true },
  { name: "all of it", tables: (port) => [...otlp(port), ...accessLog], followed: true }
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

/** CPU of a small request at 32 at a time, off as floor, on as nexus. */
export const watch: Row = {
  name: "watch",
  title: "Traces by OTLP, access log and a live page: on (as nexus) against off (as floor), one process",
  run: async ({ seconds, trials }) => {
    const readings = new Readings()
    const request = smallRequest()
    const mock = await startMockProcess()
    const setup = { mockPort: mock.port }
    const gateway = startNexus("nexus", setup)
    const field: Pick<Field, "disturbance"> = { disturbance: 0 }
    let failed = 0
    const others = (): number => cpuOfMachine() - cpuOf(process.pid) - cpuOf(gateway.pid) - cpuOf(mock.pid)
    let done = 0
    const read = async (): Promise<number> => {
      const [before, start, own] = [others(), performance.now(), cpuOfThreads(gateway.pid)]
      const load = await closedLoop(gateway.port, request, 32, seconds)
      const cost = (cpuOfThreads(gateway.pid) - own) / load.done
      field.disturbance = Math.max(field.disturbance, (others() - before) / 1000 / (performance.now() - start))
      failed += load.failed
      done += load.done
      return cost
    }
    const under = async ({ followed = false, tables }: Variant): Promise<number> => {
      gateway.rewrite({ ...setup, tables: tables(mock.port) })
      await reload(gateway.port)
      const end = followed ? await follow(gateway.port) : undefined
      try {
        return await read()
      } finally {
        await end?.()
      }
    }
    const off: Variant = { name: "off", tables: () => [] }
    try {
      await ready(gateway, request)
      const all = [off, ...variants]
      while (done < warmRequests * all.length) for (const variant of all) await under(variant)
      for (let trial = 0; trial < trials; trial += 1) {
        for (const variant of variants) {
          for (const leg of trial % 2 === 0 ? (["floor", "nexus"] as const) : (["nexus", "floor"] as const)) {
            readings.add(variant.name, leg, await under(leg === "floor" ? off : variant))
          }
        }
      }
    } finally {
      await gateway.stop()
      await mock.stop()
    }
    return {
      measures: variants.map(({ name }) =>
        readings.measure(name, "µs/request", 1, name === "all of it" ? atMost(1.08) : undefined)
      ),
      notes: [`${String(failed)} requests failed`, disturbanceNote(field)]
    }
  }
}
