/**
 * A session in real time: a WebSocket of the client's, passed through to one of a backend that has its model. It is routed and
 * refused like any request until a backend has opened one; from then on it is the backend's.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { kindNamed } from "../backend/all.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import { apiPaths } from "../domain/base-url.ts"
import { BadRequest, type GatewayError, LoopDetected, Overloaded } from "../domain/errors.ts"
import { maxModelLength, type RoutingNeeds } from "../domain/request.ts"
import { TimedOut, type UpstreamError } from "../domain/upstream-errors.ts"
import { Ticket } from "../registry/live-state.ts"
import type { Attempt } from "../router/choice.ts"
import type { Plan } from "../router/plan.ts"
import { callHeaders, gatewayHops, maxGatewayHops, prepareBackend } from "../upstream/endpoint.ts"
import { hostPortOf } from "../domain/url-host.ts"
import { reachOf } from "../upstream/perimeter.ts"
import { type BackendSocket, openSocket } from "../wire/web-socket.ts"
import { ownAnswerHeaders } from "./answer-head.ts"
import type { Forwarding } from "./forwarding.ts"
import { failureReason, GaveUp } from "./final-failure.ts"
import { unseenRefusal } from "./guard.ts"
import { RealtimeSession, type SessionEnd } from "./realtime-session.ts"
import { withinLimits } from "./limited.ts"
import { onceAffordable } from "./spending.ts"
import type { Interruption } from "./record.ts"
import type { RequestRun } from "./request-run.ts"
import { isLineName } from "../domain/header-lines.ts"
import { type Handshake, refusalInFull } from "./refused-handshake.ts"

type Ended = Effect.Effect<void, GatewayError | GaveUp>

/** The model that a URL names, in OpenAI's words or in Azure's. */
const modelOf = (query: URLSearchParams): string | null => query.get("model") ?? query.get("deployment")

const needsOf = (
  { standIn }: Forwarding,
  { record }: RequestRun,
  query: URLSearchParams
): Result.Result<RoutingNeeds, BadRequest> => {
  const bad = (message: string) => Result.fail(new BadRequest({ message, param: "model" }))
  if (record.request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return bad("A WebSocket is opened here: a GET with 'Upgrade: websocket' is expected")
  }
  const model = modelOf(query) ?? standIn(undefined, record.grant)
  if (model === undefined || model === "") return bad("The query names no model, as in ?model=NAME")
  if (model.length > maxModelLength) return bad(`The name of the model is longer than ${maxModelLength} characters`)
  const nothing = { abilities: [], promptTokens: 0, atLeastTokens: 0, outputTokens: 0 }
  const scope = record.grant?.scope
  const within = scope === undefined ? {} : { scope }
  return Result.succeed({ operation: record.route.operation, model, stream: true, ...nothing, ...within })
}

// Browsers have no other place for a key.
const keyProtocol = /^openai-insecure-api-key\./i

/** The subprotocols that a client offers, without its key. */
const protocolsOf = (headers: Headers): ReadonlyArray<string> => {
  const offered = (headers.get("sec-websocket-protocol") ?? "").split(",").map((name) => name.trim())
  return [...new Set(offered.filter((name) => isLineName(name) && !keyProtocol.test(name)))]
}

const addressOf = ({ candidate, model }: Attempt, path: string, query: URLSearchParams): string => {
  const { apiPath, backend } = candidate.state
  const asked = new URLSearchParams(query)
  for (const name of ["deployment", "api-version", "api-key", "key"]) asked.delete(name)
  asked.set("model", model)
  return kindNamed(backend.type).url(backend, `${path}?${asked.toString()}`, apiPath ?? backend.apiPath ?? apiPaths[0])
}

// A handshake is answered by who has the connection; a model that must be loaded first takes longer.
const handshakeMs = 15_000

const outcomes = {
  closed: "completed",
  idle: "completed",
  "client lost": "client_closed",
  "backend lost": "truncated",
  interrupted: "cancelled"
} as const satisfies Record<SessionEnd, string>

const partings: Readonly<Record<Interruption, readonly [code: number, reason: string]>> = {
  client: [1001, ""],
  stopping: [1001, "Nexus is stopping"],
  cancelled: [1008, "An administrator of Nexus has cancelled this request"]
}

