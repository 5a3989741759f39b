/**
 * The contract of the administrative endpoints.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { hookActions, hookPhases } from "../domain/hook-rules.ts"
import { outcomes, phases, priorityClasses } from "../domain/request.ts"
import { strategies } from "../domain/routing.ts"
import { slotSources } from "../domain/server.ts"
import { Refusal } from "./refusal.ts"

const Parts = Schema.Struct({
  wait_ms: Schema.Finite,
  load_ms: Schema.Finite,
  read_ms: Schema.Finite,
  write_ms: Schema.Finite,
  cached_tokens: Schema.Finite
})

const Candidate = Schema.Struct({
  backend: Schema.String,
  model: Schema.String,
  zone: Schema.optionalKey(Schema.String),
  priority: Schema.Finite,
  in_flight: Schema.Finite,
  slots: Schema.optionalKey(Schema.Finite),
  slots_from: Schema.optionalKey(Schema.Literals(slotSources)),
  first_byte_ms: Schema.NullOr(Schema.Finite),
  expected_ms: Schema.optionalKey(Schema.Finite),
  parts: Schema.optionalKey(Parts),
  note: Schema.optionalKey(Schema.String)
})

const Excluded = Schema.Struct({ backend: Schema.String, model: Schema.String, reason: Schema.String })

const Attempt = Schema.Struct({
  backend: Schema.String,
  model: Schema.String,
  reason: Schema.String,
  fallback: Schema.Boolean,
  native: Schema.optionalKey(Schema.Boolean)
})

/** The rule that a request went by, null for none, and why those before it were not for it. */
const RuleEntry = Schema.Struct({
  name: Schema.NullOr(Schema.String),
  canary: Schema.Boolean,
  shadow: Schema.Boolean,
  passed: Schema.Array(Schema.Struct({ name: Schema.String, reason: Schema.String }))
})

/** What marks the name of an operation in the document. */
export const endpointFormat = "endpoint"

/** A routing decision: what aliases and fallbacks made of the model, who could be asked, who not and why, in which order. */
export const DecisionEntry = Schema.Struct({
  requested: Schema.String,
  models: Schema.Array(Schema.String),
  strategy: Schema.Literals(strategies),
  rule: Schema.optionalKey(RuleEntry),
  candidates: Schema.Array(Candidate),
  excluded: Schema.Array(Excluded),
  order: Schema.Array(Attempt)
})

/** Type of {@link DecisionEntry}. */
export type DecisionEntry = typeof DecisionEntry.Type

/** Where a request stands among those that wait for a slot, 1 for the next one, and in about how many seconds it has one. */
const QueuePlaceEntry = Schema.Struct({ position: Schema.Finite, seconds: Schema.Finite })

/** Type of {@link QueuePlaceEntry}. */
export type QueuePlaceEntry = typeof QueuePlaceEntry.Type

/** What a token lets do with which a request is asked about; what is absent is not bounded. */
const TokenGrantEntry = Schema.Struct({
  name: Schema.String,
  owner: Schema.optionalKey(Schema.String),
  labels: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
  models: Schema.optionalKey(Schema.Array(Schema.String)),
  backends: Schema.optionalKey(Schema.Array(Schema.String)),
  zones: Schema.optionalKey(Schema.Array(Schema.String)),
  priority: Schema.optionalKey(Schema.Literals(priorityClasses)),
  admin: Schema.optionalKey(Schema.Boolean),
  metrics: Schema.optionalKey(Schema.Boolean)
})

/** What would become of a request; `key` is what its token makes of it, `refusal` is what the client would get when nobody can be asked, `queue` is there where it would wait. */
export const Route = Schema.Struct({
  decision: DecisionEntry,
  max_retries: Schema.Finite,
  key: Schema.optionalKey(TokenGrantEntry),
  queue: Schema.optionalKey(QueuePlaceEntry),
  refusal: Schema.NullOr(Schema.Struct({ status: Schema.Finite, code: Schema.String, message: Schema.String }))
})

/** Type of {@link Route}. */
export type Route = typeof Route.Type

// What clients ask of models, by name: those that there are stand in the document.
const Endpoint = Schema.String.annotate({ format: endpointFormat })

/**
 * A second backend that was asked since the first token of the first one was late, so many milliseconds after that one;
 * `outcome` is what came of it, null while both are waited for.
 */
const HedgeEntry = Schema.Struct({
  backend: Schema.String,
  model: Schema.String,
  after_ms: Schema.Finite,
  outcome: Schema.NullOr(Schema.Literals(["won", "lost", "failed", "abandoned"]))
})

/** What a hook has made of a request or its answer: of all calls together, and how long they took. */
const HookNoteEntry = Schema.Struct({
  hook: Schema.String,
  phase: Schema.Literals(hookPhases),
  action: Schema.Literals(hookActions),
  calls: Schema.Finite,
  ms: Schema.Finite
})

/**
 * A request that has ended; times in milliseconds, `at` since 1970; the names are empty when no backend was asked, and
 * `key`, the name of the key that it came with, is absent where none is needed. `load_ms` is there when the model was not in
 * memory: how long it was expected to take to be loaded.
 */
