/**
 * The life of a proxied request: one fiber from its arrival to the end of its answer, which asks one candidate after the
 * other until one commits.
 */
import { Cause, Context, Effect, Exit, Layer, Result } from "effect"
import { Internal, Overloaded, Stopping, type GatewayError } from "../domain/errors.ts"
import type { Endpoint } from "../domain/request.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import { ConnectionLost, type UpstreamError } from "../domain/upstream.ts"
import { Ticket } from "../registry/live.ts"
import { Registry } from "../registry/Registry.ts"
import { verdict } from "../router/failover.ts"
import type { Attempt, Plan } from "../router/plan.ts"
import { Router } from "../router/Router.ts"
import type { Answer } from "../upstream/answer.ts"
import { Deadlines } from "../upstream/Deadlines.ts"
import { RequestClock, Upstream, type Reply } from "../upstream/Upstream.ts"
import { Accounting } from "./Accounting.ts"
import { readBody } from "./body.ts"
import { keepAliveSeconds, type Listening } from "./BunServer.ts"
import { Drain } from "./Drain.ts"
import { arrived, type Exchange } from "./exchange.ts"
import { failureOf, passOn, reasonOf } from "./failure.ts"
import { readNeeds } from "./needs.ts"
import { bodyOf, formOf, render } from "./openai-error.ts"
import { relay, type FlowEnd, type Relay } from "./relay.ts"
import { decisionHeaders, replyHeaders, streamHeaders } from "./reply.ts"
import { replaceModel } from "./splice.ts"

/** What bounds a request; times in milliseconds, 0 is no limit. */
export interface ProxyLimits {
  readonly totalMs: number
  readonly uploadMs: number
  readonly stallMs: number
  readonly maxBodyBytes: number
  readonly maxConcurrent: number
}

/** The forwarding of OpenAI endpoints. */
export class Proxy extends Context.Service<
  Proxy,
  {
    /** Answers a request; never rejects. */
    readonly handle: (endpoint: Endpoint, request: Request, id: string, server: Listening) => Promise<Response>
    /** Requests under way. */
    readonly active: () => number
    /** Ends every request under way: with an error event where an answer has begun. */
    readonly endAll: () => void
  }
>()("nexus/http/Proxy") {
  /** Needs the services of the request path; `routing` gives the number of retries. */
  static readonly layer = (limits: ProxyLimits, routing: RoutingSettings) =>
    Layer.effect(Proxy, makeProxy(limits, routing))
}

/** One request that is being forwarded, with the ways to answer it. */
interface Run {
  readonly exchange: Exchange
  readonly server: Listening
  readonly respond: (response: Response) => void
  ticket: Ticket | undefined
  retrying: boolean
}

/** The attempt that failed last; `pass` when the backend's own answer is for the client to see. */
interface Failed {
  readonly error: UpstreamError
  readonly attempt: Attempt
  readonly pass: boolean
}

const plainBytes = (bytes: Uint8Array) => bytes as Uint8Array<ArrayBuffer> // reason: answers never sit on shared memory

const isRateLimit = (error: UpstreamError): boolean => error._tag === "ErrorStatus" && error.status === 429

const stopped = new ConnectionLost({ reason: "the gateway is stopping", answered: true })

