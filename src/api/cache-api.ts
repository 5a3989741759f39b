/**
 * The endpoints of the answers that are kept to be given again.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Refusal } from "./refusal.ts"

/** How many answers there are, and their bytes. */
export const CacheFigures = Schema.Struct({ entries: Schema.Finite, bytes: Schema.Finite })

/** What all processes of the gateway keep; `complete` is whether every one of them has told. */
export const CacheState = Schema.Struct({ ...CacheFigures.fields, complete: Schema.Boolean })

/** Type of {@link CacheState}. */
export type CacheState = typeof CacheState.Type

// The store that has them does not answer.
const away = Refusal.pipe(HttpApiSchema.status(409))

/** All of them. */
export const CacheGroup = HttpApiGroup.make("cache").add(
  HttpApiEndpoint.get("kept", "/admin/v1/cache", { success: CacheState, error: away }).annotate(
    OpenApi.Summary,
    "How many answers are kept to be given again"
  ),
  HttpApiEndpoint.delete("clear", "/admin/v1/cache", { success: CacheState, error: away }).annotate(
    OpenApi.Summary,
    "Drop all of them; tells how many there were"
  )
)
