/**
 * The contract of what the gateway tells of its work: figures for people and programs, and the text for Prometheus.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { modes, slotSources } from "../domain/server.ts"
import { BackendStatus } from "./catalogue-api.ts"
import { ClusterStatus } from "./cluster-api.ts"

/** The text of `/metrics`. */
const Metrics = Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain" }))

/** How long the first token of a stream took, in milliseconds, over the last one to two minutes; null when there was none. */
const FirstToken = Schema.NullOr(Schema.Struct({ p50: Schema.Finite, p95: Schema.Finite }))

/**
 * Counters since the start, and figures of the last seconds: rates over 10 s, `error_rate` over 60 s. `errors` are
 * attempts that a backend failed; `tokens_per_second` counts what backends tell at the end of an answer,
 * `pieces_per_second` the pieces of streams as they come.
 */
const figures = {
  in_flight: Schema.Finite,
  active_streams: Schema.Finite,
  requests: Schema.Finite,
  attempts: Schema.Finite,
  errors: Schema.Finite,
  error_rate: Schema.Finite,
  failovers: Schema.Finite,
  prompt_tokens: Schema.Finite,
  cached_tokens: Schema.Finite,
  completion_tokens: Schema.Finite,
  requests_per_second: Schema.Finite,
  tokens_per_second: Schema.Finite,
  pieces_per_second: Schema.Finite,
  first_token_ms: FirstToken
}

const Figures = Schema.Struct(figures)

/** Type of the figures that everything has. */
export type Figures = typeof Figures.Type

const Totals = Schema.Struct({
  ...figures,
  turned_away: Schema.Finite,
  outcomes: Schema.Struct({
    completed: Schema.Finite,
    refused: Schema.Finite,
    failed: Schema.Finite,
    truncated: Schema.Finite,
    client_closed: Schema.Finite,
    // A gateway of an earlier version cancels nothing.
    cancelled: Schema.optionalKey(Schema.Finite)
  })
})

/** A backend with its figures; `models` is how many it lists. */
const BackendStats = Schema.Struct({
  name: Schema.String,
  zone: Schema.optionalKey(Schema.String),
  mode: Schema.Literals(modes),
  status: BackendStatus,
  reason: Schema.String,
  models: Schema.Finite,
  /**
   * How many requests it works on at once for each model of which that is known, how it is known, and how many of these are under
   * way; a gateway of an earlier version does not tell that.
   */
  slots: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        model: Schema.String,
        slots: Schema.Finite,
        from: Schema.Literals(slotSources),
        in_flight: Schema.optionalKey(Schema.Finite)
      })
    )
  ),
  ...figures
})

/** A model that has been asked for, over all backends that were. */
const ModelStats = Schema.Struct({ id: Schema.String, backends: Schema.Array(Schema.String), ...figures })

/** What waits for a slot of one model or group: how many of each class, and how long the first of them has. */
const QueueStats = Schema.Struct({
  model: Schema.String,
  /** Of a group: who may answer for it, and as which model. */
  candidates: Schema.optionalKey(Schema.Array(Schema.Struct({ backend: Schema.String, model: Schema.String }))),
  waiting: Schema.Finite,
  longest_wait_ms: Schema.Finite,
  classes: Schema.Struct({ high: Schema.Finite, normal: Schema.Finite, batch: Schema.Finite })
})

/** Type of what waits for one model. */
export type QueueStats = typeof QueueStats.Type

const WorkerStats = Schema.Struct({ worker: Schema.Finite, rss_bytes: Schema.Finite, cpu_seconds: Schema.Finite })

/** The figures of the whole gateway. */
export const Stats = Schema.Struct({
  version: Schema.String,
  uptime_seconds: Schema.Finite,
  totals: Totals,
  backends: Schema.Array(BackendStats),
  models: Schema.Array(ModelStats),
  // A gateway of an earlier version tells nothing of it.
  queue: Schema.optionalKey(Schema.Array(QueueStats)),
  workers: Schema.Array(WorkerStats),
  // Of replicas that share what they know alone.
  cluster: Schema.optionalKey(ClusterStatus)
})

/** Type of {@link Stats}. */
export type Stats = typeof Stats.Type

/** What the gateway tells of its work. */
export const StatsGroup = HttpApiGroup.make("work").add(
  HttpApiEndpoint.get("metrics", "/metrics", { success: Metrics }).annotate(
    OpenApi.Summary,
    "Counters, histograms and gauges in the text form of Prometheus"
  ),
  HttpApiEndpoint.get("stats", "/v1/stats", { success: Stats }).annotate(
    OpenApi.Summary,
    "What the gateway has done and does now: totals, backends, models, processes"
  )
)
