/**
 * The order in which candidates are asked, made up one attempt at a time with the load of that moment.
 */
import { isSpokenNatively } from "../backend/backend.ts"
import { contextOf } from "../domain/server.ts"
import type { Ability, RoutingNeeds } from "../domain/request.ts"
import type { RoutingSettings, Ruling } from "../domain/routing.ts"
import type { BackendState, Candidate, Snapshot } from "../registry/snapshot.ts"
import {
  availabilityExclusion,
  type Excluded,
  hasContextFor,
  capabilityExclusion,
  withMostContext,
  circuitExclusion
} from "./filter.ts"
import { upstreamName, type NameTarget, nameTargets } from "./names.ts"
import { ablePool, emptyPool, type Pool, poolOf, refreshPool } from "./candidate-columns.ts"
import {
  type BestFigures,
  bestFigures,
  type Chance,
  chooseCandidate,
  type StrategyInput,
  type ScoreParts,
  scorePartsAt
} from "./strategy.ts"
import { ruledTargets } from "./rule-targets.ts"
import { ruledModels } from "./route-table.ts"
import { withFigures, type LiveFigures, recordFigures } from "./live-figures.ts"

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

/** A candidate that could be asked, and what its smart score is made of. */
export interface ScoredCandidate {
  readonly candidate: Candidate
  readonly parts: ScoreParts | undefined
}

const nothing: ReadonlyArray<Ability> = []

/** The smallest context that any of those who may answer for a model is known to have, in tokens. */
export const leastContext = (model: string, settings: RoutingSettings, snapshot: Snapshot): number => {
  let least = Infinity
  for (const name of [model, ...ruledModels(settings.rules)]) {
    for (const { candidates } of nameTargets(name, settings, snapshot)) {
      if (candidates.length > 0) least = Math.min(least, ablePool(candidates, nothing).leastContext)
    }
  }
  return least
}

/** What a decision starts from, beside the live figures of its moment. */
export interface DecisionBasis {
  readonly needs: RoutingNeeds
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly turn: number
  /** What the random strategy has drawn. */
  readonly drawn: ReadonlyArray<number>
  /** What the route table made of the request; undefined where there is none. */
  readonly ruling: Ruling | undefined
}

const nothingDrawn: ReadonlyArray<number> = []

/** A plan for one request over one snapshot. */
export class Plan implements DecisionBasis {
  readonly requested: string
  /** Who may answer, those first who serve what was asked for. */
  readonly targets: ReadonlyArray<NameTarget>
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly needs: RoutingNeeds
  readonly ruling: Ruling | undefined
  private readonly draw: StrategyInput
  private readonly asked: Array<Attempt> = []
  private readonly lost: Array<BackendState> = []
  // By the place of the target.
  private readonly bests: Array<BestFigures | undefined> = []
  private waiting: Attempt | undefined
  // The context that was too short, in tokens.
  private outgrown = 0
  drawn: ReadonlyArray<number> = nothingDrawn

  constructor(
    needs: RoutingNeeds,
    settings: RoutingSettings,
    snapshot: Snapshot,
    by: Chance,
    now: number,
    ruling?: Ruling,
    targets = ruledTargets(needs.model, ruling, settings, snapshot)
  ) {
    this.ruling = ruling
    this.requested = needs.model
    this.needs = needs
    this.settings = settings
    this.targets = targets
    this.snapshot = snapshot
    const { strategy, weights } = settings
    const { turn } = by
    const random = strategy === "random" ? () => this.remember(by.random()) : by.random
    this.draw = { strategy, weights, turn, random }
    this.waiting = this.pick(now)
  }

  /** The models that may answer, the one asked for first, by the names that they are known by here. */
  get models(): ReadonlyArray<string> {
    const names = this.targets.map(({ name }) => name)
    // The others of a canary may have the same model.
    return this.ruling === undefined ? names : [...new Set(names)]
  }

  /** The strategy that orders the candidates. */
  get strategy(): StrategyInput["strategy"] {
    return this.draw.strategy
  }

  get turn(): number {
    return this.draw.turn
  }

  /** Whether there is anyone to ask. */
  get empty(): boolean {
    return this.waiting === undefined && this.asked.length === 0
  }

  /** The next attempt: the best of those not yet asked, at this moment; undefined when there is none left. */
  next(now: number): Attempt | undefined {
    const attempt = this.waiting ?? this.pick(now)
    this.waiting = undefined
    if (attempt === undefined) return undefined
    this.asked.push(attempt)
    return attempt
  }

  /** Whether there is another one to ask. */
  hasNext(now: number): boolean {
    this.waiting ??= this.pick(now)
    return this.waiting !== undefined
  }

  /** Asks a backend for nothing more, whatever its models: it cannot be reached. */
  lose(state: BackendState): void {
    this.lost.push(state)
    if (this.waiting?.candidate.state === state) this.waiting = undefined
  }

