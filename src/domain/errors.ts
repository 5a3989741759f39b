/**
 * Every failure the gateway itself can answer with. `dialect/failures.ts` says of each tag what it is to a client; one that
 * is missing there does not compile.
 */
import * as Schema from "effect/Schema"
import { hookPhases } from "./hook-rules.ts"

/** Why one candidate did not answer, in words that hold no address, key or runtime text. */
export const AttemptFailure = Schema.Struct({ backend: Schema.String, model: Schema.String, reason: Schema.String })

/** One failed attempt. */
export type AttemptFailure = typeof AttemptFailure.Type

/** The request is not what the endpoint takes; `param` is the field at fault. */
export class BadRequest extends Schema.TaggedError<BadRequest>()("BadRequest", {
  message: Schema.String,
  param: Schema.NullOr(Schema.String)
}) {}

/** The request carries no key the gateway knows. */
export class Unauthorized extends Schema.TaggedError<Unauthorized>()("Unauthorized", { message: Schema.String }) {}

/** The issuer of a token has not told the keys by which it could be checked. */
export class IssuerUnavailable extends Schema.TaggedError<IssuerUnavailable>()("IssuerUnavailable", {
  message: Schema.String,
  retryAfterSeconds: Schema.Number
}) {}

/** The request comes from where it may not: a foreign `Host`, or a browser page of an origin that is not listed. */
export class Forbidden extends Schema.TaggedError<Forbidden>()("Forbidden", { message: Schema.String }) {}

/**
 * The key is not for the model, or for none of the backends that have it; `available` are the names that it may ask for now.
 */
export class ModelNotAllowed extends Schema.TaggedError<ModelNotAllowed>()("ModelNotAllowed", {
  model: Schema.String,
  by: Schema.Literals(["models", "backends"]),
  available: Schema.Array(Schema.String)
}) {}

/**
 * No backend has ever named the model; `available` are the names that can be used now, `meant` those that may have been
 * meant, `led` where an alias or a group led, `silent` the backends that have listed nothing yet.
 */
export class ModelNotFound extends Schema.TaggedError<ModelNotFound>()("ModelNotFound", {
  model: Schema.String,
  available: Schema.Array(Schema.String),
  meant: Schema.optionalKey(Schema.Array(Schema.String)),
  led: Schema.optionalKey(Schema.String),
  silent: Schema.optionalKey(Schema.Array(AttemptFailure))
}) {}

/** Backends serve the model, and none of them can do what the request asks; `missing` says what. */
export class ModelCapabilityMismatch extends Schema.TaggedError<ModelCapabilityMismatch>()("ModelCapabilityMismatch", {
  model: Schema.String,
  missing: Schema.String,
  param: Schema.NullOr(Schema.String)
}) {}

/**
 * The prompt is longer than the context of every backend that serves the model: `has` is the longest of these, `needs` what
 * the prompt takes at least.
 */
export class ContextLengthExceeded extends Schema.TaggedError<ContextLengthExceeded>()("ContextLengthExceeded", {
  model: Schema.String,
  has: Schema.Number,
  needs: Schema.Number,
  param: Schema.String
}) {}

/** The model is known and no backend that could serve it is in rotation. */
export class ServiceUnavailable extends Schema.TaggedError<ServiceUnavailable>()("ServiceUnavailable", {
  model: Schema.String,
  reasons: Schema.Array(AttemptFailure),
  retryAfterSeconds: Schema.Number
}) {}

/** All that serve the model are in zones that the request may not go to. */
export class ZoneNotAllowed extends Schema.TaggedError<ZoneNotAllowed>()("ZoneNotAllowed", {
  model: Schema.String,
  reasons: Schema.Array(AttemptFailure)
}) {}

/** A budget has no room for the request, or nobody can say for the moment whether it has; `budget` is its name. */
export class BudgetExceeded extends Schema.TaggedError<BudgetExceeded>()("BudgetExceeded", {
  budget: Schema.String,
  isUnknown: Schema.optionalKey(Schema.Boolean),
  message: Schema.String,
  retryAfterSeconds: Schema.Number
}) {}

/** A hook does not let a request, or its answer, go on; `reason` is what it says of that. */
export class PolicyBlocked extends Schema.TaggedError<PolicyBlocked>()("PolicyBlocked", {
  hook: Schema.String,
  phase: Schema.Literals(hookPhases),
  reason: Schema.String
}) {}

/** A hook that has to judge a request, or its answer, does not say anything of it. */
export class HookUnavailable extends Schema.TaggedError<HookUnavailable>()("HookUnavailable", {
  hook: Schema.String,
  retryAfterSeconds: Schema.Number
}) {}

const AmountLeftSchema = Schema.Struct({ limit: Schema.Number, left: Schema.Number, resetMs: Schema.Number })

const LimitsLeftSchema = Schema.Struct({
  at: Schema.Number,
  requests: Schema.optional(AmountLeftSchema),
  tokens: Schema.optional(AmountLeftSchema)
})

/** The gateway takes no more work now: too many requests, or it is stopping. */
export class Overloaded extends Schema.TaggedError<Overloaded>()("Overloaded", {
  message: Schema.String,
  retryAfterSeconds: Schema.Number,
  /** Of one that waited, or would have to wait, for a slot: how many are before it, and for how long that is, in seconds. */
  queued: Schema.optionalKey(Schema.Struct({ before: Schema.Number, seconds: Schema.Number }))
}) {}

/** A limit of the key, its owner or the model is reached; `left` is what is left of all of them. */
export class RateLimited extends Schema.TaggedError<RateLimited>()("RateLimited", {
  message: Schema.String,
  retryAfterSeconds: Schema.Number,
  left: LimitsLeftSchema
}) {}

