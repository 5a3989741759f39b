/**
 * The part of the Schema of the settings that is about what Nexus tells of itself.
 */
import * as Schema from "effect/Schema"
import { maybe, or, seconds, share } from "./schema-parts.ts"

/** Levels of the log, most severe first. */
export const logLevels = ["error", "warn", "info", "debug", "trace"] as const

/** Whose names the fields of the log may have. */
export const logNames = ["nexus", "ecs", "otel"] as const

/** What is written to the log. */
export const Logging = Schema.Struct({
  level: or(Schema.Literals(logLevels), "info", "Least severe level that is written; one line per request at debug"),
  format: or(
    Schema.Literals(["auto", "text", "json"]),
    "auto",
    "text, json, or auto: text on a terminal, json otherwise"
  ),
  names: or(
    Schema.Literals(logNames),
    "nexus",
    "What fields are called: as in the rest of Nexus, by the Elastic Common Schema, or by the semantic conventions of OpenTelemetry"
  ),
  access_log: or(
    Schema.Boolean,
    false,
    "Write one line per request at info, with who asked what, where it went and how it ended"
  ),
  access_log_share: or(
    share,
    1,
    "Part of the requests with a whole answer that get such a line, 0 to 1; those that end in another way always do"
  )
})

const Otlp = Schema.Struct({
  endpoint: maybe(
    Schema.NonEmptyString,
    "Base URL of a receiver of OTLP over HTTP, such as http://127.0.0.1:4318; nothing is sent when it is absent and OTEL_EXPORTER_OTLP_ENDPOINT is as well"
  ),
  headers: or(
    Schema.Record(Schema.String, Schema.String),
    {},
    "Headers that the receiver wants, such as an API key as ${NAME}; beside those of OTEL_EXPORTER_OTLP_HEADERS"
  ),
  protocol: maybe(
    Schema.Literals(["http/protobuf", "http/json"]),
    "Encoding of what is sent; as OTEL_EXPORTER_OTLP_PROTOCOL says, else http/protobuf; traces as JSON take 1.5 to 2 times the processor time"
  ),
  traces: or(Schema.Boolean, true, "Send a trace of each request"),
  metrics: or(Schema.Boolean, true, "Send the metrics"),
  sampling_ratio: maybe(
    share,
    "Part of the requests that are traced, 0 to 1, where their callers have not decided it; as OTEL_TRACES_SAMPLER says, else 1"
  ),
  traces_per_second: maybe(
    Schema.Union([seconds(0, 1_000_000), Schema.Literal("unlimited")]),
    'Most requests that are traced in a second by each process, of those whose callers have not decided it, or "unlimited"; further ones that failed, were tried again or waited for a slot are kept as they end, as many again; 200 where neither sampling_ratio nor OTEL_TRACES_SAMPLER is set, else unlimited'
  ),
  metrics_interval_seconds: maybe(
    seconds(1, 86_400),
    "Time between two sendings of the metrics; as OTEL_METRIC_EXPORT_INTERVAL says, else 60"
  ),
  timeout_seconds: maybe(
    seconds(0.1, 600),
    "Time that the receiver has to take what is sent; as OTEL_EXPORTER_OTLP_TIMEOUT says, else 10"
  ),
  service_name: maybe(Schema.NonEmptyString, "What Nexus is called there; as OTEL_SERVICE_NAME says, else nexus")
})

/** Where traces and metrics are sent. */
export const Telemetry = Schema.Struct({
  otlp: or(Otlp, {}, "Traces and metrics by OTLP")
})
