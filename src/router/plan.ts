/**
 * The order in which candidates are asked, made up one attempt at a time with the load of that moment.
 */
import type { RoutingNeeds } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { BackendState, Candidate, Snapshot } from "../registry/snapshot.ts"
import { resolve } from "./aliases.ts"
import { absence, type Excluded, fits, inability, suspicion } from "./filter.ts"
import { ablePool, nobody, type Pool, poolOf, takeDown } from "./pool.ts"
import { type Best, bestOf, type Chance, choose, type Draw, type Parts, partsAt } from "./strategy.ts"
import { asSeen, type Witness, witness } from "./witness.ts"

/** Why a candidate was chosen, as `x-nexus-route-reason` says it. */
type RouteReason = "capability-match" | "capacity-overflow" | "failover"

/** One candidate to ask. */
export interface Attempt {
  readonly candidate: Candidate
  /** The model name the backend is asked for. */
  readonly model: string
  /** Whether the model is a fallback of the one that was asked for. */
  readonly fallback: boolean
  readonly reason: RouteReason
}

/** A candidate that could be asked, and what its smart score is made of. */
export interface Rated {
  readonly candidate: Candidate
  readonly parts: Parts | undefined
}

/** The models that may answer, the one asked for first. */
export const modelsOf = (
  model: string,
  { aliases, fallbacks }: Pick<RoutingSettings, "aliases" | "fallbacks">
): ReadonlyArray<string> => {
  const resolved = resolve(model, aliases)
  const others = fallbacks.get(resolved)
  return others === undefined ? [resolved] : [...new Set([resolved, ...others.map((name) => resolve(name, aliases))])]
}

const none: ReadonlyArray<Candidate> = []

/** What a decision starts from, beside the live figures of its moment. */
export interface Decided {
  readonly needs: RoutingNeeds
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly turn: number
  /** What the random strategy has drawn. */
  readonly drawn: ReadonlyArray<number>
}

const nothingDrawn: ReadonlyArray<number> = []

/** A plan for one request over one snapshot. */
export class Plan implements Decided {
  readonly requested: string
  /** The models that may answer, the one asked for (as aliases resolve it) first. */
  readonly models: ReadonlyArray<string>
  readonly settings: RoutingSettings
  readonly snapshot: Snapshot
  readonly needs: RoutingNeeds
  private readonly draw: Draw
  private readonly asked: Array<Attempt> = []
  private readonly lost: Array<BackendState> = []
  // By the place of the model.
  private readonly bests: Array<Best | undefined> = []
  private waiting: Attempt | undefined
  drawn: ReadonlyArray<number> = nothingDrawn

  constructor(needs: RoutingNeeds, settings: RoutingSettings, snapshot: Snapshot, by: Chance, now: number) {
    this.requested = needs.model
    this.needs = needs
    this.settings = settings
    this.models = modelsOf(needs.model, settings)
    this.snapshot = snapshot
    const { strategy, weights } = settings
    const { turn } = by
    const random = strategy === "random" ? () => this.remember(by.random()) : by.random
    this.draw = { strategy, weights, turn, random }
    this.waiting = this.pick(now)
  }

