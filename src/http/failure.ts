/**
 * What the failure of the last attempt means to the client.
 */
import {
  BadGateway,
  GatewayTimeout,
  ServiceUnavailable,
  type AttemptFailure,
  type GatewayError
} from "../domain/errors.ts"
import type { ErrorStatus, LimitName, UpstreamError } from "../domain/upstream.ts"
import { messageOf, openAiErrorBody } from "./error-body.ts"

const seconds = (ms: number): string => `${Math.round(ms) / 1000} s`

const limitWords: Readonly<Record<LimitName, (after: string) => string>> = {
  connect: (after) => `No connection to the backend within connect_timeout_seconds (${after})`,
  first_byte: (after) => `No answer began within first_byte_timeout_seconds (${after})`,
  idle: (after) => `The backend was silent for longer than idle_timeout_seconds (${after})`,
  request: (after) => `The request exceeded request_timeout_seconds (${after})`,
  upload: (after) => `The request body did not arrive within upload_timeout_seconds (${after})`,
  stall: (after) => `The client took nothing for longer than stall_timeout_seconds (${after})`
}

/** The failure in words that may be shown: no address, key or runtime text. */
export const reasonOf = (error: UpstreamError): string => {
  switch (error._tag) {
    case "TimedOut":
      return limitWords[error.limit](seconds(error.afterMs))
    case "BadAnswer":
      return `answered with ${error.reason}`
    case "ErrorStatus":
      return `answered with status ${error.status}`
    default:
      return error.reason
  }
}

/** Retry time when nothing says better, in seconds. */
const retryAfterSeconds = 5

/** The gateway error for the failure of the last attempt at `model`. */
export const failureOf = (
  error: UpstreamError,
  model: string,
  failures: ReadonlyArray<AttemptFailure>
): GatewayError => {
  if (error._tag === "TimedOut") return new GatewayTimeout({ message: reasonOf(error), limit: error.limit })
  if (error._tag === "Unreachable") return new ServiceUnavailable({ model, reasons: failures, retryAfterSeconds })
  if (error._tag === "ErrorStatus" && (error.status === 503 || error.status === 529)) {
    const asked = error.retryAfterMs === undefined ? retryAfterSeconds : error.retryAfterMs / 1000
    return new ServiceUnavailable({ model, reasons: failures, retryAfterSeconds: Math.min(300, Math.max(1, asked)) })
  }
  if (error._tag === "ErrorStatus" && error.status === 504) {
    return new GatewayTimeout({ message: "The backend itself timed out (status 504)", limit: "request" })
  }
  // What a backend says about the gateway's own key is not for clients to read.
  const quotable = error._tag === "ErrorStatus" && error.status !== 401 && error.status !== 403
  const said = quotable ? messageOf(error.body)?.slice(0, 500) : undefined
  const name = failures.at(-1)?.backend ?? ""
  const reason = `backend '${name}': ${said === undefined ? reasonOf(error) : `${reasonOf(error)}: ${said}`}`
  return new BadGateway({ model, reason, failures })
}

/** A backend's own error status as the client gets it, in OpenAI's shape. */
export const passOn = (error: ErrorStatus, requestId: string, decision: Readonly<Record<string, string>>): Response => {
  const headers: Record<string, string> = { "content-type": "application/json", "x-request-id": requestId, ...decision }
  if (error.retryAfterMs !== undefined) {
    headers["retry-after"] = String(Math.min(300, Math.max(1, Math.ceil(error.retryAfterMs / 1000))))
  }
  const body = openAiErrorBody(error.status, error.body) as Uint8Array<ArrayBuffer> // reason: never on shared memory
  return new Response(body, { status: error.status, headers })
}