  /** Asks only those from here on who are known to have more room than one that had too little; whether there is any. */
  outgrow({ model }: Candidate, now: number): boolean {
    const had = contextOf(model)
    if (had === undefined) return false
    this.outgrown = Math.max(this.outgrown, had)
    this.waiting = undefined
    return this.hasNext(now)
  }

  /** The model of an attempt, and who else serves it. */
  targetOf({ candidate: { model, state } }: Attempt): NameTarget | undefined {
    const { name } = state.backend
    return this.targets.find(({ candidates }) =>
      candidates.some((each) => each.state.backend.name === name && each.model.id === model.id)
    )
  }

  /** The best one for a model that could be asked beside another, if any: it has room, and nothing is held against it. */
  spare(target: NameTarget, now: number, suits: (candidate: Candidate) => boolean): Attempt | undefined {
    const able = this.eligible(target, now).candidates.filter(suits)
    if (able.length === 0) return undefined
    const pool = poolOf(able, { turn: this.turn, now })
    const chosen = chooseCandidate(pool, undefined, this.draw, pool.mixed ? this.isNative : undefined)
    if (chosen === undefined) return undefined
    const attempt: Attempt = { ...this.attempt(chosen, target), reason: "hedge" }
    this.asked.push(attempt)
    this.waiting = undefined
    return attempt
  }

  /** Everyone who serves a model of this plan and is left out of it now, with the reason. */
  excluded(now: number): ReadonlyArray<Excluded> {
    const found = this.targets.flatMap(({ candidates }) =>
      candidates.flatMap((candidate): ReadonlyArray<Excluded> => {
        const why =
          capabilityExclusion(candidate, this.needs) ??
          availabilityExclusion(candidate) ??
          circuitExclusion(candidate, now)
        return why === undefined ? [] : [{ candidate, why }]
      })
    )
    return [...found, ...this.ruledOut()]
  }

  private ruledOut(): ReadonlyArray<Excluded> {
    const rule = this.ruling?.rule?.name
    if (rule === undefined) return []
    const kept = (barred: Candidate): boolean =>
      this.targets.some(({ candidates }) =>
        candidates.some(
          ({ model, state }) => state.backend.name === barred.state.backend.name && model.id === barred.model.id
        )
      )
    const barred = new Set(this.targets.flatMap((target) => target.barred ?? []))
    return [...barred]
      .filter((candidate) => !kept(candidate))
      .map((candidate) => ({ candidate, why: { _tag: "RuledOut", rule } }))
  }

  /** The live figures this plan goes by, to be kept with it for {@link replay}. */
  liveFigures(now: number): LiveFigures {
    return recordFigures(this.targets, { turn: this.turn, now })
  }

  /** The same plan from its beginning, as it was at that moment; what becomes of it changes nothing elsewhere. */
  replay(seen: LiveFigures): Plan {
    const drawn = [...this.drawn]
    const random = () => drawn.shift() ?? this.draw.random()
    const lists = withFigures(this.targets, seen)
    const targets = this.targets.map((target, at) => ({ ...target, candidates: lists[at] ?? target.candidates }))
    return new Plan(
      this.needs,
      this.settings,
      this.snapshot,
      { turn: this.turn, random },
      seen.now,
      this.ruling,
      targets
    )
  }

  /** Those of each model that could be asked now, with the parts of their scores for the smart strategy. */
  rated(now: number): ReadonlyArray<ScoredCandidate> {
    const { strategy, weights } = this.draw
    return this.targets.flatMap((target) => {
      const able = this.able(target, now)
      const best = bestFigures(able)
      return able.candidates.map((candidate, at) => ({
        candidate,
        parts: strategy === "smart" ? scorePartsAt(able, at, best, weights) : undefined
      }))
    })
  }

  private remember(drawn: number): number {
    this.drawn = [...this.drawn, drawn]
    return drawn
  }

  /** Those who could be asked now and have the room that is wanted, or the most of all. */
  private eligible(target: NameTarget, now: number): Pool {
    const able = this.able(target, now)
    const { outputTokens, promptTokens } = this.needs
    if (able.candidates.length < 2 || promptTokens + outputTokens <= able.leastContext) return able
    return poolOf(withMostContext(able.candidates, this.needs), { turn: this.turn, now })
  }

  private able({ candidates }: NameTarget, now: number): Pool {
    if (candidates.length === 0) return emptyPool
    const pool = ablePool(candidates, this.needs.abilities)
    const { promptTokens, outputTokens } = this.needs
    const fresh = this.asked.length === 0 && this.lost.length === 0
    const moment = { turn: this.turn, now }
    if (fresh && promptTokens + outputTokens <= pool.leastContext && refreshPool(pool, moment)) return pool
    const able = pool.candidates.filter(
      (candidate) =>
        !this.wasAsked(candidate) &&
        capabilityExclusion(candidate, this.needs) === undefined &&
        availabilityExclusion(candidate) === undefined &&
        circuitExclusion(candidate, now) === undefined
    )
    return poolOf(able, moment)
  }

