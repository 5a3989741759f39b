/**
 * A backend as the endpoints tell of it.
 */
import * as Schema from "effect/Schema"
import { backendTypes } from "../backend/all.ts"
import { backendOrigins, modes } from "../domain/server.ts"
import { BackendStatus, modelFacts } from "./catalogue-api.ts"

/** How the circuit of a model stands. */
export const CircuitEntry = Schema.Struct({
  model: Schema.String,
  state: Schema.Literals(["closed", "open", "half_open"]),
  failures: Schema.Finite,
  retry_in_ms: Schema.Finite
})

const ServedModel = Schema.Struct({ id: Schema.String, ...modelFacts })

/** An API that a backend has, or one operation of it: whether it is asked in it, why not, and how that is known. */
const SpokenDialect = Schema.Struct({
  name: Schema.String,
  native: Schema.Boolean,
  reason: Schema.String,
  source: Schema.String
})

/** A backend with its probed and its live state; times in milliseconds, `latency_ms` null before the first measurement. */
export const BackendEntry = Schema.Struct({
  name: Schema.String,
  url: Schema.String,
  /** Of a member: where it is, and which backend of the config it is one of. */
  address: Schema.optionalKey(Schema.String),
  member_of: Schema.optionalKey(Schema.String),
  type: Schema.Literals(backendTypes),
  origin: Schema.Literals(backendOrigins),
  // A gateway of an earlier version tells of none.
  zone: Schema.optionalKey(Schema.String),
  priority: Schema.Finite,
  mode: Schema.Literals(modes),
  status: BackendStatus,
  reason: Schema.String,
  models: Schema.Array(ServedModel),
  /** What it is to have in memory, and whether it has, where it tells. */
  kept_warm: Schema.optionalKey(
    Schema.Array(Schema.Struct({ model: Schema.String, loaded: Schema.NullOr(Schema.Boolean) }))
  ),
  latency_ms: Schema.NullOr(Schema.Finite),
  in_flight: Schema.Finite,
  cooling_ms: Schema.Finite,
  circuits: Schema.Array(CircuitEntry),
  dialects: Schema.optionalKey(Schema.Array(SpokenDialect))
})

/** Type of {@link BackendEntry}. */
export type BackendEntry = typeof BackendEntry.Type
