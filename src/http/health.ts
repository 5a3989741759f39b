/**
 * What `/health`, `/readyz` and `/nexus/backends` say of a snapshot.
 */
import { circuitState, type Live } from "../registry/live.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import type { BackendEntry } from "./api.ts"
import { listModels } from "./models.ts"

const left = (until: number, now: number): number => Math.max(0, Math.ceil(until - now))

const coolingMs = ({ cooling }: Live, now: number): number => left(Math.max(0, ...cooling.values()), now)

/** The circuits that are not as if nothing had happened. */
const circuitsOf = ({ circuits }: Live, now: number): BackendEntry["circuits"] =>
  [...circuits]
    .filter(([, circuit]) => circuit.openUntil !== 0 || circuit.failures > 0)
    .map(([model, circuit]) => ({
      model,
      state: circuitState(circuit, now),
      failures: circuit.failures,
      retry_in_ms: left(circuit.openUntil, now)
    }))

const detailOf = ({ backend, health: { status, reason }, live }: BackendState, now: number) => {
  const cooling_ms = coolingMs(live, now)
  const circuits = circuitsOf(live, now)
  return {
    name: backend.name,
    status,
    reason,
    ...(cooling_ms > 0 ? { cooling_ms } : {}),
    ...(circuits.length > 0 ? { circuits } : {})
  }
}

/** Counts and the three states: healthy (all backends are, or there are none), degraded, unhealthy (none is); `now` in monotonic milliseconds. */
export const summary = (snapshot: Snapshot, now: number) => {
  const states = [...snapshot.backends.values()]
  const healthy = states.filter(({ health }) => health.status === "healthy").length
  const status = healthy === states.length ? "healthy" : healthy > 0 ? "degraded" : "unhealthy"
  return {
    status,
    backends: { total: states.length, healthy, unhealthy: states.length - healthy },
    models: listModels(snapshot, 0).length,
    details: states.map((state) => detailOf(state, now))
  } as const
}

/** Why no request can be routed now, or undefined when some can. */
export const notReady = (snapshot: Snapshot, draining: boolean): string | undefined => {
  if (draining) return "the gateway is stopping"
  const healthy = [...snapshot.backends.values()].filter(({ health }) => health.status === "healthy")
  if (healthy.length === 0) return "no backend is healthy"
  return healthy.some(({ models }) => models.size > 0) ? undefined : "no healthy backend serves a model"
}

const shownUrl = (url: string): string => url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1")

const rounded = (ms: number): number => Math.round(ms * 10) / 10

/** A backend with its live figures; `now` in monotonic milliseconds. */
export const describeBackend = (state: BackendState, now: number): BackendEntry => {
  const { backend, health, live } = state
  const latency = live.firstByteMs ?? live.probeMs
  return {
    name: backend.name,
    url: shownUrl(backend.url),
    type: backend.type,
    origin: backend.origin,
    priority: backend.priority,
    status: health.status,
    reason: health.reason,
    models: [...state.models.values()],
    latency_ms: latency === undefined ? null : rounded(latency),
    in_flight: live.inFlight,
    cooling_ms: coolingMs(live, now),
    circuits: circuitsOf(live, now)
  }
}
