/**
 * What a second replica brings: CPU of a request at one gateway alone, and at two that share what they know through a store.
 */
import { createHash } from "node:crypto"
import { startStore, storePath } from "../../test/kit/sharedStore.ts"
import { smallRequest, startNexus } from "../legs.ts"
import { closedLoop } from "../load.ts"
import { above, Readings, type Row } from "../measure.ts"
import { ready, startMockProcess } from "../processes.ts"
import { cpuOf } from "../procfs.ts"

const keyed = [
  "[[auth.keys]]",
  'name = "bench"',
  `sha256 = "${createHash("sha256").update("sk-bench").digest("hex")}"`,
  "requests_per_minute = 1_000_000_000",
  "tokens_per_minute = 1_000_000_000"
]

const variants = [
  { name: "no keys", tables: [] },
  { name: "limits of a key, shared", tables: keyed }
] as const

const level = 32

/** One gateway alone as floor, one of two replicas as nexus. Limits go through the store on both sides. */
export const replicas: Row = {
  name: "replicas",
  title: "Two replicas that share a store (CPU of a request at each, as nexus) against one gateway (as floor)",
  run: async ({ seconds, trials }) => {
    const readings = new Readings()
    if (storePath === undefined) return { measures: [], notes: ["no Valkey or Redis is here: nothing was measured"] }
    const request = smallRequest()
    const mock = await startMockProcess()
    const store = await startStore()
    const shared = (name: string) => ["[cluster]", `url = "${store.url}"`, `name = "bench-${name}"`]
    const begin = async (tables: ReadonlyArray<string>) => {
      const gateway = startNexus("nexus", {
        mockPort: mock.port,
        backends: 2,
        tables: ["[usage]", "enabled = false", ...tables]
      })
      await ready(gateway, request)
      return gateway
    }
    const started = await Promise.all(
      variants.map(async ({ name, tables }, at) => {
        const links = [tables.length === 0 ? [] : shared(`${String(at)}-one`), ...[1, 2].map(() => shared(String(at)))]
        const [one, ...two] = await Promise.all(links.map((link) => begin([...tables, ...link])))
        return { name, sides: [["floor", one === undefined ? [] : [one]] as const, ["nexus", two] as const] as const }
      })
    )
    let failed = 0
    // One after the other, so that they take no caches from each other.
    const read = async (gateways: ReadonlyArray<{ readonly pid: number; readonly port: number }>): Promise<number> => {
      let cpu = 0
      let done = 0
      for (const { pid, port } of gateways) {
        const before = cpuOf(pid)
        const load = await closedLoop(port, request, level, seconds)
        cpu += cpuOf(pid) - before
        failed += load.failed
        done += load.done
      }
      return cpu / done
    }
    try {
      for (const { sides } of started) for (const [, gateways] of sides) await read(gateways)
      for (let trial = 0; trial < trials; trial += 1) {
        for (const { name, sides } of started) {
          const took = { floor: 0, nexus: 0 }
          for (const [leg, gateways] of trial % 2 === 0 ? sides : sides.toReversed()) {
            took[leg] = await read(gateways)
            readings.add(`${name}, c=${String(level)} at each`, leg, took[leg])
          }
          readings.add(`${name}, two against one`, "nexus", (2 * took.floor) / took.nexus)
        }
      }
    } finally {
      for (const { sides } of started) for (const [, gateways] of sides) for (const each of gateways) await each.stop()
      await mock.stop()
      await store[Symbol.asyncDispose]()
    }
    return {
      measures: variants.flatMap(({ name }) => [
        readings.measure(`${name}, c=${String(level)} at each`, "µs/request", 1),
        readings.measure(`${name}, two against one`, "×", 2, above(1.8, "×"))
      ]),
      notes: [`${String(failed)} requests failed`]
    }
  }
}
