/**
 * The head of an answer to the client: an allow-list of what the backend said, and what Nexus says of its choice.
 */
import type { Attempt } from "../router/plan.ts"
import type { Arrival } from "../upstream/arrival.ts"
import { locality } from "../domain/backend.ts"

// Everything else a backend says of itself (server, cookies, its own ids and quotas) stays with Nexus; so does a wait,
// which is for refusals.
const passed = ["content-type", "content-encoding", "openai-processing-ms"] as const

/** Headers of an answer that comes from a backend. */
export const replyHeaders = (
  head: Arrival,
  attempt: Attempt,
  requestId: string,
  attempts: number
): Record<string, string> => {
  const headers = answererHeaders(attempt, attempts)
  headers["x-request-id"] = requestId
  for (const name of passed) {
    const value = head.header(name)
    if (value !== null) headers[name] = value
  }
  return headers
}

/** Headers that say which backend was asked last and why. */
export const decisionHeaders = (attempt: Attempt, attempts: number): Record<string, string> => {
  const { backend } = attempt.candidate.state
  return {
    "x-nexus-backend": backend.name,
    "x-nexus-backend-type": locality(backend.type),
    "x-nexus-route-reason": attempts > 1 ? "failover" : attempt.reason,
    "x-nexus-attempts": String(attempts)
  }
}

/** The same for an answer that is the backend's own: with the model when it is a fallback. */
export const answererHeaders = (attempt: Attempt, attempts: number): Record<string, string> => {
  const headers = decisionHeaders(attempt, attempts)
  if (attempt.fallback) headers["x-nexus-fallback-model"] = headerText(attempt.model)
  return headers
}

/** Headers that keep middle boxes from holding back an event stream. */
export const streamHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-cache",
  "x-accel-buffering": "no"
}

const headerText = (text: string): string => (/^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text))
