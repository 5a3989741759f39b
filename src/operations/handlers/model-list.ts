/**
 * What lists of models say of a snapshot.
 */
import * as Result from "effect/Result"
import type { Catalogue, ListedModel } from "../../dialect/pages.ts"
import type { ModelNotAllowed, ModelNotFound, ZoneNotAllowed } from "../../domain/errors.ts"
import type { Ability } from "../../domain/request.ts"
import { type Capabilities, contextOf } from "../../domain/server.ts"
import { type Candidate, inRotation, type Snapshot } from "../../registry/snapshot.ts"
import type { RoutingSettings } from "../../domain/routing.ts"
import { isListedAs, isLoaded } from "../../registry/candidates.ts"
import { modelNotAllowed, modelNotFound } from "../../router/model-not-found.ts"
import { lookUpName, type NameTarget } from "../../router/names.ts"
import { forbiddenBy } from "../../router/scope.ts"
import { boundsOf, type KeyBounds, targetFor, zoneRefusal } from "../../router/zoned-targets.ts"
import type { ModelEntry } from "../../api/gateway-api.ts"

const servingOf = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  candidates.filter(({ state }) => inRotation(state))

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)

const listed = ["vision", "tools", "json_mode"] as const

const everyAbility = [...listed, "embeddings"] as const

// One that can makes the model able; only when all are known not to be able is it not.
const abilitiesOf = (candidates: ReadonlyArray<Candidate>, asked: ReadonlyArray<Ability>): Capabilities =>
  Object.fromEntries(
    asked.flatMap((ability): ReadonlyArray<readonly [string, boolean]> => {
      const told = new Set(candidates.map(({ model }) => model.capabilities[ability]))
      if (told.has(true)) return [[ability, true]]
      return told.has(undefined) ? [] : [[ability, false]]
    })
  )

const merge = (id: string, candidates: ReadonlyArray<Candidate>, created: number): ModelEntry => {
  const lengths = candidates.flatMap(({ model }) => contextOf(model) ?? [])
  return {
    id,
    object: "model",
    created,
    owned_by: "nexus",
    ...(lengths.length === 0 ? {} : { context_length: Math.max(...lengths) }),
    capabilities: abilitiesOf(candidates, listed),
    // One backend may serve several models of a group.
    backends: [...new Set(candidates.map(({ state }) => state.backend.name))]
  }
}

/** A name that can be asked for, and who answers to it now. */
interface Served {
  readonly id: string
  readonly serving: ReadonlyArray<Candidate>
  /** Where the name of an alias or a group leads. */
  readonly mark: Pick<ModelEntry, "alias_of" | "group_of">
}

/** The names of settings, and what of all that the key of who asks is for. */
export interface Listing {
  readonly names: RoutingSettings
  readonly key: KeyBounds | undefined
}

const targetOf = (name: string, target: NameTarget, { key, names }: Listing, snapshot: Snapshot): NameTarget =>
  targetFor(key, target, name, names, snapshot)

const servedModels = (snapshot: Snapshot, listing?: Listing): ReadonlyArray<Served> =>
  [...snapshot.candidates]
    .flatMap(([id, candidates]) => {
      const listed = { name: id, candidates, suffix: "", understood: false, entry: id }
      const allowed = listing === undefined ? candidates : targetOf(id, listed, listing, snapshot).candidates
      const serving = isListedAs(id, candidates) ? servingOf(allowed) : []
      return serving.length === 0 ? [] : [{ id, serving, mark: {} }]
    })
    .sort(byId)

/** What an alias or a group leads to; undefined when no backend in rotation serves that. */
const namedModel = (name: string, listing: Listing, snapshot: Snapshot): Served | undefined => {
  const { names } = listing
  const { candidates, name: led } = targetOf(name, lookUpName(name, names, snapshot), listing, snapshot)
  const serving = servingOf(candidates)
  if (serving.length === 0) return undefined
  const mark = names.aliases.has(name)
    ? { alias_of: led }
    : { group_of: [...new Set(serving.map(({ model }) => model.id))] }
  return { id: name, serving, mark }
}

