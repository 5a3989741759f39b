/**
 * The candidates of one model side by side: what stays the same from request to request is worked out once per snapshot,
 * so that a choice among a thousand of them reads two numbers of each.
 */
import type { Ability } from "../domain/request.ts"
import type { Live } from "../registry/live.ts"
import { type Candidate, inRotation } from "../registry/snapshot.ts"

/** Candidates and what a choice reads of each, at the same places. */
export interface Pool {
  readonly candidates: ReadonlyArray<Candidate>
  readonly lives: ReadonlyArray<Live>
  readonly priorities: ReadonlyArray<number>
  /** The best of the priorities: the lowest number. */
  readonly foremost: number
  /** Whether any of them has a limit of its own on requests in flight. */
  readonly limited: boolean
  /** The smallest context that any of them is known to have, in tokens. */
  readonly leastContext: number
}

/** Puts candidates side by side. */
export const poolOf = (candidates: ReadonlyArray<Candidate>): Pool => {
  const priorities = candidates.map(({ state }) => state.backend.priority)
  return {
    candidates,
    lives: candidates.map(({ state }) => state.live),
    priorities,
    foremost: priorities.reduce((best, each) => Math.min(best, each), Infinity),
    limited: candidates.some(({ state }) => state.backend.maxConcurrent !== undefined),
    leastContext: candidates.reduce((least, { model }) => Math.min(least, model.context_length ?? Infinity), Infinity)
  }
}

/** Nobody. */
export const nobody: Pool = poolOf([])

// A list of candidates is never changed, and is a new one as soon as anything about one of them is.
const pools = new WeakMap<ReadonlyArray<Candidate>, Map<string, Pool>>()

const isAble = ({ state, model }: Candidate, abilities: ReadonlyArray<Ability>): boolean =>
  inRotation(state) && abilities.every((ability) => model.capabilities[ability] !== false)

/** Those of a list that are healthy and not known to lack an ability; the same pool for the same list and abilities. */
export const ablePool = (list: ReadonlyArray<Candidate>, abilities: ReadonlyArray<Ability>): Pool => {
  const key = abilities.length === 0 ? "" : abilities.join()
  let known = pools.get(list)
  if (known === undefined) {
    known = new Map()
    pools.set(list, known)
  }
  const found = known.get(key)
  if (found !== undefined) return found
  const made = poolOf(list.filter((candidate) => isAble(candidate, abilities)))
  known.set(key, made)
  return made
}

/** Whether nothing that changes from request to request speaks against any of them. */
export const isCalm = ({ limited, lives }: Pool): boolean => {
  if (limited) return false
  for (const { marked } of lives) if (marked) return false
  return true
}
