/**
 * Models loaded, unloaded and got, as an administrator asks for it.
 */
import type * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import type { ModelAction, ModelProgress } from "../backend/model-actions.ts"
import type { GatewayError, ModelActionFailed } from "../domain/errors.ts"
import { Registry } from "../registry/Registry.ts"
import { Router } from "../router/Router.ts"
import type { KeyBounds } from "../router/zoned-targets.ts"
import { Transport } from "../upstream/Transport.ts"
import { choose, type ModelWish } from "./choose.ts"
import { runAction } from "./run-action.ts"

/** An action under way: what the server tells of it, until it is done or has failed. */
export interface ModelActionUnderWay {
  readonly backend: string
  readonly model: string
  readonly progress: Queue.Dequeue<ModelProgress, ModelActionFailed | Cause.Done>
}

/** Does something to the models of backends. */
export class Lifecycle extends Context.Service<
  Lifecycle,
  {
    /** Begins an action, which ends with the scope; fails where it is clear at once that nobody can do it, or may for this key. */
    readonly begin: (
      action: ModelAction,
      wish: ModelWish,
      key?: KeyBounds
    ) => Effect.Effect<ModelActionUnderWay, GatewayError, Scope.Scope>
  }
>()("nexus/lifecycle/Lifecycle") {
  /** The real one. */
  static readonly layer = Layer.effect(
    Lifecycle,
    Effect.gen(function* () {
      const registry = yield* Registry
      const router = yield* Router
      const transport = yield* Transport
      return Lifecycle.of({
        begin: Effect.fnUntraced(function* (action, wish, key) {
          const meant = choose(action, wish, router.names(), registry.snapshot(), key)
          if (Result.isFailure(meant)) return yield* meant.failure
          const { model, state } = meant.success
          const progress = yield* Queue.unbounded<ModelProgress, ModelActionFailed | Cause.Done>()
          const tell = (told: ModelProgress) => Effect.asVoid(Queue.offer(progress, told))
          yield* runAction(registry, transport, { action, state, model }, tell).pipe(
            Effect.matchCauseEffect({
              onFailure: (cause) => Queue.failCause(progress, cause),
              onSuccess: () => Queue.end(progress)
            }),
            Effect.forkScoped
          )
          return { backend: state.backend.name, model, progress }
        })
      })
    })
  )
}
