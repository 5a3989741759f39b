/**
 * What the registry holds: the immutable picture of all backends that routing reads.
 */
import type { Backend } from "../backend/backend.ts"
import type { Mode, Model, Served } from "../domain/server.ts"
import type { BackendHealth } from "../domain/backend-health.ts"
import type { ApiPath } from "../domain/base-url.ts"
import type { LiveState } from "./live-state.ts"

/** One backend as the router sees it. */
export interface BackendState {
  readonly backend: Backend
  readonly mode: Mode
  readonly health: BackendHealth
  /** The models it listed last, kept while it is down; by id. */
  readonly models: ReadonlyMap<string, Model>
  /** Whether it has ever given a list. */
  readonly listed: boolean
  /** Where its probes found its endpoints; absent where the base URL alone tells. */
  readonly apiPath?: ApiPath
  /** What it has shown of itself; absent before it was asked. */
  readonly served?: Served
  readonly live: LiveState
}

/** A backend together with the model it serves: what can be chosen for a request. */
export interface Candidate {
  readonly state: BackendState
  readonly model: Model
}

/** All that is known at one moment; replaced whole, never changed. */
export interface Snapshot {
  readonly generation: number
  readonly backends: ReadonlyMap<string, BackendState>
  /** Who serves a model, healthy or not, in the order of the backends; under each name that one of them lists it by. */
  readonly candidates: ReadonlyMap<string, ReadonlyArray<Candidate>>
  /** The same of those whose servers know one model by many spellings, under what the spellings have in common. */
  readonly spelled: ReadonlyMap<string, ReadonlyArray<Candidate>>
  /** Every model name a backend has ever listed, and what the spellings of it have in common. */
  readonly known: ReadonlySet<string>
}

/** Whether a backend may be given requests, as its administrator and its probes have it. */
export const inRotation = ({ mode, health }: BackendState): boolean => mode === "enabled" && health.status === "healthy"
