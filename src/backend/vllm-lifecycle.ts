/**
 * What vLLM can have done to its model, in its development mode alone: sleep, which frees the memory of the accelerator, and wake up.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { ActionFailed, actionFailureIn, type ActionRun, type Errand, type ModelActions } from "./model-actions.ts"

const unable = new ActionFailed({
  fault: "unable",
  reason: "it sleeps and wakes in its development mode alone (VLLM_SERVER_DEV_MODE=1, --enable-sleep-mode)"
})

const awake = new ActionFailed({ fault: "unable", reason: "it does not sleep; start it with --enable-sleep-mode" })

const decodeState = Schema.decodeUnknownOption(Schema.Struct({ is_sleeping: Schema.Boolean }))

/** Whether it sleeps; undefined where it does not say. */
const sleeps = ({ ask }: Errand): Effect.Effect<boolean | undefined, ActionFailed> =>
  Effect.map(ask({ path: "/is_sleeping" }), ({ body }) => Option.getOrUndefined(decodeState(body))?.is_sleeping)

const told = Effect.fnUntraced(function* (errand: Errand, path: string) {
  const answer = yield* errand.ask({ path, body: {} })
  const failure = answer.status === 404 || answer.status === 405 ? unable : actionFailureIn(answer)
  if (failure !== undefined) return yield* failure
})

const load: ActionRun = Effect.fnUntraced(function* (errand) {
  yield* errand.tell({ status: "waking up" })
  yield* told(errand, "/wake_up")
})

const unload: ActionRun = Effect.fnUntraced(function* (errand) {
  yield* errand.tell({ status: "going to sleep" })
  // The weights go to main memory, from where they are back in seconds.
  yield* told(errand, "/sleep?level=1")
  // It says 200 as well where it cannot.
  if ((yield* sleeps(errand)) === false) return yield* awake
})

/** What vLLM can have done. */
export const vllmLifecycle: ModelActions = { load, unload }
