/**
 * Who may answer a request that came with a key for certain models or backends.
 */
import { spelledAlike } from "../backend/spelling.ts"
import { allowsBackend, allowsModel } from "../domain/grant.ts"
import type { Scope } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { aliasChain } from "./alias-chains.ts"
import type { Excluded } from "./filter.ts"
import type { NameTarget } from "./names.ts"

const nobody: ReadonlyArray<Excluded> = []

interface Allowed {
  readonly kept: ReadonlyArray<Candidate>
  readonly forbidden: ReadonlyArray<Candidate>
}

// Of each list for a scope: where its name is allowed as a whole, and where its models are looked at one by one.
interface Both {
  byName: Allowed | undefined
  byModel: Allowed | undefined
}

// The same list for the same candidates and scope: what is known of a list is kept by it.
const lists = new WeakMap<ReadonlyArray<Candidate>, WeakMap<Scope, Both>>()

/** Why a candidate may not be asked; undefined when it may. */
const forbids = ({ model, state }: Candidate, scope: Scope, named: boolean): "models" | "backends" | undefined => {
  if (!allowsBackend(scope, state.backend)) return "backends"
  if (named || allowsModel(scope, model.id)) return undefined
  return scope.models?.some((glob) => spelledAlike(state.backend.type, glob, model.id)) === true ? undefined : "models"
}

const allowedOf = (candidates: ReadonlyArray<Candidate>, scope: Scope, named: boolean): Allowed => {
  let of = lists.get(candidates)
  if (of === undefined) lists.set(candidates, (of = new WeakMap()))
  let both = of.get(scope)
  if (both === undefined) of.set(scope, (both = { byName: undefined, byModel: undefined }))
  const side = named ? "byName" : "byModel"
  const known = both[side]
  if (known !== undefined) return known
  const kept = candidates.filter((each) => forbids(each, scope, named) === undefined)
  const isWhole = kept.length === candidates.length
  return (both[side] = {
    kept: isWhole ? candidates : kept,
    forbidden: isWhole ? [] : candidates.filter((each) => !kept.includes(each))
  })
}

/** Whether a name that was found is allowed, or one that it leads to: all who answer to it are then. */
const isNamed = ({ entry, name }: NameTarget, scope: Scope, { aliases }: RoutingSettings): boolean =>
  scope.models === undefined ||
  allowsModel(scope, name) ||
  aliasChain(entry, aliases).some((each) => allowsModel(scope, each))

/** A target without those that a key is not for. */
export const inScope = (target: NameTarget, scope: Scope | undefined, settings: RoutingSettings): NameTarget => {
  if (scope === undefined) return target
  const { forbidden, kept } = allowedOf(target.candidates, scope, isNamed(target, scope, settings))
  return forbidden.length === 0 ? target : { ...target, candidates: kept, forbidden }
}

/** What of a scope forbids a candidate of a plan. */
export const forbiddenBy = (candidate: Candidate, scope: Scope | undefined): "models" | "backends" =>
  scope === undefined || allowsBackend(scope, candidate.state.backend) ? "models" : "backends"

/** Those of some targets that a key is not for, each once. */
export const forbiddenIn = (targets: ReadonlyArray<NameTarget>, scope: Scope | undefined): ReadonlyArray<Excluded> => {
  if (scope === undefined) return nobody
  const all = new Set(targets.flatMap(({ forbidden = [] }) => forbidden))
  return [...all].map((candidate) => ({ candidate, why: { _tag: "Forbidden", by: forbiddenBy(candidate, scope) } }))
}

/** Whether a name may be asked for that nobody has. */
export const mayAskFor = (name: string, scope: Scope | undefined, { aliases }: RoutingSettings): boolean =>
  scope?.models === undefined || aliasChain(name, aliases).some((each) => allowsModel(scope, each))
