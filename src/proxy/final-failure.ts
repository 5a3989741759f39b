/**
 * What the failure of the last attempt means to the client.
 */
import { type Conceal, concealed } from "../domain/conceal.ts"
import {
  BadGateway,
  GatewayTimeout,
  OutOfFiles,
  ServiceUnavailable,
  type AttemptFailure,
  type GatewayError
} from "../domain/errors.ts"
import { spreadWait } from "../domain/retry-after.ts"
import { BadAnswer, ErrorStatus, type LimitName, type UpstreamError } from "../domain/upstream-errors.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import { errorWords } from "../domain/sentence.ts"

const seconds = (ms: number): string => `${Math.round(ms) / 1000} s`

const limitWords: Readonly<Record<LimitName, (after: string) => string>> = {
  connect: (after) => `No connection to the backend within connect_timeout_seconds (${after})`,
  first_byte: (after) => `No answer began within first_byte_timeout_seconds (${after})`,
  idle: (after) => `The backend was silent for longer than idle_timeout_seconds (${after})`,
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
export const reasonOf = (error: UpstreamError): string => {
  switch (error._tag) {
    case "TimedOut":
      return limitWords[error.limit](seconds(error.afterMs))
    case "BadAnswer":
      return withWords(`answered with ${error.reason}`, error.body)
    case "ErrorStatus":
      return withWords(`answered with status ${error.status}`, isTheirs(error.status) ? undefined : error.body)
    default:
      return error.reason
  }
}

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/** Bytes without what is not to be told; the very same when there is nothing of it. */
export const concealedBytes = (bytes: Uint8Array, conceal: Conceal): Uint8Array => {
  const text = decoder.decode(bytes)
  const kept = conceal(text)
  return kept === text ? bytes : encoder.encode(kept)
}

/** The failure without what is not to be told: it goes to clients, headers and logs from here on. */
export const discreet = (error: UpstreamError, conceal: Conceal): UpstreamError => {
  if (error._tag !== "BadAnswer" && error._tag !== "ErrorStatus") return error
  const body = error.body === undefined ? undefined : concealedBytes(error.body, (text) => concealed(text, conceal))
  if (error._tag === "ErrorStatus")
    return body === error.body ? error : new ErrorStatus({ ...error, ...(body === undefined ? {} : { body }) })
  return new BadAnswer({ ...error, ...(body === undefined ? {} : { body }), reason: conceal(error.reason) })
}

/** Retry time when nothing says better, in seconds. */
const retryAfterSeconds = 5

/** The gateway error for the failure of the last attempt at `model`; `random` spreads the time to retry. */
export const failureOf = (
  error: UpstreamError,
  model: string,
  failures: ReadonlyArray<AttemptFailure>,
  random: () => number = () => 0
): GatewayError => {
  const unavailable = (seconds: number) =>
    new ServiceUnavailable({ model, reasons: failures, retryAfterSeconds: spreadWait(seconds, random) })
  if (error._tag === "TimedOut") return new GatewayTimeout({ message: reasonOf(error), limit: error.limit })
  if (error._tag === "Unreachable" && error.own === true) {
    return new OutOfFiles({ retryAfterSeconds: spreadWait(1, random) })
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
export const passOn = (
  dialect: Dialect,
  error: ErrorStatus,
  requestId: string,
  decision: Readonly<Record<string, string>>,
  random: () => number
): Response => {
  const headers: Record<string, string> = {
    "content-type": dialect.types.whole,
    "x-request-id": requestId,
    ...decision
  }
  if (error.retryAfterMs !== undefined) {
    headers["retry-after"] = String(spreadWait(error.retryAfterMs / 1000, random))
  }
  const body = dialect.passedError(error.status, error.body) as Uint8Array<ArrayBuffer> // reason: never on shared memory
  return new Response(body, { status: error.status, headers })
}