/** The gateway may open no more files, and so no connection. */
export class OutOfFiles extends Schema.TaggedError<OutOfFiles>()("OutOfFiles", { retryAfterSeconds: Schema.Number }) {}

/** The gateway is stopping. */
export class Stopping extends Schema.TaggedError<Stopping>()("Stopping", { retryAfterSeconds: Schema.Number }) {}

/** An administrator has ended the request. */
export class Cancelled extends Schema.TaggedError<Cancelled>()("Cancelled", {}) {}

/** Every attempt failed, the last one by an answer that is no good answer, or nobody has the key that is needed. */
export class BadGateway extends Schema.TaggedError<BadGateway>()("BadGateway", {
  model: Schema.String,
  failures: Schema.Array(AttemptFailure)
}) {}

/** The request has passed `hops` gateways already, so it is on its way in a circle. */
export class LoopDetected extends Schema.TaggedError<LoopDetected>()("LoopDetected", { hops: Schema.Number }) {}

/** A time limit ended the request; `limit` is its name in the config. */
export class GatewayTimeout extends Schema.TaggedError<GatewayTimeout>()("GatewayTimeout", {
  message: Schema.String,
  limit: Schema.String
}) {}

/** The client took too long to send its request. */
export class RequestTimeout extends Schema.TaggedError<RequestTimeout>()("RequestTimeout", {
  message: Schema.String
}) {}

/** The request body is larger than `server.max_body_mb`, or `server.max_streamed_mb`; `why` is what that limit is for. */
export class PayloadTooLarge extends Schema.TaggedError<PayloadTooLarge>()("PayloadTooLarge", {
  limitBytes: Schema.Number,
  why: Schema.optionalKey(Schema.String)
}) {}

/** The URL is longer than `limit` characters. */
export class UriTooLong extends Schema.TaggedError<UriTooLong>()("UriTooLong", { limit: Schema.Number }) {}

/** The request body is in a form that is not taken, such as a compressed one. */
export class UnsupportedMediaType extends Schema.TaggedError<UnsupportedMediaType>()("UnsupportedMediaType", {
  message: Schema.String
}) {}

/** There is nothing at this path; `instead` says what to write, where that can be known. */
export class NotFound extends Schema.TaggedError<NotFound>()("NotFound", {
  method: Schema.String,
  path: Schema.String,
  instead: Schema.optionalKey(Schema.String)
}) {}

/** No request of this id is remembered; `kept` is how many are. */
export class RequestNotKept extends Schema.TaggedError<RequestNotKept>()("RequestNotKept", {
  id: Schema.String,
  kept: Schema.Number
}) {}

/** No request of this id is under way. */
export class RequestNotUnderWay extends Schema.TaggedError<RequestNotUnderWay>()("RequestNotUnderWay", {
  id: Schema.String
}) {}

/** The path exists, under other methods. */
export class MethodNotAllowed extends Schema.TaggedError<MethodNotAllowed>()("MethodNotAllowed", {
  method: Schema.String,
  path: Schema.String,
  allowed: Schema.Array(Schema.String)
}) {}

/** There is no backend of this name. */
export class BackendNotFound extends Schema.TaggedError<BackendNotFound>()("BackendNotFound", {
  name: Schema.String,
  /** Names of those there are. */
  known: Schema.Array(Schema.String)
}) {}

/** What an administrator asks for goes against what is there. */
export class Conflict extends Schema.TaggedError<Conflict>()("Conflict", { message: Schema.String }) {}

/** The config has mistakes; `message` tells all of them, one a line. */
export class ConfigRefused extends Schema.TaggedError<ConfigRefused>()("ConfigRefused", { message: Schema.String }) {}

/** What is asked for only servers can do that speak of it themselves, and none of those that have the model does. */
export class NotImplemented extends Schema.TaggedError<NotImplemented>()("NotImplemented", {
  operation: Schema.String,
  model: Schema.String,
  /** Where it is nothing of a model. */
  why: Schema.optionalKey(Schema.String)
}) {}

/** A backend did not load, unload or get a model; `fault` is whose doing that is. */
export class ModelActionFailed extends Schema.TaggedError<ModelActionFailed>()("ModelActionFailed", {
  action: Schema.String,
  backend: Schema.String,
  model: Schema.String,
  fault: Schema.Literals(["missing", "room", "unable", "refused", "unreachable"]),
  reason: Schema.String
}) {}

/** A defect of the gateway; the log has its cause under the request id. */
export class Internal extends Schema.TaggedError<Internal>()("Internal", { requestId: Schema.String }) {}

/** The closed union of all of them. */
export type GatewayError =
  | BadRequest
  | Unauthorized
  | IssuerUnavailable
  | Forbidden
  | ModelNotAllowed
  | ModelNotFound
  | ModelCapabilityMismatch
  | ContextLengthExceeded
  | ServiceUnavailable
  | ZoneNotAllowed
  | BudgetExceeded
  | PolicyBlocked
  | HookUnavailable
  | Overloaded
  | RateLimited
  | OutOfFiles
  | Stopping
  | Cancelled
  | BadGateway
  | LoopDetected
  | GatewayTimeout
  | RequestTimeout
  | PayloadTooLarge
  | UriTooLong
  | UnsupportedMediaType
  | NotFound
  | RequestNotKept
  | RequestNotUnderWay
  | MethodNotAllowed
  | BackendNotFound
  | Conflict
  | ConfigRefused
  | NotImplemented
  | ModelActionFailed
  | Internal
