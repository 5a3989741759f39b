/**
 * One attempt of a request: a backend that is asked, how it is asked, and the place and the time that it takes.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { DialectRoute, Span, StreamCollector } from "../dialect/Dialect.ts"
import type { GatewayError } from "../domain/errors.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { ConnectionLost, Unreachable, type UpstreamError } from "../domain/upstream-errors.ts"
import { Ticket } from "../registry/live-state.ts"
import type { LearnedRefusals } from "../registry/learned-refusals.ts"
import type { ListDrift } from "../registry/list-drift.ts"
import type { Registry } from "../registry/Registry.ts"
import type { Blame } from "../router/judge-failure.ts"
import type { Attempt } from "../router/choice.ts"
import type { CommittedAnswer, Judged } from "../upstream/answer.ts"
import type { Asker, RequestClock, Upstream } from "../upstream/Upstream.ts"
import type { Suspicion } from "../wire/liveness.ts"
import { type BodySource, isSource, type RequestBody } from "../wire/request-bytes.ts"
import type { Accounting } from "./Accounting.ts"
import { collected } from "./collected.ts"
import { failureReason } from "./final-failure.ts"
import { openedFor, tunedFor } from "./fuller.ts"
import { pinningFor, withSlot } from "./named-slot.ts"
import type { Asked } from "./record.ts"
import { isUnmeasured, mayLoad } from "../backend/backend.ts"
import { coldFor } from "../router/expected-end.ts"
import type { Work } from "../fleet/running.ts"
import type { RequestRun } from "./request-run.ts"
import { StreamedBody } from "./streamed-body.ts"
import type { Translation } from "./translation.ts"

/** What the attempts of one request have in common. */
export interface AskedFor {
  readonly run: RequestRun
  readonly needs: RoutingNeeds
  /** The model as its client named it. */
  readonly requested: string
  readonly body: Uint8Array | StreamedBody
  /** Where the body names the model. */
  readonly model: Span | undefined
  /** What it asks of a server. */
  readonly work: Work
  /** Whether servers are told which slot is to take it. */
  readonly pinsSlots: boolean
  readonly forwarding: {
    /** Called when a slot may have become free. */
    readonly freed: () => void
    readonly accounting: Accounting["Service"]
    readonly registry: Registry["Service"]
    readonly newcomers: ListDrift
    readonly wishRefusals: LearnedRefusals<"usage">
    readonly upstream: Upstream["Service"]
  }
  /** Whether another one can be asked in place of a backend that is gone; it is then. */
  readonly moves: (gone: string) => boolean
}

/** How long a silent stream has left once its backend is known to be gone, in milliseconds. */
const lastWordsMs = 5000

/** How long somebody is waited for who counts tokens, in milliseconds: an estimate is to be had at once. */
const countMs = 5000

const replayed = new ConnectionLost({ reason: "a kept connection was closed as it was used", answered: false })

/** What is done with how an attempt ends. */
export interface AskingEnds<A, E> {
  /** It has its place now. */
  readonly begun?: (asking: Asking) => void
  /** The answer is one that can be sent on. */
  readonly answered: (asking: Asking, answer: CommittedAnswer) => Effect.Effect<A, E>
  readonly failed: (asking: Asking, error: UpstreamError) => Effect.Effect<A, E>
  /** It cannot be told what is asked. */
  readonly untold: (attempt: Attempt, why: GatewayError) => Effect.Effect<A, E>
}

/** Lets an answer go that nobody will take. */
export const dropAnswer = (answer: CommittedAnswer): void => {
  if (answer._tag === "Whole") return
  answer.head.body.abort()
  answer.taken()
}

/** Whether nobody was there to be asked, whatever the model. */
export const isAway = (error: UpstreamError): boolean =>
  error._tag === "Unreachable" || (error._tag === "TimedOut" && error.limit === "connect")

/** Whether a request is one for a number that can be estimated. */
export const isCount = ({ record }: RequestRun): boolean => record.route.operation.estimate !== undefined

/** A backend that is asked; it has its place there from the beginning on. */
export class Asking implements Asker {
  readonly attempt: Attempt
  /** How it is asked, until its answer is delivered; undefined in the words of the client. */
  translation: Translation | undefined
  asked: Asked
  readonly ticket: Ticket
  /** Whether it is waited for no longer. */
  isOver = false
  /** Whether it was asked for the tokens of its stream, which its client has not asked for. */
  wishes = false
  private readonly request: AskedFor
  private readonly clock: RequestClock
  /** Whether it is the one that the request is told to be asked of. */
  leads: boolean

