/**
 * What is decided of a request at a moment.
 */
import type { ExpectedEnd } from "../fleet/standing.ts"
import type { Ruling } from "../domain/routing.ts"
import type { Candidate } from "../registry/snapshot.ts"

/** Why a candidate was chosen, as `x-nexus-route-reason` says it. */
type RouteReason = "capability-match" | "capacity-overflow" | "failover" | "hedge"

/** One candidate to ask. */
export interface Attempt {
  readonly candidate: Candidate
  /** The model name the backend is asked for: the one it lists. */
  readonly model: string
  /** The model that was understood, where the name that came is nobody's. */
  readonly resolved: string | undefined
  /** Whether the model is a fallback of the one that was asked for. */
  readonly fallback: boolean
  /** What the route table made of the request; undefined where there is none. */
  readonly ruling?: Ruling | undefined
  readonly reason: RouteReason
}

/** A candidate that could be asked, and what the end that is expected of it is made of, for the smart strategy. */
export interface ScoredCandidate {
  readonly candidate: Candidate
  readonly end: ExpectedEnd | undefined
}

/** What becomes of a request at this moment: somebody is asked, or somebody is waited for who has no slot now. */
export type Choice =
  | { readonly _tag: "Ask"; readonly attempt: Attempt }
  | {
      readonly _tag: "Wait"
      readonly candidate: Candidate
      /** Whether nobody who could be asked has a slot. */
      readonly all: boolean
    }
