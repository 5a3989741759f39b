/**
 * The attempts of one request: candidate after candidate until one commits, as recursion in the channel of typed errors.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import { locality } from "../backend/backend.ts"
import { isInCloud } from "../backend/zone.ts"
import type { ModelRefusal } from "../dialect/refused-fields.ts"
import type { ReadRequest, Span } from "../dialect/Dialect.ts"
import { type GatewayError, Overloaded } from "../domain/errors.ts"
import type { Work } from "../fleet/running.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { BadAnswer, type UpstreamError } from "../domain/upstream-errors.ts"
import { type Candidate, inRotation } from "../registry/snapshot.ts"
import {
  asksToRetryLater,
  mayHaveDoneWork,
  judgeFailure,
  isMissingEndpoint,
  isMissingModel,
  isTooLong,
  type Verdict
} from "../router/judge-failure.ts"
import type { Attempt } from "../router/choice.ts"
import type { Plan } from "../router/plan.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import { isCoded } from "../upstream/content-encoding.ts"
import { lateRedactorFor, redactorFor } from "../upstream/endpoint.ts"
import type { RequestClock } from "../upstream/Upstream.ts"
import { type AskedFor, Asking, type AskingEnds, dropAnswer, isAway, isCount } from "./asking.ts"
import { deliver } from "./deliver.ts"
import { GaveUp, redactedError } from "./final-failure.ts"
import { isGuardRefusal } from "./guard.ts"
import { hookedAnswer, withoutWish } from "./hooked-answer.ts"
import type { HedgeShare } from "./hedging.ts"
import { Race, type Racer } from "./race.ts"
import type { Forwarding } from "./forwarding.ts"
import type { RequestRun } from "./request-run.ts"
import type { Waiting } from "./slot-queue.ts"
import { StreamedBody } from "./streamed-body.ts"
import type { AnyTranslator } from "./translation.ts"

// So often a request is taken back by the queue that had its turn: who refuses more often is not waited for.
const mostRefusals = 100

const noStream = new BadAnswer({ reason: "something else than the stream that has been opened for it" })
const nothing = new Uint8Array(0)
const nobody: ReadonlyArray<Attempt> = []
const isStream = (answer: CommittedAnswer): boolean => answer._tag === "Flow" && answer.watch !== undefined

type Forwarded = Effect.Effect<void, GaveUp | GatewayError>

/** An attempt that failed, and whether the gateway may spend a retry on it. */
type Failed = Pick<GaveUp, "error" | "attempt" | "pass"> & { readonly mayRetry: boolean }

/** The candidates of one request, asked one after the other. */
export class Attempts implements AskedFor, AskingEnds<void, GaveUp | GatewayError> {
  readonly forwarding: Forwarding
  readonly run: RequestRun
  readonly needs: RoutingNeeds
  body: Uint8Array | StreamedBody
  readonly model: Span | undefined
  private plan: Plan
  private retriesLeft: number
  private lostBefore = 0
  private worked = false
  // Those that had no slot, and how often that was.
  private slotless: ReadonlyArray<Attempt> = nobody
  private refusals = 0
  // When it began to wait for a slot, and whether it has had its turn.
  private queuedAt: number | undefined
  private hadTurn = false
  // How the last one failed that was asked.
  private latest: Failed | undefined
  private translator: AnyTranslator | undefined

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

  get requested(): string {
    return this.plan.requested
  }

  get work(): Work {
    return this.plan.work
  }

  get pinsSlots(): boolean {
    return this.plan.settings.pinsSlots
  }

  /** Asks the first one, and others when it fails. */
  get all(): Forwarded {
    return this.next(Effect.void)
  }

  /** Goes on with the next one, as soon as it has a slot; with `otherwise` where there is none. */
  private next(otherwise: Forwarded): Forwarded {
    const now = performance.now()
    // A number that can be estimated is not waited for.
    const chosen = isCount(this.run) ? this.plan.next(now) : this.forwarding.queue.choose(this.plan, now)
    if (chosen === undefined) return otherwise
    return chosen === "wait" ? this.waiting(otherwise) : this.from(chosen)
  }

