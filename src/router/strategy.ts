/**
 * Which of the eligible candidates goes first.
 */
import type { Strategy, Weights } from "../domain/routing.ts"
import type { LiveState } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { type Pool, unmeasured } from "./candidate-columns.ts"

/** The best figures among the candidates at hand, against which each one is measured. */
export interface BestFigures {
  readonly priority: number
  readonly load: number
  /** Milliseconds; undefined while nobody has been measured. */
  readonly latencyMs: number | undefined
}

/** The best figures in a pool. */
export const bestFigures = ({ foremost, latencies, loads }: Pool): BestFigures => {
  let load = Infinity
  let latency = Infinity
  for (let at = 0; at < loads.length; at += 1) {
    const carried = loads[at] ?? Infinity
    if (carried < load) load = carried
    const measured = latencies[at] ?? unmeasured
    if (measured < latency && measured !== unmeasured) latency = measured
  }
  return { priority: foremost, load, latencyMs: latency === Infinity ? undefined : latency }
}

/** The parts of a smart score, each from 0 to its weight. */
export interface ScoreParts {
  readonly priority: number
  readonly load: number
  readonly latency: number
}

const preference = (best: BestFigures, wanted: number): number =>
  wanted === best.priority ? 1 : (1 + best.priority) / (1 + wanted)

const ease = (best: BestFigures, carried: number): number =>
  carried === best.load ? 1 : (1 + best.load) / (1 + carried)

// Nobody notices less, and no two equal backends are nearer to each other for long.
const alike = { times: 1.25, ms: 5 } as const

/** The slowest that counts as fast as the best, in milliseconds. */
const alikeUpTo = ({ latencyMs }: BestFigures): number =>
  latencyMs === undefined ? Infinity : latencyMs * alike.times + alike.ms

const speed = (best: BestFigures, measured: number): number =>
  best.latencyMs === undefined || measured <= alikeUpTo(best) ? 1 : (1 + best.latencyMs) / (1 + measured)

/**
 * The smart score of the candidate at a place, from 0 to the sum of the weights. Each part is 1 for the best candidate at
 * hand and shrinks in proportion for the others (twice the latency is half the part); a candidate without a latency
 * sample counts as the best one, so that it gets tried, and so does one that is slower by a quarter and 5 ms at most.
 */
export const scoreAt = (
  { latencies, loads, priorities }: Pool,
  at: number,
  best: BestFigures,
  weights: Weights
): number =>
  weights.priority * preference(best, priorities[at] ?? Infinity) +
  weights.load * ease(best, loads[at] ?? Infinity) +
  weights.latency * speed(best, latencies[at] ?? unmeasured)

/** What {@link scoreAt} adds up. */
export const scorePartsAt = (
  { latencies, loads, priorities }: Pool,
  at: number,
  best: BestFigures,
  weights: Weights
): ScoreParts => ({
  priority: weights.priority * preference(best, priorities[at] ?? Infinity),
  load: weights.load * ease(best, loads[at] ?? Infinity),
  latency: weights.latency * speed(best, latencies[at] ?? unmeasured)
})

/** What makes one choice differ from the next under the same settings and figures. */
export interface Chance {
  /** Turn of the model, for round robin, and for smart to tell when to look past latencies. */
  readonly turn: number
  /** A number from 0 up to 1, for random. */
  readonly random: () => number
}

/** What a strategy draws on beside the candidates. */
export interface StrategyInput extends Chance {
  readonly strategy: Strategy
  readonly weights: Weights
}

/** Whether `a` goes before `b` when nothing else tells them apart: fewer in flight, then asked longer ago. */
const idler = (a: LiveState, b: LiveState): boolean =>
  a.inFlight === b.inFlight ? a.askedAt < b.askedAt : a.inFlight < b.inFlight

/** Whether a candidate is asked in its client's own dialect. */
type IsNative = (candidate: Candidate) => boolean

const goesFirst = (a: Candidate, b: Candidate, isNative: IsNative | undefined): boolean => {
  const native = isNative !== undefined && isNative(a)
  return native === (isNative !== undefined && isNative(b)) ? idler(a.state.live, b.state.live) : native
}

const smartest = (
  pool: Pool,
  best: BestFigures,
  weights: Weights,
  isNative: IsNative | undefined
): Candidate | undefined => {
  const { candidates, latencies, loads, priorities } = pool
  let chosen = 0
  let highest = scoreAt(pool, 0, best, weights)
  const fast = alikeUpTo(best)
  for (let at = 1; at < candidates.length; at += 1) {
    // Most are slower than the one held and better in nothing: they need no divisions to be passed over.
    const latency = latencies[at] ?? 0
    const slower = latency > fast && latency > (latencies[chosen] ?? 0) && latencies[chosen] !== unmeasured
    const better = (loads[at] ?? 0) < (loads[chosen] ?? 0) || (priorities[at] ?? 0) < (priorities[chosen] ?? 0)
    if (slower && !better && weights.latency > 0) continue
    const score = scoreAt(pool, at, best, weights)
    if (score < highest) continue
    const next = candidates[at]
    const holder = candidates[chosen]
    if (next === undefined || holder === undefined) continue
    if (score > highest || goesFirst(next, holder, isNative)) {
      chosen = at
      highest = score
    }
  }
  return candidates[chosen]
}

const foremost = (candidates: ReadonlyArray<Candidate>, isNative: IsNative | undefined): Candidate | undefined => {
  let chosen: Candidate | undefined
  for (const candidate of candidates) {
    if (chosen === undefined) {
      chosen = candidate
      continue
    }
    const mine = candidate.state.backend.priority
    const its = chosen.state.backend.priority
    const { inFlight } = candidate.state.live
    const busy = chosen.state.live.inFlight
    const native = inFlight === busy && isNative !== undefined && isNative(candidate) && !isNative(chosen)
    if (mine < its || (mine === its && (inFlight < busy || native))) chosen = candidate
  }
  return chosen
}

/** The candidate that goes first, for smart measured against `best`; undefined only when there is none. Equal ones keep the order of the config. */
export const chooseCandidate = (
  pool: Pool,
  best: BestFigures | undefined,
  draw: StrategyInput,
  isNative?: (candidate: Candidate) => boolean
): Candidate | undefined => {
  const { candidates } = pool
  if (candidates.length < 2) return candidates[0]
  switch (draw.strategy) {
    case "smart":
      return smartest(pool, best ?? bestFigures(pool), draw.weights, isNative)
    case "priority_only":
      return foremost(candidates, isNative)
    case "round_robin":
      return candidates[draw.turn % candidates.length]
    case "random":
      return candidates[Math.min(candidates.length - 1, Math.floor(draw.random() * candidates.length))]
  }
}
