/**
 * Who may ask at all: looked at before anything of a body is read.
 */
import { isIP } from "node:net"
import { BadRequest, Forbidden, Unauthorized, type GatewayError } from "../domain/errors.ts"
import type { Grant } from "../domain/grant.ts"
import type { LivePageMode, ModelChangers } from "../domain/server.ts"
import { type IssuedTokens, isTokenForm, type TokenRefusal } from "../domain/token-issuer.ts"
import { bareHost, isLoopback } from "../domain/url-host.ts"
import { addressThrough, type ClientAddress, isLocal } from "./client-address.ts"
import { type KeyFault, type KeyRing, type KnownKey, plainBearer } from "./key-ring.ts"
import { bearer, isOwnPage, isRead, isUi, keyInCookie } from "./own-page.ts"
import { adminPrefix, areaOf, areaRefusal, looksOnly } from "./permissions.ts"

/** The rules of admission, made once from the settings. */
export interface AdmissionRules {
  readonly keys: () => KeyRing
  /** Tokens that are taken for keys; absent where there is no issuer. */
  readonly tokens?: IssuedTokens | undefined
  /** Whether a Host is accepted; undefined accepts any (an address beyond loopback). */
  readonly allowsHost: ((host: string) => boolean) | undefined
  /** Browser origins that are accepted. */
  readonly origins: ReadonlySet<string>
  /** Where requests come from that proxies pass on; absent where none is trusted. */
  readonly clientAddress?: ClientAddress | undefined
  /** Who may have the models of servers changed. */
  readonly modelChanges: ModelChangers
  /** What the live page may do. */
  readonly livePage: LivePageMode
}

/** The path of the page for people. */
export const frontPath = "/"

/** The path of the description of the API. */
export const docsPath = "/docs"

/** Paths that answer without a key, those of the live page beside; what the page tells depends on it. */
export const openPaths: ReadonlySet<string> = new Set([frontPath, docsPath, "/livez", "/readyz"])

const probeElsewhere =
  /^\/(?:api\/|health\/|v1\/|-\/|_)?(?:alive|health(?:z|y|[-_]?check)|live(?:z|ness|liness)?|ping|readyz?|readiness|startupz?|up)\/?$/i

/** Whether other servers are probed at a path where Nexus has nothing: that is what is said there, and not that a key is missing. */
export const isProbeElsewhere = (path: string): boolean => probeElsewhere.test(path) && !openPaths.has(path)

// What load balancers ask in HTTP/1.0, by which a name need not be said.
const nameless: ReadonlySet<string> = new Set(["/livez", "/readyz", "/health"])

const loopbackHosts = ["localhost", "127.0.0.1", "[::1]"]

/** The part of a host before its port, in lower case. */
const hostName = (host: string): string => {
  const end = host.startsWith("[") ? host.indexOf("]") + 1 : host.indexOf(":")
  return (end <= 0 ? host : host.slice(0, end)).toLowerCase()
}

/** Whether a Host has one of these names, or one that ends as those of them that begin with `*.`. */
const hostRule = (names: ReadonlyArray<string>): ((host: string) => boolean) => {
  const whole = new Set(names)
  const ends = names.filter((name) => name.startsWith("*.")).map((name) => name.slice(1))
  // Nearly all requests come to the same one.
  let last: string | undefined
  return (host) => {
    if (host === last) return true
    const name = hostName(host)
    const isAllowed = whole.has(name) || ends.some((end) => name.length > end.length && name.endsWith(end))
    if (isAllowed) last = host
    return isAllowed
  }
}

/** Builds the rules. */
export const makeAdmission = (options: {
  readonly hostname: string
  readonly allowedHosts: ReadonlyArray<string>
  readonly origins: ReadonlyArray<string>
  readonly keys: () => KeyRing
  readonly tokens?: IssuedTokens | undefined
  /** Networks of proxies that are believed. */
  readonly trustedProxies?: ReadonlyArray<string>
  readonly modelChanges?: ModelChangers
  readonly livePage?: LivePageMode
}): AdmissionRules => ({
  keys: options.keys,
  tokens: options.tokens,
  clientAddress: options.trustedProxies?.length ? addressThrough(options.trustedProxies) : undefined,
  modelChanges: options.modelChanges ?? "admins",
  livePage: options.livePage ?? "on",
  allowsHost: isLoopback(options.hostname)
    ? hostRule([...loopbackHosts, options.hostname, ...options.allowedHosts].map((host) => host.toLowerCase()))
    : undefined,
  origins: new Set(options.origins)
})

