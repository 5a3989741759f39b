/**
 * What LM Studio can have done to its models, from 0.4 on. It tells how far a download has come, and of a load that it has ended.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { decodeEach, lenientField, RawEntries } from "./lenient.ts"
import {
  ActionFailed,
  actionFailureIn,
  actionFailureOf,
  type ActionRun,
  type Errand,
  type ModelActions
} from "./model-actions.ts"
import type { ParsedAnswer } from "./talk.ts"

const decodeList = Schema.decodeUnknownOption(Schema.Struct({ models: RawEntries }))
const decodeModel = Schema.decodeUnknownOption(
  Schema.Struct({ key: Schema.String, loaded_instances: lenientField(RawEntries) })
)
const decodeInstance = Schema.decodeUnknownOption(Schema.Struct({ id: Schema.String }))

const tooOld = new ActionFailed({ fault: "unable", reason: "this needs LM Studio 0.4 or newer" })

/** The failure that an answer is; a path that it does not know it answers with 200 and an error. */
const failureIn = (answer: ParsedAnswer): ActionFailed | undefined => {
  const failure = actionFailureIn(answer)
  return failure !== undefined && /unexpected endpoint/i.test(failure.reason) ? tooOld : failure
}

/** A model under its key, and the names of its instances in memory. */
const found = Effect.fnUntraced(function* ({ ask }: Errand, name: string) {
  const answer = yield* ask({ path: "/api/v1/models" })
  const list = Option.getOrUndefined(decodeList(answer.body))
  if (list === undefined) return yield* failureIn(answer) ?? tooOld
  for (const { key, loaded_instances } of decodeEach(decodeModel, list.models)) {
    const instances = decodeEach(decodeInstance, loaded_instances).map(({ id }) => id)
    if (key === name) return { key, instances }
    if (instances.includes(name)) return { key, instances: [name] }
  }
  return { key: name, instances: [] }
})

const load: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  const { instances, key } = yield* found(errand, model)
  // It would be loaded once more, beside the first.
  if (instances.length > 0) return
  yield* errand.tell({ status: "loading" })
  const failure = failureIn(yield* errand.ask({ path: "/api/v1/models/load", body: { model: key } }))
  if (failure !== undefined) return yield* failure
})

const unload: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  const { instances } = yield* found(errand, model)
  yield* errand.tell({ status: "unloading" })
  for (const instance_id of instances) {
    const failure = failureIn(yield* errand.ask({ path: "/api/v1/models/unload", body: { instance_id } }))
    if (failure !== undefined) return yield* failure
  }
})

const Job = Schema.Struct({
  job_id: lenientField(Schema.String),
  status: Schema.String,
  total_size_bytes: lenientField(Schema.Finite),
  downloaded_bytes: lenientField(Schema.Finite)
})
const decodeJob = Schema.decodeUnknownOption(Job)

const lookEvery = "1 second"

const ended = new ActionFailed({ fault: "refused", reason: "the download failed; LM Studio says no more of it" })

const jobIn = (answer: ParsedAnswer): Effect.Effect<typeof Job.Type, ActionFailed> => {
  const failure = failureIn(answer)
  if (failure !== undefined) return Effect.fail(failure)
  const unread = actionFailureOf("answered with something else than a download")
  return Effect.fromOption(decodeJob(answer.body)).pipe(Effect.mapError(() => unread))
}

const pull: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  let job = yield* jobIn(yield* errand.ask({ path: "/api/v1/models/download", body: { model } }))
  const id = job.job_id
  while (true) {
    const { downloaded_bytes: completed = 0, status, total_size_bytes: total } = job
    if (status === "failed") return yield* ended
    if (status === "completed" || status === "already_downloaded" || id === undefined) return
    yield* errand.tell({ status, ...(total === undefined ? {} : { completed, total }) })
    yield* Effect.sleep(lookEvery)
    job = yield* jobIn(yield* errand.ask({ path: `/api/v1/models/download/status/${encodeURIComponent(id)}` }))
  }
})

/** What LM Studio can have done. */
export const lmstudioLifecycle: ModelActions = { load, unload, pull }
