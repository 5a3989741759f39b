/**
 * The contract of the endpoints that have backends load, unload and get models.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { type ModelAction, modelActions } from "../backend/model-actions.ts"
import { Refusal } from "./refusal.ts"

/** Which model, and at which backend where several could be meant. */
const ModelTarget = Schema.Struct({ model: Schema.NonEmptyString, backend: Schema.optionalKey(Schema.NonEmptyString) })

/**
 * How far it is: a line as it comes, the last one with `done` or `error`. `status` is in the server's own words, `completed` of
 * `total` of what it counts, bytes or parts of one; `seconds` since it began.
 */
export const ModelActionEvent = Schema.Struct({
  action: Schema.Literals(modelActions),
  backend: Schema.String,
  model: Schema.String,
  status: Schema.String,
  seconds: Schema.Finite,
  completed: Schema.optionalKey(Schema.Finite),
  total: Schema.optionalKey(Schema.Finite),
  done: Schema.optionalKey(Schema.Literal(true)),
  error: Schema.optionalKey(Schema.Struct({ message: Schema.String, code: Schema.String }))
})

/** Type of {@link ModelActionEvent}. */
export type ModelActionEvent = typeof ModelActionEvent.Type

const endpoint = <A extends ModelAction>(action: A, summary: string) =>
  HttpApiEndpoint.post(action, `/admin/v1/models/${action}`, {
    payload: ModelTarget,
    success: HttpApiSchema.StreamNdjson({ schema: ModelActionEvent }),
    error: [400, 404, 501, 502, 507].map((status) => Refusal.pipe(HttpApiSchema.status(status)))
  }).annotate(OpenApi.Summary, summary)

/** All of them. */
export const LifecycleGroup = HttpApiGroup.make("lifecycle").add(
  endpoint("load", "Have a backend load a model into memory; tells how far it is, a JSON value a line"),
  endpoint("unload", "Have a backend take a model out of memory"),
  endpoint("pull", "Have a backend get a model onto its disk; tells how far it is, a JSON value a line")
)