/** Headers that a key may come in: OpenAI's own, and those of Anthropic's, Azure's and Google's clients. */
export const clientKeyHeaders = ["x-api-key", "api-key", "x-goog-api-key"] as const

// A header that is given several times is one with commas; more of them are nobody's slip.
const mostParts = 4

const protocolKey = /^openai-insecure-api-key\.(\S+)$/i

/** The key that a URL holds under this name. */
const keyInUrl = (url: string, name: string): string => {
  const query = url.indexOf("?")
  return query < 0 ? "" : (new URLSearchParams(url.slice(query)).get(name) ?? "")
}

const keysIn = function* (request: Request, parameter?: string): Generator<string> {
  const { headers, url } = request
  if (parameter !== undefined) {
    const key = keyInUrl(url, parameter)
    if (key !== "") yield key
  }
  // Browsers can set no header of a WebSocket but this one.
  for (const name of (headers.get("sec-websocket-protocol") ?? "").split(",", 4 * mostParts)) {
    const key = protocolKey.exec(name.trim())?.[1]
    if (key !== undefined) yield key
  }
  for (const name of ["authorization", ...clientKeyHeaders]) {
    const value = headers.get(name)
    if (value === null) continue
    for (const part of value.includes(",") ? [value, ...value.split(",", mostParts)] : [value]) {
      const text = part.trim()
      const key = name === "authorization" ? bearer.exec(text)?.[1] : text
      if (key !== undefined && key !== "") yield key
    }
  }
  const kept = keyInCookie(request)
  if (kept !== undefined) yield kept
}

/** When and from where somebody asks. */
export interface Visitor {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** The address that somebody asks from. */
  readonly peer: () => string | undefined
}

/** What the keys that came with a request let do, those alone that count now and from there. */
const grantsIn = function* (
  { keys, tokens }: AdmissionRules,
  request: Request,
  visitor: Visitor,
  parameter?: string,
  knownToken = tokens?.known
): Generator<Grant | KeyFault | UnknownKey> {
  const ring = keys()
  for (const given of keysIn(request, parameter)) {
    const key = ring.find(given)
    if (key !== undefined) yield faultOf(key, visitor) ?? key.grant
    else {
      const token = knownToken?.(given, visitor.now())
      if (token === undefined || isGrant(token)) yield token ?? { tried: given }
      else yield token.isGuess ? { tried: given, refused: token.refused } : { refused: token.refused }
    }
  }
}

/** What lets nearly all requests in that ask models; undefined where more is to be looked at. */
const usualAdmission = (
  ring: KeyRing,
  { tokens }: AdmissionRules,
  { headers }: Request,
  visitor: Visitor
): { readonly grant: Grant } | undefined => {
  const value = headers.get("authorization")
  if (value === null) return undefined
  const known = ring.findIn(value) ?? (tokens === undefined ? undefined : tokenIn(tokens, value, visitor))
  if (known === undefined || areaRefusal(known.grant, "models", false) !== undefined) return undefined
  return known.fault === undefined || faultOf(known, visitor) === undefined ? known : undefined
}

// By itself: what a closure is made of costs who calls for it, whether it is made or not.
const faultOf = ({ fault }: KnownKey, visitor: Visitor): KeyFault | undefined =>
  fault?.(visitor.now(), () => visitor.peer())

const tokenIn = (tokens: IssuedTokens, authorization: string, visitor: Visitor): KnownKey | undefined => {
  if (!authorization.startsWith(plainBearer)) return undefined
  const token = tokens.known(authorization.slice(plainBearer.length), visitor.now())
  return token !== undefined && isGrant(token) ? { grant: token, fault: undefined } : undefined
}

/** A key that is nobody's, or a token that is not good. */
interface UnknownKey {
  /** Absent where it is no guess. */
  readonly tried?: string
  readonly refused?: GatewayError
}

const isGrant = (found: Grant | KeyFault | UnknownKey | TokenRefusal): found is Grant =>
  typeof found === "object" && "name" in found

/** Whether who asks may know how the gateway is. */
export const mayKnowState = (rules: AdmissionRules, request: Request, visitor: Visitor): boolean => {
  if (!rules.keys().needed) return true
  for (const found of grantsIn(rules, request, visitor)) {
    if (isGrant(found) && areaRefusal(found, "state", isLocal(visitor.peer())) === undefined) return true
  }
  return false
}

