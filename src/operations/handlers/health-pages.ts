/**
 * What `/health`, `/readyz` and `/nexus/backends` say of a snapshot.
 */
import { zoneOf } from "../../backend/zone.ts"
import { speakerOf } from "../../backend/backend.ts"
import { spokenRows } from "../../backend/speech.ts"
import { listedModel } from "../../registry/candidates.ts"
import { circuitState, type LiveState } from "../../registry/live-state.ts"
import { type BackendState, inRotation, type Snapshot } from "../../registry/snapshot.ts"
import { modeWords } from "../../router/filter.ts"
import type { BackendEntry } from "../../api/backend-entry.ts"
import { servedModelOf } from "./model-facts.ts"
import { listServed } from "./model-list.ts"

const left = (until: number, now: number): number => Math.max(0, Math.ceil(until - now))

/** The circuits that are not as if nothing had happened. */
const circuitsOf = ({ circuits }: LiveState, now: number): BackendEntry["circuits"] =>
  [...circuits]
    .filter(([, circuit]) => circuit.openUntil !== 0 || circuit.failures > 0)
    .map(([model, circuit]) => ({
      model,
      state: circuitState(circuit, now),
      failures: circuit.failures,
      retry_in_ms: left(circuit.openUntil, now)
    }))

/** How this process stands with a backend: requests in flight, pause, circuits; `now` in monotonic milliseconds. */
export const ownStanding = (
  live: LiveState,
  now: number
): Pick<BackendEntry, "in_flight" | "cooling_ms" | "circuits"> => ({
  in_flight: live.inFlight,
  cooling_ms: left(Math.max(0, ...live.cooling.values()), now),
  circuits: circuitsOf(live, now)
})

/**
 * How all processes of this gateway stand with a backend. Of two that hold something against the same model, the one that
 * does so for longer is told of.
 */
export const wholeStanding = (live: LiveState, now: number) => {
  const own = ownStanding(live, now)
  const { siblings } = live
  const circuits = new Map(own.circuits.map((circuit) => [circuit.model, circuit]))
  for (const { openUntil, ...other } of siblings.circuits) {
    const retry_in_ms = left(openUntil, now)
    const known = circuits.get(other.model)
    if (known === undefined || known.retry_in_ms < retry_in_ms) circuits.set(other.model, { ...other, retry_in_ms })
  }
  return {
    in_flight: own.in_flight + siblings.inFlight,
    cooling_ms: Math.max(own.cooling_ms, left(siblings.coolUntil, now)),
    circuits: [...circuits.values()]
  }
}

const keptWarm = (state: BackendState): NonNullable<BackendEntry["kept_warm"]> =>
  (state.backend.keepWarm ?? []).map((name) => {
    const { loaded = null } = state.models.get(listedModel(state, name) ?? "") ?? {}
    return { model: name, loaded }
  })

/** Why a backend gets no requests, or what it lacks of what it should have, in words; empty when there is nothing to say. */
export const reasonOf = (state: BackendState): string => {
  const { mode, health } = state
  if (mode !== "enabled") return modeWords[mode]
  if (health.reason !== "" || state.backend.keepWarm === undefined) return health.reason
  const cold = keptWarm(state).filter(({ loaded }) => loaded === false)
  return cold.length === 0 ? "" : `to be kept warm and not loaded: ${cold.map(({ model }) => model).join(", ")}`
}

const detailOf = (state: BackendState, now: number) => {
  const { backend, mode, health, live } = state
  const { cooling_ms, circuits } = wholeStanding(live, now)
  return {
    name: backend.name,
    status: health.status,
    ...(mode === "enabled" ? {} : { mode }),
    reason: reasonOf(state),
    ...(cooling_ms > 0 ? { cooling_ms } : {}),
    ...(circuits.length > 0 ? { circuits } : {})
  }
}

/**
 * Counts and the three states: healthy (all backends in service are, or there are none at all), degraded, unhealthy (none
 * is). What the administrator has taken out of service is counted apart; `now` in monotonic milliseconds.
 */
export const healthSummary = (snapshot: Snapshot, now: number) => {
  const states = [...snapshot.backends.values()]
  const inService = states.filter(({ mode }) => mode === "enabled").length
  const healthy = states.filter(inRotation).length
  const all = healthy === inService && (healthy > 0 || states.length === 0)
  const status = all ? "healthy" : healthy > 0 ? "degraded" : "unhealthy"
  const out_of_service = states.length - inService
  return {
    status,
    backends: {
      total: states.length,
      healthy,
      unhealthy: inService - healthy,
      ...(out_of_service > 0 ? { out_of_service } : {})
    },
    models: listServed(snapshot, 0).length,
    details: states.map((state) => detailOf(state, now))
  } as const
}

/** Why no request can be routed now, or undefined when some can. */
export const notReadyReason = (snapshot: Snapshot, stopping: boolean): string | undefined => {
  if (stopping) return "the gateway is stopping"
  const healthy = [...snapshot.backends.values()].filter(inRotation)
  if (healthy.length === 0) return "no backend is healthy"
  return healthy.some(({ models }) => models.size > 0) ? undefined : "no healthy backend serves a model"
}

const shownUrl = (url: string): string => url.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@]*@/i, "$1")

const rounded = (ms: number): number => Math.round(ms * 10) / 10

/** A backend with its live figures; `now` in monotonic milliseconds. */
export const backendEntry = (state: BackendState, now: number): BackendEntry => {
  const { backend, health, live } = state
  const latency = live.firstByteMs ?? live.probeMs
  return {
    name: backend.name,
    url: shownUrl(backend.url),
    ...(backend.address === undefined ? {} : { address: backend.address }),
    ...(backend.memberOf === undefined ? {} : { member_of: backend.memberOf }),
    type: backend.type,
    origin: backend.origin,
    zone: zoneOf(backend),
    priority: backend.priority,
    mode: state.mode,
    status: health.status,
    reason: reasonOf(state),
    models: [...state.models.values()].map((model) => servedModelOf(model, live)),
    ...(backend.keepWarm === undefined ? {} : { kept_warm: keptWarm(state) }),
    latency_ms: latency === undefined ? null : rounded(latency),
    ...wholeStanding(live, now),
    dialects: spokenRows(speakerOf(backend, state.served))
  }
}
