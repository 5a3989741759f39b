/**
 * From what a request needs to the order in which candidates are asked, or to a refusal that says why.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import {
  BadGateway,
  ContextLengthExceeded,
  ModelCapabilityMismatch,
  type ModelNotAllowed,
  type ModelNotFound,
  Overloaded,
  ServiceUnavailable,
  ZoneNotAllowed
} from "../domain/errors.ts"
import type { OperationFacts, RoutingNeeds } from "../domain/request.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import type { RoutingSettings, Rule, Ruling, RuleSide } from "../domain/routing.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import {
  availabilityExclusion,
  capabilityExclusion,
  circuitExclusion,
  hasContextFor,
  notServing,
  type Excluded,
  isKnownModel,
  missingWords,
  reasonWords,
  neverListed
} from "./filter.ts"
import type { PromptMaker } from "./candidate-columns.ts"
import { aliasChain } from "./alias-chains.ts"
import { lookUpName } from "./names.ts"
import { type DecisionBasis, Plan } from "./plan.ts"
import { leastContext, sideTargets, targetsFor } from "./rule-targets.ts"
import { type RuledRequest, ruledSettings, rulingFor, unitOf } from "./route-table.ts"
import { modelNotAllowed, modelNotFound } from "./model-not-found.ts"
import { mayAskFor } from "./scope.ts"
import { backendsWithin, eachOnce, type KeyBounds, requestLimits, targetFor, zonedTargets } from "./zoned-targets.ts"

/** Why no candidate can be asked. */
export type RoutingRefusal =
  | BadGateway
  | ModelNotAllowed
  | ModelNotFound
  | ModelCapabilityMismatch
  | ContextLengthExceeded
  | ServiceUnavailable
  | Overloaded
  | ZoneNotAllowed

/** A plan, and why it would come to nothing. */
export interface Considered {
  readonly plan: Plan
  readonly refusal: RoutingRefusal | undefined
}

/** Models whose turn is kept at most. */
const maxTurns = 10_000

// In seconds, when nothing says better.
const usualWait = 5

const paramOf = ({ why }: Excluded, { fields }: OperationFacts): string | null =>
  why._tag === "Unable" ? fields[why.ability] : null

// A shorter prompt is all it takes for one of them: that is what agents can do something about.
const tooLong = (excluded: ReadonlyArray<Excluded>): { has: number; needs: number } | undefined => {
  let found: { has: number; needs: number } | undefined
  for (const { why } of excluded) {
    if (why._tag === "ContextTooShort" && why.has > (found?.has ?? 0)) found = why
  }
  return found
}

const isInability = ({ why }: Excluded): boolean => why._tag === "Unable" || why._tag === "ContextTooShort"

/** Why a plan without a first attempt came to nothing. */
const refusalOf = (plan: Plan, snapshot: Snapshot, now: number, random: () => number): RoutingRefusal => {
  const wait = (seconds: number): number => jitteredWait(seconds, random)
  const model = plan.requested
  const { settings } = plan
  const bounds = plan.needs
  const { scope } = bounds
  const [forbidden] = scope === undefined ? [] : plan.forbidden()
  // Nothing is told of those that the key is not for.
  const excluded = plan.excluded(now).filter(({ why }) => why._tag !== "Forbidden")
  // Where it leads beyond its zones is not told: of those there, only that they are.
  const reasons = eachOnce(
    excluded.map(({ candidate, why }) => ({
      backend: candidate.state.backend.name,
      model: why._tag === "BeyondZones" ? model : candidate.model.id,
      reason: reasonWords(why, now)
    }))
  )
  const within = excluded.filter(({ why }) => why._tag !== "BeyondZones")
  if (within.length < excluded.length && within.every(({ why }) => why._tag === "RuledOut")) {
    return new ZoneNotAllowed({ model, reasons })
  }
  const [first] = within
  if (first === undefined) {
    if (forbidden?.why._tag === "Forbidden") return modelNotAllowed(model, forbidden.why.by, settings, snapshot, bounds)
    if (!mayAskFor(model, scope, settings)) return modelNotAllowed(model, "models", settings, snapshot, bounds)
    const known = plan.models.some((name) => isKnownModel(name, snapshot))
    const backends = backendsWithin(bounds, settings, snapshot)
    const silent = neverListed(model, { backends })
    // While nobody has told of any model, any of them may have it.
    if (silent.length > 0 && silent.length === backends.size) {
      return new ServiceUnavailable({ model, reasons: silent, retryAfterSeconds: wait(usualWait) })
    }
    return known
      ? new ServiceUnavailable({
          model,
          reasons: notServing(model, { backends }),
          retryAfterSeconds: wait(usualWait)
        })
      : modelNotFound(model, settings, snapshot, bounds)
  }
  const cooling = within.flatMap(({ why }) => (why._tag === "Cooling" ? [why] : []))
  const full = within.some(({ why }) => why._tag === "Full")
  const limited = cooling.filter(({ rest }) => rest?.limited !== false)
  const soonest = (all: typeof cooling): number => Math.min(...all.map(({ untilMs }) => untilMs - now)) / 1000
  if (full || limited.length > 0) {
    const seconds = wait(full ? 1 : soonest(limited))
    return new Overloaded({
      message: `Every backend for model '${model}' has all it can take; try again in ${seconds} s`,
      retryAfterSeconds: seconds
    })
  }
  if (cooling.length > 0) {
    return new ServiceUnavailable({ model, reasons, retryAfterSeconds: wait(soonest(cooling)) })
  }
  // Nothing but its key will change this: coming back later is of no use.
  if (within.every((each) => each.why._tag === "Misconfigured" || isInability(each)) && !within.every(isInability)) {
    return new BadGateway({ model, failures: reasons })
  }
  // A backend that is down and able may come back; only when all are known to be unable is it the request's fault.
  if (!within.every(isInability)) return new ServiceUnavailable({ model, reasons, retryAfterSeconds: wait(usualWait) })
  const shorter = tooLong(within)
  if (shorter !== undefined) {
    return new ContextLengthExceeded({
      model,
      has: shorter.has,
      needs: shorter.needs,
      param: plan.needs.operation.fields.text
    })
  }
  const nearest = within.find(({ candidate }) => plan.targets[0]?.candidates.includes(candidate) === true) ?? first
  return new ModelCapabilityMismatch({
    model,
    missing: missingWords(nearest.why),
    param: paramOf(nearest, plan.needs.operation)
  })
}

