/**
 * What limits, budgets and a record of usage cost: counted in the process alone, and by replicas through a store on the same machine.
 */
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startStore, storePath } from "../../test/kit/sharedStore.ts"
import { smallRequest, startNexus } from "../legs.ts"
import { closedLoop, openLoop } from "../load.ts"
import { addsAtMost, atMost, type Mark, Readings, type Row } from "../measure.ts"
import { ready, startMockProcess } from "../processes.ts"
import { cpuOf } from "../procfs.ts"

interface Variant {
  readonly name: string
  readonly limits: ReadonlyArray<string>
  readonly tables: ReadonlyArray<string>
  readonly isShared: boolean
  readonly mark?: Mark
}

const rates = ["requests_per_minute = 1_000_000_000", "tokens_per_minute = 1_000_000_000"]
const places = ["max_concurrent = 60_000"]
const budget = [
  "[[prices]]",
  'model = "*"',
  "request_usd = 0.000_001",
  "[[budgets]]",
  'name = "all"',
  "hard_usd = 1_000_000"
]

const variants: ReadonlyArray<Variant> = [
  { name: "limits, alone", limits: rates, tables: [], isShared: false, mark: atMost(1.1) },
  { name: "limits, shared", limits: rates, tables: [], isShared: true, mark: atMost(1.35) },
  { name: "limits and a hard budget, shared", limits: rates, tables: budget, isShared: true, mark: atMost(1.35) },
  { name: "limits and places, shared", limits: [...rates, ...places], tables: [], isShared: true, mark: atMost(1.35) }
]

const levels = [8, 32]
const perSecond = 500

// Until then the threads that compile take as much time as a fifth of each request, and more where there is more to compile.
const warmRequests = 40_000
const mostRounds = 20

/** CPU of a small request and how long it takes, without keys as floor, with them as nexus. */
export const limits: Row = {
  name: "limits",
  title: "Limits of a key and a record of usage (as nexus) against no keys and no record (as floor)",
  run: async ({ seconds, trials }) => {
    const readings = new Readings()
    const folder = mkdtempSync(join(tmpdir(), "nexus-bench-limits-"))
    const request = smallRequest()
    const mock = await startMockProcess()
    const store = storePath === undefined ? undefined : await startStore()
    const measured = variants.filter(({ isShared }) => !isShared || store !== undefined)
    let failed = 0
    const started = await Promise.all(
      measured.map(async (variant, at) => {
        const gateway = startNexus("nexus", {
          mockPort: mock.port,
          tables: [
            "[usage]",
            "enabled = true",
            `path = ${JSON.stringify(join(folder, `${String(at)}.sqlite`))}`,
            "[[auth.keys]]",
            'name = "bench"',
            `sha256 = "${createHash("sha256").update("sk-bench").digest("hex")}"`,
            ...variant.limits,
            ...variant.tables,
            ...(variant.isShared ? ["[cluster]", `url = "${store?.url ?? ""}"`, `name = "bench-${String(at)}"`] : [])
          ]
        })
        // Each has one of its own beside it: one for all would have had more requests than they, and be faster for that.
        const plain = startNexus("nexus", { mockPort: mock.port, tables: ["[usage]", "enabled = false"] })
        await ready(gateway, request)
        await ready(plain, request)
        return { variant, gateway, plain }
      })
    )
    type Leg = "floor" | "nexus"
    // Those without keys are all alike, and yet a tenth apart: what is measured of each is held against all of them.
    const take = (name: string, leg: Leg, what: string, value: number): void => {
      for (const each of leg === "floor" ? measured.map((variant) => variant.name) : [name])
        readings.add(`${each}, ${what}`, leg, value)
    }
    const read = async (name: string, leg: Leg, { pid, port }: { readonly pid: number; readonly port: number }) => {
      for (const level of levels) {
        const before = cpuOf(pid)
        const load = await closedLoop(port, request, level, seconds)
        failed += load.failed
        take(name, leg, `c=${String(level)}`, (cpuOf(pid) - before) / load.done)
      }
      const load = await openLoop(port, request, perSecond, seconds)
      failed += load.failed
      take(name, leg, "p50", load.latency.p50)
      take(name, leg, "p99", load.latency.p99)
    }
    try {
      for (const { port } of started.flatMap(({ gateway, plain }) => [plain, gateway]))
        for (let round = 0, done = 0; round < mostRounds && done < warmRequests; round += 1)
          done += (await closedLoop(port, request, 32, 2)).done
      for (let trial = 0; trial < trials; trial += 1) {
        for (const { gateway, plain, variant } of started) {
          const legs = [
            ["floor", plain],
            ["nexus", gateway]
          ] as const
          for (const [leg, running] of trial % 2 === 0 ? legs : legs.toReversed())
            await read(variant.name, leg, running)
        }
      }
    } finally {
      for (const each of started.flatMap(({ gateway, plain }) => [gateway, plain])) await each.stop()
      await mock.stop()
      await store?.[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    }
    return {
      measures: [
        ...measured.flatMap(({ mark, name }) =>
          levels.map((level) => readings.measure(`${name}, c=${String(level)}`, "µs/request", 1, mark))
        ),
        ...measured.map(({ name }) => readings.measure(`${name}, p50`, "µs", 0)),
        ...measured.map(({ name }) => readings.measure(`${name}, p99`, "µs", 0, addsAtMost(1000, "µs")))
      ],
      notes: [
        `${String(failed)} requests failed`,
        ...(store === undefined ? ["no Valkey or Redis is here: what is shared was not measured"] : [])
      ]
    }
  }
}
