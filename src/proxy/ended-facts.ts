/**
 * What is written down of a request that has ended, in its line of the log and in its spans: copied once for both, so that
 * nothing else of it is held until those of many are written together. Nothing of a message is among it.
 */
import type { RequestEnd, UnderWay } from "./record.ts"
import type { LineFacts } from "./request-line.ts"
import type { RequestTrace, TracedRequest } from "./request-trace.ts"
import { genAiName } from "./spans.ts"

/** All that is written down. */
export interface EndedFacts extends LineFacts, Omit<TracedRequest, "trace"> {
  readonly trace: RequestTrace | undefined
}

/** Whether there are spans of it. */
export const isTraced = (facts: EndedFacts): facts is EndedFacts & TracedRequest => facts.trace?.isRecorded === true

/**
 * The facts of a request; `now` in monotonic milliseconds, `time` in those since 1970. Headers that a line alone tells of are
 * looked at where there is one, `isWritten`: each takes as long as an attribute of a span.
 */
export const endedFacts = (
  request: Pick<UnderWay, "peer" | "record">,
  end: RequestEnd,
  now: number,
  time: number,
  isWritten: boolean
): EndedFacts => {
  const { record } = request
  const { asked, committed, needs, route, started, trace } = record
  const { headers, method, url } = record.request
  return {
    time,
    id: record.id,
    trace,
    traceId: trace?.traceId,
    client: request.peer(),
    forwardedFor: isWritten ? headers.get("x-forwarded-for") : null,
    userAgent: headers.get("user-agent"),
    retried: isWritten ? headers.get("x-stainless-retry-count") : null,
    key: record.key,
    method,
    url,
    endpoint: record.endpoint,
    genAi: genAiName(route),
    dialect: route.dialect.id,
    model: record.model,
    upstreamModel: asked?.model ?? "",
    answeredModel: committed?.answeredModel,
    backend: end.backend,
    rule: record.decided?.ruling?.rule?.name,
    stream: record.stream,
    maxTokens: needs?.outputTokens ?? 0,
    isJson: needs?.abilities.includes("json_mode") ?? false,
    outcome: end.outcome,
    status: end.status,
    attempts: record.attempts,
    hedge: record.hedge,
    failures: record.failures,
    started,
    ended: now,
    tookMs: now - started,
    queuedMs: record.queuedMs,
    waits: record.waited,
    firstMs: committed === undefined ? undefined : committed.at - started,
    bytes: end.bytes,
    usage: record.usage
  }
}
