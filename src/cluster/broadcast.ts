/**
 * What a supervisor tells its workers, and how their standings add up.
 */
import type { ChildProcess } from "node:child_process"
import { Redacted } from "effect"
import type { ReadConfig } from "../config/read.ts"
import type { Backend } from "../backend/backend.ts"
import type { BackendState, Snapshot } from "../registry/state.ts"
import { noteElsewhere } from "./sibling-standings.ts"
import type { Down, Put, Standing } from "./messages.ts"
import type { Reloader } from "../runtime/Reloader.ts"

/** One worker as its supervisor knows it. */
export interface Slot {
  readonly number: number
  child: ChildProcess | undefined
  /** Whether it takes requests. */
  listens: boolean
  /** Messages of this place so far. */
  said: number
  standings: ReadonlyArray<Standing>
  /** What the worker has been told: of each backend, of the config, and how that stands. */
  readonly told: Map<string, BackendState>
  config: ReadConfig | undefined
  status: string
}

/** Sends a message, unless the worker is gone. */
export const tell = (worker: ChildProcess | undefined, message: typeof Down.Encoded): void => {
  if (worker?.connected === true) worker.send(message)
}

const stateOf = ({ apiPath, backend, mode, health, models, listed, live }: BackendState): Down => ({
  _tag: "State",
  name: backend.name,
  mode,
  ...health,
  models: [...models.values()],
  listed,
  ...(apiPath === undefined ? {} : { apiPath }),
  ...(live.probeMs === undefined ? {} : { probeMs: live.probeMs })
})

// The pipe to a worker is between the two processes alone.
const putOf = (
  { name, url, query, apiPath, type, priority, apiKey, tls, maxConcurrent }: Backend,
  origin: Put["origin"]
): Down => ({
  _tag: "Put",
  name,
  url,
  ...(query === undefined ? {} : { query }),
  ...(apiPath === undefined ? {} : { apiPath }),
  type,
  priority,
  origin,
  ...(apiKey === undefined ? {} : { key: Redacted.value(apiKey) }),
  // Certificates and keys of TLS are for backends of the config, which a worker knows by the config.
  ...(tls?.insecure === true ? { insecure: true } : {}),
  ...(maxConcurrent === undefined ? {} : { maxConcurrent })
})

const tellConfig = (slot: Slot, { backends }: Snapshot, reloader: Reloader["Service"]): void => {
  const read = reloader.read()
  if (slot.config !== read) {
    slot.config = read
    tell(slot.child, { _tag: "Config", file: read.file ?? null })
    // The worker now goes by the backends of the config; what stands otherwise here is told anew.
    slot.told.clear()
    for (const { name } of read.loaded.backends) if (!backends.has(name)) tell(slot.child, { _tag: "Removed", name })
  }
  const status = reloader.status()
  const text = JSON.stringify(status)
  if (slot.status === text) return
  slot.status = text
  tell(slot.child, { _tag: "Status", status })
}

/** Tells a worker what is new since it was last told; it knows the backends of the config by the config. */
export const tellNews = (slot: Slot, snapshot: Snapshot, reloader: Reloader["Service"]): void => {
  const { backends } = snapshot
  const known = [...slot.told.keys()]
  tellConfig(slot, snapshot, reloader)
  for (const name of known) {
    if (backends.has(name)) continue
    slot.told.delete(name)
    tell(slot.child, { _tag: "Removed", name })
  }
  for (const [name, state] of backends) {
    const before = slot.told.get(name)
    if (before === state) continue
    slot.told.set(name, state)
    const { origin } = state.backend
    if (before?.backend !== state.backend && origin !== "config") tell(slot.child, putOf(state.backend, origin))
    tell(slot.child, stateOf(state))
  }
}

const worse = (a: Standing, b: Standing): Standing => {
  const circuits = new Map(a.circuits.map((circuit) => [circuit.model, circuit]))
  for (const circuit of b.circuits) {
    const known = circuits.get(circuit.model)
    if (known === undefined || known.retry_in_ms < circuit.retry_in_ms) circuits.set(circuit.model, circuit)
  }
  return {
    name: a.name,
    in_flight: a.in_flight + b.in_flight,
    cooling_ms: Math.max(a.cooling_ms, b.cooling_ms),
    circuits: [...circuits.values()]
  }
}

/** How all of these workers together stand with each backend. */
const together = (all: ReadonlyArray<ReadonlyArray<Standing>>): ReadonlyArray<Standing> => {
  const sums = new Map<string, Standing>()
  for (const standing of all.flat()) {
    const known = sums.get(standing.name)
    sums.set(standing.name, known === undefined ? standing : worse(known, standing))
  }
  return [...sums.values()]
}

/** Tells each worker how the others stand with the backends, and notes for the supervisor how all of them do now. */
export const tellOthers = (slots: ReadonlyArray<Slot>, snapshot: Snapshot, now: number): void => {
  noteElsewhere(snapshot, together(slots.map(({ standings }) => standings)), now)
  for (const slot of slots) {
    const backends = together(slots.filter((other) => other !== slot).map(({ standings }) => standings))
    tell(slot.child, { _tag: "Others", backends })
  }
}