/** Chooses backends. */
export class Router extends Context.Service<
  Router,
  {
    /** What the route table makes of a request; undefined where there is none. `at`, in milliseconds since 1970, is now when absent. */
    readonly rule: (needs: RoutingNeeds, snapshot: Snapshot, request: RuledRequest, at?: number) => Ruling | undefined
    /** Which zones a request may go to; undefined where it may go anywhere, a refusal where it says so in bad form. */
    readonly zones: typeof requestLimits
    /** Who could answer a copy of a request now where a rule sends that, without its fallbacks. */
    readonly shadowable: (
      needs: RoutingNeeds,
      rule: Pick<Rule, "zones">,
      side: RuleSide,
      snapshot: Snapshot,
      now: number
    ) => ReadonlyArray<Candidate>
    /** Plans one request; plain and synchronous. `now` in monotonic milliseconds. */
    readonly route: (
      needs: RoutingNeeds,
      snapshot: Snapshot,
      now: number,
      ruling?: Ruling,
      prompt?: PromptMaker
    ) => Result.Result<Plan, RoutingRefusal>
    /** The plan that {@link route} would make, or refuse, without taking a turn. */
    readonly consider: (needs: RoutingNeeds, snapshot: Snapshot, now: number, ruling?: Ruling) => Considered
    /** Why nobody of a plan is asked, where those who could be would have to be waited for. */
    readonly busy: (plan: Plan, now: number) => RoutingRefusal
    /** A plan that was made before, from its beginning; to be looked at as it was seen then. */
    readonly again: (decided: DecisionBasis) => Plan
    /** The smallest context, in tokens, that any of those who may answer for a model is known to have. */
    readonly leastContext: (model: string, snapshot: Snapshot) => number
    /**
     * The model that is meant where none is named: the usual one where somebody lists it, else the only one there is; of those
     * alone that the key lets ask for.
     */
    readonly standIn: (usual: string | undefined, snapshot: Snapshot, key?: KeyBounds) => string | undefined
    /** The names that stand for models, and the models that may answer for others. */
    readonly names: () => RoutingSettings
  }
