/**
 * The attempts of one request: candidate after candidate until one commits. Plain asynchronous code under the one fiber
 * of the request, since a step of an effect costs more here than all the deciding.
 */
import { Result } from "effect"
import { isUnmeasured } from "../backend/backend.ts"
import { LoopDetected, type GatewayError } from "../domain/errors.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { Member } from "../domain/roster.ts"
import { BadAnswer, ConnectionLost, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { Ticket } from "../registry/live.ts"
import type { Newcomers } from "../registry/newcomers.ts"
import type { Registry } from "../registry/Registry.ts"
import {
  asksForPatience,
  type Blame,
  mayHaveWorked,
  verdict,
  isMissingEndpoint,
  isMissingModel,
  isTooLong
} from "../router/failover.ts"
import type { Attempt, Plan } from "../router/plan.ts"
import type { Router } from "../router/Router.ts"
import { Abort } from "../wire/abort.ts"
import type { Answer } from "../upstream/answer.ts"
import { toUpstreamError } from "../wire/to-upstream-error.ts"
import { concealFor, hopsOf, maxGatewayHops } from "../upstream/endpoint.ts"
import type { Doubt } from "../wire/liveness.ts"
import type { Caller } from "../wire/outgoing.ts"
import type { Upstream } from "../upstream/Upstream.ts"
import type { Accounting } from "./Accounting.ts"
import { type BodyLimits, readBody } from "./body.ts"
import type { Listening } from "../http/BunServer.ts"
import { deliver, type Delivery } from "./deliver.ts"
import type { EarlyStream } from "./early-stream.ts"
import type { Exchange } from "./record.ts"
import { discreet, failureOf, passOn, reasonOf } from "./final-failure.ts"
import type { Read, Span } from "../dialect/Dialect.ts"
import { neverRetry } from "../dialect/failures.ts"
import { refuse } from "../dialect/refuse.ts"
import { answererHeaders, decisionHeaders } from "./answer-head.ts"
import type { Turns } from "../domain/Turns.ts"
import type { Upload } from "../admission/uploads.ts"

/** What forwarding draws on. */
export interface Forwarding {
  readonly registry: Registry["Service"]
  readonly router: Router["Service"]
  readonly upstream: Upstream["Service"]
  readonly accounting: Accounting["Service"]
  readonly turns: Turns
  readonly newcomers: Newcomers
  /** Called once the body of a request is there; says why it may not go on. */
  readonly taken: (run: Run) => GatewayError | undefined
  /** The smallest context, in tokens, of those who may answer for a model now. */
  readonly leastContext: (model: string) => number
  /** Whether one more retry may be spent now. */
  readonly budgetLeft: () => boolean
  /** Sees to it that the client of a stream does not wait in silence. */
  readonly keepAlive: (run: Run) => void
  /** Called once for a request that is tried again. */
  readonly retried: () => void
  /** A number from 0 to 1, by which waits are spread. */
  readonly random: () => number
}

/** What bounds one request; times in milliseconds, 0 is no limit. */
export interface RunLimits extends BodyLimits {
  readonly stallMs: number
  /** How long the client of a stream waits in silence before comments keep its connection alive. */
  readonly keepAliveMs: number
  readonly maxRetries: number
}

/** One request under way: its record, the ways to answer and to end it, and what must be given back at its end. */
export class Run implements Member, Delivery {
  place = -1
  abort = new Abort()
  ticket: Ticket | undefined
  /** Whether the request counts against the retry budget. */
  retrying = false
  /** Whether its body is there, so that it counts among the requests that are handled. */
  working = false
  /** Set for a stream whose client is not to wait in silence. */
  early: EarlyStream | undefined
  readonly exchange: Exchange
  readonly server: Listening
  readonly limits: RunLimits
  readonly upload: Upload
  /** Sends the head of an answer, and its body as it comes. */
  readonly open: (response: Response) => void

  constructor(
    exchange: Exchange,
    server: Listening,
    limits: RunLimits,
    upload: Upload,
    open: (response: Response) => void
  ) {
    this.exchange = exchange
    this.server = server
    this.limits = limits
    this.upload = upload
    this.open = open
  }

  /** Answers the request: where the head is out already, inside of its stream. */
  respond(response: Response): void {
    if (this.early?.opened === true) void this.early.fail(response)
    else this.open(response)
  }
}

/** The attempt that failed last; `pass` when the backend's own answer is for the client to see. */
interface Failed {
  readonly error: UpstreamError
  readonly attempt: Attempt
  readonly pass: boolean
  /** Whether the client's library would only multiply what has been tried already. */
  readonly final: boolean
}

/** Whether nobody was there to be asked, whatever the model. */
const isAway = (error: UpstreamError): boolean =>
  error._tag === "Unreachable" || (error._tag === "TimedOut" && error.limit === "connect")

const answerFailure = (run: Run, { error, attempt, pass, final }: Failed, random: () => number) => {
  const { exchange } = run
  const headersOf = pass && error._tag === "ErrorStatus" ? answererHeaders : decisionHeaders
  const decision = {
    ...headersOf(attempt, exchange.attempts),
    ...(final ? neverRetry : {})
  }
  const { dialect } = exchange.route
  const passed =
    pass && error._tag === "ErrorStatus" ? passOn(dialect, error, exchange.id, decision, random) : undefined
  const failure = () => failureOf(error, exchange.model, exchange.failures, random)
  const response = passed ?? refuse(dialect, failure(), exchange.id, decision)
  exchange.outcome = passed === undefined ? "failed" : "refused"
  exchange.backend = attempt.candidate.state.backend.name
  exchange.status = response.status
  run.respond(response)
}

/** How long a silent stream has left once its backend is known to be gone, in milliseconds. */
const lastWordsMs = 5000

const replayed = new ConnectionLost({ reason: "a kept connection was closed as it was used", answered: false })

const noStream = new BadAnswer({ reason: "something else than the stream that has been opened for it" })

const isStream = (answer: Answer): boolean => answer._tag === "Flow" && answer.watch !== undefined

const dropAnswer = (answer: Answer): void => {
  if (answer._tag === "Whole") return
  answer.head.body.abort()
  answer.taken()
}

/** The candidates of one request, asked one after the other. */
class Attempts implements Caller {
  private readonly forwarding: Forwarding
  private readonly run: Run
  private readonly needs: RoutingNeeds
  private plan: Plan
  private readonly body: Uint8Array
  private readonly model: Span | undefined
  private retriesLeft: number
  private lostBefore = 0
  private worked = false
  /** The one under way; undefined when the request is over. */
  attempt: Attempt | undefined

  constructor(forwarding: Forwarding, run: Run, { needs, model }: Read, plan: Plan, body: Uint8Array, now: number) {
    this.forwarding = forwarding
    this.run = run
    this.needs = needs
    this.plan = plan
    this.body = body
    this.model = model
    this.retriesLeft = run.limits.maxRetries
    this.attempt = plan.next(now)
  }

  /** Calls the backend of an attempt. */
  call({ candidate, model }: Attempt): Promise<Answer> {
    const { run } = this
    const { exchange } = run
    const { accounting, upstream } = this.forwarding
    const { backend, live } = candidate.state
    exchange.attempts += 1
    exchange.upstreamModel = model
    // As it is listed: a suffix that a client may put behind it is no model of its own.
    const { id } = candidate.model
    accounting.attempting(exchange, backend.name, id)
    exchange.clock.bound(exchange.started, backend.limits.totalMs)
    run.ticket = new Ticket(live, id, performance.now(), (turn) => accounting.turned(backend.name, id, turn))
    return upstream.call({
      backend,
      route: exchange.route,
      apiPath: candidate.state.apiPath,
      body: model === this.plan.requested ? this.body : exchange.route.dialect.withModel(this.body, model, this.model),
      clientHeaders: exchange.request.headers,
      requestId: exchange.id,
      stream: exchange.stream,
      clock: exchange.clock,
      abort: run.abort,
      caller: this,
      hearer: () => (run.early?.opened === true ? run.early.hear : undefined)
    })
  }

  again(): boolean {
    const { attempt, run } = this
    // It may have run, however unlikely that is: whoever wants nothing run twice says so by this setting.
    if (attempt === undefined || run.exchange.gone || run.limits.maxRetries === 0) return false
    const backend = attempt.candidate.state.backend.name
    run.exchange.attempts += 1
    run.exchange.failures.push({ backend, model: attempt.model, reason: reasonOf(replayed) })
    this.forwarding.accounting.attemptFailed(run.exchange, replayed, false)
    return true
  }

  silent(doubt: Doubt | undefined): void {
    const { attempt, run } = this
    if (attempt === undefined || run.exchange.gone) return
    const { name } = attempt.candidate.state.backend
    const { clock } = run.exchange
    const { registry } = this.forwarding
    if (doubt !== undefined) registry.suspect(name)
    const unhealthy = registry.snapshot().backends.get(name)?.health.status === "unhealthy"
    const why = doubt?.gone ?? (unhealthy ? "its probes fail" : undefined)
    if (why === undefined) return
    const reason = `the backend went away (${why})`
    if (clock.limit === "idle") {
      clock.hasten(performance.now() + lastWordsMs, new ConnectionLost({ reason, answered: true }))
    } else if (clock.limit === "connect" || clock.limit === "first_byte") {
      if (this.moves(name)) run.abort.abort(new Unreachable({ reason }))
    }
  }

  // Whether another candidate can be asked in place of one that is gone, among those there are now. Where there is none,
  // the answer may still come: servers that stop in order take no more connections and end what they have begun.
  private moves(gone: string): boolean {
    if (this.retriesLeft <= 0) return false
    const { registry, router } = this.forwarding
    const now = performance.now()
    const snapshot = registry.snapshot()
    const { plan } = router.consider(this.needs, snapshot, now)
    for (const name of [gone, ...this.run.exchange.failures.map(({ backend }) => backend)]) {
      const state = snapshot.backends.get(name)
      if (state !== undefined) plan.lose(state)
    }
    if (!plan.hasNext(now)) return false
    this.plan = plan
    return true
  }

  /** Looks at who an answer says it is by: a backend that is not as its probes found it is probed at once. */
  heard({ candidate: { state, model: loaded }, model }: Attempt, { head, said }: Answer): void {
    const { newcomers, registry } = this.forwarding
    // It has been loaded for this answer: its context can be asked for now.
    if (isUnmeasured(state.backend, loaded) && newcomers.misses(state.models, `context of ${model}`)) {
      registry.suspect(state.backend.name)
    }
    const signs = { model: said.model, fingerprint: said.fingerprint, server: head.header("server") }
    if (newcomers.shows(state.models, model, signs)) registry.suspect(state.backend.name)
    if (newcomers.isForeign(state.models, model, said.model)) this.run.exchange.answeredModel = said.model
  }

  /** Takes the failure of an attempt: moves on to the next one, or answers when nothing more is tried. */
  failed(attempt: Attempt, thrown: unknown): void {
    const { run, plan } = this
    const { accounting, budgetLeft, retried } = this.forwarding
    const { backend, health } = attempt.candidate.state
    const error = discreet(toUpstreamError(thrown, false), concealFor(backend, run.exchange.request.headers))
    this.attempt = undefined
    if (run.exchange.gone) return
    run.exchange.failures.push({ backend: backend.name, model: attempt.model, reason: reasonOf(error) })
    const mayRetry = budgetLeft()
    const judged = verdict(error, {
      retriesLeft: this.retriesLeft,
      ownKey: !backend.forwardAuthorization,
      keyRefused: health.status === "config_error",
      budgetLeft: mayRetry,
      lostBefore: this.lostBefore,
      roomier: isTooLong(error) && plan.outgrow(attempt.candidate, performance.now())
    })
    this.settle(error, backend.name, judged.blame)
    const { models } = attempt.candidate.state
    const missing = isMissingModel(error) ? attempt.model : isMissingEndpoint(error) ? `/${run.exchange.endpoint}` : ""
    if (missing !== "" && this.forwarding.newcomers.misses(models, missing)) {
      this.forwarding.registry.suspect(backend.name)
    }
    accounting.attemptFailed(run.exchange, error, judged.blame._tag === "none" && error._tag === "ErrorStatus")
    const pass = judged.next === "pass" || judged.own === true
    this.worked ||= mayHaveWorked(error)
    if (judged.next !== "next") return this.over({ error, attempt, pass, mayRetry })
    run.abort = new Abort()
    if (isAway(error)) plan.lose(attempt.candidate.state)
    if (error._tag === "ConnectionLost") this.lostBefore += 1
    this.retriesLeft -= 1
    if (!run.retrying) retried()
    run.retrying = true
    // The same candidate is asked again only when there is no other.
    this.attempt = plan.next(performance.now()) ?? (judged.again ? attempt : undefined)
    if (this.attempt === undefined) this.over({ error, attempt, pass, mayRetry })
  }

  // Retries of two must not multiply: once a backend may have worked on the request, or the tries are used up, the
  // client's library is told to leave it at that. Who was only asked to wait may come back.
  private over({ mayRetry, ...failed }: Omit<Failed, "final"> & { readonly mayRetry: boolean }): void {
    const { error, pass } = failed
    const { exchange, limits } = this.run
    const used = exchange.attempts > 1 || limits.maxRetries === 0
    const spent = !mayRetry && limits.maxRetries > 0
    const theirs = pass && error._tag === "ErrorStatus" && error.status < 500 && error.status !== 429
    const final = !theirs && (this.worked || spent || (used && !asksForPatience(error)))
    answerFailure(this.run, { ...failed, final }, this.forwarding.random)
  }

  private settle(error: UpstreamError, backend: string, blame: Blame): void {
    const { run } = this
    const { registry } = this.forwarding
    const now = performance.now()
    if (run.ticket !== undefined) run.exchange.awaitedMs += now - run.ticket.started
    const coolMs = blame._tag === "cool" ? blame.ms : blame._tag === "count" ? blame.coolMs : undefined
    if (coolMs !== undefined) {
      run.ticket?.cool(coolMs, now, { limited: blame._tag === "cool", reason: reasonOf(error) })
    }
    run.ticket?.settle(blame._tag === "count" || blame._tag === "key" ? "bad" : "none", now)
    run.ticket = undefined
    const doubted = blame._tag === "key" || (blame._tag === "none" && blame.probe === true)
    if (doubted || isAway(error)) registry.suspect(backend)
  }
}

/** Takes a request from its body to the end of its answer; gives what the gateway itself refuses it for. */
export const forward = async (forwarding: Forwarding, run: Run): Promise<GatewayError | undefined> => {
  const { exchange } = run
  const { registry, router, accounting } = forwarding
  const { turns } = forwarding
  const body = await readBody(exchange.request, exchange.clock, run.limits, run.upload, turns)
  if (exchange.gone) return undefined
  if (!(body instanceof Uint8Array)) return body
  const full = forwarding.taken(run)
  if (full !== undefined) return full
  exchange.awaitedMs = performance.now() - exchange.started
  const hops = hopsOf(exchange.request.headers)
  if (hops > maxGatewayHops) return new LoopDetected({ hops })
  const { dialect, operation } = exchange.route
  const reading = operation.needs(body, turns, forwarding.leastContext)
  const read = reading instanceof Promise ? await reading : reading
  if (exchange.gone) return undefined
  if (Result.isFailure(read)) return read.failure
  const { needs } = read.success
  exchange.model = needs.model
  exchange.stream = needs.stream
  const snapshot = registry.snapshot()
  const now = performance.now()
  const plan = router.route(needs, snapshot, now)
  if (Result.isFailure(plan)) {
    // Why there is nobody to ask is what people ask most.
    accounting.routed(exchange, router.consider(needs, snapshot, now).plan, now)
    return plan.failure
  }
  accounting.routed(exchange, plan.success, now)
  const mayHear = operation.generates && dialect.keepAlive !== undefined
  if (needs.stream && run.limits.keepAliveMs > 0 && mayHear) forwarding.keepAlive(run)
  const attempts = new Attempts(forwarding, run, read.success, plan.success, body, now)
  let { attempt } = attempts
  while (attempt !== undefined) {
    let answer: Answer
    try {
      answer = await attempts.call(attempt)
    } catch (thrown) {
      attempts.failed(attempt, thrown)
      attempt = attempts.attempt
      continue
    }
    if (run.early?.opened === true && !isStream(answer)) {
      dropAnswer(answer)
      attempts.failed(attempt, noStream)
      attempt = attempts.attempt
      continue
    }
    attempts.heard(attempt, answer)
    const { ticket } = run
    const going = ticket === undefined ? undefined : deliver(run, attempt, answer, ticket)
    if (going !== undefined) await going
    return undefined
  }
  return undefined
}
