/**
 * What lists of models say of a snapshot.
 */
import * as Result from "effect/Result"
import type { Catalogue, ListedModel } from "../../dialect/pages.ts"
import type { Ability } from "../../domain/request.ts"
import { type Capabilities, contextOf } from "../../domain/server.ts"
import { type Candidate, inRotation, type Snapshot } from "../../registry/snapshot.ts"
import type { RoutingSettings } from "../../domain/routing.ts"
import { isListedAs, isLoaded } from "../../registry/candidates.ts"
import { modelNotFound } from "../../router/model-not-found.ts"
import { lookUpName } from "../../router/names.ts"
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

const servedModels = (snapshot: Snapshot): ReadonlyArray<Served> =>
  [...snapshot.candidates]
    .flatMap(([id, candidates]) => {
      const serving = isListedAs(id, candidates) ? servingOf(candidates) : []
      return serving.length === 0 ? [] : [{ id, serving, mark: {} }]
    })
    .sort(byId)

/** What an alias or a group leads to; undefined when no backend in rotation serves that. */
const namedModel = (name: string, settings: RoutingSettings, snapshot: Snapshot): Served | undefined => {
  const { candidates, name: led } = lookUpName(name, settings, snapshot)
  const serving = servingOf(candidates)
  if (serving.length === 0) return undefined
  const mark = settings.aliases.has(name)
    ? { alias_of: led }
    : { group_of: [...new Set(serving.map(({ model }) => model.id))] }
  return { id: name, serving, mark }
}

// Aliases and groups go before models of the same name.
const servedNames = (snapshot: Snapshot, settings: RoutingSettings): ReadonlyArray<Served> => {
  const served = servedModels(snapshot)
  const names = settings.listAliases ? [...new Set([...settings.aliases.keys(), ...settings.groups.keys()])] : []
  if (names.length === 0) return served
  const named = names.flatMap((name) => namedModel(name, settings, snapshot) ?? [])
  return [...served.filter(({ id }) => !settings.aliases.has(id) && !settings.groups.has(id)), ...named].sort(byId)
}

const servedAs = (snapshot: Snapshot, name: string, settings: RoutingSettings): Served | undefined => {
  if (settings.aliases.has(name) || settings.groups.has(name)) return namedModel(name, settings, snapshot)
  const { candidates, name: id } = lookUpName(name, settings, snapshot)
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
export const listModels = (snapshot: Snapshot, created: number, settings: RoutingSettings): ReadonlyArray<ModelEntry> =>
  servedNames(snapshot, settings).map(entryOf(created))

/** What a name leads to: an alias or a group by its name, a model by its id; undefined when no backend in rotation serves it. */
export const findModel = (
  snapshot: Snapshot,
  name: string,
  created: number,
  settings: RoutingSettings
): ModelEntry | undefined => {
  const served = servedAs(snapshot, name, settings)
  return served === undefined ? undefined : entryOf(created)(served)
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
export const catalogueOf = (snapshot: Snapshot, created: number, settings: RoutingSettings): Catalogue => ({
  all: () => servedNames(snapshot, settings).map(listedOf(created)),
  find: (name) => {
    const served = servedAs(snapshot, name, settings)
    return served === undefined
      ? Result.fail(modelNotFound(name, settings, snapshot))
      : Result.succeed(listedOf(created)(served))
  }
})