>()("nexus/router/Router") {
  /** Routes as the settings of the moment say; the random strategy draws on the Random service. */
  static readonly layer = (settingsNow: () => RoutingSettings) =>
    Layer.effect(
      Router,
      Effect.gen(function* () {
        const seeded = yield* Random.Random
        const random = () => seeded.nextDoubleUnsafe()
        const turns = new Map<string, number>()
        const turnOf = (model: string): number => turns.get(model) ?? 0
        const takeTurn = (model: string): void => {
          const turn = turnOf(model)
          if (turns.size >= maxTurns && !turns.has(model)) turns.clear()
          turns.set(model, turn + 1)
        }
        const clock = yield* Clock.Clock
        const rule = (
          needs: RoutingNeeds,
          snapshot: Snapshot,
          request: RuledRequest,
          at?: number
        ): Ruling | undefined => {
          const settings = settingsNow()
          if (settings.rules.length === 0) return undefined
          return ruled(needs, snapshot, request, settings, at ?? clock.currentTimeMillisUnsafe())
        }
        const ruled = (
          needs: RoutingNeeds,
          snapshot: Snapshot,
          request: RuledRequest,
          settings: RoutingSettings,
          at: number
        ): Ruling | undefined => {
          const { rules } = settings
          const names = [...aliasChain(needs.model, settings.aliases), lookUpName(needs.model, settings, snapshot).name]
          const header = (name: string) => request.request.headers.get(name)
          return rulingFor(
            rules,
            { needs, names, key: request.key, header, at },
            unitOf(request, settings.sessionHeaders)
          )
        }
        const shadowable = (
          needs: RoutingNeeds,
          rule: Pick<Rule, "zones">,
          side: RuleSide,
          snapshot: Snapshot,
          now: number
        ): ReadonlyArray<Candidate> => {
          const settings = settingsNow()
          const [target] = zonedTargets(sideTargets(needs, side, settings, snapshot), needs, rule, settings, snapshot)
          return (target?.candidates ?? []).filter(
            (candidate) =>
              capabilityExclusion(candidate, needs) === undefined &&
              availabilityExclusion(candidate) === undefined &&
              circuitExclusion(candidate, now) === undefined &&
              hasContextFor(candidate, needs)
          )
        }
        const planFor = (
          needs: RoutingNeeds,
          snapshot: Snapshot,
          now: number,
          take: boolean,
          ruling: Ruling | undefined,
          prompt?: PromptMaker
        ): Plan => {
          const settings = ruledSettings(settingsNow(), ruling?.rule)
          const targets = targetsFor(needs, ruling, settings, snapshot)
          const [first] = targets
          const takesTurns = settings.strategy === "round_robin" || settings.strategy === "smart"
          const inTurn = takesTurns && first !== undefined && first.candidates.length > 0
          const turn = inTurn ? turnOf(first.name) : 0
          if (inTurn && take) takeTurn(first.name)
          return new Plan(needs, settings, snapshot, { turn, random }, now, ruling, targets, prompt)
        }
        const route = (
          needs: RoutingNeeds,
          snapshot: Snapshot,
          now: number,
          ruling?: Ruling,
          prompt?: PromptMaker
        ): Result.Result<Plan, RoutingRefusal> => {
          const plan = planFor(needs, snapshot, now, true, ruling, prompt)
          return plan.empty ? Result.fail(refusalOf(plan, snapshot, now, random)) : Result.succeed(plan)
        }
        const again = ({ needs, settings, snapshot, turn, drawn, ruling }: DecisionBasis): Plan => {
          const left = [...drawn]
          return new Plan(
            needs,
            settings,
            snapshot,
            { turn, random: () => left.shift() ?? random() },
            performance.now(),
            ruling
          )
        }
        const consider = (needs: RoutingNeeds, snapshot: Snapshot, now: number, ruling?: Ruling): Considered => {
          const plan = planFor(needs, snapshot, now, false, ruling)
          return {
            plan,
            get refusal() {
              return plan.empty ? refusalOf(plan, snapshot, now, random) : undefined
            }
          }
        }
        const busy = (plan: Plan, now: number): RoutingRefusal => refusalOf(plan, plan.snapshot, now, random)
        const least = (model: string, snapshot: Snapshot): number => leastContext(model, settingsNow(), snapshot)
        const standIn = (usual: string | undefined, snapshot: Snapshot, key?: KeyBounds): string | undefined => {
          const { candidates } = snapshot
          const settings = settingsNow()
          const isBound = key?.scope !== undefined || key?.zones !== undefined
          const isOpen = (name: string): boolean =>
            !isBound ||
            targetFor(key, lookUpName(name, settings, snapshot), name, settings, snapshot).candidates.length > 0
          const isServed = usual !== undefined && (candidates.has(usual) || settings.aliases.has(usual))
          if (isServed && isOpen(usual)) return usual
          const [only, ...others] = isBound ? [...candidates.keys()].filter(isOpen) : candidates.keys()
          return others.length === 0 ? only : undefined
        }
        return Router.of({
          rule,
          zones: requestLimits,
          shadowable,
          route,
          consider,
          busy,
          again,
          leastContext: least,
          standIn,
          names: settingsNow
        })
      })
    )
}
