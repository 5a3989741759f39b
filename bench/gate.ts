/**
 * The regression gate: one short paired run of CPU per request and per token against the floor. Machines of a build are
 * noisy, so the least of the trials counts, more are made while the ratio is too high, and it fails only above twice the
 * mark; the printed ratios are the point.
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
  /** Microseconds of processor time for one of it; NaN where too little went through to tell. */
  readonly read: (running: Running) => Promise<number>
}

const seconds = 1.5
const trials = { least: 4, most: 16 }
// The engine translates what runs often, bit by bit, through some 40,000 requests: a slow machine is waited for, for a minute.
const warm = { requests: 40_000, mostRounds: 40, reads: 2 }
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
          const counted = frames - from.frames
          if (counted > (200 * 50 * seconds) / 2) cost = (cpuOf(pid) - from.cpu) / counted
        }
      })
      if (load.lost + load.broken > 0) throw new Error(`${String(load.lost + load.broken)} tokens or streams were lost`)
      return cost
    }
  }
]

/** The least of some readings of each leg, by turns, until the ratio passes or the most of trials were made. */
const judge = async (
  legs: ReadonlyArray<readonly [LegName, Running]>,
  { what, unit, mark, read }: Gated
): Promise<boolean> => {
  const least = new Map<LegName, number>()
  const ratio = () => (least.get("nexus") ?? Number.NaN) / (least.get("floor") ?? Number.NaN)
  for (let round = 0; round < warm.reads; round += 1) for (const [, running] of legs) await read(running)
  let trial = 0
  for (; trial < trials.least || (trial < trials.most && !(ratio() <= 2 * mark)); trial += 1) {
    for (const [leg, running] of trial % 2 === 0 ? legs : legs.toReversed()) {
      const cost = await read(running)
      if (cost > 0) least.set(leg, Math.min(least.get(leg) ?? Number.POSITIVE_INFINITY, cost))
    }
  }
  if (!least.has("floor")) {
    console.log(`skip  ${what}: this machine is too slow to tell`)
    return true
  }
  const passed = ratio() <= 2 * mark
  console.log(
    `${passed ? "pass" : "FAIL"}  ${what}: ${least.get("nexus")?.toFixed(1)} ${unit}, floor ${least.get("floor")?.toFixed(1)} ${unit}, ` +
      `ratio ${ratio().toFixed(2)} of ${String(trial)} trials (mark ${String(mark)}, fails above ${String(2 * mark)})`
  )
  return passed
}

pinSelf()
const passed = await withField(["floor", "nexus"], {}, async (field) => {
  const legs: ReadonlyArray<readonly [LegName, Running]> = [...field.legs]
  for (const [, { port }] of legs) {
    let done = 0
    for (let round = 0; done < warm.requests && round < warm.mostRounds; round += 1) {
      done += (await closedLoop(port, request, 32, seconds)).done
    }
  }
  let all = true
  for (const what of gated) all = (await judge(legs, what)) && all
  return all
})
process.exit(passed ? 0 : 1)
