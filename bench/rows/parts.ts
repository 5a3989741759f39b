/**
 * Parts of a request by themselves: our client against `fetch`, and what it costs to hold a request in an Effect.
 */
import type { Costs } from "../caller.ts"
import { disturbanceNote } from "../compare.ts"
import type { LegName } from "../legs.ts"
import { atMost, below, type Context, Readings, type Row } from "../measure.ts"
import { type Running, startMockProcess, told } from "../processes.ts"
import { cpuOf, cpuOfMachine } from "../procfs.ts"

/** Reads both sides in turn, in alternating order, and says what strangers did; the one to compare with is the floor. */
const inTurn = async (
  { trials }: Context,
  sides: Readonly<Record<"floor" | "nexus", ReadonlyArray<string>>>,
  program: string,
  mock: Running | undefined,
  take: (leg: LegName, costs: Costs) => void
): Promise<string> => {
  const field = { disturbance: 0 }
  const others = (): number => cpuOfMachine() - cpuOf(process.pid) - (mock === undefined ? 0 : cpuOf(mock.pid))
  for (let trial = 0; trial < trials; trial += 1) {
    for (const leg of trial % 2 === 1 ? (["nexus", "floor"] as const) : (["floor", "nexus"] as const)) {
      const [before, start] = [others(), performance.now()]
      const costs = (await told(program, sides[leg])) as Costs // reason: the program's own last words
      const strange = (others() - before - costs.all) / 1000 / (performance.now() - start)
      field.disturbance = Math.max(field.disturbance, strange)
      take(leg, costs)
    }
  }
  return disturbanceNote(field)
}

/** CPU of a request and of a frame of a stream: our own client and Bun's, straight at the mock. */
export const client: Row = {
  name: "client",
  title: "Our client (as nexus) against fetch (as floor), no proxy in between",
  run: async (context) => {
    const readings = new Readings()
    const mock = await startMockProcess()
    const args = [String(mock.port), String(context.seconds)]
    let lost = 0
    const note = await inTurn(
      context,
      { floor: ["fetch", ...args], nexus: ["own", ...args] },
      "bench/caller.ts",
      mock,
      (leg, costs) => {
        lost += costs.lost
        readings.add("CPU of a request, c=32", leg, costs.request)
        readings.add("CPU of a frame, 200 streams × 50/s", leg, costs.frame)
      }
    )
    await mock.stop()
    return {
      measures: [
        readings.measure("CPU of a request, c=32", "µs", 1, atMost(0.85)),
        readings.measure("CPU of a frame, 200 streams × 50/s", "µs", 2, atMost(1))
      ],
      notes: [`${String(lost)} requests or frames lost`, note]
    }
  }
}

/** What the Effect around a request costs, with nothing in it. */
export const skeleton: Row = {
  name: "skeleton",
  title: "A request with empty hands: acquireUseRelease on a fiber (as nexus), an async function (as floor)",
  run: async (context) => {
    const readings = new Readings()
    const seconds = String(context.seconds)
    const note = await inTurn(
      context,
      { floor: ["plain", seconds], nexus: ["effect", seconds] },
      "bench/skeleton.ts",
      undefined,
      (leg, { request }) => readings.add("CPU of a request", leg, request)
    )
    const legs = readings.of("CPU of a request")
    const added = (legs.nexus ?? []).map((value, at) => value - (legs.floor?.[at] ?? 0))
    return {
      measures: [
        readings.measure("CPU of a request", "µs", 2),
        { what: "what the Effect adds", unit: "µs", digits: 2, legs: { nexus: added }, mark: below(3, "µs") }
      ],
      notes: [note]
    }
  }
}
