/**
 * Which of the eligible candidates goes first.
 */
import type { Strategy, Weights } from "../domain/routing.ts"
import type { Candidate } from "../registry/snapshot.ts"

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

/** The best priority, load and latency among candidates. */
export const bestOf = (candidates: ReadonlyArray<Candidate>): Best => {
  let priority = Infinity
  let load = Infinity
  let latency = Infinity
  for (const candidate of candidates) {
    const { backend, live } = candidate.state
    if (backend.priority < priority) priority = backend.priority
    const carried = loadOf(candidate)
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
  const priority = (1 + best.priority) / (1 + backend.priority)
  const load = (1 + best.load) / (1 + loadOf(candidate))
  const latency =
    best.latencyMs === undefined || live.firstByteMs === undefined ? 1 : (1 + best.latencyMs) / (1 + live.firstByteMs)
  return weights.priority * priority + weights.load * load + weights.latency * latency
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
const idler = (a: Candidate, b: Candidate): boolean => {
  const one = a.state.live
  const other = b.state.live
  return one.inFlight === other.inFlight ? one.requests < other.requests : one.inFlight < other.inFlight
}

const smartest = (candidates: ReadonlyArray<Candidate>, weights: Weights): Candidate | undefined => {
  const best = bestOf(candidates)
  let chosen: Candidate | undefined
  let highest = -Infinity
  for (const candidate of candidates) {
    const score = scoreOf(candidate, best, weights)
    if (chosen === undefined || score > highest || (score === highest && idler(candidate, chosen))) {
      chosen = candidate
      highest = score
    }
  }
  return chosen
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
export const choose = (candidates: ReadonlyArray<Candidate>, draw: Draw): Candidate | undefined => {
  if (candidates.length < 2) return candidates[0]
  switch (draw.strategy) {
    case "smart":
      return smartest(candidates, draw.weights)
    case "priority_only":
      return foremost(candidates)
    case "round_robin":
      return candidates[draw.turn % candidates.length]
    case "random":
      return candidates[Math.min(candidates.length - 1, Math.floor(draw.random() * candidates.length))]
  }
}
