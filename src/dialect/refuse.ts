/**
 * The HTTP answer for a failure: its status and headers are those of every dialect, its body is one dialect's own.
 */
import { type GatewayError, NotFound } from "../domain/errors.ts"
import { maxWaitSeconds } from "../domain/retry-after.ts"
import type { Dialect } from "./Dialect.ts"
import { type Failure, failureFor } from "./failures.ts"
import { putLimits } from "./limit-headers.ts"

/** Where clients of any dialect find what they look for, those of `first` before the others. */
export const placesOf = (dialects: ReadonlyArray<Pick<Dialect, "hint">>, first?: Pick<Dialect, "hint">): string => {
  const all = first === undefined ? dialects : [first, ...dialects.filter((dialect) => dialect !== first)]
  return `${all.map(({ hint }) => hint).join("; ")}; /docs lists what there is`
}

/** What a failure is to the clients of a dialect, who are told of its paths where nothing is. */
export const failureIn = (dialect: Pick<Dialect, "hint">, error: GatewayError): Failure =>
  failureFor(
    error._tag === "NotFound" && error.instead === undefined
      ? new NotFound({ method: error.method, path: error.path, instead: placesOf([dialect]) })
      : error
  )

/** The body of a failure, in a dialect. */
export const refusalBody = (dialect: Dialect, error: GatewayError): string =>
  dialect.errorBody(failureIn(dialect, error))

// Header values hold visible ASCII only, and stay short.
const headerText = (reasons: ReadonlyArray<string>): string =>
  reasons
    .join("; ")
    .replace(/[^\x20-\x7e]/g, "?")
    .slice(0, 1000)

/** Puts in the headers by which clients know the id of their request. */
export const putRequestId = (
  headers: Record<string, string>,
  { headers: { id } }: Dialect,
  requestId: string
): void => {
  headers["x-request-id"] = requestId
  if (id !== undefined) headers[id] = requestId
}

/** Those headers alone. */
export const requestIdHeaders = (dialect: Dialect, requestId: string): Record<string, string> => {
  const headers = {}
  putRequestId(headers, dialect, requestId)
  return headers
}

/** The HTTP answer for a failure; `extra` headers are laid over its own. */
export const refuse = (
  dialect: Dialect,
  error: GatewayError,
  requestId: string,
  extra?: Readonly<Record<string, string>>
): Response => refuseWith(dialect, failureIn(dialect, error), requestId, extra)

/** The same for one whose form is known. */
export const refuseWith = (
  dialect: Dialect,
  failure: Failure,
  requestId: string,
  extra: Readonly<Record<string, string>> = {}
): Response => {
  const headers: Record<string, string> = {
    "content-type": dialect.types.whole,
    ...requestIdHeaders(dialect, requestId),
    ...failure.headers
  }
  if (failure.left !== undefined) putLimits(headers, dialect, failure.left)
  Object.assign(headers, extra)
  if (failure.retryAfter !== undefined) {
    headers["retry-after"] = String(Math.min(maxWaitSeconds, Math.max(1, Math.ceil(failure.retryAfter))))
  }
  if (failure.reasons !== undefined && failure.reasons.length > 0) {
    headers["x-nexus-rejection-reasons"] = headerText(failure.reasons)
  }
  return new Response(dialect.errorBody(failure, requestId), { status: failure.status, headers })
}
