/**
 * Models loaded, unloaded and got, as an administrator asks for it.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { kindNamed } from "../backend/all.ts"
import { type ActionFailed, type ModelAction, type ModelOrder, type ModelProgress } from "../backend/model-actions.ts"
import { spellingOf } from "../backend/spelling.ts"
import { tuningFor } from "../backend/tuning.ts"
import { type GatewayError, ModelActionFailed } from "../domain/errors.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { Registry } from "../registry/Registry.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import { Router } from "../router/Router.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import { Transport } from "../upstream/Transport.ts"
import { choose, type ModelWish } from "./choose.ts"
import { errandTo } from "./errand.ts"

/** An action under way: what the server tells of it, until it is done or has failed. */
export interface ModelActionUnderWay {
  readonly backend: string
  readonly model: string
  readonly progress: Queue.Dequeue<ModelProgress, ModelActionFailed | Cause.Done>
}

/** How long the lists are waited for that show what was done, in milliseconds. */
const shownMs = 5000

/** Does something to the models of backends. */
export class Lifecycle extends Context.Service<
  Lifecycle,
  {
    /** Begins an action, which ends with the scope; fails where it is clear at once that nobody can do it. */
    readonly begin: (
      action: ModelAction,
      wish: ModelWish
    ) => Effect.Effect<ModelActionUnderWay, GatewayError, Scope.Scope>
    /** Has a model loaded at a backend that lists it, to stay. */
    readonly keep: (state: BackendState, model: string) => Effect.Effect<void, ModelActionFailed>
  }
>()("nexus/lifecycle/Lifecycle") {
  /** The real one. */
  static readonly layer = Layer.effect(
    Lifecycle,
    Effect.gen(function* () {
      const registry = yield* Registry
      const router = yield* Router
      const transport = yield* Transport

      // Whoever asks for the lists when it is done finds it in them.
      const shown = (action: ModelAction, backend: string, model: string): Effect.Effect<void> =>
        Effect.suspend(() => {
          registry.suspect(backend)
          return Effect.asVoid(Effect.timeoutOption(registry.when(isShown(action, backend, model)), shownMs))
        })

      const run = (
        action: ModelAction,
        state: BackendState,
        model: string,
        keep: boolean,
        tell: (progress: ModelProgress) => Effect.Effect<void>
      ): Effect.Effect<void, ModelActionFailed> => {
        const { backend } = state
        const act = kindNamed(backend.type).lifecycle?.[action]
        if (act === undefined) return Effect.void
        const redact = redactorFor(backend, noHeaders)
        const told = ({ fault, reason }: ActionFailed) =>
          new ModelActionFailed({ action, backend: backend.name, model, fault, reason: redact(reason).slice(0, 1000) })
        const errand = errandTo(transport, backend, state.apiPath, (progress) =>
          tell({ ...progress, status: redact(progress.status).slice(0, 200) })
        )
        return Effect.gen(function* () {
          const began = yield* monotonicMs
          const about = { backend: backend.name, model }
          yield* act(errand, orderFor(state, model, keep)).pipe(
            Effect.mapError(told),
            Effect.tapError(({ reason }) =>
              Effect.annotateLogs(Effect.logWarning(`${words[action]} failed`), { ...about, reason })
            )
          )
          yield* shown(action, backend.name, model)
          const seconds = Math.round((yield* monotonicMs) - began) / 1000
          yield* Effect.annotateLogs(Effect.logInfo(done[action]), { ...about, seconds })
        })
      }

      return Lifecycle.of({
        begin: Effect.fnUntraced(function* (action, wish) {
          const meant = choose(action, wish, router.names(), registry.snapshot())
          if (Result.isFailure(meant)) return yield* meant.failure
          const { model, state } = meant.success
          const progress = yield* Queue.unbounded<ModelProgress, ModelActionFailed | Cause.Done>()
          yield* run(action, state, model, false, (told) => Effect.asVoid(Queue.offer(progress, told))).pipe(
            Effect.matchCauseEffect({
              onFailure: (cause) => Queue.failCause(progress, cause),
              onSuccess: () => Queue.end(progress)
            }),
            Effect.forkScoped
          )
          return { backend: state.backend.name, model, progress }
        }),
        keep: (state, model) => run("load", state, model, true, () => Effect.void)
      })
    })
  )
}

const noHeaders = new Headers()

const words = { load: "loading of a model", unload: "unloading of a model", pull: "pull of a model" } as const
const done = { load: "model loaded", unload: "model unloaded", pull: "model pulled" } as const

const orderFor = ({ backend, models }: BackendState, model: string, keep: boolean): ModelOrder => {
  const { embeddings, json_mode } = models.get(model)?.capabilities ?? {}
  return { model, keep, embeds: embeddings === true && json_mode === false, tuning: tuningFor(backend, model) ?? {} }
}

const hasModel = ({ backend: { type }, models }: BackendState, model: string): boolean => {
  const spelling = spellingOf(type, model)
  return (
    models.has(model) || (spelling !== undefined && [...models.keys()].some((id) => spellingOf(type, id) === spelling))
  )
}

// Of what a kind does not tell nothing is waited for.
const isShown =
  (action: ModelAction, backend: string, model: string) =>
  ({ backends }: Snapshot): boolean => {
    const state = backends.get(backend)
    if (state === undefined) return true
    if (action === "pull") return hasModel(state, model)
    return state.models.get(model)?.loaded !== (action === "unload")
  }
