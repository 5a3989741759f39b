/**
 * A routing decision in plain words and numbers, for the log and for people who ask why.
 */
import { slotAdvice } from "../backend/backend.ts"
import { zoneOf } from "../backend/zone.ts"
import type { Strategy } from "../domain/routing.ts"
import type { KnownSlots } from "../domain/server.ts"
import { notServing, isKnownModel, reasonWords, neverListed } from "./filter.ts"
import type { Attempt, ScoredCandidate } from "./choice.ts"
import type { Plan } from "./plan.ts"
import { ruleEntry, type RuleEntry } from "./rule-words.ts"
import { slotsOf } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { ExpectedEnd } from "../fleet/standing.ts"
import type { LiveFigures } from "./live-figures.ts"

/** A candidate that could be asked; times in milliseconds, what is expected for the smart strategy alone. */
interface CandidateFigures {
  readonly backend: string
  readonly model: string
  readonly zone: string
  readonly priority: number
  readonly in_flight: number
  /** How many requests it works on at once, and how that is known; absent where it is not. */
  readonly slots?: number
  readonly slots_from?: KnownSlots["from"]
  readonly first_byte_ms: number | null
  /** When its answer is to be expected whole: the sum of the parts. */
  readonly expected_ms?: number
  readonly parts?: ExpectedParts
  /** What it loses, and what would mend it. */
  readonly note?: string
}

/** What an expected end is made of: milliseconds until a slot is free, to load the model, to read the prompt and to write. */
interface ExpectedParts {
  readonly wait_ms: number
  readonly load_ms: number
  readonly read_ms: number
  readonly write_ms: number
  /** Tokens of the prompt that are likely to be cached. */
  readonly cached_tokens: number
}

/** Who could be asked, who not and why, and in which order; nothing of a message is in it. */
export interface Decision {
  /** The model as the client named it. */
  readonly requested: string
  /** What aliases make of it, and then its fallbacks. */
  readonly models: ReadonlyArray<string>
  readonly strategy: Strategy
  /** What the route table made of it; absent where there is none. */
  readonly rule?: RuleEntry
  readonly candidates: ReadonlyArray<CandidateFigures>
  readonly excluded: ReadonlyArray<{ readonly backend: string; readonly model: string; readonly reason: string }>
  /** All who would be asked, one after the other, until one answers; `max_retries` ends it earlier. */
  readonly order: ReadonlyArray<{
    readonly backend: string
    readonly model: string
    readonly reason: string
    readonly fallback: boolean
    /** Whether it is asked in its client's own dialect. */
    readonly native: boolean
  }>
}

const rounded = (value: number): number => Math.round(value * 100) / 100

const excludedOf = (plan: Plan, now: number) => {
  const { models, requested, snapshot, targets } = plan
  // Where nobody serves a model, those are left out who had it, or have told nothing yet.
  const isServed = targets.some(
    ({ barred = [], beyond = [], candidates, forbidden = [] }) =>
      candidates.length + barred.length + beyond.length + forbidden.length > 0
  )
  if (!isServed)
    return (models.some((name) => isKnownModel(name, snapshot)) ? notServing : neverListed)(requested, snapshot)
  return plan.excluded(now).map(({ candidate, why }) => ({
    backend: candidate.state.backend.name,
    model: candidate.model.id,
    reason: reasonWords(why, now)
  }))
}

const expected = (end: ExpectedEnd | undefined): Pick<CandidateFigures, "expected_ms" | "parts"> =>
  end === undefined
    ? {}
    : {
        expected_ms: rounded(end.wait + end.load + end.read + end.write),
        parts: {
          wait_ms: rounded(end.wait),
          load_ms: rounded(end.load),
          read_ms: rounded(end.read),
          write_ms: rounded(end.write),
          cached_tokens: Math.round(end.cached)
        }
      }

const noteOf = ({ model, state }: Candidate): Pick<CandidateFigures, "note"> => {
  const advice = slotAdvice(state.backend, model)
  return advice === undefined ? {} : { note: `${advice.seen}; ${advice.fix}` }
}

const figuresOf = ({ candidate, end }: ScoredCandidate): CandidateFigures => {
  const { model, state } = candidate
  const known = slotsOf(model, state.live)
  return Object.assign(
    {
      backend: state.backend.name,
      model: model.id,
      zone: zoneOf(state.backend),
      priority: state.backend.priority,
      in_flight: state.live.inFlight,
      first_byte_ms: state.live.firstByteMs === undefined ? null : rounded(state.live.firstByteMs)
    },
    known === undefined ? {} : { slots: known.slots, slots_from: known.from },
    expected(end),
    noteOf(candidate)
  )
}

/** The decision of a plan by the figures of its beginning, which must be those that were noted then. */
export const explainPlan = (plan: Plan, seen: LiveFigures): Decision => {
  const { now } = seen
  const then = plan.replay(seen)
  const candidates = then.rated(now).map(figuresOf)
  const excluded = excludedOf(then, now)
  const order = planAll(then, now).map(({ candidate, model, reason, fallback }) => ({
    backend: candidate.state.backend.name,
    model,
    reason,
    fallback,
    native: then.isNative?.(candidate) ?? true
  }))
  const { models, needs, requested, ruling, strategy } = plan
  const rule = ruling === undefined ? {} : { rule: ruleEntry(ruling, needs) }
  return { requested, models, strategy, ...rule, candidates, excluded, order }
}

/** The whole order of a plan, as it would be if nothing changed between its attempts. */
export const planAll = (plan: Plan, now: number): ReadonlyArray<Attempt> => {
  const attempts: Array<Attempt> = []
  for (let next = plan.next(now); next !== undefined; next = plan.next(now)) attempts.push(next)
  return attempts
}
