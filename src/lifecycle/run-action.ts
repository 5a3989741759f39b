/**
 * One action at one backend: asked for in the way of its kind, told of, and then seen in the lists.
 */
import * as Effect from "effect/Effect"
import { kindNamed } from "../backend/all.ts"
import type { ActionFailed, ModelAction, ModelOrder, ModelProgress } from "../backend/model-actions.ts"
import { tuningFor } from "../backend/tuning.ts"
import { ModelActionFailed } from "../domain/errors.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { listedModel } from "../registry/candidates.ts"
import type { Registry } from "../registry/Registry.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import type { Transport } from "../upstream/Transport.ts"
import { errandTo } from "./errand.ts"

/** What is to be done to which model of a backend. */
export interface Ordered {
  readonly action: ModelAction
  readonly state: BackendState
  /** As the backend lists it, where it does. */
  readonly model: string
  /** Whether it is to stay in memory. */
  readonly keep?: boolean
}

/** How long the lists are waited for that show what was done, in milliseconds. */
const shownMs = 5000

const noHeaders = new Headers()

const failed = {
  load: "loading of a model failed",
  unload: "unloading of a model failed",
  pull: "pull of a model failed"
}
const done = { load: "model loaded", unload: "model unloaded", pull: "model pulled" }

const orderFor = ({ keep = false, model, state: { backend, models } }: Ordered): ModelOrder => {
  const { embeddings, json_mode } = models.get(model)?.capabilities ?? {}
  return { model, keep, embeds: embeddings === true && json_mode === false, tuning: tuningFor(backend, model) ?? {} }
}

// Of what a kind does not tell nothing is waited for.
const isShown =
  ({ action, model, state: { backend } }: Ordered) =>
  ({ backends }: Snapshot): boolean => {
    const state = backends.get(backend.name)
    if (state === undefined) return true
    if (action === "pull") return listedModel(state, model) !== undefined
    return state.models.get(model)?.loaded !== (action === "unload")
  }

/** Does it, and tells on the way how far it is; what it changes is in the lists when it is done. */
export const runAction = (
  registry: Registry["Service"],
  transport: Transport["Service"],
  ordered: Ordered,
  tell: (progress: ModelProgress) => Effect.Effect<void> = () => Effect.void
): Effect.Effect<void, ModelActionFailed> => {
  const { action, model, state } = ordered
  const { backend } = state
  const act = kindNamed(backend.type).lifecycle?.[action]
  if (act === undefined) return Effect.void
  const redact = redactorFor(backend, noHeaders)
  const told = ({ fault, reason }: ActionFailed) =>
    new ModelActionFailed({ action, backend: backend.name, model, fault, reason: redact(reason).slice(0, 1000) })
  const errand = errandTo(transport, backend, state.apiPath, (progress) =>
    tell({ ...progress, status: redact(progress.status).slice(0, 200) })
  )
  const about = { backend: backend.name, model }
  return Effect.gen(function* () {
    const began = yield* monotonicMs
    // The list does not tell yet of what a request has had loaded since.
    const isCold = state.models.get(model)?.loaded === false && state.live.residency.isCold(model, false)
    yield* act(errand, orderFor(ordered)).pipe(
      Effect.mapError(told),
      Effect.tapError(({ reason }) => Effect.annotateLogs(Effect.logWarning(failed[action]), { ...about, reason }))
    )
    if (action === "load" && isCold) state.live.residency.tookToLoad(model, (yield* monotonicMs) - began)
    registry.suspect(backend.name)
    yield* Effect.timeoutOption(registry.when(isShown(ordered)), shownMs)
    const seconds = Math.round((yield* monotonicMs) - began) / 1000
    yield* Effect.annotateLogs(Effect.logInfo(done[action]), { ...about, seconds })
  })
}
