/**
 * The order in which candidates are asked, made up one attempt at a time with the load of that moment.
 */
import type { RoutingNeeds } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { BackendState, Candidate, Snapshot } from "../registry/snapshot.ts"
import { resolve } from "./aliases.ts"
import { absence, type Excluded, fits, inability, reasonWords, suspicion } from "./filter.ts"
import { bestOf, choose, type Draw, scoreOf } from "./strategy.ts"

/** Why a candidate was chosen, as `x-nexus-route-reason` says it. */
export type RouteReason = "capability-match" | "capacity-overflow" | "failover"

/** One candidate to ask. */
export interface Attempt {
  readonly candidate: Candidate
  /** The model name the backend is asked for. */
  readonly model: string
  /** Whether the model is a fallback of the one that was asked for. */
  readonly fallback: boolean
  readonly reason: RouteReason
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

/** A plan for one request over one snapshot. */
export class Plan {
  readonly requested: string
  /** The models that may answer, the one asked for (as aliases resolve it) first. */
  readonly models: ReadonlyArray<string>
  private readonly snapshot: Snapshot
  private readonly needs: RoutingNeeds
  private readonly draw: Draw
  private readonly tried = new Map<string, Set<BackendState>>()
  private readonly asked: Array<Attempt> = []
  private waiting: Attempt | undefined

  constructor(needs: RoutingNeeds, models: ReadonlyArray<string>, snapshot: Snapshot, draw: Draw, now: number) {
    this.requested = needs.model
    this.needs = needs
    this.models = models
    this.snapshot = snapshot
    this.draw = draw
    this.waiting = this.pick(now)
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
    const tried = this.tried.get(attempt.model)
    if (tried === undefined) this.tried.set(attempt.model, new Set([attempt.candidate.state]))
    else tried.add(attempt.candidate.state)
    this.asked.push(attempt)
    return attempt
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

  /** The decision in a form for the log. */
  describe(now: number): Readonly<Record<string, unknown>> {
    const candidates = this.models.flatMap((model) => {
      const able = this.eligible(model, now)
      const best = bestOf(able)
      return able.map((candidate) => ({
        backend: candidate.state.backend.name,
        model,
        score: Math.round(scoreOf(candidate, best, this.draw.weights) * 100) / 100
      }))
    })
    const excluded = this.excluded(now).map(({ candidate, why }) => ({
      backend: candidate.state.backend.name,
      model: candidate.model.id,
      reason: reasonWords(why, now)
    }))
    const chosen = this.waiting ?? this.asked[0]
    return {
      model: this.requested,
      models: this.models,
      strategy: this.draw.strategy,
      backend: chosen?.candidate.state.backend.name,
      candidates,
      excluded
    }
  }

  private eligible(model: string, now: number): ReadonlyArray<Candidate> {
    const all = this.snapshot.candidates.get(model) ?? none
    const tried = this.tried.get(model)
    const able = all.filter(
      (candidate) =>
        tried?.has(candidate.state) !== true &&
        inability(candidate, this.needs) === undefined &&
        absence(candidate) === undefined &&
        suspicion(candidate, now) === undefined
    )
    if (this.needs.outputTokens === 0 || able.length < 2) return able
    const roomy = able.filter((candidate) => fits(candidate, this.needs))
    return roomy.length === 0 ? able : roomy
  }

  // Healthy by their probes, but with open circuits: asked only when nobody else is left.
  private lastResort(model: string, now: number): Candidate | undefined {
    const tried = this.tried.get(model)
    let chosen: Candidate | undefined
    let soonest = Infinity
    for (const candidate of this.snapshot.candidates.get(model) ?? none) {
      if (tried?.has(candidate.state) === true) continue
      if (inability(candidate, this.needs) !== undefined || absence(candidate) !== undefined) continue
      const why = suspicion(candidate, now)
      if (why?._tag !== "CircuitOpen" || why.untilMs >= soonest) continue
      chosen = candidate
      soonest = why.untilMs
    }
    return chosen
  }

  private pick(now: number): Attempt | undefined {
    for (const model of this.models) {
      const chosen = choose(this.eligible(model, now), this.draw)
      if (chosen !== undefined) return this.attempt(chosen, model)
    }
    for (const model of this.models) {
      const chosen = this.lastResort(model, now)
      if (chosen !== undefined) return this.attempt(chosen, model)
    }
    return undefined
  }

  private attempt(candidate: Candidate, model: string): Attempt {
    const fallback = model !== this.models[0]
    const reason = fallback ? "failover" : this.overflows(candidate, model) ? "capacity-overflow" : "capability-match"
    return { candidate, model, fallback, reason }
  }

  /** Whether a candidate that is preferred by its priority was passed over because it is full. */
  private overflows({ state }: Candidate, model: string): boolean {
    const all = this.snapshot.candidates.get(model) ?? none
    return all.some((other) => other.state.backend.priority < state.backend.priority && absence(other)?._tag === "Full")
  }
}

/** The whole order of a plan, as it would be if nothing changed between its attempts. */
export const planAll = (plan: Plan, now: number): ReadonlyArray<Attempt> => {
  const attempts: Array<Attempt> = []
  for (let next = plan.next(now); next !== undefined; next = plan.next(now)) attempts.push(next)
  return attempts
}
