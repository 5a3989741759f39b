/**
 * The operational endpoints as one contract: the server, `/openapi.json` and the command line's client are made from it.
 */
import * as Schema from "effect/Schema"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { version } from "../domain/version.ts"
import { modes } from "../domain/server.ts"
import { AdminGroup } from "./admin-api.ts"
import { BackendEntry, CircuitEntry } from "./backend-entry.ts"
import { CatalogueGroup, BackendStatus } from "./catalogue-api.ts"
import { ClusterStatus } from "./cluster-api.ts"
import { ControlGroup, ConfigStatus } from "./control-api.ts"
import { DoctorGroup } from "./doctor-api.ts"
import { EventsGroup } from "./events-api.ts"
import { KeysGroup } from "./keys-api.ts"
import { LifecycleGroup } from "./lifecycle-api.ts"
import { Refusal } from "./refusal.ts"
import { StatsGroup } from "./stats-api.ts"
import { CapturesGroup } from "./captures-api.ts"
import { CacheGroup } from "./cache-api.ts"
import { AuditGroup } from "./audit-api.ts"
import { UsageGroup } from "./usage-api.ts"

const HealthDetail = Schema.Struct({
  name: Schema.String,
  status: BackendStatus,
  mode: Schema.optionalKey(Schema.Literals(modes)),
  reason: Schema.String,
  cooling_ms: Schema.optionalKey(Schema.Finite),
  circuits: Schema.optionalKey(Schema.Array(CircuitEntry))
})

const health = {
  uptime_seconds: Schema.Finite,
  backends: Schema.Struct({
    total: Schema.Finite,
    healthy: Schema.Finite,
    unhealthy: Schema.Finite,
    out_of_service: Schema.optionalKey(Schema.Finite)
  }),
  models: Schema.Finite,
  details: Schema.Array(HealthDetail),
  config: ConfigStatus,
  cluster: Schema.optionalKey(ClusterStatus),
  // The ledger of usage, where one is kept.
  usage: Schema.optionalKey(
    Schema.Struct({
      waiting: Schema.Finite,
      dropped: Schema.Finite,
      failure: Schema.NullOr(Schema.String)
    })
  )
}

/** The state of the gateway; `models` counts those that can be used now, `unhealthy` all backends that are not healthy. */
export const Health = Schema.Struct({ status: Schema.Literals(["healthy", "degraded"]), ...health })

/** The same when no backend is healthy; answered with 503. */
export const Unhealthy = Schema.Struct({ status: Schema.Literal("unhealthy"), ...health })
  .annotate({ description: "No backend is healthy" })
  .pipe(HttpApiSchema.status(503))

const Alive = Schema.Struct({ status: Schema.Literal("alive") })
const Ready = Schema.Struct({ status: Schema.Literal("ready") })

/** Why no request can be routed now; answered with 503. */
const NotReady = Schema.Struct({ status: Schema.Literal("not_ready"), reason: Schema.String })
  .annotate({ description: "No request can be routed now" })
  .pipe(HttpApiSchema.status(503))

const Ability = Schema.optionalKey(Schema.Boolean)

/**
 * A model as `/v1/models` lists it, over all healthy backends that serve it; an ability that nobody knows of is absent. An
 * alias has `alias_of`, the model or group that it stands for, and a group `group_of`, the models that answer for it.
 */
export const ModelEntry = Schema.Struct({
  id: Schema.String,
  object: Schema.Literal("model"),
  created: Schema.Finite,
  owned_by: Schema.Literal("nexus"),
  alias_of: Schema.optionalKey(Schema.String),
  group_of: Schema.optionalKey(Schema.Array(Schema.String)),
  context_length: Schema.optionalKey(Schema.Finite),
  capabilities: Schema.Struct({ vision: Ability, tools: Ability, json_mode: Ability }),
  backends: Schema.Array(Schema.String)
})

/** Type of {@link ModelEntry}. */
export type ModelEntry = typeof ModelEntry.Type

/** The answer of `/v1/models`. */
const ModelList = Schema.Struct({ object: Schema.Literal("list"), data: Schema.Array(ModelEntry) })

/** The answer of `/nexus/backends`; `version` is that of the gateway. */
export const BackendList = Schema.Struct({ version: Schema.String, backends: Schema.Array(BackendEntry) })

/** The state of the backends in a word: it is another one whenever `/nexus/backends` tells of something else than figures. */
const ChangesState = Schema.Struct({ state: Schema.String })

const Gateway = HttpApiGroup.make("gateway").add(
  HttpApiEndpoint.get("health", "/health", { success: Health, error: Unhealthy }).annotate(
    OpenApi.Summary,
    "How the gateway and its backends are"
  ),
  HttpApiEndpoint.get("models", "/v1/models", { success: ModelList }).annotate(
    OpenApi.Summary,
    "The models that can be used now"
  ),
  HttpApiEndpoint.get("model", "/v1/models/:id", {
    params: { id: Schema.String },
    success: ModelEntry,
    error: Refusal
  }).annotate(OpenApi.Summary, "One of them; slashes in its id may stay as they are"),
  HttpApiEndpoint.get("backends", "/nexus/backends", { success: BackendList }).annotate(
    OpenApi.Summary,
    "Every backend with its state, models and figures"
  ),
  HttpApiEndpoint.get("changes", "/nexus/changes", {
    query: {
      since: Schema.optionalKey(Schema.String),
      wait: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isBetween({ minimum: 0, maximum: 60 })))
    },
    success: ChangesState
  }).annotate(
    OpenApi.Summary,
    "The state of the backends in a word; with `since` as soon as it is another one, or after `wait` seconds (30)"
  ),
  HttpApiEndpoint.get("administered", "/admin/v1/backends", { success: BackendList }).annotate(
    OpenApi.Summary,
    "The same, where the changes are made"
  )
)

const Probes = HttpApiGroup.make("probes").add(
  HttpApiEndpoint.get("live", "/livez", { success: Alive }).annotate(OpenApi.Summary, "Whether the process runs"),
  HttpApiEndpoint.get("ready", "/readyz", { success: Ready, error: NotReady }).annotate(
    OpenApi.Summary,
    "Whether requests can be routed now"
  )
)

/** The endpoints that are answered by their contract. */
export const ContractApi = HttpApi.make("nexus")
  .add(Gateway)
  .add(AdminGroup)
  .add(CatalogueGroup)
  .add(ControlGroup)
  .add(DoctorGroup)
  .add(EventsGroup)
  .add(KeysGroup)
  .add(LifecycleGroup)
  .add(StatsGroup)
  .add(UsageGroup)
  .add(AuditGroup)
  .add(CacheGroup)
  .add(CapturesGroup)

/** All operational endpoints. */
export const Api = ContractApi.add(Probes).annotateMerge(OpenApi.annotations({ title: "Nexus", version }))
