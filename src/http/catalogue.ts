/**
 * What can be asked for, as `/admin/v1/models` and `/admin/v1/aliases` tell it.
 */
import { Effect } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import type { RoutingSettings } from "../domain/routing.ts"
import { Registry } from "../registry/Registry.ts"
import { type Candidate, inRotation, type Snapshot } from "../registry/snapshot.ts"
import { chainOf, resolve } from "../router/aliases.ts"
import { Router } from "../router/Router.ts"
import { Answered } from "./api.ts"
import type { AliasList, CatalogueModel } from "./catalogue-api.ts"

type Names = Pick<RoutingSettings, "aliases" | "fallbacks">

const none: ReadonlyArray<Candidate> = []

const isServing = ({ state }: Candidate): boolean => inRotation(state)

const by =
  <A>(name: (value: A) => string) =>
  (a: A, b: A): number =>
    name(a) < name(b) ? -1 : 1

/** Every model that a backend serves, sorted by id. */
export const listCatalogue = ({ candidates }: Snapshot, { aliases }: Names): ReadonlyArray<CatalogueModel> => {
  const leading = Map.groupBy([...aliases.keys()].sort(), (alias) => resolve(alias, aliases))
  return [...candidates]
    .map(([id, all]) => ({
      id,
      available: all.some(isServing),
      aliases: leading.get(id) ?? [],
      backends: all.map(
        ({ state: { backend, mode, health }, model: { context_in_force, context_length, capabilities } }) => ({
          backend: backend.name,
          status: health.status,
          mode,
          ...(context_length === undefined ? {} : { context_length }),
          ...(context_in_force === undefined ? {} : { context_in_force }),
          capabilities
        })
      )
    }))
    .sort(by(({ id }) => id))
}

/** Every alias and every model with fallbacks, sorted by name. */
export const listAliases = ({ candidates }: Snapshot, { aliases, fallbacks }: Names): AliasList => {
  const target = (name: string) => {
    const model = resolve(name, aliases)
    const backends = (candidates.get(model) ?? none).filter(isServing).map(({ state }) => state.backend.name)
    return { model, backends }
  }
  const entry = (alias: string) => ({ alias, chain: chainOf(alias, aliases), ...target(alias) })
  return {
    aliases: [...aliases.keys()].sort().map(entry),
    fallbacks: [...fallbacks]
      .map(([model, others]) => ({ model, fallbacks: others.map(target) }))
      .sort(by(({ model }) => model))
  }
}

/** The handlers of the group. */
export const catalogueHandlers = HttpApiBuilder.group(
  Answered,
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
