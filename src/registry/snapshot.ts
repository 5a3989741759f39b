/**
 * The immutable picture of all backends that routing reads, and the pure functions that build the next one.
 */
import type { Backend, Model } from "../domain/backend.ts"
import type { Health } from "../domain/health.ts"
import type { Live } from "./live.ts"

/** One backend as the router sees it. */
export interface BackendState {
  readonly backend: Backend
  readonly health: Health
  /** The models it listed last, kept while it is down; by id. */
  readonly models: ReadonlyMap<string, Model>
  /** Whether it has ever given a list. */
  readonly listed: boolean
  readonly live: Live
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
  /** Who serves a model, healthy or not, in the order of the backends. */
  readonly candidates: ReadonlyMap<string, ReadonlyArray<Candidate>>
  /** Every model name a backend has ever listed. */
  readonly known: ReadonlySet<string>
}
