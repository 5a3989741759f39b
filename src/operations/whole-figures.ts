/**
 * The figures of the whole gateway, those of its other processes among them.
 */
import * as Effect from "effect/Effect"
import { ClientKeys } from "../admission/ClientKeys.ts"
import type { KeyRing } from "../admission/key-ring.ts"
import { Limiter } from "../admission/Limiter.ts"
import { NexusConfig } from "../config/NexusConfig.ts"
import { type LimitUse, nearestLimits, usesOf, usesUnder } from "../domain/limit-use.ts"
import { keyRules, type LimitRule, limitRules, limitsOfHolder, type LimitSettings } from "../domain/rate-limits.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { Meters } from "../proxy/Meters.ts"
import { Registry } from "../registry/Registry.ts"
import { aliasChain, resolveAlias } from "../router/alias-chains.ts"
import { type ProcessFigures, sumFigures, type TotalFigures } from "../telemetry/process-figures.ts"
import { Budgets } from "../usage/Budgets.ts"
import { clusterStatus } from "./cluster-status.ts"
import type { FiguresNow } from "./figure-hooks.ts"
import { wholeStanding } from "./handlers/health-pages.ts"
import { siblingQuestions, Siblings } from "./Siblings.ts"

/** What asks for what all processes have counted. */
export const totalNow = Effect.gen(function* () {
  const meters = yield* Meters
  const siblings = yield* Siblings
  let last: ReadonlyArray<ProcessFigures> = []
  // Others that do not answer in time are counted as they last did: counters never go back.
  const now: Effect.Effect<TotalFigures> = Effect.gen(function* () {
    const own = meters.measures()
    const answer = yield* siblings.ask(siblingQuestions.measures, { own })
    if (answer !== undefined) last = answer
    return sumFigures([own, ...last])
  })
  return now
})

// Keys may be many.
const mostLimited = 100

/** Does the same for the same arguments once. */
const kept = <Args extends ReadonlyArray<unknown>, A>(make: (...of: Args) => A): ((...of: Args) => A) => {
  let last: { readonly of: Args; readonly made: A } | undefined
  return (...of) => {
    if (last === undefined || of.some((each, at) => each !== last?.of[at])) last = { of, made: make(...of) }
    return last.made
  }
}

/** What asks how near those are to their limits that are nearest: all who have taken something, known keys and listed models. */
export const limitsNow = Effect.gen(function* () {
  const { current } = yield* NexusConfig
  const keys = yield* ClientKeys
  const limiter = yield* Limiter
  const registry = yield* Registry
  // They are many, and the same from one look to the next; the ring is another one whenever a key is.
  const ofKeys = kept((rates: LimitSettings, _ring: KeyRing) => keys.list().flatMap(({ key }) => keyRules(rates, key)))
  const ofModels = kept(
    (
      rates: LimitSettings,
      { candidates }: Snapshot,
      { aliases, groups }: Pick<RoutingSettings, "aliases" | "groups">
    ): ReadonlyArray<LimitRule> => {
      if (rates.models.length === 0) return []
      const names = [...candidates.keys(), ...groups.keys(), ...aliases.keys()]
      const rules = names.flatMap((name) =>
        limitRules(rates, {
          grant: undefined,
          model: resolveAlias(name, aliases),
          called: aliasChain(name, aliases)
        })
      )
      return [...new Map(rules.map((rule) => [rule.id, rule])).values()]
    }
  )
  const allOf = kept((keyed: ReadonlyArray<LimitRule>, models: ReadonlyArray<LimitRule>) => [...keyed, ...models])
  // More than are told need not be looked at for those of whom nothing is taken.
  const untouched = kept((rules: ReadonlyArray<LimitRule>): ReadonlyArray<LimitUse> => {
    const holders = new Set<string>()
    const uses: Array<LimitUse> = []
    for (const rule of rules) {
      if (holders.size === mostLimited) break
      holders.add(`${rule.scope} ${rule.name}`)
      uses.push(...usesOf(rule, 0, 0, 0))
    }
    return uses
  })
  return Effect.fnUntraced(function* ({ limits }: Pick<TotalFigures, "limits">) {
    const { rates, routing } = current()
    const ring = keys.ring()
    const known = allOf(ofKeys(rates, ring), ofModels(rates, registry.snapshot(), routing))
    const counted = yield* limiter.takenByAll(known)
    if (counted !== undefined) return nearestLimits(counted, mostLimited)
    const limitsOf = (holder: Pick<LimitUse, "name" | "scope">) =>
      limitsOfHolder(rates, holder, (name) => ring.named(name))
    return nearestLimits([...usesUnder(limits, limitsOf), ...untouched(known)], mostLimited)
  })
})

/** What asks for all that is told of the gateway; `started` is when it began, in monotonic milliseconds. */
export const figuresNow = Effect.fnUntraced(function* (started: number) {
  const registry = yield* Registry
  const budgets = yield* Budgets
  const cluster = yield* clusterStatus
  const total = yield* totalNow
  const limitsOf = yield* limitsNow
  const openCircuits = (name: string): number => {
    const live = registry.snapshot().backends.get(name)?.live
    if (live === undefined) return 0
    return wholeStanding(live, performance.now()).circuits.filter(({ state }) => state === "open").length
  }
  const now: Effect.Effect<FiguresNow> = Effect.gen(function* () {
    const whole = yield* total
    return {
      whole,
      snapshot: registry.snapshot(),
      openCircuits,
      budgets: { rules: budgets.rules(), standing: budgets.standing() },
      limits: yield* limitsOf(whole),
      cluster: cluster(),
      uptimeSeconds: (performance.now() - started) / 1000
    }
  })
  return now
})
