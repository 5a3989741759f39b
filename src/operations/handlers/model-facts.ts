/**
 * What is known of a model at one backend, as the endpoints tell it.
 */
import type { BackendEntry } from "../../api/backend-entry.ts"
import type { Model } from "../../domain/server.ts"
import { type LiveState, slotsOf } from "../../registry/live-state.ts"

type ServedModel = BackendEntry["models"][number]

/** All that there is to tell of a model; `live` are the figures of its backend. */
export const modelFactsOf = (model: Model, live: LiveState): Omit<ServedModel, "id"> => {
  const { cacheTokens, capabilities, context_in_force, context_length, id, loaded } = model
  const known = slotsOf(model, live)
  const { running, waiting } = live.told.get(id) ?? {}
  return {
    ...(context_length === undefined ? {} : { context_length }),
    ...(context_in_force === undefined ? {} : { context_in_force }),
    ...(known === undefined ? {} : { slots: known.slots, slots_from: known.from }),
    ...(cacheTokens === undefined ? {} : { cache_tokens: cacheTokens }),
    ...(loaded === undefined ? {} : { loaded }),
    ...(running === undefined ? {} : { running }),
    ...(waiting === undefined ? {} : { waiting }),
    capabilities
  }
}

/** The same with its id. */
export const servedModelOf = (model: Model, live: LiveState): ServedModel => ({
  id: model.id,
  ...modelFactsOf(model, live)
})
