/**
 * The operational endpoints as one contract: the server, `/openapi.json` and the command line's client are made from it.
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { version } from "../domain/version.ts"
import { backendOrigins, backendTypes, modes } from "../domain/backend.ts"
import { Admin } from "./admin-api.ts"
import { Changes, ConfigStatus } from "./control-api.ts"
import { Refusal } from "./refusal.ts"

const Status = Schema.Literals(["unknown", "healthy", "unhealthy", "config_error"])

const CircuitEntry = Schema.Struct({
  model: Schema.String,
  state: Schema.Literals(["closed", "open", "half_open"]),
  failures: Schema.Number,
  retry_in_ms: Schema.Number
})

const HealthDetail = Schema.Struct({
  name: Schema.String,
  status: Status,
  mode: Schema.optionalKey(Schema.Literals(modes)),
  reason: Schema.String,
  cooling_ms: Schema.optionalKey(Schema.Number),
  circuits: Schema.optionalKey(Schema.Array(CircuitEntry))
})

const health = {
  uptime_seconds: Schema.Number,
  backends: Schema.Struct({
    total: Schema.Number,
    healthy: Schema.Number,
    unhealthy: Schema.Number,
    out_of_service: Schema.optionalKey(Schema.Number)
  }),
  models: Schema.Number,
  details: Schema.Array(HealthDetail),
  config: ConfigStatus
}

/** The state of the gateway; `models` counts those that can be used now, `unhealthy` all backends that are not healthy. */
export const Health = Schema.Struct({ status: Schema.Literals(["healthy", "degraded"]), ...health })

/** The same when no backend is healthy; answered with 503. */
export const Unhealthy = Schema.Struct({ status: Schema.Literal("unhealthy"), ...health }).pipe(
  HttpApiSchema.status(503)
)

const Alive = Schema.Struct({ status: Schema.Literal("alive") })
const Ready = Schema.Struct({ status: Schema.Literal("ready") })

/** Why no request can be routed now; answered with 503. */
const NotReady = Schema.Struct({ status: Schema.Literal("not_ready"), reason: Schema.String }).pipe(
  HttpApiSchema.status(503)
)

/** A model as `/v1/models` lists it, over all healthy backends that serve it. */
export const ModelEntry = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model"),
  created: Schema.Number,
  owned_by: Schema.Literal("nexus"),
  context_length: Schema.optionalKey(Schema.Number),
  capabilities: Schema.Struct({ vision: Schema.Boolean, tools: Schema.Boolean, json_mode: Schema.Boolean }),
  backends: Schema.Array(Schema.String)
})

/** Type of {@link ModelEntry}. */
export type ModelEntry = typeof ModelEntry.Type

/** The answer of `/v1/models`. */
const ModelList = Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(ModelEntry) })

const ability = Schema.optionalKey(Schema.Boolean)

const ServedModel = Schema.Struct({
  id: Schema.String,
  context_length: Schema.optionalKey(Schema.Number),
  capabilities: Schema.Struct({ vision: ability, tools: ability, json_mode: ability, embeddings: ability })
})

/** A backend with its probed and its live state; times in milliseconds, `latency_ms` null before the first measurement. */
export const BackendEntry = Schema.Struct({
  name: Schema.String,
  url: Schema.String,
  type: Schema.Literals(backendTypes),
  origin: Schema.Literals(backendOrigins),
  priority: Schema.Number,
  mode: Schema.Literals(modes),
  status: Status,
  reason: Schema.String,
  models: Schema.Array(ServedModel),
  latency_ms: Schema.NullOr(Schema.Number),
  in_flight: Schema.Number,
  cooling_ms: Schema.Number,
  circuits: Schema.Array(CircuitEntry)
})

/** Type of {@link BackendEntry}. */
export type BackendEntry = typeof BackendEntry.Type

/** The answer of `/nexus/backends`; `version` is that of the gateway. */
export const BackendList = Schema.Struct({ version: Schema.String, backends: Schema.Array(BackendEntry) })

const Gateway = HttpApiGroup.make("gateway").add(
  HttpApiEndpoint.get("health", "/health", { success: Health, error: Unhealthy }),
  HttpApiEndpoint.get("models", "/v1/models", { success: ModelList }),
  HttpApiEndpoint.get("model", "/v1/models/:id", {
    params: { id: Schema.String },
    success: ModelEntry,
    error: Refusal
  }),
  HttpApiEndpoint.get("backends", "/nexus/backends", { success: BackendList }),
  HttpApiEndpoint.get("administered", "/admin/v1/backends", { success: BackendList })
)

const Probes = HttpApiGroup.make("probes").add(
  HttpApiEndpoint.get("live", "/livez", { success: Alive }),
  HttpApiEndpoint.get("ready", "/readyz", { success: Ready, error: NotReady })
)

/** The endpoints that are answered by their contract. */
export const Answered = HttpApi.make("nexus").add(Gateway).add(Admin).add(Changes)

/** All operational endpoints. */
export const Api = Answered.add(Probes).annotateMerge(OpenApi.annotations({ title: "Nexus", version }))
