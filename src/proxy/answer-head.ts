/**
 * The head of an answer to the client: an allow-list of what the backend said, and what Nexus says of its choice.
 */
import * as Redacted from "effect/Redacted"
import { type CutPrompt, cutPromptText } from "../router/cut-prompt.ts"
import type { Attempt } from "../router/choice.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import { isCoded, isOfType } from "../upstream/content-encoding.ts"
import { putLimits } from "../dialect/limit-headers.ts"
import { putRequestId, requestIdHeaders } from "../dialect/refuse.ts"
import type { RequestRecord, Translated } from "./record.ts"
import { locality } from "../backend/backend.ts"
import { zoneOf } from "../backend/zone.ts"

/** Whether a header of an answer has the key of its backend in it, as of a server that means harm or is very confused. */
export const carriesKey = ({ candidate }: Attempt, value: string): boolean => {
  const { apiKey } = candidate.state.backend
  return apiKey !== undefined && value.includes(Redacted.value(apiKey))
}

const pass = (name: string, head: ReceivedAnswer, attempt: Attempt, headers: Record<string, string>): void => {
  const value = head.header(name)
  if (value !== null && !carriesKey(attempt, value)) headers[name] = value
}

/** Makes the headers of an answer that comes from a backend. */
type HeadersOf = (
  head: ReceivedAnswer,
  attempt: Attempt,
  record: Pick<
    RequestRecord,
    "id" | "asked" | "attempts" | "budget" | "cache" | "committed" | "hedge" | "left" | "route" | "trace" | "translated"
  >,
  cutPrompt: CutPrompt | undefined
) => Record<string, string>

// A header that is longer is refused by some clients.
const longestList = 1000

/** Headers that say of an answer that it was translated, and what of its request was left out. */
export const translationHeaders = (translated: Translated | undefined): Record<string, string> => {
  if (translated === undefined) return {}
  const { dropped, label } = translated
  const names = dropped.map(headerText).join(", ")
  return {
    "x-nexus-dialect": label,
    ...(names === "" ? {} : { "x-nexus-dropped": names.slice(0, longestList) })
  }
}

/** Headers of an answer that comes from a backend. */
export const answerHeaders: HeadersOf = (head, attempt, record, cutPrompt) => {
  const { committed, id, route, translated } = record
  const headers = ownAnswerHeaders(attempt, record)
  const answeredModel = committed?.answeredModel
  putRequestId(headers, route.dialect, id)
  if (translated !== undefined) Object.assign(headers, translationHeaders(translated))
  // Here rather than on the answer itself: the headers of one that is made already are dear to touch.
  if (record.trace !== undefined) headers["traceresponse"] = record.trace.response
  if (cutPrompt !== undefined) headers["x-nexus-warning"] = cutPromptText(cutPrompt)
  if (answeredModel !== undefined) headers["x-nexus-answered-model"] = headerText(answeredModel)
  pass("content-type", head, attempt, headers)
  // Everything else a backend says of itself (server, cookies, its own ids and quotas) stays with Nexus; so does a wait,
  // which is for refusals.
  for (const name of route.dialect.headers.answered) pass(name, head, attempt, headers)
  if (record.cache !== undefined) headers["x-nexus-cache"] = record.cache
  if (record.left !== undefined) putLimits(headers, route.dialect, record.left)
  // Other words than those for codings (none, utf-8) would make some clients give up.
  const coding = isCoded(head) ? head.header("content-encoding") : null
  if (coding !== null) headers["content-encoding"] = coding
  return headers
}

// Keep middle boxes from holding back an event stream.
const streamHeaders: Readonly<Record<string, string>> = {
  "cache-control": "no-cache",
  "x-accel-buffering": "no"
}

/** Headers of a stream that begins before anybody has answered. */
export const earlyStreamHeaders = (dialect: Dialect, requestId: string): Record<string, string> => ({
  "content-type": dialect.types.stream,
  ...requestIdHeaders(dialect, requestId),
  ...streamHeaders
})

/** The same for a stream, whatever its backend calls it: some clients read it under its own name alone. */
export const streamAnswerHeaders: HeadersOf = (head, attempt, record, cutPrompt) => {
  const headers = answerHeaders(head, attempt, record, cutPrompt)
  const { stream } = record.route.dialect.types
  if (!isOfType(headers["content-type"], stream)) headers["content-type"] = stream
  return Object.assign(headers, streamHeaders)
}

/** The same for a whole answer, which is none even where its backend calls it a stream. */
export const wholeAnswerHeaders: HeadersOf = (head, attempt, record, cutPrompt) => {
  const headers = answerHeaders(head, attempt, record, cutPrompt)
  const { stream, whole } = record.route.dialect.types
  if (isOfType(headers["content-type"], stream)) headers["content-type"] = whole
  return headers
}

/** How often a request was asked, and of whom last. */
type Tries = Pick<RequestRecord, "asked" | "attempts" | "budget" | "hedge">

/** Headers that say which backend was asked last and why. */
export const decisionHeaders = (
  attempt: Attempt,
  { asked, attempts, budget, hedge }: Tries
): Record<string, string> => {
  const { backend } = attempt.candidate.state
  const isAgain = attempt.reason !== "hedge" && attempts > (hedge === undefined ? 1 : 2)
  const headers: Record<string, string> = {
    "x-nexus-backend": backend.name,
    "x-nexus-backend-type": locality(backend.type),
    "x-nexus-zone": zoneOf(backend),
    "x-nexus-route-reason": isAgain ? "failover" : attempt.reason,
    "x-nexus-attempts": String(attempts)
  }
  if (asked?.loadMs !== undefined) {
    headers["x-nexus-cold"] = "1"
    headers["x-nexus-load-seconds"] = String(Math.round(asked.loadMs / 100) / 10)
  }
  if (budget !== undefined) headers["x-nexus-budget"] = headerText(budget)
  if (hedge?.outcome !== undefined) headers["x-nexus-hedge"] = hedge.outcome
  if (attempt.resolved !== undefined) headers["x-nexus-resolved-model"] = headerText(attempt.resolved)
  const { ruling } = attempt
  if (ruling?.rule !== undefined) {
    headers["x-nexus-rule"] = ruling.rule.name
    if (ruling.canary) headers["x-nexus-canary"] = "1"
  }
  return headers
}

/** The same for an answer that is the backend's own: with the model when it is a fallback. */
export const ownAnswerHeaders = (attempt: Attempt, tries: Tries): Record<string, string> => {
  const headers = decisionHeaders(attempt, tries)
  if (attempt.fallback) headers["x-nexus-fallback-model"] = headerText(attempt.model)
  return headers
}

const headerText = (text: string): string => (/^[\x20-\x7e]*$/.test(text) ? text : encodeURIComponent(text))