  /** Beside another one it is given a clock of its own. */
  constructor(
    request: AskedFor,
    attempt: Attempt,
    translation: Translation | undefined,
    beside: RequestClock | undefined
  ) {
    const { candidate, model } = attempt
    const { forwarding, run } = request
    const { record } = run
    const { accounting } = forwarding
    const { backend, live } = candidate.state
    const now = performance.now()
    // As it is listed: a suffix that a client may put behind it is no model of its own.
    const { id } = candidate.model
    const clock = beside ?? record.clock
    this.request = request
    this.attempt = attempt
    this.translation = translation
    this.clock = clock
    this.leads = beside === undefined
    const meter = this.leads ? accounting.attempting(record, backend.name, id) : accounting.asksBeside(backend.name, id)
    // Once it is asked it counts as in memory.
    const loadMs = coldFor(candidate)
    const trace = record.trace?.asks(backend, model, now, !this.leads)
    this.asked = { backend: backend.name, model, meter, trace, loadMs, at: now, clock, isBeside: beside !== undefined }
    clock.bound(record.started, isCount(run) ? countMs : backend.limits.totalMs)
    this.ticket = new Ticket(live, id, now, (turn) => accounting.turned(backend.name, id, turn), {
      work: request.work,
      onDemand: mayLoad(backend.type, candidate.model),
      pinning: request.pinsSlots
        ? pinningFor(candidate, translation?.route ?? record.route, translation?.body ?? request.body)
        : undefined,
      freed: forwarding.freed
    })
    if (!this.leads) return
    record.asks(this.asked, now)
    run.ticket = this.ticket
    this.tellsWords()
  }

  /** Is the one that is waited for from here on, in the place of one that has failed or has been outrun. */
  follows(other: Asking): void {
    if (this.leads) return
    const { request, ticket } = this
    const { forwarding, run } = request
    const { record } = run
    this.leads = true
    other.leads = false
    if (other.isOver) forwarding.accounting.passesOn(other.asked)
    // What both were waited for counts once.
    record.awaits(ticket.started - (other.isOver ? performance.now() : other.ticket.started))
    record.follows(this.asked)
    run.ticket = ticket
    this.tellsWords()
    record.clock.bound(record.started, this.attempt.candidate.state.backend.limits.totalMs)
    record.clock.arm("first_byte", 0)
  }

  /** Another one has spoken, or nobody waits any more. */
  loses(now: number): void {
    const { ticket } = this
    this.isOver = true
    this.request.run.record.loses(this.asked, now)
    ticket.outwaited(now)
    ticket.settle("none", now)
    this.request.forwarding.accounting.drops(this.asked)
  }

  /** Asks it, for a stream where that is how its whole answers are to be had. */
  get answer(): Effect.Effect<Judged> {
    const { record } = this.request.run
    const { backend } = this.attempt.candidate.state
    const { translation } = this
    const route = translation?.route ?? record.route
    const body = withSlot(translation?.body ?? this.ownBody, this.attempt.candidate, this.ticket.slot)
    const collector = backend.collect === true && !record.stream ? route.operation.collector : undefined
    return collector === undefined || isSource(body)
      ? this.call(route, body, false)
      : this.collects(route, body, collector)
  }

  private collects(
    route: DialectRoute,
    body: Exclude<RequestBody, BodySource>,
    collector: StreamCollector
  ): Effect.Effect<Judged> {
    const { idleMs } = this.attempt.candidate.state.backend.limits
    const streamed = collector.request(body instanceof Uint8Array ? body : Buffer.concat(body))
    const whole = Effect.flatMap(Effect.flatten(this.call(route, streamed, true)), (answer) =>
      collected(answer, collector.start(), this.clock, idleMs)
    )
    return Effect.match(whole, { onFailure: Exit.fail, onSuccess: Exit.succeed })
  }

  // The wish for a stream may stand behind what has come so far.
  get wantsStream(): boolean {
    return this.request.run.record.stream
  }

  /** Notes how it failed; `blameless` when that says nothing against its backend. */
  fails(error: UpstreamError, blame: Blame, blameless: boolean): void {
    const { forwarding, run } = this.request
    const { backend, model } = this.asked
    const reason = failureReason(error)
    this.isOver = true
    run.record.fails({ backend, model, reason })
    run.record.loses(this.asked, performance.now(), reason)
    this.settle(error, blame)
    forwarding.accounting.attemptFailed(this, error, blameless)
    if (!this.leads) forwarding.accounting.leaves(this.asked)
  }

  /**
   * Looks at who an answer says it is by: a backend that is not as its probes found it is probed at once. Gives the model
   * when it is none that was to be expected.
   */
  heard({ head, said }: CommittedAnswer): string | undefined {
    const { candidate, model } = this.attempt
    const { model: loaded, state } = candidate
    const { newcomers, registry } = this.request.forwarding
    // It has been loaded for this answer: its context can be asked for now.
    if (isUnmeasured(state.backend, loaded) && newcomers.misses(state.models, `context of ${model}`)) {
      registry.suspect(state.backend.name)
    }
    const signs = { model: said.model, fingerprint: said.fingerprint, server: head.header("server") }
    if (newcomers.shows(state.models, model, signs)) registry.suspect(state.backend.name)
    return newcomers.isForeign(state.models, model, said.model) ? said.model : undefined
  }

