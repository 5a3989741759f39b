/**
 * A request that is passed on to one backend unread, and whatever that answers: no other backend is asked, and nothing of it is
 * judged. It is counted, listed, limited and cancelled like any other.
 */
import * as Effect from "effect/Effect"
import { kindNamed } from "../backend/all.ts"
import { zoneOf } from "../backend/zone.ts"
import type { Passage } from "../dialect/Dialect.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import { apiPathBelow, apiPaths, joinUrl } from "../domain/base-url.ts"
import { allowsBackend } from "../domain/grant.ts"
import type { Scope } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import {
  BackendNotFound,
  BadRequest,
  Forbidden,
  type GatewayError,
  MethodNotAllowed,
  Overloaded,
  ServiceUnavailable,
  ZoneNotAllowed
} from "../domain/errors.ts"
import { beyondWords, type ZoneLimits } from "../domain/zones.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import { keepAliveSeconds } from "../http/BunServer.ts"
import { Ticket } from "../registry/live-state.ts"
import type { BackendState, Snapshot } from "../registry/snapshot.ts"
import { availabilityExclusion, modeWords } from "../router/filter.ts"
import { backendsWithin, boundsOf, type KeyBounds, limitOn } from "../router/zoned-targets.ts"
import type { Attempt } from "../router/choice.ts"
import { mostOfAnError } from "../upstream/answer.ts"
import { passedAnswerHeaders, passedHeaders } from "../upstream/passage-headers.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import type { ReceivedAnswer } from "../wire/received-answer.ts"
import { carriesKey, ownAnswerHeaders } from "./answer-head.ts"
import type { Forwarding } from "./forwarding.ts"
import { failureReason, GaveUp, redactedBytes } from "./final-failure.ts"
import { PassedFlow } from "./passed-flow.ts"
import type { RequestRun } from "./request-run.ts"
import type { StreamedBody } from "./streamed-body.ts"

/** The methods by which something is passed on. */
export const passedMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

/** Names a backend to whom ids belong. */
export const backendHeader = "x-nexus-backend"

/** Their names. */
export const namesOf = (states: Iterable<BackendState>): ReadonlyArray<string> =>
  [...states].map(({ backend }) => backend.name)

/** The backend that a request names for itself; null where it names none. */
export const backendNamed = ({ backend }: Passage, headers: Headers): string | null =>
  backend ?? headers.get(backendHeader)

/** The refusal of a name that no backend has; `there` are those of which may be told. */
export const noBackend = (name: string, there: Iterable<BackendState>): BackendNotFound =>
  new BackendNotFound({ name: name.slice(0, 200), known: namesOf(there) })

/** The backend that is meant: the one that is named, or the only one it can be. */
const meant = (
  passage: Passage,
  headers: Headers,
  snapshot: Snapshot,
  names: RoutingSettings,
  key: KeyBounds | undefined
): BackendState | GatewayError => {
  const name = backendNamed(passage, headers)
  const backends = [...snapshot.backends.values()].filter(({ backend }) => allowsBackend(key?.scope, backend))
  const open = [...backendsWithin(boundsOf(key), names, snapshot).values()]
  if (name !== null) {
    // One that the key is not for is to it as one that is not there.
    return backends.find(({ backend }) => backend.name === name) ?? noBackend(name, open)
  }
  // Where all are in other zones, one says so.
  const told = open.length === 0 ? backends.slice(0, 1) : open
  const keepers = told.filter((state) => kindNamed(state.backend.type).keepsFiles === true)
  const possible = keepers.length > 0 ? keepers : told
  const [only, ...others] = possible
  if (only !== undefined && others.length === 0) return only
  const which =
    only === undefined ? "There is no backend" : `Several backends could be meant (${namesOf(possible).join(", ")})`
  const message = `${which}: name one in the header '${backendHeader}', since what is kept there is known to that one alone`
  return new BadRequest({ message, param: backendHeader })
}