  /** Waits until somebody has a slot. */
  private waiting(otherwise: Forwarded): Forwarded {
    const { run, plan } = this
    const { queue, queueMs, router, seeks } = this.forwarding
    const { record } = run
    const { clock } = record
    // What is done next is not done inside of the wait, which would be held until it has ended.
    const turn = Effect.callback<Forwarded>((resume) => {
      const since = performance.now()
      const from = (this.queuedAt ??= since)
      const mostMs = queueMs()
      let entered: Waiting | Overloaded | undefined
      const over = (then: Forwarded): void => {
        record.awaits(performance.now() - since)
        resume(Effect.succeed(then))
      }
      record.waits(since, () =>
        entered === undefined || entered instanceof Overloaded ? undefined : queue.placeOf(entered)
      )
      clock.arm("queue", mostMs === 0 ? 0 : Math.max(1, from + mostMs - since), () => {
        if (entered === undefined || entered instanceof Overloaded) return
        const why = queue.late(entered, performance.now() - from)
        queue.leave(entered)
        over(Effect.fail(why))
      })
      // Whoever goes at once has other limits by the time this is back.
      entered = queue.enter(
        {
          ...seeks(record),
          plan,
          inVain: this.hadTurn,
          until: Math.min(clock.totalAt, mostMs === 0 ? Infinity : from + mostMs),
          // The place is taken in this turn: what is made of the attempt takes it.
          goes: (attempt, by) => {
            this.plan = by
            this.hadTurn = true
            over(this.from(attempt))
          },
          isOver: (by) => over(this.latest === undefined ? Effect.fail(router.busy(by, performance.now())) : otherwise)
        },
        since
      )
      if (entered instanceof Overloaded) return over(Effect.fail(entered))
      const waiting = entered
      return Effect.sync(() => queue.leave(waiting))
    })
    return Effect.flatten(turn)
  }

  private from(attempt: Attempt): Forwarded {
    const share = this.plan.settings.hedge === undefined ? undefined : this.shareFor(attempt)
    return share === undefined ? this.ask(attempt, undefined, this) : this.raced(attempt, share)
  }

  /** Asks a backend, and again in other words where it refuses some of those. */
  ask<A, E>(attempt: Attempt, beside: RequestClock | undefined, ends: AskingEnds<A, E>): Effect.Effect<A, E> {
    const { candidate, model } = attempt
    const said = this.translator?.for(candidate, model, this.refusedBy(attempt))
    if (said !== undefined && Result.isFailure(said)) return ends.untold(attempt, said.failure)
    const asking = new Asking(this, attempt, said?.success, beside)
    ends.begun?.(asking)
    return Effect.flatMap(asking.answer, (made) =>
      Exit.isSuccess(made) ? this.understood(asking, made.value, ends) : this.refused(asking, made.cause, beside, ends)
    )
  }

  private refused<A, E>(
    asking: Asking,
    cause: Cause.Cause<UpstreamError>,
    beside: RequestClock | undefined,
    ends: AskingEnds<A, E>
  ): Effect.Effect<A, E> {
    const failed = Cause.findErrorOption(cause)
    if (failed._tag === "None") return Effect.die(Cause.squash(cause))
    const error = failed.value
    if (!this.learns(asking, error)) return ends.failed(asking, error)
    asking.fails(error, { _tag: "none" }, true)
    return this.ask(asking.attempt, beside, ends)
  }

  /** Takes an answer, in the dialect of the client from here on. */
  private understood<A, E>(asking: Asking, answer: CommittedAnswer, ends: AskingEnds<A, E>): Effect.Effect<A, E> {
    const { attempt, translation } = asking
    if (this.run.record.trace?.sampled === true) asking.asked.trace?.hears(answer)
    if (translation === undefined) return this.checked(asking, this.asAsked(answer), ends)
    const redact = lateRedactorFor(attempt.candidate.state.backend, this.run.record.request.headers)
    const made = translation.answer(answer, redact, this.forwarding.fork)
    if (Result.isSuccess(made)) return this.checked(asking, made.success, ends)
    dropAnswer(answer)
    return ends.failed(asking, made.failure)
  }

  private asAsked(answer: CommittedAnswer): CommittedAnswer {
    const { asAsked } = this.run.record.route.operation
    const { body } = this
    if (asAsked === undefined || answer._tag !== "Whole" || body instanceof StreamedBody) return answer
    const made = isCoded(answer.head) ? undefined : asAsked(body, answer.body)
    return made === undefined ? answer : { ...answer, body: made }
  }

  private checked<A, E>(asking: Asking, answer: CommittedAnswer, ends: AskingEnds<A, E>): Effect.Effect<A, E> {
    if (this.run.early?.opened !== true || isStream(answer)) return ends.answered(asking, answer)
    dropAnswer(answer)
    return ends.failed(asking, noStream)
  }

