/**
 * A failure in OpenAI's shape, as the contracts of the endpoints name it.
 */
import * as Schema from "effect/Schema"
import { HttpApiSchema } from "effect/http-api"

/** A failure in OpenAI's shape. */
export const Refusal = Schema.Struct({
  error: Schema.Struct({
    message: Schema.String,
    type: Schema.String,
    param: Schema.NullOr(Schema.String),
    code: Schema.NullOr(Schema.String)
  })
})
  .annotate({ identifier: "Error", description: "A failure in OpenAI's shape" })
  .pipe(HttpApiSchema.status(404))