  /** Gives its place back, with what its failure says of its backend. */
  settle(error: UpstreamError, blame: Blame): void {
    const { ticket } = this
    const { forwarding, run } = this.request
    const now = performance.now()
    if (this.leads) run.record.awaits(now - ticket.started)
    if (blame._tag === "full") ticket.refused(blame.ms, now, failureReason(error))
    const coolMs = blame._tag === "cool" ? blame.ms : blame._tag === "count" ? blame.coolMs : undefined
    if (coolMs !== undefined) {
      ticket.cool(coolMs, now, { limited: blame._tag === "cool", reason: failureReason(error) })
    }
    ticket.settle(blame._tag === "count" || blame._tag === "key" ? "bad" : "none", now)
    if (this.leads) run.ticket = undefined
    const doubted = blame._tag === "key" || (blame._tag === "none" && blame.probe === true)
    if (doubted || isAway(error)) forwarding.registry.suspect(this.asked.backend)
  }

  again(): boolean {
    const { forwarding, run } = this.request
    // It may have run, however unlikely that is: whoever wants nothing run twice says so by this setting.
    if (this.isOver || run.limits.maxRetries === 0) return false
    const { backend, model } = this.asked
    const reason = failureReason(replayed)
    const now = performance.now()
    run.record.fails({ backend, model, reason })
    run.record.loses(this.asked, now, reason)
    forwarding.accounting.attemptFailed(this, replayed, false)
    const { candidate } = this.attempt
    this.asked = {
      ...this.asked,
      at: now,
      trace: run.record.trace?.asks(candidate.state.backend, model, now, !this.leads)
    }
    run.record.repeats(this.asked)
    return true
  }

  silent(doubt: Suspicion | undefined): UpstreamError | undefined {
    if (this.isOver) return undefined
    const { clock, request } = this
    const { backend } = this.asked
    const { registry } = request.forwarding
    if (doubt !== undefined) registry.suspect(backend)
    const unhealthy = registry.snapshot().backends.get(backend)?.health.status === "unhealthy"
    const why = doubt?.gone ?? (unhealthy ? "its probes fail" : undefined)
    if (why === undefined) return undefined
    const reason = `the backend went away (${why})`
    if (clock.limit === "idle") {
      clock.hasten(performance.now() + lastWordsMs, new ConnectionLost({ reason, answered: true }))
    } else if (clock.limit === "connect" || clock.limit === "first_byte") {
      if (request.moves(backend)) return new Unreachable({ reason })
    }
    return undefined
  }

  private tellsWords(): void {
    const { request, translation } = this
    const { record } = request.run
    // Not the rest of it: its texts would be held for as long as the answer goes on.
    const translated = translation && { label: translation.label, dropped: translation.dropped }
    if (translated !== record.translated) record.translates(translated)
  }

  private call(route: DialectRoute, body: RequestBody, collects: boolean): Effect.Effect<Judged> {
    const { attempt, clock, request } = this
    const { run } = request
    const { record } = run
    const { state } = attempt.candidate
    return request.forwarding.upstream.call({
      backend: state.backend,
      route,
      model: attempt.model,
      apiPath: state.apiPath,
      body,
      clientHeaders: record.request.headers,
      requestId: record.id,
      hops: run.hops,
      traceparent: record.trace?.tells(this.asked.trace),
      tracestate: record.trace?.state,
      tells: record.trace?.sampled === true,
      zones: record.needs?.zones,
      mediaType: request.body instanceof StreamedBody ? request.body.mediaType : undefined,
      collects,
      clock,
      caller: this
    })
  }

  // What keeps a connection alive is said in the client's own dialect.
  hearer({ dialect }: DialectRoute): ((comments: Uint8Array) => void) | undefined {
    const { early, record } = this.request.run
    const { route } = record
    if (early?.opened !== true) return undefined
    if (dialect === route.dialect) return early.hear
    return () => {
      if (route.dialect.keepAlive !== undefined) early.hear(route.dialect.keepAlive)
    }
  }

  // The body in the words of its client.
  private get ownBody(): RequestBody {
    const { candidate, model } = this.attempt
    const { body: came, model: span, needs, requested, run } = this.request
    const { dialect, model: pathModel } = run.record.route
    // The body of a request whose path names the model may name another one, or none.
    const isSame = model === requested && pathModel === undefined
    if (came instanceof StreamedBody) {
      return came.as(isSame ? undefined : model, candidate.state.backend.limits.firstByteMs)
    }
    const open = openedFor(candidate, dialect, came)
    const tuned = dialect.withOwn === undefined ? undefined : tunedFor(candidate, dialect.id, needs)
    const body = tuned === undefined ? open : (dialect.withOwn?.(open, tuned.own, tuned.context) ?? open)
    const named = isSame ? [body] : dialect.withModel(body, model, body === came ? span : undefined)
    const wished = this.wishesUsage ? dialect.usageWish?.ask(body, named) : undefined
    this.wishes = wished !== undefined
    return wished ?? (isSame ? body : named)
  }

  // What a stream takes is written down; who has refused to tell is not asked.
  private get wishesUsage(): boolean {
    const { forwarding, needs, run } = this.request
    const { candidate, model } = this.attempt
    if (!forwarding.accounting.writesUsage || !needs.stream || !run.record.route.operation.generates) return false
    return forwarding.wishRefusals.of(candidate.state, model, performance.now()).size === 0
  }
}