// Aliases and groups go before models of the same name.
const servedNames = (snapshot: Snapshot, listing: Listing): ReadonlyArray<Served> => {
  const settings = listing.names
  const served = servedModels(snapshot, listing)
  const names = settings.listAliases ? [...new Set([...settings.aliases.keys(), ...settings.groups.keys()])] : []
  if (names.length === 0) return served
  const named = names.flatMap((name) => namedModel(name, listing, snapshot) ?? [])
  return [...served.filter(({ id }) => !settings.aliases.has(id) && !settings.groups.has(id)), ...named].sort(byId)
}

const servedAs = (snapshot: Snapshot, name: string, listing: Listing): Served | undefined => {
  const { names } = listing
  if (names.aliases.has(name) || names.groups.has(name)) return namedModel(name, listing, snapshot)
  const { candidates, name: id } = targetOf(name, lookUpName(name, names, snapshot), listing, snapshot)
  const serving = servingOf(candidates)
  return serving.length === 0 ? undefined : { id, serving, mark: {} }
}

const entryOf =
  (created: number) =>
  ({ id, mark, serving }: Served): ModelEntry => ({ ...merge(id, serving, created), ...mark })

/** Every model that a backend in rotation serves, once, sorted by id; `created` in seconds since 1970. */
export const listServed = (snapshot: Snapshot, created: number): ReadonlyArray<ModelEntry> =>
  servedModels(snapshot).map(entryOf(created))

/** The same with the aliases and groups that lead to them, which go before models of the same name. */
export const listModels = (snapshot: Snapshot, created: number, listing: Listing): ReadonlyArray<ModelEntry> =>
  servedNames(snapshot, listing).map(entryOf(created))

/** What a name leads to: an alias or a group by its name, a model by its id; undefined when no backend in rotation serves it. */
export const findModel = (
  snapshot: Snapshot,
  name: string,
  created: number,
  listing: Listing
): ModelEntry | undefined => {
  const served = servedAs(snapshot, name, listing)
  return served === undefined ? undefined : entryOf(created)(served)
}

/** Why a name leads to nothing that is listed. */
export const unlistedModel = (
  snapshot: Snapshot,
  name: string,
  listing: Listing
): ModelNotAllowed | ModelNotFound | ZoneNotAllowed => {
  const { key, names } = listing
  const bounds = boundsOf(key)
  const { beyond = [], forbidden = [] } = targetOf(name, lookUpName(name, names, snapshot), listing, snapshot)
  const [first] = forbidden
  if (first !== undefined) return modelNotAllowed(name, forbiddenBy(first, key?.scope), names, snapshot, bounds)
  return beyond.length === 0 ? modelNotFound(name, names, snapshot, bounds) : zoneRefusal(name, beyond)
}

const listedOf =
  (created: number) =>
  ({ id, serving }: Served): ListedModel => {
    const lengths = serving.flatMap(({ model }) => contextOf(model) ?? [])
    return {
      id,
      created,
      contextLength: lengths.length === 0 ? undefined : Math.max(...lengths),
      abilities: abilitiesOf(serving, everyAbility),
      types: [...new Set(serving.map(({ state }) => state.backend.type))],
      loaded: serving.some(isLoaded),
      about: serving.find(({ model }) => model.about !== undefined)?.model.about ?? {}
    }
  }

/** The models of this moment, for the pages of dialects. */
export const catalogueOf = (snapshot: Snapshot, created: number, listing: Listing): Catalogue => ({
  all: () => servedNames(snapshot, listing).map(listedOf(created)),
  find: (name) => {
    const served = servedAs(snapshot, name, listing)
    return served === undefined
      ? Result.fail(unlistedModel(snapshot, name, listing))
      : Result.succeed(listedOf(created)(served))
  }
})
