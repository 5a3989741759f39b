/**
 * The health of a backend as its probes show it, and the pure rule that moves it.
 */
import type { Model, Served, ToldLoads } from "./server.ts"
import type { ApiPath } from "./base-url.ts"

/**
 * `unknown` before the first probe has ended, `waking` while it is given time to answer that has been woken, `config_error` when the backend refuses the key Nexus was given for it,
 * or that key is not there.
 */
export const healthStatuses = ["unknown", "healthy", "unhealthy", "waking", "config_error"] as const

/** One of {@link healthStatuses}. */
export type HealthStatus = (typeof healthStatuses)[number]

/** Where a backend stands; `streak` counts the probes in a row that speak against `status`. */
export interface BackendHealth {
  readonly status: HealthStatus
  readonly streak: number
  /** Why it is not healthy, in words for a person; empty when it is. */
  readonly reason: string
}

/** What one probe found. */
export type ProbeOutcome =
  | {
      readonly _tag: "Up"
      /** The models it lists; undefined when it answered but its list could not be read, the last one is then kept. */
      readonly models: ReadonlyArray<Model> | undefined
      readonly latencyMs: number
      /** Where its endpoints were found to be, where its base URL leaves that open. */
      readonly apiPath?: ApiPath
      /** What it has shown of itself beside that. */
      readonly served?: Served
      /** What it works on at the moment; absent when it told nothing of that. */
      readonly loads?: ToldLoads
    }
  | { readonly _tag: "Down"; readonly reason: string }
  | { readonly _tag: "Refused"; readonly reason: string }

/** How many probes in a row it takes to change the status. */
export interface Thresholds {
  readonly failures: number
  readonly recoveries: number
}

/** The health of a backend nobody has probed yet. */
export const unknownHealth: BackendHealth = { status: "unknown", streak: 0, reason: "not probed yet" }

/**
 * Moves the health by one probe: the first probe decides at once, later ones need `failures` or `recoveries` in a row,
 * and a refused key is believed at once in both directions. While the backend is `answering` real requests, failed
 * probes are counted and never decide, and a refused one is of no account.
 */
export const nextHealth = (
  health: BackendHealth,
  outcome: ProbeOutcome,
  thresholds: Thresholds,
  answering = false
): BackendHealth => {
  if (outcome._tag === "Refused") {
    // A list may be kept from a key that is good for everything else.
    return answering && health.status === "healthy"
      ? health
      : { status: "config_error", streak: 0, reason: outcome.reason }
  }
  const up = outcome._tag === "Up"
  // How long it may take is for whoever has woken it to say, and its first sign of life is enough.
  if (health.status === "waking") return up ? { status: "healthy", streak: 0, reason: "" } : health
  const reason = up ? "" : outcome.reason
  if (health.status === "unknown" || health.status === "config_error") {
    return { status: up ? "healthy" : "unhealthy", streak: 0, reason }
  }
  if (up === (health.status === "healthy")) {
    return health.streak === 0 && health.reason === reason ? health : { status: health.status, streak: 0, reason }
  }
  const streak = health.streak + 1
  if (streak < (up ? thresholds.recoveries : thresholds.failures)) {
    return { status: health.status, streak, reason: health.reason }
  }
  if (!up && answering) return health
  return { status: up ? "healthy" : "unhealthy", streak: 0, reason }
}
