/**
 * The one table of failures: what each of them is to a client, in any dialect. A `GatewayError` without a row here does
 * not compile.
 */
import type { AttemptFailure, GatewayError } from "../domain/errors.ts"
import type { LimitsLeft } from "../domain/rate-limits.ts"

/** What a failure is to a client; `retryAfter` in seconds. */
export interface Failure {
  readonly status: number
  /** Who can mend it: who wrote the request, who holds the key, who waits, who pays, who runs the server. */
  readonly fault: "request" | "key" | "rate" | "quota" | "server"
  readonly code: string
  readonly param: string | null
  readonly message: string
  readonly retryAfter?: number
  /** How long a prompt is at least, and what there is room for, in tokens; set when that is the failure. */
  readonly context?: { readonly needs: number; readonly has: number }
  /** Why each backend did not answer; sent as `x-nexus-rejection-reasons`. */
  readonly reasons?: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
  /** What is left of limits; sent in the headers of the dialect. */
  readonly left?: LimitsLeft
}

type Table = { readonly [T in GatewayError["_tag"]]: (error: Extract<GatewayError, { _tag: T }>) => Failure }

const invalid = (status: number, code: string, param: string | null, message: string): Failure => ({
  status,
  fault: "request",
  code,
  param,
  message
})

const server = (status: number, code: string, message: string): Failure => ({
  status,
  fault: "server",
  code,
  param: null,
  message
})

/** Tells the client's library to leave it at one try. */
export const neverRetry: Readonly<Record<string, string>> = { "x-should-retry": "false" }

const megabytes = (bytes: number): string => `${Math.round((bytes / 1_048_576) * 1000) / 1000} MB`

// A model is named when it is another than the one asked for, as a fallback is.
const reasonsFor = (asked: string, failures: ReadonlyArray<AttemptFailure>): ReadonlyArray<string> =>
  failures.map(({ backend, model, reason }) => `${backend}${model === asked ? "" : ` (${model})`}: ${reason}`)

// What is passed on to one backend has none.
const forModel = (model: string): string => (model === "" ? "" : ` for model '${model}'`)

// Backends named in a message at most, so that it stays one that is read.
const mostNamed = 10

/** Why each backend did not answer, in words that end a sentence. */
const reasonsText = (asked: string, failures: ReadonlyArray<AttemptFailure>): string => {
  const told = new Map<string, number>()
  for (const { backend, model, reason } of failures) {
    const line = `backend '${backend}'${model === asked ? "" : ` (${model})`}: ${reason}`
    told.set(line, (told.get(line) ?? 0) + 1)
  }
  const lines = [...told].map(([line, times]) => (times === 1 ? line : `${line} (${times} times)`))
  const more = lines.length - mostNamed
  return `${lines.slice(0, mostNamed).join("; ")}${more > 0 ? `; and ${more} more` : ""}`
}

const meantWords = (names: ReadonlyArray<string> = []): string => {
  const quoted = names.map((name) => `'${name}'`)
  const last = quoted.pop()
  if (last === undefined) return ""
  return `Did you mean ${quoted.length === 0 ? "" : `${quoted.join(", ")} or `}${last}? `
}

const actionFailures = {
  missing: { status: 404, code: "model_not_found" },
  room: { status: 507, code: "not_enough_room" },
  unable: { status: 501, code: "not_implemented" },
  refused: { status: 502, code: "bad_gateway" },
  unreachable: { status: 502, code: "bad_gateway" }
} as const

