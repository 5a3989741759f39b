/**
 * What fields of the log are called: as in the rest of Nexus, by the Elastic Common Schema, or by the semantic conventions of
 * OpenTelemetry.
 */
import type { logLevels, logNames } from "../config/telemetry-schema.ts"

/** One of the levels of the config. */
export type LogLevel = (typeof logLevels)[number]

/** Whose names the fields have. */
export type LogNames = (typeof logNames)[number]

/** One field under another name. */
type Member = readonly [name: string, value: unknown]

/** The names of one convention. */
export interface LogNaming {
  /** What a JSON line begins with; `time` as text. */
  readonly head: (time: string, level: LogLevel, message: string) => ReadonlyArray<Member>
  /** The members that a field becomes. */
  readonly field: (name: string, value: unknown) => ReadonlyArray<Member>
}

/** The version of the Elastic Common Schema whose names are used. */
const ecsVersion = "9.0.0"

const severities: Readonly<Record<LogLevel, number>> = { trace: 1, debug: 5, info: 9, warn: 13, error: 17 }

type Names = Readonly<Record<string, string | ((value: unknown) => ReadonlyArray<Member>)>>

// What both conventions have of models.
const ofModels = {
  model: "gen_ai.request.model",
  upstream_model: "gen_ai.response.model",
  prompt_tokens: "gen_ai.usage.input_tokens",
  completion_tokens: "gen_ai.usage.output_tokens",
  client: "client.address",
  user_agent: "user_agent.original",
  status: "http.response.status_code",
  method: "http.request.method",
  path: "url.path",
  cause: "error.message"
} as const

const ecs: Names = {
  ...ofModels,
  request_id: "http.request.id",
  key: "user.name",
  bytes_out: "http.response.body.bytes",
  trace_id: "trace.id",
  span_id: "span.id",
  // In nanoseconds there.
  duration_ms: (ms) => [["event.duration", typeof ms === "number" ? Math.round(ms * 1e6) : ms]],
  outcome: (outcome) => [
    ["event.outcome", outcome === "completed" ? "success" : outcome === "client_closed" ? "unknown" : "failure"],
    ["nexus.outcome", outcome]
  ]
}

const otel: Names = {
  ...ofModels,
  request_id: "nexus.request.id",
  key: "nexus.key.name",
  bytes_out: "http.response.body.size",
  trace_id: "trace_id",
  span_id: "span_id",
  outcome: "nexus.outcome",
  cached_tokens: "gen_ai.usage.cache_read.input_tokens"
}

const named =
  (names: Names): LogNaming["field"] =>
  (name, value) => {
    const known = Object.hasOwn(names, name) ? names[name] : undefined
    if (typeof known === "function") return known(value)
    return [[known ?? `nexus.${name}`, value]]
  }

/** The names of each convention. */
export const logNamings: Readonly<Record<LogNames, LogNaming>> = {
  nexus: {
    head: (time, level, message) => [
      ["time", time],
      ["level", level],
      ["message", message]
    ],
    field: (name, value) => [[name === "time" || name === "level" || name === "message" ? `${name}_` : name, value]]
  },
  ecs: {
    head: (time, level, message) => [
      ["@timestamp", time],
      ["log.level", level],
      ["message", message],
      ["ecs.version", ecsVersion]
    ],
    field: named(ecs)
  },
  otel: {
    head: (time, level, message) => [
      ["timestamp", time],
      ["severity_text", level.toUpperCase()],
      ["severity_number", severities[level]],
      ["body", message]
    ],
    field: named(otel)
  }
}
