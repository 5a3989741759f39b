/**
 * RunningWorkers that are none: places whose pipe keeps what is sent down it.
 */
import type { ChildProcess } from "node:child_process"
import type { ToWorker } from "../../src/cluster/messages.ts"
import type { WorkerSlot } from "../../src/cluster/broadcast.ts"
import { turnedAwayCodes } from "../../src/telemetry/meter-table.ts"
import type { ProcessFigures } from "../../src/telemetry/process-figures.ts"

/** A place, what its worker was told, and the signals it was sent. */
export interface Place {
  readonly slot: WorkerSlot
  readonly told: Array<ToWorker>
  readonly signals: Array<string>
}

/** A place whose worker listens. */
export const makePlace = (number: number): Place => {
  const told: Array<ToWorker> = []
  const signals: Array<string> = []
  const child = {
    connected: true,
    // As it comes out at the other end of a pipe.
    send: (message: ToWorker) => void told.push(JSON.parse(JSON.stringify(message))),
    kill: (signal: string) => void signals.push(signal)
  } as unknown as ChildProcess // reason: these three are all that is asked of it
  const slot: WorkerSlot = {
    number,
    child,
    listens: true,
    said: 0,
    standings: [],
    queue: undefined,
    prompts: [],
    tries: [],
    told: new Map(),
    config: undefined,
    status: ""
  }
  return { slot, told, signals }
}

/** Figures of a worker that has turned away so many requests, and has nothing else to tell. */
export const measuresOf = (worker: number, turnedAway: number): ProcessFigures => ({
  processes: [{ worker, rssBytes: 1, cpuSeconds: 1 }],
  endpoints: [],
  active: 0,
  turnedAway: [turnedAway, ...turnedAwayCodes.slice(1).map(() => 0)],
  tallies: [],
  rules: [],
  queues: []
})
