/**
 * What Ollama can have done to its models. It tells how far a pull has come, and of a load that it has ended.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import {
  ActionFailed,
  type ActionRun,
  actionErrorIn,
  actionFailureIn,
  actionFailureOf,
  type ModelActions
} from "./model-actions.ts"
import { lenientField } from "./lenient.ts"

const forever = -1

const load: ActionRun = Effect.fnUntraced(function* (errand, { embeds, keep, model, tuning }) {
  yield* errand.tell({ status: "loading" })
  const keepAlive = keep ? forever : tuning.keepAlive
  const context = tuning.leastContext === undefined ? {} : { num_ctx: tuning.leastContext }
  const options = { ...tuning.options, ...context }
  const told = {
    model,
    ...(keepAlive === undefined ? {} : { keep_alive: keepAlive }),
    // Another context would be another load when the first request comes.
    ...(Object.keys(options).length === 0 ? {} : { options })
  }
  const body = embeds ? { ...told, input: "" } : { ...told, stream: false }
  const failure = actionFailureIn(yield* errand.ask({ path: embeds ? "/api/embed" : "/api/generate", body }))
  if (failure !== undefined) return yield* failure
})

const unload: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  yield* errand.tell({ status: "unloading" })
  const body = { model, keep_alive: 0, stream: false }
  const failure = actionFailureIn(yield* errand.ask({ path: "/api/generate", body }))
  if (failure !== undefined) return yield* failure
})

const PullLine = Schema.Struct({
  status: lenientField(Schema.String),
  total: lenientField(Schema.Finite),
  completed: lenientField(Schema.Finite)
})
const decodeLine = Schema.decodeUnknownOption(PullLine)

const nothing: typeof PullLine.Type = {}

const cut = new ActionFailed({ fault: "refused", reason: "the pull ended without a word that it is whole" })

const pull: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  let isWhole = false
  const answer = yield* errand.follow({ path: "/api/pull", body: { model, stream: true } }, (line) => {
    // It has said 200 by then.
    const told = actionErrorIn(line)
    if (told !== undefined) return Effect.fail(actionFailureOf(told))
    const { completed, status, total } = Option.getOrElse(decodeLine(line), () => nothing)
    if (status === "success") isWhole = true
    if (status === undefined || status === "success") return Effect.succeed(false)
    const counted = total === undefined ? {} : { completed: completed ?? 0, total }
    return Effect.as(errand.tell({ status, ...counted }), false)
  })
  const failure = actionFailureIn(answer) ?? (isWhole ? undefined : cut)
  if (failure !== undefined) return yield* failure
})

/** What Ollama can have done. */
export const ollamaLifecycle: ModelActions = { load, unload, pull }