/** Every failure with its form, by tag. */
export const failureTable: Table = {
  BadRequest: (e) => invalid(400, "bad_request", e.param, e.message),
  Unauthorized: (e) => ({
    ...invalid(401, "invalid_api_key", null, e.message),
    fault: "key",
    headers: { "www-authenticate": "Bearer" }
  }),
  IssuerUnavailable: (e) => ({
    ...server(503, "service_unavailable", e.message),
    retryAfter: e.retryAfterSeconds
  }),
  Forbidden: (e) => invalid(403, "forbidden", null, e.message),
  ModelNotAllowed: (e) =>
    invalid(
      403,
      "model_not_allowed",
      "model",
      `${e.by === "models" ? `This API key may not use model '${e.model}'` : `This API key may use none of the backends that have model '${e.model}'`}. ${e.available.length === 0 ? "There is none that it may use now" : `It may use: ${e.available.join(", ")}`}`
    ),
  ModelNotFound: (e) =>
    invalid(
      404,
      "model_not_found",
      "model",
      `Model '${e.model}' not found${e.led === undefined ? "" : `: ${e.led}`}. ${meantWords(e.meant)}${e.available.length === 0 ? "No models available" : `Available: ${e.available.join(", ")}`}` +
        (e.silent === undefined ? "" : `. Not heard of yet: ${reasonsText(e.model, e.silent)}`)
    ),
  ModelCapabilityMismatch: (e) =>
    invalid(
      400,
      "model_capability_mismatch",
      e.param,
      `Model '${e.model}' cannot serve this request: it lacks ${e.missing}`
    ),
  ContextLengthExceeded: (e) => ({
    ...invalid(
      400,
      "context_length_exceeded",
      e.param,
      `The maximum context length of model '${e.model}' is ${e.has} tokens. However, your request has at least ${e.needs} tokens in '${e.param}'. Please reduce its length`
    ),
    context: { needs: e.needs, has: e.has }
  }),
  ServiceUnavailable: (e) => ({
    ...server(
      503,
      "service_unavailable",
      `No healthy backends available${forModel(e.model)}${e.reasons.length === 0 ? "" : `: ${reasonsText(e.model, e.reasons)}`}`
    ),
    retryAfter: e.retryAfterSeconds,
    reasons: reasonsFor(e.model, e.reasons)
  }),
  ZoneNotAllowed: (e) => ({
    ...invalid(
      403,
      "zone_not_allowed",
      null,
      `No backend${forModel(e.model)} is where this request may go: ${reasonsText(e.model, e.reasons)}`
    ),
    reasons: reasonsFor(e.model, e.reasons),
    headers: neverRetry
  }),
  BudgetExceeded: (e) => ({
    status: 402,
    fault: "quota",
    code: "insufficient_quota",
    param: null,
    message: e.message,
    retryAfter: e.retryAfterSeconds,
    headers: { ...(e.isUnknown === true ? {} : neverRetry), "x-nexus-budget": e.budget }
  }),
  PolicyBlocked: (e) => ({
    ...invalid(
      400,
      "content_policy_violation",
      null,
      `${e.phase === "request" ? "The request" : "The answer"} was blocked by hook '${e.hook}'${e.reason === "" ? "" : `: ${e.reason}`}`
    ),
    headers: neverRetry
  }),
  HookUnavailable: (e) => ({
    ...server(
      503,
      "hook_unavailable",
      `Hook '${e.hook}' has to judge the request and its answer, and does not answer; nothing goes on without it`
    ),
    retryAfter: e.retryAfterSeconds
  }),
  Overloaded: (e) => ({
    status: 429,
    fault: "rate",
    code: "rate_limit_exceeded",
    param: null,
    message: e.message,
    retryAfter: e.retryAfterSeconds,
    ...(e.queued === undefined
      ? {}
      : {
          headers: {
            "x-nexus-queue-position": String(e.queued.before + 1),
            "x-nexus-queue-seconds": String(e.queued.seconds)
          }
        })
  }),
  RateLimited: (e) => ({
    status: 429,
    fault: "rate",
    code: "rate_limit_exceeded",
    param: null,
    message: e.message,
    retryAfter: e.retryAfterSeconds,
    left: e.left
  }),
  OutOfFiles: (e) => ({
    ...server(
      503,
      "service_unavailable",
      "Nexus is at its limit of open files (ulimit -n) and can take no connection more; no backend is at fault"
    ),
    retryAfter: e.retryAfterSeconds,
    headers: { connection: "close" }
  }),
  Stopping: (e) => ({
    ...server(503, "service_unavailable", "Nexus is stopping; try again in a moment"),
    retryAfter: e.retryAfterSeconds,
    headers: { connection: "close" }
  }),
  // Nobody's retry is to bring back what a person has ended.
  Cancelled: () => ({
    ...server(499, "request_cancelled", "An administrator of Nexus has cancelled this request"),
    headers: neverRetry
  }),
  BadGateway: (e) => ({
    ...server(
      502,
      "bad_gateway",
      `No good answer from a backend${forModel(e.model)}: ${reasonsText(e.model, e.failures)}`
    ),
    reasons: reasonsFor(e.model, e.failures),
    headers: neverRetry
  }),
  LoopDetected: (e) => ({
    ...server(
      508,
      "loop_detected",
      `The request goes in a circle between gateways: it has passed ${e.hops} of them already`
    ),
    headers: neverRetry
  }),
  GatewayTimeout: (e) => server(504, "gateway_timeout", e.message),
  RequestTimeout: (e) => ({
    ...invalid(408, "request_timeout", null, e.message),
    headers: { connection: "close" }
  }),
  // The rest of its body is read past: a client, or a proxy, that sends on into a closed connection sees no answer.
  PayloadTooLarge: (e) =>
    invalid(
      413,
      "payload_too_large",
      null,
      `The request body is larger than ${megabytes(e.limitBytes)}${e.why === undefined ? "" : `, ${e.why}`}`
    ),
  UriTooLong: (e) => invalid(414, "uri_too_long", null, `The URL is longer than ${e.limit} characters`),
  UnsupportedMediaType: (e) => invalid(415, "unsupported_media_type", null, e.message),
  NotFound: (e) =>
    invalid(
      404,
      "not_found",
      null,
      `Nothing at ${e.method} ${e.path}${e.instead === undefined ? "" : `. ${e.instead}`}`
    ),
  RequestNotKept: (e) =>
    invalid(404, "not_found", null, `No request '${e.id}' among the last ${e.kept}; its id is in x-request-id`),
  RequestNotUnderWay: (e) => invalid(404, "not_found", null, `No request '${e.id}' is under way`),
  MethodNotAllowed: (e) => ({
    ...invalid(
      405,
      "method_not_allowed",
      null,
      `${e.method} is not allowed on ${e.path}; use ${e.allowed.join(" or ")}`
    ),
    headers: { allow: e.allowed.join(", ") }
  }),
  BackendNotFound: (e) =>
    invalid(
      404,
      "backend_not_found",
      "name",
      `No backend '${e.name}'. ${e.known.length === 0 ? "There are none" : `There are: ${e.known.join(", ")}`}`
    ),
  Conflict: (e) => invalid(409, "conflict", null, e.message),
  ConfigRefused: (e) => invalid(422, "config_invalid", null, e.message),
  NotImplemented: (e) => ({
    ...server(
      501,
      "not_implemented",
      e.why ?? `No backend that has model '${e.model}' knows of '${e.operation}', and Nexus cannot do that for it`
    ),
    param: "model",
    headers: neverRetry
  }),
  ModelActionFailed: (e) => {
    const message = `Backend '${e.backend}' did not ${e.action} '${e.model}': ${e.reason}`
    const { code, status } = actionFailures[e.fault]
    return e.fault === "missing" ? invalid(status, code, "model", message) : server(status, code, message)
  },
  Internal: (e) =>
    server(500, "internal_error", `Internal error; the log has its cause under request id ${e.requestId}`)
}

/** What a failure is to a client. */
export const failureFor = (error: GatewayError): Failure =>
  (failureTable[error._tag] as (error: GatewayError) => Failure)(error) // reason: the row is looked up by the error's own tag
