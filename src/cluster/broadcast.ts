/**
 * What a supervisor tells its workers, and how their standings add up.
 */
import type { ChildProcess } from "node:child_process"
import * as Redacted from "effect/Redacted"
import type { ReadConfig } from "../config/read.ts"
import type { Backend } from "../backend/backend.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import type { ToldQueue } from "../admission/queues-elsewhere.ts"
import { noteSiblings, toldOf } from "./sibling-standings.ts"
import type { ToWorker, BackendPut, ServerPrompts, SharedStanding, Tries } from "./messages.ts"
import type { Reloader } from "../runtime/Reloader.ts"

/** One worker as its supervisor knows it. */
export interface WorkerSlot {
  readonly number: number
  child: ChildProcess | undefined
  /** Whether it takes requests. */
  listens: boolean
  /** Messages of this place so far. */
  said: number
  standings: ReadonlyArray<SharedStanding>
  /** What its queue told last, and what has been computed for it since the others were told. */
  queue: ToldQueue | undefined
  prompts: ReadonlyArray<ServerPrompts>
  /** The wrong keys that were tried there since the others were told. */
  tries: Tries
  /** What the worker has been told: of each backend, of the config, and how that stands. */
  readonly told: Map<string, BackendState>
  config: ReadConfig | undefined
  status: string
}

/** Sends a message, unless the worker is gone. */
export const send = (worker: ChildProcess | undefined, message: typeof ToWorker.Encoded): void => {
  if (worker?.connected === true) worker.send(message)
}

const stateOf = ({ apiPath, backend, mode, health, models, listed, live, served }: BackendState): ToWorker => ({
  _tag: "State",
  name: backend.name,
  mode,
  ...health,
  models: [...models.values()],
  listed,
  ...(apiPath === undefined ? {} : { apiPath }),
  ...(served === undefined ? {} : { served }),
  ...(live.probeMs === undefined ? {} : { probeMs: live.probeMs })
})

// The pipe to a worker is between the two processes alone.
const putOf = (
  { name, url, address, memberOf, query, apiPath, type, zone, priority, apiKey, tls, maxConcurrent }: Backend,
  origin: BackendPut["origin"]
): ToWorker => ({
  _tag: "Put",
  name,
  url,
  ...(query === undefined ? {} : { query }),
  ...(apiPath === undefined ? {} : { apiPath }),
  type,
  ...(zone === undefined ? {} : { zone }),
  priority,
  origin,
  ...(address === undefined ? {} : { address }),
  ...(memberOf === undefined ? {} : { memberOf }),
  ...(apiKey === undefined ? {} : { key: Redacted.value(apiKey) }),
  // Certificates and keys of TLS are for backends of the config, which a worker knows by the config.
  ...(tls?.insecure === true ? { insecure: true } : {}),
  ...(maxConcurrent === undefined ? {} : { maxConcurrent })
})

const tellConfig = (slot: WorkerSlot, { backends }: Snapshot, reloader: Reloader["Service"]): void => {
  const read = reloader.read()
  if (slot.config !== read) {
    slot.config = read
    send(slot.child, { _tag: "Config", file: read.file ?? null })
    // The worker now goes by the backends of the config; what stands otherwise here is told anew.
    slot.told.clear()
    for (const { name } of read.loaded.backends) if (!backends.has(name)) send(slot.child, { _tag: "Removed", name })
  }
  const status = reloader.status()
  const text = JSON.stringify(status)
  if (slot.status === text) return
  slot.status = text
  send(slot.child, { _tag: "Status", status })
}

/** Tells a worker what is new since it was last told; it knows the backends of the config by the config. */
export const sendNews = (slot: WorkerSlot, snapshot: Snapshot, reloader: Reloader["Service"]): void => {
  const { backends } = snapshot
  const known = [...slot.told.keys()]
  tellConfig(slot, snapshot, reloader)
  for (const name of known) {
    if (backends.has(name)) continue
    slot.told.delete(name)
    send(slot.child, { _tag: "Removed", name })
  }
  for (const [name, state] of backends) {
    const before = slot.told.get(name)
    if (before === state) continue
    slot.told.set(name, state)
    const { origin } = state.backend
    if (before?.backend !== state.backend && origin !== "config") send(slot.child, putOf(state.backend, origin))
    send(slot.child, stateOf(state))
  }
}

const worse = (a: SharedStanding, b: SharedStanding): SharedStanding => {
  const circuits = new Map(a.circuits.map((circuit) => [circuit.model, circuit]))
  for (const circuit of b.circuits) {
    const known = circuits.get(circuit.model)
    if (known === undefined || known.retry_in_ms < circuit.retry_in_ms) circuits.set(circuit.model, circuit)
  }
  return {
    name: a.name,
    in_flight: a.in_flight + b.in_flight,
    answering: (a.answering ?? a.in_flight) + (b.answering ?? b.in_flight),
    cooling_ms: Math.max(a.cooling_ms, b.cooling_ms),
    circuits: [...circuits.values()]
  }
}

/** How all of these workers together stand with each backend. */
const together = (all: ReadonlyArray<ReadonlyArray<SharedStanding>>): ReadonlyArray<SharedStanding> => {
  const sums = new Map<string, SharedStanding>()
  for (const standing of all.flat()) {
    const known = sums.get(standing.name)
    sums.set(standing.name, known === undefined ? standing : worse(known, standing))
  }
  return [...sums.values()]
}

/** Tells each worker how the others stand with the backends, and notes for the supervisor how all of them do now. */
export const sendStandings = (slots: ReadonlyArray<WorkerSlot>, snapshot: Snapshot, now: number): void => {
  noteSiblings(snapshot, together(slots.map(({ standings }) => standings)), now)
  const told = toldOf(snapshot, now)
  for (const slot of slots) {
    const others = slots.filter((other) => other !== slot)
    const backends = together(others.map(({ standings }) => standings))
    const queues = others.flatMap(({ child, number, queue }) =>
      queue === undefined ? [] : [{ from: `${number} ${child?.pid}`, told: queue }]
    )
    const prompts = others.flatMap((other) => other.prompts)
    const tries = others.flatMap((other) => other.tries)
    send(slot.child, {
      _tag: "Others",
      backends,
      ...(queues.length === 0 ? {} : { queues }),
      ...(prompts.length === 0 ? {} : { prompts }),
      ...(tries.length === 0 ? {} : { tries }),
      ...(told.length === 0 ? {} : { told })
    })
  }
  for (const slot of slots) {
    slot.prompts = []
    slot.tries = []
  }
}
