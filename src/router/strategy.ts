/**
 * Which of the eligible candidates goes first.
 */
import type { Strategy, Weights } from "../domain/routing.ts"
import { attraction } from "../fleet/prompt-chain.ts"
import { isCrowdedBy, type Work } from "../fleet/running.ts"
import type { ExpectedEnd, Standing } from "../fleet/standing.ts"
import { standingOf } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { Pool } from "./candidate-columns.ts"
import {
  type Claim,
  bestSpeeds,
  type BestSpeeds,
  expectEnd,
  noEnd,
  placesAt,
  aversion,
  weighedTime
} from "./expected-end.ts"

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
  /** What the request asks of a server. */
  readonly work: Work
  /** Monotonic milliseconds. */
  readonly now: number
  readonly claim: Claim
  /** How many wait for a slot at a server already. */
  readonly ahead: (standing: Standing) => number
}

/**
 * Whether `a` goes before `b` when nothing else tells them apart: fewer in flight, then where the conversation is drawn to,
 * or without one who was asked longer ago.
 */
const idler = (a: Candidate, b: Candidate, root: number): boolean => {
  const mine = a.state.live
  const its = b.state.live
  if (mine.inFlight !== its.inFlight) return mine.inFlight < its.inFlight
  return root === 0
    ? mine.askedAt < its.askedAt
    : attraction(root, a.state.backend.name) > attraction(root, b.state.backend.name)
}

/** Whether a request is one of those of a key that shares a server and has half of all there. */
export const isCrowded = ({ model, state }: Candidate, { key, shares = false }: Claim): boolean =>
  shares && key !== undefined && isCrowdedBy(standingOf(state.live, model.id).running, key)

// What is too short to be kept is drawn nowhere.
const rootOf = ({ chain }: Work): number => (chain === undefined || chain.hashes.length === 0 ? 0 : chain.root)

/** Whether a candidate is asked in its client's own dialect. */
type IsNative = (candidate: Candidate) => boolean

const goesFirst = (a: Candidate, b: Candidate, root: number, isNative: IsNative | undefined): boolean => {
  const native = isNative !== undefined && isNative(a)
  return native === (isNative !== undefined && isNative(b)) ? idler(a, b, root) : native
}

// Nobody notices less, and no two equal servers are nearer to each other for long. Alike are those who are within that of
// everybody, and they have an order of their own that no times are in: else whoever is preferred more might lose by it. Where a prompt is
// one that is kept, the time tells whether who has less to do goes before others of its priority: it may be idle because those who come
// back to it are away.
const alike = { times: 1.05, ofBase: 0.25 } as const

/** What times are alike to this one that are longer. */
const limitOf = (time: number, { baseMs }: BestSpeeds): number => time * alike.times + baseMs * alike.ofBase

const scratch = noEnd()

// Without what it is to others.
const ownTime = (end: ExpectedEnd, weights: Weights): number => {
  const { hindrance } = end
  end.hindrance = 0
  const time = weighedTime(end, weights)
  end.hindrance = hindrance
  return time
}

/** Who goes first, or is waited for. */
interface Smartest {
  readonly candidate: Candidate
  readonly isFull: boolean
  /** Whether another one would go first if it had a slot. */
  readonly passesFull: boolean
}

/**
 * The one whose answer is to be expected whole first, by its weights; of those that are alike in it the one with the best
 * priority goes first, then the one with the fewest requests. `full` ones have no slot now: the one that is worth waiting for may be one of them.
 */