/** Why nothing is passed on to a backend now. */
export const unavailable = (state: BackendState): GatewayError | undefined => {
  const { backend, mode } = state
  const { barred, keyFault, name } = backend
  const reason = mode === "enabled" ? (barred ?? keyFault) : modeWords[mode]
  if (reason !== undefined) {
    return new ServiceUnavailable({ model: "", reasons: [{ backend: name, model: "", reason }], retryAfterSeconds: 5 })
  }
  const model = { id: "", capabilities: {} }
  if (availabilityExclusion({ state, model })?._tag !== "Full") return undefined
  return new Overloaded({
    message: `Backend '${name}' has all it can take`,
    retryAfterSeconds: jitteredWait(1, () => 0)
  })
}

/** The same backend where a key is for it: else why it is not. */
export const forbiddenBackend = (
  to: BackendState | GatewayError,
  scope: Scope | undefined
): BackendState | GatewayError =>
  "live" in to && !allowsBackend(scope, to.backend)
    ? new Forbidden({ message: `This API key is not for backend '${to.backend.name}'` })
    : to

/** Why a request is not passed on, before anything of its body is read; else to whom. */
export const passedTo = (
  { registry, router }: Forwarding,
  { limits, record }: RequestRun,
  passage: Passage
): BackendState | GatewayError => {
  const { headers, method } = record.request
  if (passage.backend !== undefined && !limits.backendPaths) {
    return new Forbidden({
      message: "Paths of backends are not passed on: set server.backend_paths = true to have them"
    })
  }
  if (!passedMethods.includes(method))
    return new MethodNotAllowed({ method, path: passage.path, allowed: passedMethods })
  if (record.grant?.scope?.models !== undefined) {
    return new Forbidden({
      message:
        "This API key is for certain models, and nothing is passed on for it that may name any: Nexus does not read it"
    })
  }
  const state = meant(passage, headers, registry.snapshot(), router.names(), record.grant)
  return "live" in state ? (unavailable(state) ?? state) : state
}

// It may say a key; of a longer one the rest is not sent.
const errorBody = ({ body }: ReceivedAnswer): Effect.Effect<Uint8Array> =>
  Effect.callback((resume) => {
    const pieces: Array<Uint8Array> = []
    let size = 0
    const done = () => resume(Effect.succeed(Buffer.concat(pieces).subarray(0, mostOfAnError)))
    body.start({
      piece: (piece) => {
        pieces.push(piece)
        size += piece.byteLength
        if (size <= mostOfAnError) return
        body.abort()
        done()
      },
      end: done,
      fail: done
    })
    return Effect.sync(() => body.abort())
  })

const isEmpty = ({ body, status }: ReceivedAnswer, method: string): boolean =>
  method === "HEAD" || status === 204 || status === 205 || status === 304 || body.length === 0

/** Why nothing of a request may go to a backend; undefined when it may. */
const beyondZones = (
  backend: BackendState["backend"],
  zones: ZoneLimits | undefined,
  { names }: Forwarding["router"]
): ZoneNotAllowed | undefined => {
  const limit = limitOn(backend, zones, names())
  if (limit === undefined) return undefined
  const reason = beyondWords(zoneOf(backend), limit)
  return new ZoneNotAllowed({ model: "", reasons: [{ backend: backend.name, model: "", reason }] })
}