const makeProxy = Effect.fnUntraced(function* (limits: ProxyLimits, routing: RoutingSettings) {
  const registry = yield* Registry
  const router = yield* Router
  const upstream = yield* Upstream
  const deadlines = yield* Deadlines
  const drain = yield* Drain
  const accounting = yield* Accounting
  const context = yield* Effect.context<never>()
  const runs = new Set<Run>()
  const run = Effect.runForkWith(context)
  let retries = 0

  const budgetLeft = () => retries < Math.max(3, 0.2 * runs.size)

  const beginRetry = (current: Run): void => {
    if (current.retrying) return
    current.retrying = true
    retries += 1
  }

  const settle = (current: Run, error: UpstreamError, attempt: Attempt, blame: ReturnType<typeof verdict>["blame"]) => {
    const now = performance.now()
    const { backend } = attempt.candidate.state
    if (blame._tag === "cool") current.ticket?.cool(now + blame.ms)
    current.ticket?.settle(blame._tag === "count" || blame._tag === "config" ? "bad" : "none", now)
    current.ticket = undefined
    if (blame._tag === "count" && error._tag === "Unreachable") registry.suspect(backend.name)
    return blame._tag === "config"
      ? registry.noteProbe(backend.name, { _tag: "Refused", reason: reasonOf(error) })
      : undefined
  }

  /** Hands the flow to the client and waits for its end. */
  const sendFlow = (current: Run, attempt: Attempt, answer: Answer & { readonly _tag: "Flow" }, ticket: Ticket) =>
    Effect.callback<FlowEnd>((resume) => {
      const { exchange, server } = current
      const { clock } = exchange
      const { idleMs } = attempt.candidate.state.backend.limits
      const awaitBackend = () => void clock.arm("idle", idleMs, flow.cut)
      const flow: Relay = relay({
        body: answer.head.body,
        attach: answer.attach,
        events: answer.events,
        marked: answer.events && exchange.endpoint !== "embeddings",
        errorText: (error) =>
          bodyOf(formOf(failureOf(error, exchange.model, [...exchange.failures, failed(attempt, error)]))),
        progress: () => void clock.arm("idle", idleMs),
        stalled: () => void clock.arm("stall", limits.stallMs, flow.drop),
        resumed: awaitBackend,
        onEnd: (end, bytes) => {
          exchange.bytesOut = bytes
          ticket.settle(end._tag === "Complete" ? "good" : end._tag === "Broken" ? "bad" : "none", performance.now())
          server.timeout(exchange.request, keepAliveSeconds)
          resume(Effect.succeed(end))
        }
      })
      awaitBackend()
      server.timeout(exchange.request, 0)
      exchange.cut = () => flow.cut(stopped)
      const headers = replyHeaders(answer.head, attempt, exchange.id, exchange.attempts)
      current.respond(
        new Response(flow.body, {
          status: answer.head.status,
          headers: answer.events ? { ...headers, ...streamHeaders } : headers
        })
      )
      return Effect.sync(flow.drop)
    })

  /** Sends a committed answer to the client; resolves when it has been handed over whole. */
  const send = (current: Run, attempt: Attempt, { answer }: Reply, ticket: Ticket) => {
    const { exchange } = current
    const now = performance.now()
    exchange.firstByteAt = now
    exchange.status = answer.head.status
    exchange.backend = attempt.candidate.state.backend.name
    ticket.answered(now)
    if (answer._tag === "Flow") {
      return Effect.map(sendFlow(current, attempt, answer, ticket), (end) => {
        exchange.outcome = end._tag === "Complete" ? "completed" : end._tag === "Broken" ? "truncated" : "client_closed"
        if (end._tag === "Broken") exchange.failures.push(failed(attempt, end.error))
      })
    }
    ticket.settle("good", now)
    exchange.outcome = "completed"
    exchange.bytesOut = answer.body.byteLength
    current.respond(
      new Response(plainBytes(answer.body), {
        status: answer.head.status,
        headers: replyHeaders(answer.head, attempt, exchange.id, exchange.attempts)
      })
    )
    return Effect.void
  }

  const failed = (attempt: Attempt, error: UpstreamError) => ({
    backend: attempt.candidate.state.backend.name,
    model: attempt.model,
    reason: reasonOf(error)
  })

  /** Asks candidate after candidate until one commits; what is left over is the failure to answer with. */
  const attemptAll = Effect.fnUntraced(function* (current: Run, plan: Plan, raw: Uint8Array) {
    const { exchange } = current
    let retriesLeft = routing.maxRetries
    let attempt = plan.next(performance.now())
    let fresh = false
    let lostBefore = 0
    let last: Failed | undefined
    while (attempt !== undefined) {
      const { state } = attempt.candidate
      const now = performance.now()
      // A replay on a fresh connection belongs to the attempt it replays.
      if (!fresh) exchange.attempts += 1
      exchange.upstreamModel = attempt.model
      exchange.clock.bound(exchange.started, state.backend.limits.totalMs)
      const ticket = new Ticket(state.live, attempt.model, now)
      current.ticket = ticket
      const result = yield* Effect.result(
        upstream.call({
          backend: state.backend,
          endpoint: exchange.endpoint,
          body: attempt.model === plan.requested ? raw : replaceModel(raw, attempt.model),
          clientHeaders: exchange.request.headers,
          requestId: exchange.id,
          stream: exchange.stream,
          clock: exchange.clock,
          fresh
        })
      )
      if (Result.isSuccess(result)) return yield* send(current, attempt, result.success, ticket)
      const error = result.failure
      exchange.failures.push(failed(attempt, error))
      const judged = verdict(error, {
        retriesLeft,
        freshTried: fresh,
        ownKey: !state.backend.forwardAuthorization,
        budgetLeft: budgetLeft(),
        lostBefore
      })
      if (error._tag === "ConnectionLost" && judged.next !== "retry-fresh") lostBefore += 1
      last = { error, attempt, pass: judged.next === "pass" || isRateLimit(error) }
      const note = settle(current, error, attempt, judged.blame)
      if (note !== undefined) yield* note
      if (judged.next === "pass" || judged.next === "fail") break
      fresh = judged.next === "retry-fresh"
      if (fresh) continue
      retriesLeft -= 1
      beginRetry(current)
      // The same candidate is asked again only when there is no other.
      attempt = plan.next(performance.now()) ?? (judged.again ? attempt : undefined)
    }
    return last
  })

  const answerFailure = (current: Run, { error, attempt, pass }: Failed): void => {
    const { exchange } = current
    const decision = decisionHeaders(attempt, exchange.attempts)
    const passed = pass && error._tag === "ErrorStatus" ? passOn(error, exchange.id, decision) : undefined
    const response = passed ?? render(failureOf(error, exchange.model, exchange.failures), exchange.id, decision)
    exchange.outcome = passed === undefined ? "failed" : "refused"
    exchange.backend = attempt.candidate.state.backend.name
    exchange.status = response.status
    current.respond(response)
  }

  const program = Effect.fnUntraced(function* (current: Run) {
    const { exchange } = current
    const body = yield* readBody(exchange.request, exchange.clock, limits.maxBodyBytes, limits.uploadMs)
    const { needs } = yield* Effect.fromResult(readNeeds(exchange.endpoint, body))
    exchange.model = needs.model
    exchange.stream = needs.stream
    const plan = yield* Effect.fromResult(router.route(needs, registry.snapshot(), performance.now()))
    accounting.routed(exchange, plan)
    const left = yield* attemptAll(current, plan, body)
    if (left !== undefined) answerFailure(current, left)
  })

  const finish = (current: Run, exit: Exit.Exit<void, GatewayError>): void => {
    const { exchange } = current
    if (Exit.isFailure(exit)) {
      const failure = Cause.findErrorOption(exit.cause)
      const gone = Cause.hasInterruptsOnly(exit.cause)
      const error =
        failure._tag === "Some"
          ? failure.value
          : drain.draining()
            ? new Stopping({ retryAfterSeconds: 5 })
            : new Internal({ requestId: exchange.id })
      if (failure._tag === "None" && !gone) accounting.defect(exchange.id, exit.cause)
      exchange.outcome = failure._tag === "Some" ? "refused" : gone ? "client_closed" : "failed"
      const response = render(error, exchange.id)
      exchange.status = gone ? 499 : response.status
      current.respond(response)
    }
    current.ticket?.settle("none", performance.now())
    if (current.retrying) retries -= 1
    deadlines.remove(exchange.clock)
    runs.delete(current)
    accounting.ended(exchange)
  }

  const handle = (endpoint: Endpoint, request: Request, id: string, server: Listening): Promise<Response> => {
    if (drain.draining()) return Promise.resolve(render(new Stopping({ retryAfterSeconds: 5 }), id))
    if (runs.size >= limits.maxConcurrent) {
      const message = `Nexus is handling ${limits.maxConcurrent} requests already (server.max_concurrent_requests)`
      return Promise.resolve(render(new Overloaded({ message, retryAfterSeconds: 1 }), id))
    }
    return new Promise((resolve) => {
      const started = performance.now()
      const clock = new RequestClock(started, limits.totalMs)
      const exchange = arrived(id, endpoint, request, started, clock)
      const current: Run = { exchange, server, respond: resolve, ticket: undefined, retrying: false }
      runs.add(current)
      deadlines.add(clock)
      const fiber = run(program(current))
      exchange.cut = () => fiber.interruptUnsafe()
      request.signal.addEventListener("abort", () => fiber.interruptUnsafe(), { once: true })
      fiber.addObserver((exit) => finish(current, exit))
    })
  }

  return Proxy.of({
    handle,
    active: () => runs.size,
    endAll: () => {
      for (const current of runs) current.exchange.cut()
    }
  })
})
