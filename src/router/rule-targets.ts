/**
 * Who may answer under a rule: its model's backends, and those alone that it names.
 */
import type { RoutingNeeds, Scope } from "../domain/request.ts"
import type { RoutingSettings, RuleSide, Ruling } from "../domain/routing.ts"
import { isNamedBy } from "../domain/server.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { ablePool } from "./candidate-columns.ts"
import type { Excluded } from "./filter.ts"
import { type NameTarget, nameTargets, throughName } from "./names.ts"
import { ruledModels } from "./route-table.ts"
import { inScope } from "./scope.ts"
import { zonedTargets } from "./zoned-targets.ts"

interface Narrowed {
  readonly kept: ReadonlyArray<Candidate>
  readonly barred: ReadonlyArray<Candidate>
}

// The same list for the same candidates and side: what is known of a list is kept by it.
const lists = new WeakMap<ReadonlyArray<Candidate>, Map<RuleSide, Narrowed>>()

const narrowed = (candidates: ReadonlyArray<Candidate>, side: RuleSide): Narrowed => {
  const of = lists.get(candidates) ?? new Map<RuleSide, Narrowed>()
  const known = of.get(side)
  if (known !== undefined) return known
  const isMeant = ({ state: { backend } }: Candidate): boolean =>
    (side.only === undefined || isNamedBy(side.only, backend)) &&
    (side.not === undefined || !isNamedBy(side.not, backend))
  const kept = candidates.filter(isMeant)
  const made = { kept, barred: candidates.filter((each) => !kept.includes(each)) }
  of.set(side, made)
  lists.set(candidates, of)
  return made
}

/** What a request asks for, and what its key is for. */
export type WantedModel = Pick<RoutingNeeds, "model" | "scope">

const allInScope = (
  targets: ReadonlyArray<NameTarget>,
  scope: Scope,
  settings: RoutingSettings
): ReadonlyArray<NameTarget> => targets.map((target) => inScope(target, scope, settings))

const allowedTargets = (
  name: string,
  scope: Scope | undefined,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> => {
  const targets = nameTargets(name, settings, snapshot)
  return scope === undefined ? targets : allInScope(targets, scope, settings)
}

/** All that may answer for a name where a rule sends it: wherever that is, a key leads to nothing that it is not for. */
export const sideTargets = (
  { model, scope }: WantedModel,
  side: RuleSide,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> => {
  const found = allowedTargets(side.model ?? model, scope, settings, snapshot)
  const { model: put } = side
  const targets =
    put === undefined || settings.zones === undefined ? found : found.map((each) => throughName(each, put))
  if (side.only === undefined && side.not === undefined) return targets
  return targets.map((target) => {
    const { barred, kept } = narrowed(target.candidates, side)
    return Object.assign({}, target, { candidates: kept, barred })
  })
}

// All that may answer for a name under what the route table made of the request; a canary's others come after it.
const ruledTargets = (
  asked: WantedModel,
  ruling: Ruling | undefined,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> => {
  const rule = ruling?.rule
  if (rule === undefined) return allowedTargets(asked.model, asked.scope, settings, snapshot)
  const usual = sideTargets(asked, rule.side, settings, snapshot)
  if (ruling?.canary !== true || rule.canary === undefined) return usual
  return [...sideTargets(asked, rule.canary.side, settings, snapshot), ...usual]
}

/** Those of some targets that a rule or the zones of the request leave out, each once. */
export const leftOutOf = (
  targets: ReadonlyArray<NameTarget>,
  rule: string | undefined = ""
): ReadonlyArray<Excluded> => {
  const idOf = ({ model, state }: Candidate): string => `${state.backend.name}\n${model.id}`
  const out = targets.flatMap(({ barred = [], beyond = [] }): ReadonlyArray<Excluded> => [
    ...beyond.map(({ candidate, limit, zone }): Excluded => ({
      candidate,
      why: { _tag: "BeyondZones", limit, zone }
    })),
    ...barred.map((candidate): Excluded => ({ candidate, why: { _tag: "RuledOut", rule } }))
  ])
  if (out.length === 0) return out
  const told = new Set(targets.flatMap(({ candidates }) => candidates.map(idOf)))
  return out.filter(({ candidate }) => !told.has(idOf(candidate)) && told.add(idOf(candidate)))
}

/** All that may answer a request, where it may go. */
export const targetsFor = (
  needs: WantedModel & Pick<RoutingNeeds, "zones">,
  ruling: Ruling | undefined,
  settings: RoutingSettings,
  snapshot: Snapshot
): ReadonlyArray<NameTarget> =>
  zonedTargets(ruledTargets(needs, ruling, settings, snapshot), needs, ruling?.rule, settings, snapshot)

/** The smallest context that any of those who may answer for a model is known to have, in tokens. */
export const leastContext = (model: string, settings: RoutingSettings, snapshot: Snapshot): number => {
  let least = Infinity
  const ruled = ruledModels(settings.rules)
  for (const name of ruled.length === 0 ? [model] : [model, ...ruled]) {
    for (const { candidates } of nameTargets(name, settings, snapshot)) {
      if (candidates.length > 0) least = Math.min(least, ablePool(candidates, []).leastContext)
    }
  }
  return least
}
