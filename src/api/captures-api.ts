/**
 * The endpoints of the prompts and answers that are stored.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Refusal } from "./refusal.ts"

const Facts = Schema.Struct({
  request_id: Schema.String,
  key: Schema.NullOr(Schema.String),
  model: Schema.String,
  endpoint: Schema.String,
  dialect: Schema.String,
  backend: Schema.String,
  outcome: Schema.String,
  status: Schema.Finite,
  stream: Schema.Boolean
})

/** One that is stored; `at` in milliseconds since 1970, the facts null where another key is needed to read them. */
const Capture = Schema.Struct({
  id: Schema.Finite,
  at: Schema.Finite,
  bytes: Schema.Finite,
  facts: Schema.NullOr(Facts)
})

/** The last ones, newest first. */
export const CaptureList = Schema.Struct({ captures: Schema.Array(Capture) })

/** Type of {@link CaptureList}. */
export type CaptureList = typeof CaptureList.Type

/** One with its texts: the request as hooks left it, and the answer as its client got it. */
export const WholeCapture = Schema.Struct({ ...Capture.fields, request: Schema.String, answer: Schema.String })

/** Type of {@link WholeCapture}. */
export type WholeCapture = typeof WholeCapture.Type

/** How many were deleted. */
export const DeletedCaptures = Schema.Struct({ deleted: Schema.Finite })

/** Type of {@link DeletedCaptures}. */
export type DeletedCaptures = typeof DeletedCaptures.Type

const unreadable = Refusal.pipe(HttpApiSchema.status(409))

const id = { id: Schema.String }

/** All of them. */
export const CapturesGroup = HttpApiGroup.make("captures").add(
  HttpApiEndpoint.get("list", "/admin/v1/captures", {
    query: {
      limit: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isBetween({ minimum: 1, maximum: 1000 })))
    },
    success: CaptureList,
    error: unreadable
  }).annotate(OpenApi.Summary, "The prompts and answers that were stored last, without their texts"),
  HttpApiEndpoint.get("show", "/admin/v1/captures/:id", {
    params: id,
    success: WholeCapture,
    error: unreadable
  }).annotate(OpenApi.Summary, "One of them, with its texts"),
  HttpApiEndpoint.delete("remove", "/admin/v1/captures/:id", {
    params: id,
    success: DeletedCaptures,
    error: unreadable
  }).annotate(OpenApi.Summary, "Delete one"),
  HttpApiEndpoint.delete("removeAll", "/admin/v1/captures", {
    success: DeletedCaptures,
    error: unreadable
  }).annotate(OpenApi.Summary, "Delete all")
)
