/**
 * What llama-swap can have done to its models: it starts the server of one when that is asked for anything, and stops it when told to.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeEach, lenientField, RawEntries } from "./lenient.ts"
import {
  type ActionFailed,
  actionFailureIn,
  actionFailureOf,
  type ActionRun,
  type Errand,
  type ModelActions
} from "./model-actions.ts"

const decodeRunning = Schema.decodeUnknownOption(Schema.Struct({ running: RawEntries }))
const decodeServer = Schema.decodeUnknownOption(
  Schema.Struct({ model: Schema.String, state: lenientField(Schema.String) })
)

/** Reads `/running`: how the servers of models stand; undefined when it is none. */
export const readRunning = (body: unknown): ReadonlyMap<string, string> | undefined => {
  const list = Option.getOrUndefined(decodeRunning(body))
  return list === undefined
    ? undefined
    : new Map(decodeEach(decodeServer, list.running).map(({ model, state = "" }) => [model, state]))
}

// Slashes in a name stay: it looks for the longest beginning of the path that is a model.
const placeOf = (model: string): string => model.split("/").map(encodeURIComponent).join("/")

/** How the server of a model stands; undefined where it has none. */
const standing = ({ ask }: Errand, model: string): Effect.Effect<string | undefined, ActionFailed> =>
  Effect.map(ask({ path: "/running" }), ({ body }) => readRunning(body)?.get(model))

const lookEvery = "1 second"

/** Tells how the server of a model stands for as long as it runs. */
const toldOf = (errand: Errand, model: string): Effect.Effect<never, ActionFailed> =>
  Effect.sleep(lookEvery).pipe(
    Effect.andThen(standing(errand, model)),
    Effect.flatMap((status) => (status === undefined ? Effect.void : errand.tell({ status }))),
    Effect.forever
  )

// It answers this when it is ready, with whatever it has to say.
const load: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  yield* errand.tell({ status: "starting" })
  const asked = Effect.result(errand.ask({ path: `/upstream/${placeOf(model)}/` }))
  const answer = yield* Effect.raceFirst(asked, toldOf(errand, model))
  if ((yield* standing(errand, model)) === "ready") return
  if (Result.isFailure(answer)) return yield* answer.failure
  return yield* (
    actionFailureIn(answer.success) ??
    actionFailureOf("its server did not become ready; the log of llama-swap says why")
  )
})

const unload: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  yield* errand.tell({ status: "stopping" })
  const failure = actionFailureIn(yield* errand.ask({ path: `/api/models/unload/${placeOf(model)}`, body: {} }))
  if (failure !== undefined) return yield* failure
})

/** What llama-swap can have done. */
export const llamaswapLifecycle: ModelActions = { load, unload }
