/**
 * What the failure of the last attempt means to the client.
 */
import * as Data from "effect/Data"
import { type Redact, redacted } from "../domain/redact.ts"
import {
  BadGateway,
  GatewayTimeout,
  OutOfFiles,
  ServiceUnavailable,
  type AttemptFailure,
  type GatewayError
} from "../domain/errors.ts"
import type { Outcome } from "../domain/request.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import {
  BadAnswer,
  ConnectionLost,
  ErrorStatus,
  type LimitName,
  type UpstreamError
} from "../domain/upstream-errors.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import { errorWords } from "../domain/error-text.ts"
import { neverRetry } from "../dialect/failures.ts"
import { failureIn, refuse, refuseWith, requestIdHeaders } from "../dialect/refuse.ts"
import type { Attempt } from "../router/choice.ts"
import { carriesKey, decisionHeaders, ownAnswerHeaders } from "./answer-head.ts"
import type { RequestRecord } from "./record.ts"

/** Nothing more is tried: how the last attempt failed. */
export class GaveUp extends Data.TaggedError("GaveUp")<{
  readonly error: UpstreamError
  readonly attempt: Attempt
  /** Whether the backend's own answer is for the client to see. */
  readonly pass: boolean
  /** Whether the client's library would only multiply what has been tried already. */
  readonly final: boolean
}> {}

/** How a request ends that has got no good answer, and what its client gets instead. */
export interface Unanswered {
  readonly outcome: Outcome
  /** Who failed last; empty when nobody was asked. */
  readonly backend: string
  readonly response: Response
  /** Why the gateway itself has refused it. */
  readonly refusal?: string
}

// What they say is of the gateway and its settings alone; others may quote the request, which is for its client.
const ofOurs: ReadonlySet<GatewayError["_tag"]> = new Set(["BudgetExceeded", "Overloaded", "RateLimited"])

/** What the gateway itself refuses a request with, and why, as it is remembered. */
export const ownRefusal = (dialect: Dialect, error: GatewayError, requestId: string): Unanswered => {
  const failure = failureIn(dialect, error)
  const { code, message } = failure
  return {
    outcome: "refused",
    backend: "",
    response: refuseWith(dialect, failure, requestId),
    refusal: ofOurs.has(error._tag) ? `${code}: ${message}` : code
  }
}

const seconds = (ms: number): string => `${Math.round(ms) / 1000} s`

const limitWords: Readonly<Record<LimitName, (after: string) => string>> = {
  connect: (after) => `No connection to the backend within connect_timeout_seconds (${after})`,
  first_byte: (after) => `No answer began within first_byte_timeout_seconds (${after})`,
  idle: (after) => `The backend was silent for longer than idle_timeout_seconds (${after})`,
  queue: (after) => `No backend had a slot within queue_timeout_seconds (${after})`,
  request: (after) => `The request exceeded request_timeout_seconds (${after})`,
  upload: (after) => `The request body did not arrive within upload_timeout_seconds (${after})`,
  stall: (after) => `The client took nothing for longer than stall_timeout_seconds (${after})`
}

// What is wrong with a request may quote it: that is for its client alone.
const isTheirs = (status: number): boolean => status < 500 && ![401, 403, 408, 429].includes(status)

const withWords = (what: string, body: Uint8Array | undefined): string => {
  const words = body === undefined ? undefined : errorWords(body)
  return words === undefined ? what : `${what}: ${words}`
}

/** The failure in words that may be shown: no address, key or runtime text. */
export const failureReason = (error: UpstreamError): string => {
  switch (error._tag) {
    case "TimedOut":
      return limitWords[error.limit](seconds(error.afterMs))
    case "BadAnswer":
      // What is wrong with its bytes says so in a sentence.
      return error.reason.startsWith("the answer ")
        ? error.reason
        : withWords(`answered with ${error.reason}`, error.body)
    case "ErrorStatus":
      return withWords(`answered with status ${error.status}`, isTheirs(error.status) ? undefined : error.body)
    default:
      return error.reason
  }
}

// What the gateway itself has ended answers for.
const ownEnds = new WeakMap<UpstreamError, GatewayError>()

/** What a flow is cut with that the gateway itself ends: no backend is at fault, and the client is told why. */
export const endedFor = (why: GatewayError, reason = "the answer may not go on"): UpstreamError => {
  const end = new ConnectionLost({ reason, answered: true })
  ownEnds.set(end, why)
  return end
}