  /** The share of requests asked twice that this one belongs to; undefined where it is not to be asked twice. */
  private shareFor(attempt: Attempt): HedgeShare | undefined {
    const { plan, run } = this
    const { record } = run
    const { hedge } = plan.settings
    if (hedge === undefined || !record.stream || record.hedge !== undefined) return undefined
    if (!record.route.operation.generates || this.body instanceof StreamedBody) return undefined
    const name = plan.targetOf(attempt)?.name
    if (name === undefined || !(hedge.models.has(name) || hedge.models.has(plan.requested))) return undefined
    const share = this.forwarding.hedging.share(name)
    if (record.attempts === 0) share.comes()
    return share
  }

  /** Asks a backend, and another one beside it once its first token is late. */
  private raced(attempt: Attempt, share: HedgeShare): Forwarded {
    return Effect.flatMap(new Race(this.racer(share), attempt).end, (end): Forwarded => {
      if (end._tag === "Spoke") return this.answered(end.asking, end.answer)
      return end._tag === "Failed" ? this.failed(end.asking, end.error) : this.untold(end.attempt, end.why)
    })
  }

  private racer(share: HedgeShare): Racer {
    const { accounting, deadlines, hedging, registry } = this.forwarding
    const { clouds = false, maxShare = 0, minWaitMs = 0 } = this.plan.settings.hedge ?? {}
    const suits = ({ model, state }: Candidate): boolean => {
      const now = registry.snapshot().backends.get(state.backend.name)
      // One that has to be loaded first speaks no sooner, and may push out what others use.
      return now !== undefined && inRotation(now) && model.loaded !== false && (clouds || !isInCloud(state.backend))
    }
    return {
      record: this.run.record,
      accounting,
      deadlines,
      leastMs: minWaitMs,
      lateMs: ({ attempt, ticket }) =>
        hedging.lateMs(attempt.candidate, this.plan.targetOf(attempt)?.candidates ?? [], {
          expectedMs: ticket.expectedMs,
          leastMs: minWaitMs
        }),
      spare: (attempt, left) => {
        const target = this.plan.targetOf(attempt)
        if (target === undefined || share.left(maxShare) < left) return undefined
        const spare = this.plan.spare(target, performance.now(), suits)
        if (spare !== undefined) share.takes()
        return spare
      },
      ask: (attempt, beside, ends) => this.ask(attempt, beside, ends),
      notes: (asking, error) => void this.notes(asking, error),
      took: ({ candidate }, ms) => hedging.took(candidate, ms)
    }
  }

  // Others may be told what this one cannot; where nobody can, the client hears why, unless one that could has failed.
  untold({ candidate }: Attempt, why: GatewayError): Forwarded {
    this.plan.lose(candidate.state)
    return this.next(this.latest === undefined ? Effect.fail(why) : this.over(this.latest))
  }

  private refusedBy({ candidate, model }: Attempt): ReadonlySet<ModelRefusal> {
    return this.forwarding.refusals.of(candidate.state, model, performance.now())
  }

  /** Whether a failure shows that the model refuses to be told something, which was not known of it, or so much at once. */
  private learns(asking: Asking, error: UpstreamError): boolean {
    const { attempt } = asking
    if (asking.wishes && this.refusesWish(error)) {
      this.forwarding.wishRefusals.learn(attempt.candidate.state, attempt.model, ["usage"], performance.now())
      return true
    }
    if (this.translator === undefined) return false
    const known = this.refusedBy(attempt)
    if (!known.has("strict") && this.translator.eases(error)) return true
    const fresh = this.translator.refusedBy(error).filter((field) => !known.has(field))
    if (fresh.length === 0) return false
    this.forwarding.refusals.learn(attempt.candidate.state, attempt.model, fresh, performance.now())
    return true
  }

  private refusesWish(error: UpstreamError): boolean {
    if (error._tag !== "ErrorStatus" || (error.status !== 400 && error.status !== 422)) return false
    return this.run.record.route.dialect.usageWish?.isRefused(new TextDecoder().decode(error.body)) === true
  }

  // Among those there are now. Where there is none, the answer may still come: servers that stop in order take no more
  // connections and end what they have begun.
  moves(gone: string): boolean {
    if (this.retriesLeft <= 0) return false
    const now = performance.now()
    const snapshot = this.forwarding.registry.snapshot()
    const plan = this.plan.over(snapshot, now)
    const { failures, hedge } = this.run.record
    for (const name of [gone, hedge?.backend ?? "", ...failures.map(({ backend }) => backend)]) {
      const state = snapshot.backends.get(name)
      if (state !== undefined) plan.lose(state)
    }
    if (!plan.hasNext(now)) return false
    this.plan = plan
    return true
  }