/** Opens a session, and takes it to its end. */
export const realtime = (forwarding: Forwarding, run: RequestRun): Ended => {
  const { record, limits } = run
  const { accounting, registry, router, sessions } = forwarding
  run.upload.arrived()
  const refusal = forwarding.taken(run)
  if (refusal !== undefined) return Effect.fail(refusal)
  const hops = gatewayHops(record.request.headers)
  if (hops > maxGatewayHops) return Effect.fail(new LoopDetected({ hops }))
  const { searchParams: query } = new URL(record.request.url)
  const needs = needsOf(forwarding, run, query)
  if (Result.isFailure(needs)) return Effect.fail(needs.failure)
  if (sessions.size >= limits.maxSessions) {
    const message = `Nexus has ${limits.maxSessions} realtime sessions already (server.max_realtime_sessions)`
    return Effect.fail(new Overloaded({ message, retryAfterSeconds: 5 }))
  }
  const now = performance.now()
  const zones = router.zones(record.request.headers, record.grant)
  if (zones instanceof BadRequest) return Effect.fail(zones)
  const bounded = zones === undefined ? needs.success : { ...needs.success, zones }
  record.routes(bounded, now)
  const snapshot = registry.snapshot()
  const ruling = router.rule(bounded, snapshot, record)
  const plan = router.route(bounded, snapshot, now, ruling)
  if (Result.isFailure(plan)) {
    accounting.routed(record, router.consider(bounded, snapshot, now, ruling).plan, now)
    return Effect.fail(plan.failure)
  }
  accounting.routed(record, plan.success, now)
  const unseen = unseenRefusal(forwarding, record, plan.success, "a realtime session")
  if (unseen !== undefined) return Effect.fail(unseen)
  return withinLimits(forwarding.limits, run, plan.success, 0, plan.success, (going) =>
    onceAffordable(forwarding.spending, run, going, () => begun(forwarding, run, going, query, now))
  )
}

const begun = (forwarding: Forwarding, run: RequestRun, plan: Plan, query: URLSearchParams, now: number): Ended => {
  const { router, sessions } = forwarding
  const first = plan.next(now)
  // A session has no end that could be waited for.
  if (first === undefined) return Effect.fail(router.busy(plan, now))
  sessions.add(run)
  return Effect.onExit(new Opening(forwarding, run, plan, query).from(first), () =>
    Effect.sync(() => sessions.delete(run))
  )
}

/** The backends of one session, asked one after the other until one opens it. */
class Opening {
  private readonly forwarding: Forwarding
  private readonly run: RequestRun
  private readonly plan: Plan
  private readonly query: URLSearchParams
  private readonly protocols: ReadonlyArray<string>
  private retriesLeft: number

  constructor(forwarding: Forwarding, run: RequestRun, plan: Plan, query: URLSearchParams) {
    this.forwarding = forwarding
    this.run = run
    this.plan = plan
    this.query = query
    this.protocols = protocolsOf(run.record.request.headers)
    this.retriesLeft = run.limits.maxRetries
  }

  from(attempt: Attempt): Ended {
    return Effect.matchEffect(this.open(attempt), {
      onFailure: (error) => this.failed(attempt, error),
      onSuccess: (socket) => this.opened(attempt, socket)
    })
  }

  private open(attempt: Attempt): Effect.Effect<BackendSocket, UpstreamError> {
    const { candidate, model } = attempt
    const { record } = this.run
    const { accounting } = this.forwarding
    const { backend, live } = candidate.state
    const { id } = candidate.model
    const now = performance.now()
    const meter = accounting.attempting(record, backend.name, id)
    const trace = record.trace?.asks(backend, model, now)
    const timed = { at: now, clock: record.clock, isBeside: false }
    record.asks({ backend: backend.name, model, meter, trace, ...timed }, now)
    this.run.ticket = new Ticket(live, id, now, (turn) => accounting.turned(backend.name, id, turn))
    return Effect.callback((resume) => {
      const call = {
        ...this.handshake(attempt),
        protocols: this.protocols,
        trust: prepareBackend(backend).trust
      }
      const reach = reachOf(backend, record.needs?.zones)
      const { contacts, gate } = this.forwarding.dialing
      const drop = openSocket(
        call,
        (address) => gate(address) ?? reach?.(address),
        (socket, address) => {
          const { host = "", port = 0 } = hostPortOf(call.url) ?? {}
          contacts.opened(host, port, address, performance.now())
          resume(Effect.succeed(socket))
        },
        (error) => resume(Effect.fail(error))
      )
      const afterMs = Math.max(backend.limits.connectMs, handshakeMs)
      record.clock.arm("connect", afterMs, () => {
        drop()
        resume(Effect.fail(new TimedOut({ limit: "connect", afterMs })))
      })
      return Effect.sync(drop)
    })
  }

