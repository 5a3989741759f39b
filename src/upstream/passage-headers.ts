/**
 * Headers of what is passed on unread, both ways: all but those of a connection, those that carry keys or tell of who asks,
 * and what only the other side's own neighbours are told.
 */
import type { Backend } from "../backend/backend.ts"
import { isLineValue } from "../domain/header-lines.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { callHeaders, prepareBackend } from "./endpoint.ts"

/** Headers of one connection, which are nobody else's. */
export const ofConnection =
  "connection keep-alive proxy-connection te trailer trailers transfer-encoding upgrade expect content-length host http2-settings".split(
    " "
  )
const ofKeys =
  "authorization proxy-authorization proxy-authenticate proxy-authentication-info authentication-info www-authenticate x-api-key api-key x-goog-api-key cookie cookie2 set-cookie set-cookie2"
const ofClients = "origin referer forwarded via user-agent accept-encoding x-real-ip true-client-ip x-request-id"
const ofServers =
  "server date alt-svc strict-transport-security x-powered-by nel report-to reporting-endpoints location via x-request-id"

const words = (...all: ReadonlyArray<string>): ReadonlySet<string> =>
  new Set([...ofConnection, ...all.join(" ").split(" ")])

const keptFromServers = words(ofKeys, ofClients)
const keptFromClients = words(ofKeys, ofServers)

const prefixes = /^(?:x-forwarded-|x-nexus-|sec-|access-control-|cf-|proxy-)/

// What `Connection` names concerns one connection alone.
const named = (connection: string | null): ReadonlySet<string> =>
  new Set(
    (connection ?? "")
      .toLowerCase()
      .split(",")
      .map((name) => name.trim())
  )

/** What a server is told of a request that is passed on to it, its key included. */
export const passedHeaders = (
  backend: Backend,
  client: Headers,
  requestId: string,
  traceparent?: string,
  tracestate?: string
): Record<string, string> => {
  const { "content-type": _, ...fixed } = prepareBackend(backend).headers
  const theirs: Record<string, string> = {}
  const ofTheirs = named(client.get("connection"))
  for (const [name, value] of client) {
    const stays = keptFromServers.has(name) || ofTheirs.has(name) || prefixes.test(name) || !isLineValue(value)
    if (!stays) theirs[name] = value
  }
  return { ...theirs, ...callHeaders(backend, client, requestId, undefined, { traceparent, tracestate }), ...fixed }
}

/** What a client is told of an answer; a place at the server is one below `place`, where that is given. */
export const passedAnswerHeaders = (
  answer: ReceivedAnswer,
  carriesKey: (value: string) => boolean,
  place: string | undefined
): Record<string, string> => {
  const headers: Record<string, string> = {}
  const ofTheirs = named(answer.header("connection"))
  for (const name of new Set(answer.names())) {
    const value = answer.header(name) ?? ""
    const stays = keptFromClients.has(name) || ofTheirs.has(name) || prefixes.test(name) || !isLineValue(value)
    if (!stays && !carriesKey(value)) headers[name] = value
  }
  const location = answer.header("location")
  if (place !== undefined && location !== null && /^\/(?!\/)/.test(location) && isLineValue(location)) {
    headers["location"] = `${place}${location}`
  }
  return headers
}