  /** Sends an answer on, past the hooks that judge it. */
  answered(asking: Asking, answer: CommittedAnswer): Forwarded {
    const { guard, record } = this.run
    if (guard?.judgesAnswers !== true) return this.delivered(asking, answer)
    const { idleMs } = asking.attempt.candidate.state.backend.limits
    return Effect.matchEffect(hookedAnswer(guard, answer, { record, idleMs, fork: this.forwarding.fork }), {
      onSuccess: (shown) => this.delivered(asking, shown),
      onFailure: (error): Forwarded => (isGuardRefusal(error) ? Effect.fail(error) : this.failed(asking, error))
    })
  }

  private delivered(asking: Asking, answer: CommittedAnswer): Forwarded {
    const { attempt, ticket } = asking
    const { dialect } = this.run.record.route
    // Nobody else is asked any more, and who waits for the rest of the answer need not hold what was asked.
    this.body = nothing
    this.translator = undefined
    asking.translation = undefined
    return deliver(this.run, attempt, this.run.kept(withoutWish(asking, answer, dialect)), ticket, asking.heard(answer))
  }

  /** Takes the failure of an attempt: moves on to the next one, or gives up. */
  failed(asking: Asking, found: UpstreamError): Forwarded {
    const { body, run } = this
    const { attempt } = asking
    const { retried } = this.forwarding
    if (body instanceof StreamedBody && found._tag === "TimedOut" && found.limit === "upload") {
      asking.settle(found, { _tag: "none" })
      return Effect.fail(body.late())
    }
    const { failure, judged } = this.notes(asking, found)
    const mayRepeat = !(body instanceof StreamedBody) || body.mayRepeat
    if (judged.next !== "next" || !mayRepeat) return this.over(failure)
    if (judged.blame._tag === "full") return this.goesBack(failure)
    this.retriesLeft -= 1
    if (!run.retrying) retried()
    run.retrying = true
    // The same candidate is asked again only when there is no other.
    return this.next(judged.again ? Effect.suspend(() => this.from(attempt)) : this.over(failure))
  }

  // It is as if those had not been asked: they are waited for, as long as the queue has it.
  private goesBack(failure: Failed): Forwarded {
    this.plan = this.plan.over(this.forwarding.registry.snapshot(), performance.now(), this.slotless)
    this.slotless = nobody
    return this.next(this.over(failure))
  }

  /** Takes down the failure of an attempt, and what it leads to. */
  private notes(asking: Asking, found: UpstreamError): { readonly failure: Failed; readonly judged: Verdict } {
    const { plan, run } = this
    const { attempt } = asking
    const { record } = run
    const { budgetLeft, newcomers, registry } = this.forwarding
    const { backend, health, models } = attempt.candidate.state
    const error = redactedError(found, redactorFor(backend, record.request.headers))
    const mayRetry = budgetLeft()
    const judged = judgeFailure(error, {
      retriesLeft: this.retriesLeft,
      ownKey: !backend.forwardAuthorization,
      keyRefused: health.status === "config_error",
      budgetLeft: mayRetry,
      lostBefore: this.lostBefore,
      refusing:
        plan.settings.waits && this.refusals < mostRefusals && !isCount(run)
          ? { local: locality(backend.type) === "local", working: asking.ticket.others }
          : undefined,
      roomier: isTooLong(error) && plan.outgrow(attempt.candidate, performance.now())
    })
    if (judged.blame._tag === "full") {
      this.slotless = [...this.slotless, attempt]
      this.refusals += 1
    }
    const blameless = judged.blame._tag === "none" && error._tag === "ErrorStatus"
    // Whoever cannot count may answer all the same.
    asking.fails(error, isCount(run) && !isAway(error) ? { _tag: "none" } : judged.blame, blameless)
    const missing = isMissingModel(error) ? attempt.model : isMissingEndpoint(error) ? `/${record.endpoint}` : ""
    if (missing !== "" && newcomers.misses(models, missing)) registry.suspect(backend.name)
    if (isAway(error)) plan.lose(attempt.candidate.state)
    if (error._tag === "ConnectionLost") this.lostBefore += 1
    this.worked ||= mayHaveDoneWork(error)
    const failure = { error, attempt, pass: judged.next === "pass" || judged.own === true, mayRetry }
    this.latest = failure
    return { failure, judged }
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
}
