/**
 * The contract of the stream that tells what changes in the gateway, as it changes.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { RecentRequest, RequestUnderWay } from "./admin-api.ts"
import { BackendEntry } from "./backend-entry.ts"
import { ConfigStatus } from "./control-api.ts"
import { Refusal } from "./refusal.ts"
import { Stats } from "./stats-api.ts"

const UnderWay = Schema.Struct({
  requests: Schema.Array(RequestUnderWay),
  /** How many there are, those beside the ones that are told of included. */
  total: Schema.Finite
})

/** What changed of the figures: totals as they are, and of backends and models those that are not as they were. */
const Figures = Schema.Struct(Stats.fields)

/** How a backend stands: what changes of it with nearly each request. */
const { circuits, cooling_ms, in_flight, latency_ms, name } = BackendEntry.fields
const BackendStanding = Schema.Struct({ name, latency_ms, in_flight, cooling_ms, circuits })

/** Type of how a backend stands. */
export type BackendStanding = typeof BackendStanding.Type

/** Everything as it is; comes first, and again where something has been missed. */
const Everything = Schema.Struct({
  backends: Schema.Array(BackendEntry),
  config: ConfigStatus,
  under_way: UnderWay,
  /** Those that ended last, newest first. */
  ended: Schema.Array(RecentRequest),
  figures: Figures
})

/**
 * What the events are called, and what they tell. A client keeps by name what it is told of; `id` of an event, sent back as
 * `Last-Event-ID` or `?after=`, has the stream go on after it.
 */
export const liveEvents = {
  everything: Everything,
  /** A backend that is new, or of which more is not as it was than how it stands. */
  backend: BackendEntry,
  /** How those backends stand now that stand otherwise than they did, in one event however many they are. */
  standings: Schema.Struct({ backends: Schema.Array(BackendStanding) }),
  backend_gone: Schema.Struct({ name: Schema.String }),
  /** All requests under way, in place of those before. */
  under_way: UnderWay,
  /** Requests that have ended, oldest first. */
  ended: Schema.Struct({ requests: Schema.Array(RecentRequest) }),
  figures: Figures,
  config: ConfigStatus
} as const

/** An event by its name, with what it tells. */
export type LiveEvent = {
  [Name in keyof typeof liveEvents]: { readonly event: Name; readonly data: (typeof liveEvents)[Name]["Type"] }
}[keyof typeof liveEvents]

/** Type of everything as it is. */
export type Everything = typeof Everything.Type

/** Requests under way that are told of at most. */
export const mostUnderWay = 500

/** The endpoint. */
export const EventsGroup = HttpApiGroup.make("events").add(
  HttpApiEndpoint.get("events", "/admin/v1/events", {
    query: { after: Schema.optionalKey(Schema.String) },
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/event-stream" })),
    error: Refusal.pipe(HttpApiSchema.status(429))
  }).annotate(
    OpenApi.Summary,
    "What changes, as it changes: first everything, then backends, requests and figures, at most twice a second"
  )
)