  private handshake(attempt: Attempt): Handshake {
    const { record } = this.run
    const { backend } = attempt.candidate.state
    const { "content-type": _, "accept-encoding": __, ...fixed } = prepareBackend(backend).headers
    const traced = { traceparent: record.trace?.tells(record.asked?.trace), tracestate: record.trace?.state }
    return {
      url: addressOf(attempt, record.route.operation.path, this.query),
      headers: {
        ...callHeaders(backend, record.request.headers, record.id, undefined, traced),
        ...askedOf(this.run),
        ...fixed
      }
    }
  }

  private opened(attempt: Attempt, socket: BackendSocket): Ended {
    const { run } = this
    const { record } = run
    const { name } = attempt.candidate.state.backend
    return Effect.callback((resume) => {
      const done = (end: SessionEnd): void => {
        const outcome = run.interruption === "stopping" ? "failed" : outcomes[end]
        const bytes = session.bytes
        record.ends({ outcome, status: 101, backend: name, bytes, cutPrompt: undefined }, performance.now())
        run.ticket?.settle(end === "backend lost" ? "bad" : "good", performance.now())
        resume(Effect.void)
      }
      const session = new RealtimeSession(run, socket, this.forwarding.deadlines, run.limits.sessionIdleMs, done)
      const [offered = ""] = this.protocols
      const protocol = socket.protocol === "" ? offered : socket.protocol
      const headers = {
        ...ownAnswerHeaders(attempt, record),
        ...requestIdHeaders(record.route.dialect, record.id),
        ...(protocol === "" ? {} : { "sec-websocket-protocol": protocol })
      }
      record.commits({ at: performance.now(), status: 101, answeredModel: undefined }, session)
      run.isSocket = true
      const answer = run.server.upgrade(record.request, session, headers)
      if (answer === undefined) {
        run.isSocket = false
        socket.drop()
        return resume(
          Effect.fail(new BadRequest({ message: "The handshake of the WebSocket is not one", param: null }))
        )
      }
      run.open(answer)
      return Effect.sync(() => {
        const [code, reason] = partings[run.interruption ?? "client"]
        session.end("interrupted", code, reason)
      })
    })
  }

  private failed(attempt: Attempt, error: UpstreamError): Ended {
    const { plan, run } = this
    const { record } = run
    const { name } = attempt.candidate.state.backend
    const refused = error._tag === "ErrorStatus" && error.status < 500
    record.fails({ backend: name, model: attempt.model, reason: failureReason(error) })
    run.ticket?.settle(refused ? "none" : "bad", performance.now())
    run.ticket = undefined
    this.forwarding.accounting.attemptFailed(record, error, refused)
    if (error._tag === "Unreachable") this.forwarding.registry.suspect(name)
    const next = this.retriesLeft > 0 ? plan.next(performance.now()) : undefined
    this.retriesLeft -= 1
    if (next !== undefined) return this.from(next)
    const isKey = error._tag === "ErrorStatus" && (error.status === 401 || error.status === 403)
    const pass = refused && !isKey
    const gaveUp = (why: UpstreamError) =>
      Effect.fail(new GaveUp({ error: why, attempt, pass, final: record.attempts > 1 }))
    if (!pass || error._tag !== "ErrorStatus") return gaveUp(error)
    const handshake = { ...this.handshake(attempt), protocols: this.protocols }
    return Effect.flatMap(refusalInFull(this.forwarding.upstream, run, attempt, handshake, error), gaveUp)
  }
}

const askedOf = ({ record }: RequestRun): Record<string, string> => {
  const headers: Record<string, string> = {}
  for (const name of record.route.dialect.headers.asked) {
    const value = record.request.headers.get(name)
    if (value !== null) headers[name] = value
  }
  return headers
}
