/**
 * Runs legs in turn, forwards and backwards, so that what disturbs the machine disturbs all of them alike.
 */
import { type LegName, type Setup, startLeg } from "./legs.ts"
import type { Context } from "./measure.ts"
import { pinned, type Running, startMockProcess } from "./processes.ts"
import { cpuOf, cpuOfMachine } from "./procfs.ts"

/** Legs under way in front of one mock. */
export interface Field {
  readonly mock: Running
  readonly legs: ReadonlyMap<LegName, Running>
  /** Largest share of a core that strangers used during a reading. */
  disturbance: number
}

/** Starts a mock and the legs, and ends them after `use`. */
export const withField = async <A>(
  legs: ReadonlyArray<LegName>,
  setup: Omit<Setup, "mockPort">,
  use: (field: Field) => Promise<A>
): Promise<A> => {
  const mock = await startMockProcess()
  const running = new Map<LegName, Running>()
  try {
    for (const leg of legs) running.set(leg, await startLeg(leg, { ...setup, mockPort: mock.port }))
    return await use({ mock, legs: running, disturbance: 0 })
  } finally {
    for (const leg of running.values()) await leg.stop()
    await mock.stop()
  }
}

const own = (field: Field, running: Running): number => cpuOf(process.pid) + cpuOf(running.pid) + cpuOf(field.mock.pid)

/** Takes a reading of a program, and notes what strangers did meanwhile. */
const watched = async (field: Field, running: Running, read: () => Promise<void>): Promise<void> => {
  const before = cpuOfMachine() - own(field, running)
  const start = performance.now()
  await read()
  const others = cpuOfMachine() - own(field, running) - before
  field.disturbance = Math.max(field.disturbance, others / 1000 / (performance.now() - start))
}

/** Calls `read` for each leg, `context.trials` times over, in alternating order. */
export const inTurn = async (
  context: Context,
  field: Field,
  read: (leg: LegName, running: Running) => Promise<void>
): Promise<void> => {
  for (let trial = 0; trial < context.trials; trial += 1) {
    const order = [...field.legs]
    if (trial % 2 === 1) order.reverse()
    for (const [leg, running] of order) await watched(field, running, () => read(leg, running))
  }
}

/** The note on what strangers did meanwhile. */
export const disturbanceNote = (field: Pick<Field, "disturbance">): string =>
  `other processes used up to ${(field.disturbance * 100).toFixed(0)} % of a core during a reading` +
  (pinned ? "" : "; processes were not pinned")

/** The note on how far behind its plan an open loop sent, in microseconds. */
export const latenessNote = (lateP99: number): string =>
  `latency counts from the moment of sending; sends were up to ${lateP99.toFixed(0)} µs (p99) behind the plan, ` +
  "the tick of the generator's timer"