export const RecentRequest = Schema.Struct({
  id: Schema.String,
  at: Schema.Finite,
  endpoint: Endpoint,
  model: Schema.String,
  stream: Schema.Boolean,
  key: Schema.optionalKey(Schema.String),
  outcome: Schema.Literals(outcomes),
  status: Schema.Finite,
  backend: Schema.String,
  upstream_model: Schema.String,
  attempts: Schema.Finite,
  failures: Schema.Array(Excluded),
  /** Why the gateway itself has refused it: the code of the error, and its words where they quote nothing of the request. */
  refusal: Schema.optionalKey(Schema.String),
  hedge: Schema.optionalKey(HedgeEntry),
  hooks: Schema.optionalKey(Schema.Array(HookNoteEntry)),
  cache: Schema.optionalKey(Schema.Literals(["hit", "miss"])),
  load_ms: Schema.optionalKey(Schema.Finite),
  first_byte_ms: Schema.NullOr(Schema.Finite),
  duration_ms: Schema.Finite
})

/** Type of {@link RecentRequest}. */
export type RecentRequest = typeof RecentRequest.Type

const RecentRequests = Schema.Struct({ requests: Schema.Array(RecentRequest) })

/**
 * A part of a request's time, in milliseconds since it came: a wait for a slot, or a call to a backend, which is connected, gives
 * its first byte and ends. A `hedge` was begun beside another one that was late; `outrun` is one that another was faster than.
 */
export const TimePart = Schema.Union([
  Schema.Struct({ part: Schema.Literal("queue"), from_ms: Schema.Finite, to_ms: Schema.Finite }),
  Schema.Struct({
    part: Schema.Literal("attempt"),
    backend: Schema.String,
    model: Schema.String,
    from_ms: Schema.Finite,
    connected_ms: Schema.NullOr(Schema.Finite),
    first_byte_ms: Schema.NullOr(Schema.Finite),
    to_ms: Schema.Finite,
    hedge: Schema.Boolean,
    outcome: Schema.Literals(["answered", "failed", "outrun", "under_way"]),
    reason: Schema.optionalKey(Schema.String)
  })
])

/** Type of {@link TimePart}. */
export type TimePart = typeof TimePart.Type

// A gateway of an earlier version does not tell.
const timeLine = { time_line: Schema.optionalKey(Schema.Array(TimePart)) }

/** A request that has ended and its decision; null when it was refused before there was one. */
export const Explained = Schema.Struct({
  request: RecentRequest,
  decision: Schema.NullOr(DecisionEntry),
  ...timeLine
})

/** Type of {@link Explained}. */
export type Explained = typeof Explained.Type

/**
 * A request under way; times in milliseconds, `at` since 1970; the names are empty before a backend is asked. `key`
 * is the name of the key that it came with, absent where none is needed; `load_ms` is how long the model is expected to take
 * to be loaded, absent where it was in memory; `queue` is there while it waits for a slot. `pieces` are those of its stream that have come,
 * about as many as its tokens.
 */
export const RequestUnderWay = Schema.Struct({
  id: Schema.String,
  at: Schema.Finite,
  endpoint: Endpoint,
  model: Schema.String,
  stream: Schema.Boolean,
  key: Schema.optionalKey(Schema.String),
  phase: Schema.Literals(phases),
  queue: Schema.optionalKey(QueuePlaceEntry),
  phase_ms: Schema.Finite,
  age_ms: Schema.Finite,
  backend: Schema.String,
  upstream_model: Schema.String,
  attempts: Schema.Finite,
  failures: Schema.Array(Excluded),
  hedge: Schema.optionalKey(HedgeEntry),
  hooks: Schema.optionalKey(Schema.Array(HookNoteEntry)),
  cache: Schema.optionalKey(Schema.Literals(["hit", "miss"])),
  load_ms: Schema.optionalKey(Schema.Finite),
  first_byte_ms: Schema.NullOr(Schema.Finite),
  bytes: Schema.Finite,
  pieces: Schema.Finite
})

/** Type of {@link RequestUnderWay}. */
export type RequestUnderWay = typeof RequestUnderWay.Type

/** Requests under way, those that came first at the front. */
export const RequestsUnderWayList = Schema.Struct({ requests: Schema.Array(RequestUnderWay) })

/** Type of {@link RequestsUnderWayList}. */
export type RequestsUnderWayList = typeof RequestsUnderWayList.Type

/** A request under way and its decision; null while there is none. */
export const ExplainedUnderWay = Schema.Struct({
  request: RequestUnderWay,
  decision: Schema.NullOr(DecisionEntry),
  ...timeLine
})

/** Type of {@link ExplainedUnderWay}. */
export type ExplainedUnderWay = typeof ExplainedUnderWay.Type

/** Who would be asked first, and by which rule. */
const ReplayChoice = Schema.Struct({
  backend: Schema.String,
  model: Schema.String,
  rule: Schema.NullOr(Schema.String),
  canary: Schema.Boolean
})