/** Whether a browser asks beforehand what it may send: it never shows a key when it does. */
export const isPreflight = (rules: AdmissionRules, { method, headers }: Request): boolean =>
  method === "OPTIONS" && headers.has("access-control-request-method") && rules.origins.has(headers.get("origin") ?? "")

// A page that somebody opens from elsewhere can be read by nobody else: what links to it learns nothing, and may not frame it.
const isLink = ({ method, headers }: Request, path: string): boolean =>
  (path === frontPath || path === docsPath || isUi(path)) &&
  method === "GET" &&
  headers.get("sec-fetch-mode") === "navigate" &&
  headers.get("sec-fetch-dest") === "document"

const noKey = (url: string): string =>
  `No API key: send one as 'Authorization: Bearer …'${/[?&](api[-_]?)?key=/i.test(url) ? "; one in the URL is not taken, since URLs end up in logs" : ""}`

/** Whether a request is let in: why it is not, or what the key that lets it in lets it do, where one is needed. */
export interface Admission {
  readonly refusal?: GatewayError
  readonly grant?: Grant
  /** A key that came with it and is nobody's. */
  readonly tried?: string
  /** Tokens that may let it in once they have been checked. */
  readonly unchecked?: ReadonlyArray<string>
}

const letIn: Admission = {}

const faultWords: Readonly<Record<KeyFault, string>> = {
  early: "The API key is not valid yet",
  expired: "The API key has expired",
  elsewhere: "The API key may not be used from this address"
}

/**
 * Whether a request is let in. `path` is its path as it is routed, `parameter` what its key is called in its URL, where
 * clients of its dialect send it there; `knownToken` tells of tokens once they have been checked.
 */
export const admit = (
  rules: AdmissionRules,
  request: Request,
  path: string,
  visitor: Visitor,
  parameter?: string,
  knownToken = rules.tokens?.known
): Admission => {
  const refusal = outerRefusal(rules, request, path)
  if (refusal !== undefined) return { refusal }
  const ring = rules.keys()
  if (!ring.needed) {
    return path.startsWith(adminPrefix) && !isLocal(visitor.peer())
      ? { refusal: new Forbidden({ message: "Without [auth] keys, administration is for this machine alone" }) }
      : letIn
  }
  const isOpen = openPaths.has(path) || isUi(path)
  const area = areaOf(path)
  const usual = area === "models" && !isOpen ? usualAdmission(ring, rules, request, visitor) : undefined
  if (usual !== undefined) return usual
  if (isOpen || isPreflight(rules, request)) return letIn
  const isHere = area === "models" || isLocal(visitor.peer())
  let why: GatewayError | undefined
  let tried: string | undefined
  const unchecked: Array<string> = []
  // One that is good lets in, whatever else came with it; of those that are not, what is known best is told.
  for (const found of grantsIn(rules, request, visitor, parameter, knownToken)) {
    if (isGrant(found)) {
      const message = areaRefusal(found, area, isHere)
      if (message === undefined) return { grant: found }
      why = new Forbidden({ message })
    } else if (typeof found === "object") {
      const { refused, tried: given } = found
      tried ??= given
      if (refused !== undefined) why = why === undefined || why._tag === "Unauthorized" ? refused : why
      else why ??= new Unauthorized({ message: "The API key is not known" })
      if (given !== undefined && refused === undefined && isTokenForm(given)) unchecked.push(given)
    } else if (why === undefined || why._tag === "Unauthorized") {
      const message = faultWords[found]
      why = found === "elsewhere" ? new Forbidden({ message }) : new Unauthorized({ message })
    }
  }
  if (why === undefined) {
    return isProbeElsewhere(path) ? letIn : { refusal: new Unauthorized({ message: noKey(request.url) }) }
  }
  return {
    refusal: why,
    ...(tried === undefined ? {} : { tried }),
    ...(knownToken === undefined || unchecked.length === 0 ? {} : { unchecked })
  }
}

// A name that somebody else has may lead here in his own pages; they have no key of ours, and no address is his.
const mayBeOwn = (rules: AdmissionRules, name: string): boolean =>
  rules.allowsHost !== undefined || rules.keys().needed || isIP(bareHost(name)) !== 0 || isLoopback(name)