  private wasAsked({ state, model }: Candidate): boolean {
    return (
      this.lost.includes(state) ||
      (this.outgrown > 0 && (contextOf(model) ?? 0) <= this.outgrown) ||
      this.asked.some(({ candidate }) => candidate.state === state && candidate.model.id === model.id)
    )
  }

  // Healthy by their probes, but with open circuits: asked only when nobody else is left.
  private lastResort({ candidates }: NameTarget, now: number): Candidate | undefined {
    let chosen: Candidate | undefined
    let soonest = Infinity
    for (const candidate of candidates) {
      if (this.wasAsked(candidate)) continue
      if (capabilityExclusion(candidate, this.needs) !== undefined || availabilityExclusion(candidate) !== undefined)
        continue
      const why = circuitExclusion(candidate, now)
      if (why?._tag !== "CircuitOpen" || why.untilMs >= soonest) continue
      chosen = candidate
      soonest = why.untilMs
    }
    return chosen
  }

  // Their probes say that their keys are bad; the only ones that serve a model are not taken out by that. Whoever is
  // merely busy, or asked for a pause, is worth more than they are.
  private mistrusted(now: number): Attempt | undefined {
    let chosen: Attempt | undefined
    if (this.asked.some(({ candidate }) => availabilityExclusion(candidate)?._tag !== "Misconfigured")) return undefined
    for (const target of this.targets) {
      let found: Candidate | undefined
      for (const candidate of target.candidates) {
        if (capabilityExclusion(candidate, this.needs) !== undefined) continue
        const why = availabilityExclusion(candidate) ?? circuitExclusion(candidate, now)
        if (why?._tag === "Full" || why?._tag === "Cooling") return undefined
        // Without its key nothing is sent.
        const { keyFault } = candidate.state.backend
        if (why?._tag !== "Misconfigured" || keyFault !== undefined || this.wasAsked(candidate)) continue
        if (found === undefined || (!hasContextFor(found, this.needs) && hasContextFor(candidate, this.needs)))
          found = candidate
      }
      chosen ??= found === undefined ? undefined : this.attempt(found, target)
    }
    return chosen
  }

  private pick(now: number): Attempt | undefined {
    for (let at = 0; at < this.targets.length; at += 1) {
      const target = this.targets[at]
      if (target === undefined) break
      const pool = this.eligible(target, now)
      if (pool.candidates.length === 0) continue
      // The measure stays the same for all attempts, so that their order is that of the scores at one moment.
      if (this.draw.strategy === "smart") this.bests[at] ??= bestFigures(pool)
      const chosen = chooseCandidate(pool, this.bests[at], this.draw, pool.mixed ? this.isNative : undefined)
      if (chosen !== undefined) return this.attempt(chosen, target)
    }
    for (const target of this.targets) {
      const chosen = this.lastResort(target, now)
      if (chosen !== undefined) return this.attempt(chosen, target)
    }
    return this.mistrusted(now)
  }

  /** Tells those who are asked in their client's own dialect; undefined where nobody said which that is. */
  get isNative(): ((candidate: Candidate) => boolean) | undefined {
    const { dialect, operation } = this.needs
    if (dialect === undefined) return undefined
    return ({ state }) => isSpokenNatively(state.backend, state.served, dialect, operation.name)
  }

  private attempt(candidate: Candidate, target: NameTarget): Attempt {
    const [first] = this.targets
    const isLater = target !== first
    // The others of a canary may have the same model.
    const fallback = isLater && target.name !== first?.name
    const reason = isLater ? "failover" : this.overflows(candidate, target) ? "capacity-overflow" : "capability-match"
    const resolved = first?.understood === true ? first.name : undefined
    const model = upstreamName(target, candidate)
    return { candidate, model, resolved, fallback, reason, ruling: this.ruling }
  }

  /** Whether a candidate that is preferred by its priority was passed over because it is full. */
  private overflows({ state }: Candidate, { candidates: all }: NameTarget): boolean {
    if (!ablePool(all, this.needs.abilities).limited) return false
    return all.some(
      (other) => other.state.backend.priority < state.backend.priority && availabilityExclusion(other)?._tag === "Full"
    )
  }
}

/** The whole order of a plan, as it would be if nothing changed between its attempts. */
export const planAll = (plan: Plan, now: number): ReadonlyArray<Attempt> => {
  const attempts: Array<Attempt> = []
  for (let next = plan.next(now); next !== undefined; next = plan.next(now)) attempts.push(next)
  return attempts
}