/** A remembered request under another config; null where nobody could be asked at once, and what cannot be known of it. */
export const ReplayedRequest = Schema.Struct({
  id: Schema.String,
  at: Schema.Finite,
  endpoint: Endpoint,
  model: Schema.String,
  key: Schema.optionalKey(Schema.String),
  before: Schema.NullOr(ReplayChoice),
  after: Schema.NullOr(ReplayChoice),
  /** Whether it would wait for a slot, where nobody could be asked at once. */
  waits: Schema.Struct({ before: Schema.Boolean, after: Schema.Boolean }),
  changed: Schema.Boolean,
  unknown: Schema.Array(Schema.String)
})

/** Type of {@link ReplayedRequest}. */
export type ReplayedRequest = typeof ReplayedRequest.Type

/** The sections of a config that decide where requests go, and how many milliseconds to look back. */
export const ReplayQuery = Schema.Struct({
  settings: Schema.Record(Schema.String, Schema.Unknown),
  since_ms: Schema.Finite
})

/** Type of {@link ReplayQuery}. */
export type ReplayQuery = typeof ReplayQuery.Type

/** The requests, newest first, and what cannot be known of any of them. */
const ReplayAnswer = Schema.Struct({ requests: Schema.Array(ReplayedRequest), notes: Schema.Array(Schema.String) })

/** Type of what a replay comes to. */
export type ReplayAnswer = typeof ReplayAnswer.Type

/** The fields of a chat request that count; all others are taken and of no weight. */
const RouteQuery = Schema.StructWithRest(
  Schema.Struct({ model: Schema.String, messages: Schema.optionalKey(Schema.Array(Schema.Unknown)) }),
  [Schema.Record(Schema.String, Schema.Unknown)]
)

/** Type of a chat request as it is asked about. */
export type RouteQuery = typeof RouteQuery.Type

/**
 * From whom a request comes that is asked about: the name of its key, what its token says in JSON where that is one of an issuer, lines
 * of headers, and when, in milliseconds since 1970.
 */
const routeOrigin = {
  key: Schema.optionalKey(Schema.String),
  claims: Schema.optionalKey(Schema.String),
  headers: Schema.optionalKey(Schema.String),
  at: Schema.optionalKey(Schema.FiniteFromString)
}

/** Type of what is told of where a request comes from. */
export interface RouteOrigin {
  readonly key?: string
  readonly claims?: string
  readonly headers?: string
  readonly at?: number
}

/** The header that holds a token with which a request is asked about: what stands in a URL ends up in logs. */
export const explainedToken = "x-nexus-explain-token"

// It is not there, or it is not known in time.
const notFound = [Refusal, Refusal.pipe(HttpApiSchema.status(409))] as const

/** All administrative endpoints. */
export const AdminGroup = HttpApiGroup.make("admin").add(
  HttpApiEndpoint.post("route", "/admin/v1/route", {
    query: {
      endpoint: Schema.optionalKey(Endpoint),
      ...routeOrigin
    },
    headers: { [explainedToken]: Schema.optionalKey(Schema.String) },
    payload: RouteQuery,
    success: Route,
    error: Refusal.pipe(HttpApiSchema.status(400))
  }).annotate(OpenApi.Summary, "What would become of a request; nothing is sent to a backend"),
  HttpApiEndpoint.post("replay", "/admin/v1/replay", {
    payload: ReplayQuery,
    success: ReplayAnswer,
    error: Refusal.pipe(HttpApiSchema.status(400))
  }).annotate(OpenApi.Summary, "What would have become of the requests that ended last under another config"),
  HttpApiEndpoint.get("replayFile", "/admin/v1/config/replay", {
    query: { since_ms: Schema.optionalKey(Schema.FiniteFromString) },
    success: ReplayAnswer,
    error: [400, 409, 422].map((status) => Refusal.pipe(HttpApiSchema.status(status)))
  }).annotate(
    OpenApi.Summary,
    "What would have become of the requests that ended last under the config as its file is now"
  ),
  HttpApiEndpoint.get("decisions", "/admin/v1/decisions", { success: RecentRequests }).annotate(
    OpenApi.Summary,
    "The requests that ended last"
  ),
  HttpApiEndpoint.get("decision", "/admin/v1/decisions/:id", {
    params: { id: Schema.String },
    success: Explained,
    error: notFound
  }).annotate(OpenApi.Summary, "One of them by its x-request-id, with the decision behind it"),
  HttpApiEndpoint.get("underWay", "/admin/v1/requests", { success: RequestsUnderWayList }).annotate(
    OpenApi.Summary,
    "The requests that are under way"
  ),
  HttpApiEndpoint.get("oneUnderWay", "/admin/v1/requests/:id", {
    params: { id: Schema.String },
    success: ExplainedUnderWay,
    error: notFound
  }).annotate(OpenApi.Summary, "One of them by its x-request-id, with the decision behind it"),
  HttpApiEndpoint.delete("cancel", "/admin/v1/requests/:id", {
    params: { id: Schema.String },
    success: RequestsUnderWayList,
    error: notFound
  }).annotate(OpenApi.Summary, "Ends the requests under way with this x-request-id, and tells how they stood")
)