/** Why a request is not let in, whatever its key; undefined when nothing speaks against it. */
const outerRefusal = (rules: AdmissionRules, request: Request, path: string): GatewayError | undefined => {
  const { headers } = request
  const host = headers.get("host") ?? ""
  if (host.includes(",")) return new BadRequest({ message: "The request has more than one Host header", param: null })
  if (host === "" && !nameless.has(path)) {
    return new BadRequest({
      message: `The request has no Host header; without one, only ${[...nameless].join(", ")} answer`,
      param: null
    })
  }
  if (host !== "" && rules.allowsHost?.(host) === false) {
    return new Forbidden({
      message:
        "This Host is not accepted; call Nexus as localhost or 127.0.0.1, or list the name in server.allowed_hosts"
    })
  }
  const origin = headers.get("origin")
  const isOwn = origin !== null && isOwnPage(request) && mayBeOwn(rules, hostName(host))
  if (origin !== null && !isOwn && !rules.origins.has(origin)) {
    return new Forbidden({ message: "Browser pages of this origin may not call Nexus; list it in server.cors.origins" })
  }
  if (origin === null && headers.get("sec-fetch-site") === "cross-site" && !isLink(request, path)) {
    return new Forbidden({
      message: "Cross-site browser requests are not accepted; list the origin in server.cors.origins"
    })
  }
  // A page of somebody else has no business here, whatever it may ask otherwise.
  if (origin !== null && !isOwn && path.startsWith(adminPrefix)) {
    return new Forbidden({ message: "Browser pages may not administer Nexus" })
  }
  if (isUi(path) && rules.livePage === "off") {
    return new Forbidden({ message: 'There is no live page here (admin.live_page = "off")' })
  }
  if (isOwn && rules.livePage !== "on" && path.startsWith(adminPrefix) && !isRead(request) && !looksOnly.has(path)) {
    return new Forbidden({ message: 'The live page may change nothing here (admin.live_page = "read_only")' })
  }
  return undefined
}

// What proxies tell of whom they ask for.
const ofProxies = ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"]

const changing = "Models of a server are changed"

/**
 * Why who is let in may not have the models of a server changed; undefined when that is allowed. With keys it takes one with
 * `admin = true` wherever it comes from, since it is asked where everything else is, and a proxy passes that on.
 */
export const changeRefusal = (rules: AdmissionRules, request: Request, visitor: Visitor): GatewayError | undefined => {
  const { keys, modelChanges } = rules
  const { headers } = request
  if (modelChanges === "clients") return undefined
  const refused = (message: string) => new Forbidden({ message })
  if (modelChanges === "never")
    return refused('Nexus changes the models of no server (server.model_changes = "never"): ask the server itself')
  const otherwise = 'or by all with server.model_changes = "clients"'
  if (headers.get("origin") !== null) return refused(`${changing} by no page in a browser, ${otherwise}`)
  if (!keys().needed) {
    if (isLocal(visitor.peer()) && !ofProxies.some((name) => headers.has(name))) return undefined
    return refused(`${changing} without [auth] keys from this machine alone, and through no proxy, ${otherwise}`)
  }
  for (const found of grantsIn(rules, request, visitor)) {
    if (isGrant(found) && found.admin === true) return undefined
  }
  return refused(`${changing} with a key that has admin = true, ${otherwise}`)
}

/** CORS headers of an answer to a listed origin; empty for every other request. */
export const corsHeaders = (rules: AdmissionRules, request: Request): Record<string, string> => {
  if (rules.origins.size === 0) return {}
  const origin = request.headers.get("origin")
  if (origin === null || !rules.origins.has(origin)) return { vary: "origin" }
  return {
    "access-control-allow-origin": origin,
    "access-control-expose-headers":
      "x-request-id, x-nexus-backend, x-nexus-backend-type, x-nexus-zone, x-nexus-cache, age, x-nexus-route-reason, x-nexus-attempts, x-nexus-cold, x-nexus-load-seconds, x-nexus-hedge, x-nexus-answered-model, x-nexus-warning, x-nexus-resolved-model, x-nexus-fallback-model, x-nexus-dialect, x-nexus-dropped, x-nexus-estimated, x-nexus-rule, x-nexus-canary, x-nexus-budget, traceresponse, x-nexus-rejection-reasons, x-nexus-queue-position, x-nexus-queue-seconds, retry-after, x-should-retry",
    vary: "origin"
  }
}

/** The answer to a preflight request of a listed origin, for a path that takes these methods. */
export const preflight = (rules: AdmissionRules, request: Request, methods: ReadonlyArray<string>): Response =>
  new Response(null, {
    status: 204,
    headers: {
      ...corsHeaders(rules, request),
      "access-control-allow-methods": methods.join(", "),
      "access-control-allow-headers":
        request.headers.get("access-control-request-headers") ?? "content-type, authorization",
      "access-control-max-age": "600"
    }
  })