  /** The strategy that orders the candidates. */
  get strategy(): Draw["strategy"] {
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

  /** Everyone who serves a model of this plan and is left out of it now, with the reason. */
  excluded(now: number): ReadonlyArray<Excluded> {
    return this.models.flatMap((model) =>
      (this.snapshot.candidates.get(model) ?? none).flatMap((candidate) => {
        const why = inability(candidate, this.needs) ?? absence(candidate) ?? suspicion(candidate, now)
        return why === undefined ? [] : [{ candidate, why }]
      })
    )
  }

  /** The live figures this plan goes by, to be kept with it for {@link asSeen}. */
  witness(now: number): Witness {
    return witness(this.snapshot, this.models, { turn: this.turn, now })
  }

  /** The same plan from its beginning, as it was at that moment; what becomes of it changes nothing elsewhere. */
  asSeen(seen: Witness): Plan {
    const drawn = [...this.drawn]
    const random = () => drawn.shift() ?? this.draw.random()
    const snapshot = asSeen(this.snapshot, this.models, seen)
    return new Plan(this.needs, this.settings, snapshot, { turn: this.turn, random }, seen.now)
  }

  /** Those of each model that could be asked now, with the parts of their scores for the smart strategy. */
  rated(now: number): ReadonlyArray<Rated> {
    const { strategy, weights } = this.draw
    return this.models.flatMap((model) => {
      const able = this.eligible(model, now)
      const best = bestOf(able)
      return able.candidates.map((candidate, at) => ({
        candidate,
        parts: strategy === "smart" ? partsAt(able, at, best, weights) : undefined
      }))
    })
  }

  private remember(drawn: number): number {
    this.drawn = [...this.drawn, drawn]
    return drawn
  }

  private eligible(model: string, now: number): Pool {
    const list = this.snapshot.candidates.get(model)
    if (list === undefined) return nobody
    const pool = ablePool(list, this.needs.abilities)
    const { promptTokens, outputTokens } = this.needs
    const fresh = this.asked.length === 0 && this.lost.length === 0
    const moment = { turn: this.turn, now }
    if (fresh && promptTokens + outputTokens <= pool.leastContext && takeDown(pool, moment)) return pool
    const able = pool.candidates.filter(
      (candidate) =>
        !this.wasAsked(candidate) &&
        inability(candidate, this.needs) === undefined &&
        absence(candidate) === undefined &&
        suspicion(candidate, now) === undefined
    )
    if (outputTokens === 0 || able.length < 2) return poolOf(able, moment)
    const roomy = able.filter((candidate) => fits(candidate, this.needs))
    return poolOf(roomy.length === 0 ? able : roomy, moment)
  }

  private wasAsked({ state, model }: Candidate): boolean {
    return (
      this.lost.includes(state) ||
      this.asked.some(({ candidate }) => candidate.state === state && candidate.model.id === model.id)
    )
  }

  // Healthy by their probes, but with open circuits: asked only when nobody else is left.
  private lastResort(model: string, now: number): Candidate | undefined {
    let chosen: Candidate | undefined
    let soonest = Infinity
    for (const candidate of this.snapshot.candidates.get(model) ?? none) {
      if (this.wasAsked(candidate)) continue
      if (inability(candidate, this.needs) !== undefined || absence(candidate) !== undefined) continue
      const why = suspicion(candidate, now)
      if (why?._tag !== "CircuitOpen" || why.untilMs >= soonest) continue
      chosen = candidate
      soonest = why.untilMs
    }
    return chosen
  }

  // Their probes say that their keys are bad; the only ones that serve a model are not taken out by that. Whoever is
  // merely busy, or asked for a pause, is worth more than they are.
  private mistrusted(now: number): Attempt | undefined {
    if (this.asked.some(({ candidate }) => absence(candidate)?._tag !== "Misconfigured")) return undefined
    let found: Attempt | undefined
    for (const model of this.models) {
      for (const candidate of this.snapshot.candidates.get(model) ?? none) {
        if (inability(candidate, this.needs) !== undefined) continue
        const why = absence(candidate) ?? suspicion(candidate, now)
        if (why?._tag === "Full" || why?._tag === "Cooling") return undefined
        // Without its key nothing is sent.
        const { keyFault } = candidate.state.backend
        if (why?._tag !== "Misconfigured" || keyFault !== undefined || this.wasAsked(candidate)) continue
        found ??= this.attempt(candidate, model)
      }
    }
    return found
  }

  private pick(now: number): Attempt | undefined {
    for (let at = 0; at < this.models.length; at += 1) {
      const model = this.models[at] ?? ""
      const pool = this.eligible(model, now)
      if (pool.candidates.length === 0) continue
      // The measure stays the same for all attempts, so that their order is that of the scores at one moment.
      if (this.draw.strategy === "smart") this.bests[at] ??= bestOf(pool)
      const chosen = choose(pool, this.bests[at], this.draw)
      if (chosen !== undefined) return this.attempt(chosen, model)
    }
    for (const model of this.models) {
      const chosen = this.lastResort(model, now)
      if (chosen !== undefined) return this.attempt(chosen, model)
    }
    return this.mistrusted(now)
  }

  private attempt(candidate: Candidate, model: string): Attempt {
    const fallback = model !== this.models[0]
    const reason = fallback ? "failover" : this.overflows(candidate, model) ? "capacity-overflow" : "capability-match"
    return { candidate, model, fallback, reason }
  }

  /** Whether a candidate that is preferred by its priority was passed over because it is full. */
  private overflows({ state }: Candidate, model: string): boolean {
    const all = this.snapshot.candidates.get(model) ?? none
    if (!ablePool(all, this.needs.abilities).limited) return false
    return all.some((other) => other.state.backend.priority < state.backend.priority && absence(other)?._tag === "Full")
  }
}

/** The whole order of a plan, as it would be if nothing changed between its attempts. */
export const planAll = (plan: Plan, now: number): ReadonlyArray<Attempt> => {
  const attempts: Array<Attempt> = []
  for (let next = plan.next(now); next !== undefined; next = plan.next(now)) attempts.push(next)
  return attempts
}
