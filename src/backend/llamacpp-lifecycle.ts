/**
 * What a llama-server can have done to its models that is started without one (router mode). It answers at once, and then tells of
 * what comes of it: how a model stands in its list, and how far it is by events, where it has them.
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
  type ModelActions,
  type ModelProgress
} from "./model-actions.ts"

const noRouter = new ActionFailed({
  fault: "unable",
  reason: "it was started with one model; a llama-server that is started without one (router mode) can"
})

const unknownModel = new ActionFailed({ fault: "missing", reason: "it has no such model" })

/** Where a model is asked for that is not on its disk. */
const getPath = "/models"

const tooOld = new ActionFailed({
  fault: "unable",
  reason: "this build downloads no models when it is asked to; newer ones do"
})

const Status = Schema.Struct({
  value: lenientField(Schema.String),
  failed: lenientField(Schema.Boolean),
  exit_code: lenientField(Schema.Finite)
})

const decodeList = Schema.decodeUnknownOption(Schema.Struct({ data: RawEntries }))
const decodeModel = Schema.decodeUnknownOption(
  Schema.Struct({ id: Schema.String, aliases: lenientField(RawEntries), status: lenientField(Status) })
)

/** How a model stands in the list; undefined where it is not there. */
const standing = ({ ask }: Errand, name: string): Effect.Effect<typeof Status.Type | undefined, ActionFailed> =>
  Effect.map(ask({ path: "/models" }), ({ body }) => {
    const list = Option.getOrUndefined(decodeList(body))
    const model = decodeEach(decodeModel, list?.data).find(({ aliases, id }) => id === name || aliases?.includes(name))
    return model === undefined ? undefined : (model.status ?? {})
  })

const decodeEvent = Schema.decodeUnknownOption(
  Schema.Struct({ model: Schema.String, event: Schema.String, data: lenientField(Schema.Unknown) })
)
const decodeLoading = Schema.decodeUnknownOption(
  Schema.Struct({
    progress: Schema.Struct({ stages: lenientField(RawEntries), current: Schema.String, value: Schema.Finite })
  })
)
const decodeFiles = Schema.decodeUnknownOption(
  Schema.Record(Schema.String, Schema.Struct({ done: Schema.Finite, total: Schema.Finite }))
)

/** How far it is by an event; undefined where the event is of something else. */
const progressIn = (value: unknown, name: string): ModelProgress | undefined => {
  const event = Option.getOrUndefined(decodeEvent(value))
  if (event?.model !== name) return undefined
  const loading = Option.getOrUndefined(decodeLoading(event.data))?.progress
  if (loading !== undefined) {
    // A stage after the other, each from 0 to 1.
    const stages = loading.stages?.length ?? 1
    const before = Math.max(0, loading.stages?.indexOf(loading.current) ?? 0)
    return { status: `loading ${loading.current}`, completed: (before + loading.value) / Math.max(1, stages), total: 1 }
  }
  const files = event.event === "download_progress" ? Option.getOrUndefined(decodeFiles(event.data)) : undefined
  if (files === undefined) return undefined
  const sum = (of: "done" | "total") => Object.values(files).reduce((all, file) => all + file[of], 0)
  return { status: "downloading", completed: sum("done"), total: sum("total") }
}

/** Tells how far it is for as long as it runs; older ones have no events, and nothing depends on them. */
const toldOf = (errand: Errand, name: string): Effect.Effect<never> =>
  errand
    .follow({ path: "/models/sse" }, (value) => {
      const progress = progressIn(value, name)
      return progress === undefined ? Effect.succeed(false) : Effect.as(errand.tell(progress), false)
    })
    .pipe(Effect.ignore, Effect.andThen(Effect.never))

const lookEvery = "300 millis"

const decodeProps = Schema.decodeUnknownOption(Schema.Struct({ role: Schema.String }))

/** Asks for something, which one that is no router does not know; a router says 404 as well, of a model that it does not have. */
const asked = Effect.fnUntraced(function* (errand: Errand, path: string, model: string, fine: RegExp) {
  const answer = yield* errand.ask({ path, body: { model } })
  if (answer.status === 404 || answer.status === 405) {
    const { body } = yield* errand.ask({ path: "/props" })
    const isRouter = Option.getOrUndefined(decodeProps(body))?.role === "router"
    return yield* isRouter ? (path === getPath ? tooOld : unknownModel) : noRouter
  }
  const failure = actionFailureIn(answer)
  if (failure !== undefined && !fine.test(failure.reason)) return yield* failure
})

const diedOf = ({ exit_code: code }: typeof Status.Type): ActionFailed =>
  actionFailureOf(
    `its process ended${code === undefined ? "" : ` with exit code ${code}`}; the log of the server says why`
  )

const load: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  yield* errand.tell({ status: "loading" })
  const done = Effect.gen(function* () {
    yield* asked(errand, "/models/load", model, /already (?:running|loaded)/i)
    while (true) {
      const status = yield* standing(errand, model)
      if (status === undefined) return yield* actionFailureOf("it is no longer in the list")
      if (status.failed === true || status.value === "unloaded") return yield* diedOf(status)
      if (status.value !== "loading") return
      yield* Effect.sleep(lookEvery)
    }
  })
  yield* Effect.raceFirst(done, toldOf(errand, model))
})

// Looks until what was to be unloaded is no longer waited for.
const longest = 200

const unload: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  yield* errand.tell({ status: "unloading" })
  yield* asked(errand, "/models/unload", model, /not (?:running|loaded)/i)
  for (let looks = 0; looks < longest; looks += 1) {
    const status = yield* standing(errand, model)
    if (status === undefined || status.value === "unloaded") return
    yield* Effect.sleep(lookEvery)
  }
  return yield* actionFailureOf("it is still loaded after a minute")
})

// Looks after which a model that is not there is not on its way either.
const patience = 30

const pull: ActionRun = Effect.fnUntraced(function* (errand, { model }) {
  const done = Effect.gen(function* () {
    yield* asked(errand, getPath, model, /already/i)
    yield* errand.tell({ status: "downloading" })
    for (let looks = 0; looks < patience; looks += 1) {
      const status = yield* standing(errand, model)
      if (status?.value === "downloading") looks = 0
      else if (status !== undefined) return
      yield* Effect.sleep(lookEvery)
    }
    return yield* actionFailureOf("the download ended without the model; the log of the server says why")
  })
  yield* Effect.raceFirst(done, toldOf(errand, model))
})

/** What a router of llama-server's can have done. */
export const llamacppLifecycle: ModelActions = { load, unload, pull }
