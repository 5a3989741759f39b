/**
 * The attempts of one request: candidate after candidate until one commits, as recursion in the channel of typed errors.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { isUnmeasured } from "../backend/backend.ts"
import type { GatewayError } from "../domain/errors.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { BadAnswer, ConnectionLost, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { Ticket } from "../registry/live-state.ts"
import type { LearnedRefusals } from "../registry/learned-refusals.ts"
import type { ListDrift } from "../registry/list-drift.ts"
import type { Registry } from "../registry/Registry.ts"
import {
  asksToRetryLater,
  type Blame,
  mayHaveDoneWork,
  judgeFailure,
  isMissingEndpoint,
  isMissingModel,
  isTooLong
} from "../router/judge-failure.ts"
import type { Attempt, Plan } from "../router/plan.ts"
import type { Router } from "../router/Router.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { Deadlines } from "../upstream/Deadlines.ts"
import { redactorFor } from "../upstream/endpoint.ts"
import type { Suspicion } from "../wire/liveness.ts"
import type { Asker, Upstream } from "../upstream/Upstream.ts"
import type { Accounting } from "./Accounting.ts"
import { collected } from "./collected.ts"
import { deliver } from "./deliver.ts"
import type { EarlyStream } from "./early-stream.ts"
import type { RequestRun } from "./request-run.ts"
import { StreamedBody } from "./streamed-body.ts"
import { redactedError, GaveUp, failureReason } from "./final-failure.ts"
import type { DialectRoute, ReadRequest, Span } from "../dialect/Dialect.ts"
import type { ChatField } from "../dialect/chat.ts"
import type { DialectList } from "../dialect/all.ts"
import { tunedFor } from "./fuller.ts"
import type { AnyTranslator, Translation } from "./translation.ts"
import { isSource, type RequestBody } from "../wire/request-bytes.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"

/** What forwarding draws on. */
export interface Forwarding {
  readonly dialects: DialectList
  readonly registry: Registry["Service"]
  readonly router: Router["Service"]
  readonly upstream: Upstream["Service"]
  readonly accounting: Accounting["Service"]
  readonly turns: EventLoopTurns
  readonly deadlines: Deadlines["Service"]
  /** Realtime sessions under way. */
  readonly sessions: Set<RequestRun>
  readonly newcomers: ListDrift
  readonly refusals: LearnedRefusals<ChatField>
  /** Called once the body of a request is there; says why it may not go on. */
  readonly taken: (run: RequestRun) => GatewayError | undefined
  /** The smallest context, in tokens, of those who may answer for a model now. */
  readonly leastContext: (model: string) => number
  /** The model that is meant where none is named. */
  readonly standIn: (usual: string | undefined) => string | undefined
  /** Whether one more retry may be spent now. */
  readonly budgetLeft: () => boolean
  /** Sees to it that the client of a stream does not wait in silence. */
  readonly keepAlive: (run: RequestRun) => void
  /** Called once for a request that is tried again. */
  readonly retried: () => void
}

/** Whether nobody was there to be asked, whatever the model. */
const isAway = (error: UpstreamError): boolean =>
  error._tag === "Unreachable" || (error._tag === "TimedOut" && error.limit === "connect")

/** How long a silent stream has left once its backend is known to be gone, in milliseconds. */
const lastWordsMs = 5000

/** How long somebody is waited for who counts tokens, in milliseconds: an estimate is to be had at once. */
const countMs = 5000

const replayed = new ConnectionLost({ reason: "a kept connection was closed as it was used", answered: false })

const noStream = new BadAnswer({ reason: "something else than the stream that has been opened for it" })

const isStream = (answer: CommittedAnswer): boolean => answer._tag === "Flow" && answer.watch !== undefined

const dropAnswer = (answer: CommittedAnswer): void => {
  if (answer._tag === "Whole") return
  answer.head.body.abort()
  answer.taken()
}

/** An attempt that failed, and whether the gateway may spend a retry on it. */
type Failed = Pick<GaveUp, "error" | "attempt" | "pass"> & { readonly mayRetry: boolean }

/** The candidates of one request, asked one after the other. */
export class Attempts implements Asker {
  private readonly forwarding: Forwarding
  private readonly run: RequestRun
  private readonly needs: RoutingNeeds
  private plan: Plan
  private readonly body: Uint8Array | StreamedBody
  private readonly model: Span | undefined
  private retriesLeft: number
  private lostBefore = 0
  private worked = false
  // How the last one failed that was asked.
  private latest: Failed | undefined
  private current: Attempt | undefined
  private readonly translator: AnyTranslator | undefined

