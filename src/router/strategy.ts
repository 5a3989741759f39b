/**
 * Which of the eligible candidates goes first.
 */
import type { Strategy, Weights } from "../domain/routing.ts"
import type { Live } from "../registry/live.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { Pool } from "./pool.ts"

/** The best figures among the candidates at hand, against which each one is measured. */
export interface Best {
  readonly priority: number
  readonly load: number
  /** Milliseconds; undefined while nobody has been measured. */
  readonly latencyMs: number | undefined
}

/** Requests in flight, as a share of the limit where there is one, else their number. */
export const loadOf = ({ state: { live, backend } }: Candidate): number =>
  backend.maxConcurrent === undefined ? live.inFlight : (live.inFlight / backend.maxConcurrent) * 10

const loadAt = ({ candidates }: Pool, at: number): number => {
  const candidate = candidates[at]
  return candidate === undefined ? Infinity : loadOf(candidate)
}

/** The best priority, load and latency among candidates. */
export const bestOf = (pool: Pool): Best => {
  const { limited, lives, priorities } = pool
  let priority = Infinity
  let load = Infinity
  let latency = Infinity
  for (let at = 0; at < lives.length; at += 1) {
    const live = lives[at]
    const wanted = priorities[at] ?? Infinity
    if (live === undefined) continue
    if (wanted < priority) priority = wanted
    const carried = limited ? loadAt(pool, at) : live.inFlight
    if (carried < load) load = carried
    if (live.firstByteMs !== undefined && live.firstByteMs < latency) latency = live.firstByteMs
  }
  return { priority, load, latencyMs: latency === Infinity ? undefined : latency }
}

/**
 * The smart score, from 0 to the sum of the weights. Each part is 1 for the best candidate at hand and shrinks in
 * proportion for the others (twice the latency is half the part); a candidate without a latency sample counts as the
 * best one, so that it gets tried.
 */
export const scoreOf = (candidate: Candidate, best: Best, weights: Weights): number => {
  const { backend, live } = candidate.state
  return score(backend.priority, loadOf(candidate), live.firstByteMs, best, weights)
}

const score = (priority: number, load: number, latencyMs: number | undefined, best: Best, weights: Weights): number => {
  const latency = best.latencyMs === undefined || latencyMs === undefined ? 1 : (1 + best.latencyMs) / (1 + latencyMs)
  return (
    (weights.priority * (1 + best.priority)) / (1 + priority) +
    (weights.load * (1 + best.load)) / (1 + load) +
    weights.latency * latency
  )
}

/** What a strategy draws on beside the candidates. */
export interface Draw {
  readonly strategy: Strategy
  readonly weights: Weights
  /** Turn of the model, for round robin. */
  readonly turn: number
  /** A number from 0 up to 1, for random. */
  readonly random: () => number
}

/** Whether `a` goes before `b` when nothing else tells them apart: fewer in flight, then fewer requests so far. */
const idler = (a: Live, b: Live): boolean =>
  a.inFlight === b.inFlight ? a.requests < b.requests : a.inFlight < b.inFlight

const smartest = (pool: Pool, weights: Weights): Candidate | undefined => {
  const { candidates, limited, lives, priorities } = pool
  const best = bestOf(pool)
  let chosen = 0
  let highest = -Infinity
  let [holder] = lives
  for (let at = 0; at < lives.length; at += 1) {
    const live = lives[at]
    if (live === undefined || holder === undefined) continue
    const load = limited ? loadAt(pool, at) : live.inFlight
    const points = score(priorities[at] ?? 0, load, live.firstByteMs, best, weights)
    if (points > highest || (points === highest && idler(live, holder))) {
      chosen = at
      holder = live
      highest = points
    }
  }
  return candidates[chosen]
}

const foremost = (candidates: ReadonlyArray<Candidate>): Candidate | undefined => {
  let chosen: Candidate | undefined
  for (const candidate of candidates) {
    if (chosen === undefined) {
      chosen = candidate
      continue
    }
    const mine = candidate.state.backend.priority
    const its = chosen.state.backend.priority
    if (mine < its || (mine === its && candidate.state.live.inFlight < chosen.state.live.inFlight)) chosen = candidate
  }
  return chosen
}

/** The candidate that goes first; undefined only when there is none. Equal ones keep the order of the config. */
export const choose = (pool: Pool, draw: Draw): Candidate | undefined => {
  const { candidates } = pool
  if (candidates.length < 2) return candidates[0]
  switch (draw.strategy) {
    case "smart":
      return smartest(pool, draw.weights)
    case "priority_only":
      return foremost(candidates)
    case "round_robin":
      return candidates[draw.turn % candidates.length]
    case "random":
      return candidates[Math.min(candidates.length - 1, Math.floor(draw.random() * candidates.length))]
  }
}
