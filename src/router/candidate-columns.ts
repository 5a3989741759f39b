/**
 * The candidates of one model side by side: what stays the same from request to request is worked out once per snapshot,
 * and the figures a choice goes by are taken down once for it, so that a choice among a thousand visits each of them once.
 */
import { contextOf } from "../domain/server.ts"
import { isSpokenNatively, isUnmeasured, namedSlots, showsSlots, slotFieldOf, sortsTools } from "../backend/backend.ts"
import type { Ability } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { PromptChain } from "../fleet/prompt-chain.ts"
import type { Standing } from "../fleet/standing.ts"
import { isLatencyStale, isLatencyYoung, standingOf, type LiveState } from "../registry/live-state.ts"
import { type Candidate, inRotation } from "../registry/snapshot.ts"

// The smallest context that servers load models with unless they are told otherwise, in tokens: more may be cut.
const leastLoaded = 2048

/** Candidates and what a choice reads of each, at the same places. */
export interface Pool {
  readonly candidates: ReadonlyArray<Candidate>
  readonly lives: ReadonlyArray<LiveState>
  readonly priorities: ReadonlyArray<number>
  /** Requests in flight, as a share of the limit where there is one, as they were taken down last. */
  readonly loads: Float64Array
  readonly standings: ReadonlyArray<Standing>
  /** When their answers are to be expected, by the choice that was made last. */
  readonly ends: Float64Array
  /** The best of the priorities: the lowest number. */
  readonly foremost: number
  /** Whether they are of several kinds, which may speak a dialect some well and some not. */
  readonly mixed: boolean
  /** Whether any of them has a limit of its own on requests in flight, or is told to have been full. */
  readonly limited: boolean
  /** The smallest context that any of them is known to have, in tokens. */
  readonly leastContext: number
}

// Decisions of a model from one look at those whose figures are young, or stale, to the next.
const youngEvery = 4
const staleEvery = 20

// Whoever is slow is measured anew after so many times what its answers take: that costs somebody an answer there.
// No longer than an hour, in milliseconds: what lasts for hours is a conversation that is spoken, and no answer.
const worth = { times: 20, mostMs: 3_600_000 } as const

const isWorthAnother = (live: LiveState, now: number): boolean =>
  isLatencyStale(live, now) && now - live.measuredAt >= Math.min(worth.mostMs, worth.times * (live.durationMs ?? 0))

/**
 * Whether the decision of this turn looks past how slow a backend was, so that it is measured anew: it then counts as if
 * it never had been. Young figures are looked past in every fourth decision of a model, stale ones in every twentieth.
 */
export const isLatencyIgnored = (live: LiveState, turn: number, now: number): boolean =>
  turn % youngEvery === youngEvery - 1 &&
  (isLatencyYoung(live) || (turn % staleEvery === staleEvery - 1 && isWorthAnother(live, now)))

// Below it a server has a slot, whoever asks.
const boundOf = ({ slots }: Standing): number => slots.seen ?? slots.calm

/** Takes down how each of them stands now; false when something that changes from request to request speaks against any. */
export const refreshPool = ({ candidates, limited, lives, loads, standings }: Pool): boolean => {
  let calm = !limited
  for (let at = 0; at < lives.length; at += 1) {
    const live = lives[at]
    if (live === undefined) continue
    const standing = standings[at]
    // One fewer is all that a batch may have.
    if (live.marked || (standing !== undefined && standing.running.length + 1 >= boundOf(standing))) calm = false
    const limit = limited ? candidates[at]?.state.backend.maxConcurrent : undefined
    loads[at] = limit === undefined ? live.inFlight : (live.inFlight / limit) * 10
  }
  return calm
}

const standingAs = ({ model, state }: Candidate): Standing => {
  const standing = standingOf(state.live, model.id)
  if (model.cacheTokens !== undefined) standing.cache.told(model.cacheTokens)
  if (model.slots !== undefined && showsSlots(state.backend.type)) standing.slots.shows(model.slots)
  standing.sharesCache = slotFieldOf(state.backend.type) === undefined
  return standing
}

/** Puts candidates side by side, as they stand now. */
export const poolOf = (candidates: ReadonlyArray<Candidate>): Pool => {
  const priorities = candidates.map(({ state }) => state.backend.priority)
  const standings = candidates.map(standingAs)
  const pool: Pool = {
    candidates,
    lives: candidates.map(({ state }) => state.live),
    priorities,
    loads: new Float64Array(candidates.length),
    standings,
    ends: new Float64Array(candidates.length),
    foremost: priorities.reduce((best, each) => Math.min(best, each), Infinity),
    mixed: candidates.some(({ state }) => state.backend.type !== candidates[0]?.state.backend.type),
    limited: candidates.some(
      ({ model, state }, at) =>
        state.backend.maxConcurrent !== undefined ||
        model.slots !== undefined ||
        standings[at]?.recalled?.isFull === true
    ),
    leastContext: candidates.reduce(
      (least, { model, state }) =>
        Math.min(least, contextOf(model) ?? (isUnmeasured(state.backend, model) ? leastLoaded : Infinity)),
      Infinity
    )
  }
  refreshPool(pool)
  return pool
}

/** Makes the chain of a prompt; it is told whether servers are told its tools in an order of their own. */
export interface PromptMaker {
  readonly chain: (sorts: boolean) => PromptChain | undefined
}

type Targets = ReadonlyArray<{ readonly candidates: ReadonlyArray<Candidate> }>

const hasNamedSlots = ({ model, state }: Candidate): boolean => namedSlots(state.backend, model) > 0

// There is a choice among servers or, where those are named, among their slots.
const promptMatters = (
  targets: Targets,
  { affinity, pinsSlots }: Pick<RoutingSettings, "affinity" | "pinsSlots">
): boolean => {
  if (!affinity) return false
  for (const { candidates } of targets) {
    if (candidates.length > 1 || (pinsSlots && candidates.some(hasNamedSlots))) return true
  }
  return false
}

const areSorted = (targets: Targets, isNative: ((candidate: Candidate) => boolean) | undefined): boolean => {
  const isSorted = (each: Candidate): boolean => isNative?.(each) === false && sortsTools(each.state.backend)
  return targets.every(({ candidates }) => candidates.every(isSorted))
}

/** The chain of a prompt where it matters what has been read of it. */
export const chainFor = (
  targets: Targets,
  settings: Pick<RoutingSettings, "affinity" | "pinsSlots">,
  speaking: { readonly isNative: ((candidate: Candidate) => boolean) | undefined },
  prompt: PromptMaker
): PromptChain | undefined =>
  promptMatters(targets, settings) ? prompt.chain(areSorted(targets, speaking.isNative)) : undefined

/** Tells those who are asked in a dialect natively for an operation. */
export const speakingNatively =
  (dialect: string, operation: string) =>
  ({ state }: Candidate): boolean =>
    isSpokenNatively(state.backend, state.served, dialect, operation)

/** Nobody. */
export const emptyPool: Pool = poolOf([])

// A list of candidates is never changed, and is a new one whenever one of them is.
const pools = new WeakMap<ReadonlyArray<Candidate>, Map<string, Pool>>()

const isAble = ({ state, model }: Candidate, abilities: ReadonlyArray<Ability>): boolean =>
  inRotation(state) && abilities.every((ability) => model.capabilities[ability] !== false)

const ableOf = (list: ReadonlyArray<Candidate>, abilities: ReadonlyArray<Ability>): ReadonlyArray<Candidate> =>
  list.filter((candidate) => isAble(candidate, abilities))

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
  const made = poolOf(ableOf(list, abilities))
  known.set(key, made)
  return made
}