  constructor(
    forwarding: Forwarding,
    run: RequestRun,
    { needs, model }: ReadRequest,
    plan: Plan,
    body: Uint8Array | StreamedBody,
    translator: AnyTranslator | undefined
  ) {
    this.translator = translator
    this.forwarding = forwarding
    this.run = run
    this.needs = needs
    this.plan = plan
    this.body = body
    this.model = model
    this.retriesLeft = run.limits.maxRetries
  }

  /** Asks the first one, and others when it fails. */
  get all(): Effect.Effect<void, GaveUp | GatewayError> {
    const first = this.plan.next(performance.now())
    return first === undefined ? Effect.void : this.from(first)
  }

  private from(attempt: Attempt): Effect.Effect<void, GaveUp | GatewayError> {
    const { candidate, model } = attempt
    const said = this.translator?.for(candidate, model, this.refusedBy(attempt))
    if (said === undefined) {
      if (this.translator !== undefined) this.run.record.translates(undefined)
      return Effect.matchEffect(this.asked(attempt, this.run.record.route, this.bodyFor(attempt)), {
        onFailure: (error) => this.failed(attempt, error),
        onSuccess: (answer) => this.answered(attempt, answer)
      })
    }
    if (Result.isFailure(said)) return this.passedOver(attempt, said.failure)
    const translation = said.success
    const { dropped, label } = translation
    // Not the rest of it: its texts would be held for as long as the answer goes on.
    this.run.record.translates({ label, dropped })
    return Effect.matchEffect(this.asked(attempt, translation.route, translation.body), {
      onFailure: (error) => (this.learns(attempt, error) ? this.simpler(attempt, error) : this.failed(attempt, error)),
      onSuccess: (answer) => this.translated(attempt, answer, translation)
    })
  }

  private get counts(): boolean {
    return this.run.record.route.operation.estimate !== undefined
  }

  // Others may be told what this one cannot; where nobody can, the client hears why, unless one that could has failed.
  private passedOver({ candidate }: Attempt, why: GatewayError): Effect.Effect<void, GaveUp | GatewayError> {
    this.plan.lose(candidate.state)
    const next = this.plan.next(performance.now())
    if (next !== undefined) return this.from(next)
    return this.latest === undefined ? Effect.fail(why) : this.over(this.latest)
  }

  private bodyFor({ candidate, model }: Attempt): RequestBody {
    const { body: came, plan, run } = this
    const { dialect, model: named } = run.record.route
    // The body of a request whose path names the model may name another one, or none.
    const isSame = model === plan.requested && named === undefined
    if (came instanceof StreamedBody) {
      return came.as(isSame ? undefined : model, candidate.state.backend.limits.firstByteMs)
    }
    const open = dialect.withoutSeals?.(came) ?? came
    const tuned = dialect.withOwn === undefined ? undefined : tunedFor(candidate, dialect.id, this.needs)
    const body = tuned === undefined ? open : (dialect.withOwn?.(open, tuned.own, tuned.context) ?? open)
    return isSame ? body : dialect.withModel(body, model, body === came ? this.model : undefined)
  }

  private refusedBy({ candidate, model }: Attempt): ReadonlySet<ChatField> {
    return this.forwarding.refusals.of(candidate.state, model, performance.now())
  }

  /** Whether a failure shows that the model refuses to be told something, which was not known of it. */
  private learns(attempt: Attempt, error: UpstreamError): boolean {
    const known = this.refusedBy(attempt)
    const fresh = this.translator?.refusedBy(error).filter((field) => !known.has(field)) ?? []
    if (fresh.length === 0) return false
    this.forwarding.refusals.learn(attempt.candidate.state, attempt.model, fresh, performance.now())
    return true
  }

  /** Asks the same backend again in words that it takes. */
  private simpler(attempt: Attempt, error: UpstreamError): Effect.Effect<void, GaveUp | GatewayError> {
    const { record } = this.run
    const { name } = attempt.candidate.state.backend
    record.fails({ backend: name, model: attempt.model, reason: failureReason(error) })
    this.settle(error, name, { _tag: "none" })
    this.forwarding.accounting.attemptFailed(record, error, true)
    return this.from(attempt)
  }

  /** Takes an answer in another dialect than the client's. */
  private translated(
    attempt: Attempt,
    answer: CommittedAnswer,
    translation: Translation
  ): Effect.Effect<void, GaveUp | GatewayError> {
    const redact = redactorFor(attempt.candidate.state.backend, this.run.record.request.headers)
    return Effect.flatMap(Effect.context<never>(), (context) => {
      const made = translation.answer(answer, redact, Effect.runForkWith(context))
      if (Result.isSuccess(made)) return this.answered(attempt, made.success)
      dropAnswer(answer)
      return this.failed(attempt, made.failure)
    })
  }