export const smartest = (
  pool: Pool,
  full: ReadonlyArray<Candidate>,
  best: BestSpeeds,
  draw: StrategyInput,
  isNative?: IsNative
): Smartest | undefined => {
  const { candidates, loads, priorities, standings } = pool
  const waited = full.map(({ model, state }) => standingOf(state.live, model.id))
  const foremost = full.reduce((least, { state }) => Math.min(least, state.backend.priority), pool.foremost)
  const { claim, weights } = draw
  const root = rootOf(draw.work)
  let chosen = -1
  let soonest = Infinity
  let soonestOwn = Infinity
  let limit = Infinity
  for (let at = 0; at < candidates.length; at += 1) {
    const candidate = candidates[at]
    const standing = standings[at]
    if (candidate === undefined || standing === undefined) continue
    const priority = priorities[at] ?? 0
    const end = expectEnd(scratch, candidate, standing, Infinity, best, draw)
    const raw = weighedTime(end, weights)
    const averse = aversion(priority, foremost, weights)
    const time = raw * averse
    pool.ends[at] = time
    limit = Math.min(limit, limitOf(raw, best) * averse)
    if (full.length > 0) soonestOwn = Math.min(soonestOwn, ownTime(end, weights) * averse)
    if (time < soonest) {
      soonest = time
      chosen = at
    }
  }
  let held: Candidate | undefined
  let working = 0
  let sooner = Infinity
  for (let at = 0; at < full.length; at += 1) {
    const candidate = full[at]
    const standing = waited[at]
    if (candidate === undefined || standing === undefined) continue
    const { priority } = candidate.state.backend
    // Who has a slot and another rank is not waited past: that is what it is there for.
    if (chosen >= 0 && priority !== priorities[chosen]) continue
    const places = placesAt(candidate, standing, claim)
    const end = expectEnd(scratch, candidate, standing, places, best, draw)
    const averse = aversion(priority, foremost, weights)
    const time = weighedTime(end, weights) * averse
    const own = ownTime(end, weights) * averse
    end.wait = 0
    sooner = Math.min(sooner, limitOf(weighedTime(end, weights), best) * averse)
    // Nobody waits longer for the sake of others alone.
    if (own > soonestOwn) continue
    // While nothing is known of them all are alike, and none is to be given more than the others.
    const { length } = standing.running
    if (time < soonest || (held !== undefined && time === soonest && length < working)) {
      soonest = time
      held = candidate
      working = length
    }
  }
  if (held !== undefined) return { candidate: held, isFull: true, passesFull: false }
  if (chosen < 0) return undefined
  for (let at = 0; at < candidates.length; at += 1) {
    if (at === chosen || (pool.ends[at] ?? Infinity) > limit) continue
    const rank = (priorities[at] ?? 0) - (priorities[chosen] ?? 0)
    const next = candidates[at]
    const holder = candidates[chosen]
    if (rank > 0 || next === undefined || holder === undefined) continue
    const mine = loads[at] ?? 0
    const its = loads[chosen] ?? 0
    const later = (pool.ends[at] ?? 0) - (pool.ends[chosen] ?? 0)
    if (rank === 0 && mine !== its && later !== 0 && root !== 0) {
      if (later < 0) chosen = at
      continue
    }
    if (rank < 0 || mine < its || (mine === its && goesFirst(next, holder, root, isNative))) chosen = at
  }
  const candidate = candidates[chosen]
  const passesFull = sooner < (pool.ends[chosen] ?? 0)
  return candidate === undefined ? undefined : { candidate, isFull: false, passesFull }
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

/** The candidate that goes first; undefined only when there is none. Equal ones keep the order of the config. */
export const chooseCandidate = (
  pool: Pool,
  draw: StrategyInput,
  isNative?: (candidate: Candidate) => boolean
): Candidate | undefined => {
  const { candidates } = pool
  if (candidates.length < 2) return candidates[0]
  switch (draw.strategy) {
    case "smart":
      return smartest(pool, [], bestSpeeds(pool, draw.work.chain), draw, isNative)?.candidate
    case "priority_only":
      return foremost(candidates, isNative)
    case "round_robin":
      return candidates[draw.turn % candidates.length]
    case "random":
      return candidates[Math.min(candidates.length - 1, Math.floor(draw.random() * candidates.length))]
  }
}
