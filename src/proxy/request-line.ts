/**
 * What the log says of one request: who asked what, where it went, how it ended and how long that took; nothing of a message.
 */
import type { Listening } from "../http/BunServer.ts"
import type { RequestEnd, RequestRecord, UnderWay } from "./record.ts"

/** A request that was refused before anything of it was read. */
export interface RefusedRequest {
  readonly id: string
  readonly request: Request
  readonly server: Pick<Listening, "peer">
  readonly status: number
  /** The name of the key that it came with. */
  readonly key?: string | undefined
}

type Fields = Readonly<Record<string, unknown>>

const longestHeader = 200

const headerField = ({ headers }: Request, header: string, name: string): Fields => {
  const value = headers.get(header)
  return value === null ? {} : { [name]: value.slice(0, longestHeader) }
}

/** Whose request it is, as far as that can be told. */
const sender = (request: Request, peer: string | undefined, key: string | undefined): Fields => ({
  ...(peer === undefined ? {} : { client: peer }),
  ...headerField(request, "x-forwarded-for", "forwarded_for"),
  ...headerField(request, "user-agent", "user_agent"),
  ...(key === undefined ? {} : { key })
})

const usageFields = ({ usage }: RequestRecord): Fields =>
  usage === undefined
    ? {}
    : {
        prompt_tokens: usage.prompt,
        ...(usage.cached === 0 ? {} : { cached_tokens: usage.cached }),
        completion_tokens: usage.completion
      }

/** The fields of a request that has ended. */
export const requestFields = (ended: Pick<UnderWay, "peer" | "record">, end: RequestEnd, now: number): Fields => {
  const { record } = ended
  const { asked, committed, decided, request, started } = record
  const retried = request.headers.get("x-stainless-retry-count") ?? ""
  const rule = decided?.ruling?.rule
  return {
    request_id: record.id,
    ...(record.trace === undefined ? {} : { trace_id: record.trace.traceId }),
    ...sender(request, ended.peer(), record.key),
    endpoint: record.endpoint,
    dialect: record.route.dialect.id,
    model: record.model,
    upstream_model: asked?.model ?? "",
    backend: end.backend,
    ...(rule === undefined ? {} : { rule: rule.name }),
    stream: record.stream,
    outcome: end.outcome,
    status: end.status,
    attempts: record.attempts,
    ...(record.hedge === undefined ? {} : { hedge: record.hedge }),
    // What the client's own library says of its retries.
    ...(/^[1-9]\d{0,3}$/.test(retried) ? { client_retry: Number(retried) } : {}),
    duration_ms: Math.round(now - started),
    ...(record.queuedMs === 0 ? {} : { queue_ms: Math.round(record.queuedMs) }),
    ...(committed === undefined ? {} : { first_byte_ms: Math.round(committed.at - started) }),
    bytes_out: end.bytes,
    ...usageFields(record),
    ...(record.failures.length === 0 ? {} : { failures: record.failures })
  }
}

const pathOf = (url: string): string => {
  const { pathname } = URL.parse(url, "http://localhost") ?? { pathname: "" }
  return pathname.slice(0, longestHeader)
}

/** The fields of a request that was refused before anything of it was read. */
export const turnedAwayFields = ({ id, key, request, server, status }: RefusedRequest): Fields => ({
  request_id: id,
  ...sender(request, server.peer(request), key),
  method: request.method,
  path: pathOf(request.url),
  outcome: "refused",
  status
})