  /** Calls the backend of an attempt, for a stream where that is how its whole answers are to be had. */
  private asked(
    attempt: Attempt,
    route: DialectRoute,
    body: RequestBody
  ): Effect.Effect<CommittedAnswer, UpstreamError> {
    const { record } = this.run
    const { backend } = attempt.candidate.state
    const collector = backend.collect === true && !record.stream ? route.operation.collector : undefined
    if (collector === undefined || isSource(body)) {
      // The wish for a stream may stand behind what has come so far.
      return this.call(attempt, route, body, () => record.stream)
    }
    const streamed = collector.request(body instanceof Uint8Array ? body : Buffer.concat(body))
    return Effect.flatMap(
      this.call(attempt, route, streamed, () => true),
      (answer) => collected(answer, collector.start(), record.clock, backend.limits.idleMs)
    )
  }

  /** Calls the backend of an attempt. */
  private call(
    attempt: Attempt,
    route: DialectRoute,
    body: RequestBody,
    stream: () => boolean
  ): Effect.Effect<CommittedAnswer, UpstreamError> {
    const { candidate, model } = attempt
    const { run } = this
    const { record } = run
    const { accounting, upstream } = this.forwarding
    const { backend, live } = candidate.state
    const now = performance.now()
    // As it is listed: a suffix that a client may put behind it is no model of its own.
    const { id } = candidate.model
    this.current = attempt
    record.asks({ backend: backend.name, model, meter: accounting.attempting(record, backend.name, id) }, now)
    record.clock.bound(record.started, this.counts ? countMs : backend.limits.totalMs)
    run.ticket = new Ticket(live, id, now, (turn) => accounting.turned(backend.name, id, turn))
    return upstream.call({
      backend,
      route,
      model,
      apiPath: candidate.state.apiPath,
      body,
      clientHeaders: record.request.headers,
      requestId: record.id,
      mediaType: this.body instanceof StreamedBody ? this.body.mediaType : undefined,
      stream,
      clock: record.clock,
      caller: this,
      hearer: () => (run.early?.opened === true ? this.hearer(run.early, route) : undefined)
    })
  }

  // What keeps a connection alive is said in the client's own dialect.
  private hearer(early: EarlyStream, { dialect }: DialectRoute): (comments: Uint8Array) => void {
    const { route } = this.run.record
    if (dialect === route.dialect) return early.hear
    return () => {
      if (route.dialect.keepAlive !== undefined) early.hear(route.dialect.keepAlive)
    }
  }

  again(): boolean {
    const { current, run } = this
    // It may have run, however unlikely that is: whoever wants nothing run twice says so by this setting.
    if (current === undefined || run.limits.maxRetries === 0) return false
    const backend = current.candidate.state.backend.name
    run.record.repeats()
    run.record.fails({ backend, model: current.model, reason: failureReason(replayed) })
    this.forwarding.accounting.attemptFailed(run.record, replayed, false)
    return true
  }

  silent(doubt: Suspicion | undefined): UpstreamError | undefined {
    const { current, run } = this
    if (current === undefined) return undefined
    const { name } = current.candidate.state.backend
    const { clock } = run.record
    const { registry } = this.forwarding
    if (doubt !== undefined) registry.suspect(name)
    const unhealthy = registry.snapshot().backends.get(name)?.health.status === "unhealthy"
    const why = doubt?.gone ?? (unhealthy ? "its probes fail" : undefined)
    if (why === undefined) return undefined
    const reason = `the backend went away (${why})`
    if (clock.limit === "idle") {
      clock.hasten(performance.now() + lastWordsMs, new ConnectionLost({ reason, answered: true }))
    } else if (clock.limit === "connect" || clock.limit === "first_byte") {
      if (this.moves(name)) return new Unreachable({ reason })
    }
    return undefined
  }

  // Whether another candidate can be asked in place of one that is gone, among those there are now. Where there is none,
  // the answer may still come: servers that stop in order take no more connections and end what they have begun.
  private moves(gone: string): boolean {
    if (this.retriesLeft <= 0) return false
    const { registry, router } = this.forwarding
    const now = performance.now()
    const snapshot = registry.snapshot()
    const { plan } = router.consider(this.needs, snapshot, now)
    for (const name of [gone, ...this.run.record.failures.map(({ backend }) => backend)]) {
      const state = snapshot.backends.get(name)
      if (state !== undefined) plan.lose(state)
    }
    if (!plan.hasNext(now)) return false
    this.plan = plan
    return true
  }

  private answered(attempt: Attempt, answer: CommittedAnswer): Effect.Effect<void, GaveUp | GatewayError> {
    const { run } = this
    const { ticket } = run
    if (run.early?.opened === true && !isStream(answer)) {
      dropAnswer(answer)
      return this.failed(attempt, noStream)
    }
    return ticket === undefined ? Effect.void : deliver(run, attempt, answer, ticket, this.heard(attempt, answer))
  }

