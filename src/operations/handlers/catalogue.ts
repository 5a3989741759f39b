/**
 * What can be asked for, as `/admin/v1/models` and `/admin/v1/aliases` tell it.
 */
import * as Effect from "effect/Effect"
import { HttpApiBuilder } from "effect/http-api"
import type { RoutingSettings } from "../../domain/routing.ts"
import { Registry } from "../../registry/Registry.ts"
import { type Candidate, inRotation, type Snapshot } from "../../registry/snapshot.ts"
import { isListedAs } from "../../registry/candidates.ts"
import { aliasChain } from "../../router/alias-chains.ts"
import { entryCandidates } from "../../router/groups.ts"
import { lookUpName } from "../../router/names.ts"
import { Router } from "../../router/Router.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { modelFactsOf } from "./model-facts.ts"
import type { AliasList, CatalogueModel } from "../../api/catalogue-api.ts"

const isServing = ({ state }: Candidate): boolean => inRotation(state)

const by =
  <A>(name: (value: A) => string) =>
  (a: A, b: A): number =>
    name(a) < name(b) ? -1 : 1

/** Every model that a backend serves, sorted by id. */
export const listCatalogue = (snapshot: Snapshot, settings: RoutingSettings): ReadonlyArray<CatalogueModel> => {
  const aliases = [...settings.aliases.keys()].sort()
  const leading = Map.groupBy(aliases, (alias) => lookUpName(alias, settings, snapshot).name)
  return [...snapshot.candidates]
    .filter(([id, all]) => isListedAs(id, all))
    .map(([id, all]) => ({
      id,
      available: all.some(isServing),
      aliases: leading.get(id) ?? [],
      backends: all.map(({ state: { backend, mode, health, live }, model }) => ({
        backend: backend.name,
        status: health.status,
        mode,
        ...modelFactsOf(model, live)
      }))
    }))
    .sort(by(({ id }) => id))
}

const servers = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<string> => [
  ...new Set(candidates.filter(isServing).map(({ state }) => state.backend.name))
]

/** Every alias, every group and every model with fallbacks, sorted by name. */
export const listAliases = (snapshot: Snapshot, settings: RoutingSettings): AliasList => {
  const { aliases, fallbacks, groups } = settings
  const target = (name: string) => {
    const { candidates, name: model } = lookUpName(name, settings, snapshot)
    return { model, backends: servers(candidates) }
  }
  const entry = (alias: string) => ({ alias, chain: aliasChain(alias, aliases), ...target(alias) })
  return {
    aliases: [...aliases.keys()].sort().map(entry),
    groups: [...groups]
      .map(([group, entries]) => ({
        group,
        models: entries.map((model) => ({ model, backends: servers(entryCandidates(model, settings, snapshot)) }))
      }))
      .sort(by(({ group }) => group)),
    fallbacks: [...fallbacks]
      .map(([model, others]) => ({ model, fallbacks: others.map(target) }))
      .sort(by(({ model }) => model))
  }
}

/** The handlers of the group. */
export const catalogueHandlers = HttpApiBuilder.group(
  ContractApi,
  "catalogue",
  Effect.fnUntraced(function* (handlers) {
    const registry = yield* Registry
    const router = yield* Router
    return handlers.handleAll({
      models: () => Effect.sync(() => ({ models: listCatalogue(registry.snapshot(), router.names()) })),
      aliases: () => Effect.sync(() => listAliases(registry.snapshot(), router.names()))
    })
  })
)
