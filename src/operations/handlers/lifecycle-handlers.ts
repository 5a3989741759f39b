/**
 * What the endpoints answer that have backends load, unload and get models: a stream, as soon as there is something to tell.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { Drain } from "../../admission/Drain.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import type { ModelActionEvent } from "../../api/lifecycle-api.ts"
import type { ModelAction, ModelProgress } from "../../backend/model-actions.ts"
import { failureFor } from "../../dialect/failures.ts"
import { type GatewayError, Stopping } from "../../domain/errors.ts"
import { monotonicMs } from "../../domain/monotonic.ts"
import { Lifecycle, type ModelActionUnderWay } from "../../lifecycle/Lifecycle.ts"
import type { ModelWish } from "../../lifecycle/choose.ts"
import { KeyOfRequest } from "../incoming-request.ts"

/** How long an answer is kept back that may still be a refusal with a status of its own, in milliseconds. */
const keptBackMs = 1000

/** Longest time without a line, in milliseconds: less than what a silent connection is left open. */
const silentMs = 10_000

/** What has become of an action: news, silence, or its end. */
type Step =
  | { readonly _tag: "Told"; readonly progress: ModelProgress }
  | { readonly _tag: "Silent" }
  | { readonly _tag: "Done" }
  | { readonly _tag: "Failed"; readonly error: GatewayError }

const next = (
  { progress }: ModelActionUnderWay,
  withinMs: number,
  stopping: Effect.Effect<void>
): Effect.Effect<Step> =>
  Queue.take(progress).pipe(
    Effect.map((told): Step => ({ _tag: "Told", progress: told })),
    Effect.raceFirst(Effect.andThen(stopping, Effect.fail(new Stopping({ retryAfterSeconds: 5 })))),
    Effect.catch((error) => Effect.succeed<Step>(Cause.isDone(error) ? { _tag: "Done" } : { _tag: "Failed", error })),
    Effect.timeoutOption(withinMs),
    Effect.map(Option.getOrElse((): Step => ({ _tag: "Silent" })))
  )

/** The handlers of the group; `refuse` answers in OpenAI's shape. */
export const lifecycleHandlers = (
  refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>
) =>
  HttpApiBuilder.group(
    ContractApi,
    "lifecycle",
    Effect.fnUntraced(function* (handlers) {
      const lifecycle = yield* Lifecycle
      const { begun } = yield* Drain

      const events = (
        action: ModelAction,
        under: ModelActionUnderWay,
        first: ReadonlyArray<Step>,
        began: number,
        scope: Scope.Closeable
      ): Stream.Stream<ModelActionEvent> => {
        let last: ModelProgress = { status: "waiting" }
        const eventOf = (step: Step): Effect.Effect<ModelActionEvent> =>
          Effect.map(monotonicMs, (now) => {
            const seconds = Math.round(now - began) / 1000
            const about = { action, backend: under.backend, model: under.model, seconds }
            if (step._tag === "Done") return { ...about, status: "done", done: true }
            if (step._tag === "Failed") {
              const { code, message } = failureFor(step.error)
              return { ...about, status: "failed", error: { message, code } }
            }
            if (step._tag === "Told") last = step.progress
            return { ...about, ...last }
          })
        const later = Stream.fromEffectRepeat(next(under, silentMs, begun))
        return Stream.concat(Stream.fromIterable(first), later).pipe(
          Stream.takeUntil(({ _tag }) => _tag === "Done" || _tag === "Failed"),
          Stream.mapEffect(eventOf),
          Stream.ensuring(Scope.close(scope, Exit.void))
        )
      }

      const answered = (action: ModelAction) => {
        const answer = Effect.fnUntraced(function* (wish: ModelWish, scope: Scope.Closeable) {
          const began = yield* monotonicMs
          const under = yield* Scope.provide(lifecycle.begin(action, wish, yield* KeyOfRequest), scope)
          const first: Array<Step> = []
          while (true) {
            const left = began + keptBackMs - (yield* monotonicMs)
            const step = left <= 0 ? undefined : yield* next(under, left, begun)
            if (step === undefined || step._tag === "Silent") break
            if (step._tag === "Failed") return yield* step.error
            first.push(step)
            // Whoever is told how far it is wants to see it at once.
            if (step._tag === "Done" || step.progress.total !== undefined) break
          }
          return events(action, under, first, began, scope)
        })
        return ({ payload }: { readonly payload: ModelWish }) =>
          Effect.gen(function* () {
            const scope = yield* Scope.make()
            return yield* answer(payload, scope).pipe(
              Effect.onExit((exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))),
              Effect.catch(refuse)
            )
          })
      }
      return handlers.handleAll({ load: answered("load"), unload: answered("unload"), pull: answered("pull") })
    })
  )