  /**
   * Looks at who an answer says it is by: a backend that is not as its probes found it is probed at once. Gives the model
   * when it is none that was to be expected.
   */
  private heard(
    { candidate: { state, model: loaded }, model }: Attempt,
    { head, said }: CommittedAnswer
  ): string | undefined {
    const { newcomers, registry } = this.forwarding
    // It has been loaded for this answer: its context can be asked for now.
    if (isUnmeasured(state.backend, loaded) && newcomers.misses(state.models, `context of ${model}`)) {
      registry.suspect(state.backend.name)
    }
    const signs = { model: said.model, fingerprint: said.fingerprint, server: head.header("server") }
    if (newcomers.shows(state.models, model, signs)) registry.suspect(state.backend.name)
    return newcomers.isForeign(state.models, model, said.model) ? said.model : undefined
  }

  /** Takes the failure of an attempt: moves on to the next one, or gives up. */
  private failed(attempt: Attempt, found: UpstreamError): Effect.Effect<void, GaveUp | GatewayError> {
    const { run, plan } = this
    const { record } = run
    const { accounting, budgetLeft, newcomers, registry, retried } = this.forwarding
    const { backend, health, models } = attempt.candidate.state
    if (this.body instanceof StreamedBody && found._tag === "TimedOut" && found.limit === "upload") {
      this.settle(found, backend.name, { _tag: "none" })
      return Effect.fail(this.body.late())
    }
    const error = redactedError(found, redactorFor(backend, record.request.headers))
    this.current = undefined
    record.fails({ backend: backend.name, model: attempt.model, reason: failureReason(error) })
    const mayRetry = budgetLeft()
    const judged = judgeFailure(error, {
      retriesLeft: this.retriesLeft,
      ownKey: !backend.forwardAuthorization,
      keyRefused: health.status === "config_error",
      budgetLeft: mayRetry,
      lostBefore: this.lostBefore,
      roomier: isTooLong(error) && plan.outgrow(attempt.candidate, performance.now())
    })
    // Whoever cannot count may answer all the same.
    this.settle(error, backend.name, this.counts && !isAway(error) ? { _tag: "none" } : judged.blame)
    const missing = isMissingModel(error) ? attempt.model : isMissingEndpoint(error) ? `/${record.endpoint}` : ""
    if (missing !== "" && newcomers.misses(models, missing)) registry.suspect(backend.name)
    accounting.attemptFailed(record, error, judged.blame._tag === "none" && error._tag === "ErrorStatus")
    const pass = judged.next === "pass" || judged.own === true
    this.worked ||= mayHaveDoneWork(error)
    this.latest = { error, attempt, pass, mayRetry }
    const mayRepeat = !(this.body instanceof StreamedBody) || this.body.mayRepeat
    if (judged.next !== "next" || !mayRepeat) return this.over(this.latest)
    if (isAway(error)) plan.lose(attempt.candidate.state)
    if (error._tag === "ConnectionLost") this.lostBefore += 1
    this.retriesLeft -= 1
    if (!run.retrying) retried()
    run.retrying = true
    // The same candidate is asked again only when there is no other.
    const next = plan.next(performance.now()) ?? (judged.again ? attempt : undefined)
    return next === undefined ? this.over(this.latest) : this.from(next)
  }

  // Retries of two must not multiply: once a backend may have worked on the request, or the tries are used up, the
  // client's library is told to leave it at that. Who was only asked to wait may come back.
  private over({ error, attempt, pass, mayRetry }: Failed): Effect.Effect<never, GaveUp> {
    const { record, limits } = this.run
    const used = record.attempts > 1 || limits.maxRetries === 0
    const spent = !mayRetry && limits.maxRetries > 0
    const theirs = pass && error._tag === "ErrorStatus" && error.status < 500 && error.status !== 429
    const final = !theirs && (this.worked || spent || (used && !asksToRetryLater(error)))
    return Effect.fail(new GaveUp({ error, attempt, pass, final }))
  }

  private settle(error: UpstreamError, backend: string, blame: Blame): void {
    const { run } = this
    const { registry } = this.forwarding
    const now = performance.now()
    if (run.ticket !== undefined) run.record.awaits(now - run.ticket.started)
    const coolMs = blame._tag === "cool" ? blame.ms : blame._tag === "count" ? blame.coolMs : undefined
    if (coolMs !== undefined) {
      run.ticket?.cool(coolMs, now, { limited: blame._tag === "cool", reason: failureReason(error) })
    }
    run.ticket?.settle(blame._tag === "count" || blame._tag === "key" ? "bad" : "none", now)
    run.ticket = undefined
    const doubted = blame._tag === "key" || (blame._tag === "none" && blame.probe === true)
    if (doubted || isAway(error)) registry.suspect(backend)
  }
}
