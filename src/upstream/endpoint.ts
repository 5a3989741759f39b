/**
 * Where and with what headers a backend is called: addresses come from a table, never from a request.
 */
import * as Redacted from "effect/Redacted"
import type { Backend } from "../backend/backend.ts"
import { kindNamed } from "../backend/all.ts"
import { type ApiPath, apiPaths } from "../domain/base-url.ts"
import type { Dialect } from "../dialect/Dialect.ts"
import { withFixedFields } from "../dialect/json-model.ts"
import { isLineValue } from "../domain/header-lines.ts"
import { urlAt } from "../domain/url-host.ts"
import { type Redact, redactorOf } from "../domain/redact.ts"
import { version } from "../domain/version.ts"
import type { RequestBody } from "../wire/request-bytes.ts"
import { type Trust, makeTrust } from "../wire/tls.ts"

/** What is the same for every call to a backend. */
export interface PreparedBackend {
  /** By where the endpoints are, and by the path of an operation; filled as they are asked for. */
  readonly urls: Readonly<Record<ApiPath, Map<string, string>>>
  readonly headers: Readonly<Record<string, string>>
  /** Those of the headers that carry its key, and that its kind is always told. */
  readonly authHeaders: Readonly<Record<string, string>>
  readonly trust: Trust | undefined
}

const cache = new WeakMap<Backend, PreparedBackend>()

/** What Nexus calls itself to a backend. */
export const userAgentOf = ({ userAgent }: Pick<Backend, "userAgent">): string => userAgent ?? `nexus/${version}`

/** The headers that carry the key of a backend. */
const authHeadersOf = (backend: Backend): Readonly<Record<string, string>> =>
  backend.apiKey === undefined ? {} : kindNamed(backend.type).authHeaders(Redacted.value(backend.apiKey), backend)

/** The address of an operation's path; `shown` is where the probes found the endpoints, undefined while they have not. */
export const urlFor = (
  { urls }: Pick<PreparedBackend, "urls">,
  backend: Pick<Backend, "apiPath" | "query" | "type" | "url">,
  path: string,
  shown: ApiPath | undefined
): string => {
  const apiPath = shown ?? backend.apiPath ?? apiPaths[0]
  const known = urls[apiPath].get(path)
  if (known !== undefined) return known
  const url = kindNamed(backend.type).url(backend, path, apiPath)
  urls[apiPath].set(path, url)
  return url
}

/** A body as a backend gets it at an operation's path: as it is, but for fields that its kind fixes. */
export const bodyFor = <Body extends RequestBody>(
  backend: Pick<Backend, "type" | "url">,
  path: string,
  body: Body
): Body | Uint8Array => {
  const fields = kindNamed(backend.type).fixedFields?.(backend, path)
  if (fields === undefined || "next" in body) return body
  return withFixedFields(body instanceof Uint8Array ? body : Buffer.concat(body), fields)
}

// What almost all requests are, whatever their client calls them.
const usualType = "application/json"

const prepare = (backend: Backend): PreparedBackend => {
  const authHeaders = { ...kindNamed(backend.type).headers, ...authHeadersOf(backend) }
  return {
    urls: { "/v1": new Map(), "": new Map() },
    headers: {
      "content-type": usualType,
      "accept-encoding": "identity",
      "user-agent": userAgentOf(backend),
      ...authHeaders
    },
    authHeaders,
    trust:
      backend.tls === undefined && backend.address === undefined
        ? undefined
        : makeTrust(backend.tls ?? {}, backend.address)
  }
}

/** Addresses and fixed headers of a backend, made once per definition. */
export const prepareBackend = (backend: Backend): PreparedBackend => {
  const known = cache.get(backend)
  if (known !== undefined) return known
  const made = prepare(backend)
  cache.set(backend, made)
  return made
}

// A value that no header may hold is the client's doing: it stays here, so that no backend is blamed for it.
const valueOf = (client: Headers, name: string): string | undefined => {
  const value = client.get(name)
  return value !== null && isLineValue(value) ? value : undefined
}

const hopsHeader = "x-nexus-hops"

/** How many gateways a request may have passed before it is taken to go in a circle. */
export const maxGatewayHops = 5

/** How many gateways a request has passed before this one. */
export const gatewayHops = (client: Headers): number => {
  const value = client.get(hopsHeader)
  return value !== null && /^\d{1,9}$/.test(value) ? Number(value) : 0
}

/** What is told of a call beside what its client and its dialect say. */
interface CallNotes {
  /** How many gateways its request has passed, where that has been read. */
  readonly hops?: number
  /** The type of its body, where that is another than that of the dialect. */
  readonly mediaType?: string | undefined
  /** Its place in the trace, where it has one of its own. */
  readonly traceparent?: string | undefined
  /** What stands beside that. */
  readonly tracestate?: string | undefined
}

/**
 * Headers of one call beside the fixed ones of its backend: the allowed ones of the client, those of its dialect among them,
 * the request id and the hops.
 */
export const callHeaders = (
  backend: Backend,
  client: Headers,
  requestId: string,
  dialect?: Pick<Dialect, "headers" | "types">,
  { hops = gatewayHops(client), mediaType = dialect?.types.request, traceparent, tracestate }: CallNotes = {}
): Record<string, string> => {
  // What a client may say to a backend: content negotiation and tracing. Everything else stays here.
  const headers: Record<string, string> = { "x-request-id": requestId, [hopsHeader]: String(hops + 1) }
  const accept = valueOf(client, "accept")
  if (accept !== undefined) headers["accept"] = accept
  // What stands beside a trace says nothing of another one, and nothing without one.
  const trace = traceparent ?? valueOf(client, "traceparent")
  const state = traceparent === undefined && trace !== undefined ? valueOf(client, "tracestate") : tracestate
  if (trace !== undefined) headers["traceparent"] = trace
  if (state !== undefined) headers["tracestate"] = state
  if (dialect !== undefined) {
    for (const name of dialect.headers.asked) {
      const value = valueOf(client, name)
      if (value !== undefined) headers[name] = value
    }
  }
  if (mediaType !== undefined && mediaType !== usualType) headers["content-type"] = mediaType
  if (backend.forwardAuthorization) {
    const value = valueOf(client, "authorization")
    if (value !== undefined) headers["authorization"] = value
  }
  return headers
}

/** What takes the keys that a call carried, and the address it went to, out of a text. */
export const redactorFor = (backend: Backend, client: Headers): Redact => {
  const own = backend.apiKey === undefined ? [] : [Redacted.value(backend.apiKey)]
  const theirs = backend.forwardAuthorization ? valueOf(client, "authorization") : undefined
  // A scheme is no secret, what follows it is.
  const keys = theirs === undefined ? own : [...own, theirs.replace(/^\w+ +/, "")]
  return redactorOf(keys, backend.url, ...(backend.address === undefined ? [] : [urlAt(backend.url, backend.address)]))
}

/** The same, made when there is something to clean: most answers have no errors. */
export const lateRedactorFor =
  (backend: Backend, client: Headers): Redact =>
  (text) =>
    redactorFor(backend, client)(text)