/** Passes a request on whose body is known as far as it must be. */
export const passOn = (
  { accounting, registry, router, upstream }: Forwarding,
  run: RequestRun,
  { apiPath: shown, backend, live, ...state }: BackendState,
  { backend: named, change, path }: Passage,
  body: StreamedBody | Uint8Array
): Effect.Effect<void, GatewayError | GaveUp> => {
  const { record } = run
  const { id, request, route } = record
  const { name } = backend
  const zones = router.zones(record.request.headers, record.grant)
  if (zones instanceof BadRequest) return Effect.fail(zones)
  const beyond = beyondZones(backend, zones, router)
  if (beyond !== undefined) return Effect.fail(beyond)
  const now = performance.now()
  const candidate = { state: { ...state, backend, live }, model: { id: "", capabilities: {} } }
  const attempt: Attempt = { candidate, model: "", resolved: undefined, fallback: false, reason: "capability-match" }
  const query = request.url.indexOf("?")
  const target = path + (query < 0 ? "" : request.url.slice(query))
  const apiPath = shown ?? backend.apiPath ?? apiPaths[0]
  const url =
    named === undefined
      ? kindNamed(backend.type).url(backend, target, apiPath)
      : joinUrl(backend, apiPathBelow(target, apiPath))
  record.routes({ operation: route.operation, model: "", stream: false, abilities: [], ...nothing }, now)
  const trace = record.trace?.asks(backend, "", now)
  const timed = { at: now, clock: record.clock, isBeside: false }
  record.asks({ backend: name, model: "", meter: accounting.attempting(record, name, ""), trace, ...timed }, now)
  // Nobody knows how long it takes to get a model, and what is said meanwhile may be nothing.
  const { firstByteMs, idleMs, totalMs } = change === undefined ? backend.limits : unlimited
  record.clock.bound(record.started, totalMs)
  run.ticket = new Ticket(live, "", now, () => undefined)
  const call = {
    backend,
    method: request.method,
    url,
    headers: passedHeaders(backend, request.headers, id, record.trace?.tells(trace), record.trace?.state),
    body: body instanceof Uint8Array ? [body] : body.as(undefined, firstByteMs),
    zones,
    firstByteMs,
    clock: record.clock
  }
  const answered = (head: ReceivedAnswer): Effect.Effect<void> => {
    const at = performance.now()
    const headers = {
      ...passedAnswerHeaders(
        head,
        (value) => carriesKey(attempt, value),
        named && `/backend/${encodeURIComponent(named)}`
      ),
      ...ownAnswerHeaders(attempt, record),
      ...requestIdHeaders(route.dialect, id)
    }
    const { status } = head
    record.awaits(at - now)
    const whole = (bytes: Uint8Array | null): void => {
      record.commits({ at, status, answeredModel: undefined }, undefined)
      run.respond(new Response(bytes === null ? null : new Uint8Array(bytes), { status, headers }))
      const outcome = status < 400 ? "completed" : status < 500 ? "refused" : "failed"
      record.ends(
        { outcome, status, backend: name, bytes: bytes?.byteLength ?? 0, cutPrompt: undefined },
        performance.now()
      )
      run.server.timeout(request, keepAliveSeconds)
    }
    if (isEmpty(head, request.method)) {
      head.body.start({ piece: () => undefined, end: () => undefined, fail: () => undefined })
      return Effect.sync(() => whole(null))
    }
    if (status >= 400) {
      const redact = redactorFor(backend, request.headers)
      return Effect.map(errorBody(head), (bytes) => whole(redactedBytes(bytes, redact)))
    }
    return Effect.callback((resume) => {
      const flow = new PassedFlow(run, head, name, idleMs, () => resume(Effect.void))
      record.commits({ at, status, answeredModel: undefined }, flow)
      run.open(new Response(flow.stream, { status, headers }))
      return Effect.suspend(() => flow.interrupt())
    })
  }
  const failed = (error: UpstreamError): Effect.Effect<never, GatewayError | GaveUp> => {
    if (error._tag === "TimedOut" && error.limit === "upload" && !(body instanceof Uint8Array))
      return Effect.fail(body.late())
    record.fails({ backend: name, model: "", reason: failureReason(error) })
    accounting.attemptFailed(record, error, false)
    return Effect.fail(new GaveUp({ error, attempt, pass: false, final: true }))
  }
  const passed = Effect.matchEffect(upstream.pass(call), { onFailure: failed, onSuccess: answered })
  // It may have other models now.
  return change?.relists === true
    ? Effect.ensuring(
        passed,
        Effect.sync(() => registry.suspect(name))
      )
    : passed
}

const unlimited = { firstByteMs: 0, idleMs: 0, totalMs: 0 }

const nothing = { promptTokens: 0, atLeastTokens: 0, outputTokens: 0 }
