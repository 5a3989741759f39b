/**
 * The regression gate: one short paired run of CPU per request and per token against the floor. Machines of a build are
 * noisy, so the least of the trials counts, and it fails only above twice the mark; the printed ratios are the point.
 *
 *     bun bench/gate.ts
 */
import { withField } from "./compare.ts"
import { type LegName, smallRequest } from "./legs.ts"
import { closedLoop } from "./load.ts"
import { pinSelf, type Running } from "./processes.ts"
import { cpuOf } from "./procfs.ts"
import { readStreams } from "./streams.ts"

/** What is gated: the mark is a ratio to the floor. */
interface Gated {
  readonly what: string
  readonly unit: string
  readonly mark: number
  /** Microseconds of processor time for one of it. */
  readonly read: (running: Running) => Promise<number>
}

const seconds = 1.5
const trials = 4
// The engine translates what runs often, bit by bit, for some seconds.
const warmups = 3
const request = smallRequest()

const gated: ReadonlyArray<Gated> = [
  {
    what: "CPU per small request",
    unit: "µs",
    mark: 1.35,
    read: async ({ pid, port }) => {
      const before = cpuOf(pid)
      const load = await closedLoop(port, request, 32, seconds)
      if (load.failed > 0) throw new Error(`${String(load.failed)} requests failed`)
      return (cpuOf(pid) - before) / load.done
    }
  },
  {
    what: "CPU per token of 200 streams",
    unit: "µs",
    mark: 1.25,
    read: async ({ pid, port }) => {
      let from = { cpu: 0, frames: 0 }
      let cost = Number.NaN
      const load = await readStreams({
        port,
        streams: 200,
        frames: seconds * 50 + 25,
        every: 20,
        allOpen: (frames) => {
          from = { cpu: cpuOf(pid), frames }
        },
        firstEnded: (frames) => {
          cost = (cpuOf(pid) - from.cpu) / (frames - from.frames)
        }
      })
      if (load.lost + load.broken > 0) throw new Error(`${String(load.lost + load.broken)} tokens or streams were lost`)
      return cost
    }
  }
]

pinSelf()
const failed = await withField(["floor", "nexus"], {}, async (field) => {
  const legs: ReadonlyArray<readonly [LegName, Running]> = [...field.legs]
  let failures = 0
  for (const { what, unit, mark, read } of gated) {
    const readings = new Map<LegName, Array<number>>(legs.map(([leg]) => [leg, []]))
    for (let warmup = 0; warmup < warmups; warmup += 1) for (const [, running] of legs) await read(running)
    for (let trial = 0; trial < trials; trial += 1) {
      for (const [leg, running] of trial % 2 === 0 ? legs : legs.toReversed()) {
        readings.get(leg)?.push(await read(running))
      }
    }
    const floor = Math.min(...(readings.get("floor") ?? []))
    const nexus = Math.min(...(readings.get("nexus") ?? []))
    const ratio = nexus / floor
    const passed = ratio <= 2 * mark
    if (!passed) failures += 1
    console.log(
      `${passed ? "pass" : "FAIL"}  ${what}: ${nexus.toFixed(1)} ${unit}, floor ${floor.toFixed(1)} ${unit}, ` +
        `ratio ${ratio.toFixed(2)} (mark ${String(mark)}, fails above ${String(2 * mark)})`
    )
  }
  return failures
})
process.exit(failed === 0 ? 0 : 1)
