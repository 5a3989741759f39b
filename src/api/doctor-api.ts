/**
 * The contract of the endpoint that looks for what is wrong with the gateway's ground and its backends.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Refusal } from "./refusal.ts"

/** Whether models may be asked as well, which spends tokens: less than 400 for each of up to five questions a backend. */
const DoctorWish = Schema.Struct({ inference: Schema.optionalKey(Schema.Boolean) })

/**
 * What is told, a line as it comes: that a section has begun (`gateway`, a backend, `routing`), what was found in one, that
 * nothing has come for a while, and the end; `complete` is false where the gateway stops meanwhile, or the look
 * itself fails.
 */
export const DoctorEvent = Schema.Union([
  Schema.Struct({ event: Schema.Literal("section"), section: Schema.String, about: Schema.String }),
  Schema.Struct({
    event: Schema.Literal("finding"),
    section: Schema.String,
    check: Schema.String,
    severity: Schema.Literals(["ok", "info", "warning", "error"]),
    seen: Schema.String,
    fix: Schema.optionalKey(Schema.String)
  }),
  Schema.Struct({ event: Schema.Literal("waiting") }),
  Schema.Struct({
    event: Schema.Literal("done"),
    complete: Schema.Boolean,
    errors: Schema.Finite,
    warnings: Schema.Finite
  })
])

/** Type of {@link DoctorEvent}. */
export type DoctorEvent = typeof DoctorEvent.Type

/** The endpoint. */
export const DoctorGroup = HttpApiGroup.make("doctor").add(
  HttpApiEndpoint.post("look", "/admin/v1/doctor", {
    payload: DoctorWish,
    success: HttpApiSchema.StreamNdjson({ schema: DoctorEvent }),
    error: [Refusal.pipe(HttpApiSchema.status(400)), Refusal.pipe(HttpApiSchema.status(409))]
  }).annotate(
    OpenApi.Summary,
    "Look for what is wrong with the config, the machine and each backend; tells what is found, a JSON value a line"
  )
)