/** What the gateway itself has ended an answer for; undefined where it has not. */
export const ownEndOf = (error: UpstreamError): GatewayError | undefined => ownEnds.get(error)

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Bytes without what is not to be told; the very same when there is nothing of it. */
export const redactedBytes = (bytes: Uint8Array, redact: Redact): Uint8Array => {
  const text = decoder.decode(bytes)
  const kept = redact(text)
  return kept === text ? bytes : encoder.encode(kept)
}

/** The failure without what is not to be told: it goes to clients, headers and logs from here on. */
export const redactedError = (error: UpstreamError, redact: Redact): UpstreamError => {
  if (error._tag !== "BadAnswer" && error._tag !== "ErrorStatus") return error
  const body = error.body === undefined ? undefined : redactedBytes(error.body, (text) => redacted(text, redact))
  if (error._tag === "ErrorStatus")
    return body === error.body ? error : new ErrorStatus({ ...error, ...(body === undefined ? {} : { body }) })
  return new BadAnswer({ ...error, ...(body === undefined ? {} : { body }), reason: redact(error.reason) })
}

/** Retry time when nothing says better, in seconds. */
const retryAfterSeconds = 5

/** The gateway error for the failure of the last attempt at `model`; `random` spreads the time to retry. */
export const gatewayErrorFor = (
  error: UpstreamError,
  model: string,
  failures: ReadonlyArray<AttemptFailure>,
  random: () => number = () => 0
): GatewayError => {
  const unavailable = (seconds: number) =>
    new ServiceUnavailable({ model, reasons: failures, retryAfterSeconds: jitteredWait(seconds, random) })
  if (error._tag === "TimedOut") return new GatewayTimeout({ message: failureReason(error), limit: error.limit })
  if (error._tag === "Unreachable" && error.own === true) {
    return new OutOfFiles({ retryAfterSeconds: jitteredWait(1, random) })
  }
  if (error._tag === "Unreachable") return unavailable(retryAfterSeconds)
  if (error._tag === "ErrorStatus" && (error.status === 503 || error.status === 529)) {
    const asked = error.retryAfterMs === undefined ? retryAfterSeconds : error.retryAfterMs / 1000
    return unavailable(asked)
  }
  if (error._tag === "ErrorStatus" && error.status === 504) {
    const words = errorWords(error.body)
    const message = `The backend itself timed out (status 504)${words === undefined ? "" : `: ${words}`}`
    return new GatewayTimeout({ message, limit: "request" })
  }
  return new BadGateway({ model, failures })
}

/** A backend's own error status as the client gets it, in the shape of its dialect. */
const passOn = (
  dialect: Dialect,
  error: ErrorStatus,
  requestId: string,
  decision: Readonly<Record<string, string>>,
  random: () => number
): Response => {
  const headers: Record<string, string> = {
    "content-type": dialect.types.whole,
    ...requestIdHeaders(dialect, requestId),
    ...decision
  }
  if (error.retryAfterMs !== undefined) {
    headers["retry-after"] = String(jitteredWait(error.retryAfterMs / 1000, random))
  }
  const body = dialect.passedError(error.status, error.body, requestId) as Uint8Array<ArrayBuffer> // reason: never on shared memory
  return new Response(body, { status: error.status, headers })
}

// What is left of what its key may be used for is the same of a refusal as of an answer.
const toldIn = (error: UpstreamError, attempt: Attempt): Readonly<Record<string, string>> =>
  error._tag === "ErrorStatus" && error.headers !== undefined
    ? Object.fromEntries(Object.entries(error.headers).filter(([, value]) => !carriesKey(attempt, value)))
    : {}

/** What the client gets when the last attempt has failed: the backend's own refusal, or what became of all attempts. */
export const finalAnswer = (
  record: RequestRecord,
  { attempt, error, final, pass }: GaveUp,
  random: () => number
): Unanswered => {
  const { failures, id, model } = record
  const { dialect } = record.route
  const backend = attempt.candidate.state.backend.name
  const own = pass && error._tag === "ErrorStatus" ? error : undefined
  const headersOf = own === undefined ? decisionHeaders : ownAnswerHeaders
  const headers = { ...toldIn(error, attempt), ...headersOf(attempt, record), ...(final ? neverRetry : {}) }
  if (own !== undefined) return { outcome: "refused", backend, response: passOn(dialect, own, id, headers, random) }
  const failure = gatewayErrorFor(error, model, failures, random)
  return { outcome: "failed", backend, response: refuse(dialect, failure, id, headers) }
}
