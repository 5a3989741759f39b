/**
 * Shadows: copies of requests that go to another model or backend as well. Their answers are dropped, and compared with the
 * real ones in the metrics. A shadow takes no place, waits for nothing and holds nobody up: it begins only where there is room,
 * and is cut as soon as a real request takes that.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import { locality } from "../backend/backend.ts"
import { isInCloud } from "../backend/zone.ts"
import type { DialectList } from "../dialect/all.ts"
import { finishIn } from "../dialect/finish-words.ts"
import type { ModelRefusal } from "../dialect/refused-fields.ts"
import type { ReadRequest } from "../dialect/Dialect.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { Rule, Ruling } from "../domain/routing.ts"
import type { UpstreamError } from "../domain/upstream-errors.ts"
import type { LearnedRefusals } from "../registry/learned-refusals.ts"
import { slotsOf } from "../registry/live-state.ts"
import type { Registry } from "../registry/Registry.ts"
import type { Candidate } from "../registry/snapshot.ts"
import type { Router } from "../router/Router.ts"
import type { RuleCounts } from "../telemetry/rule-counts.ts"
import type { CommittedAnswer } from "../upstream/answer.ts"
import type { Deadlines } from "../upstream/Deadlines.ts"
import { RequestClock, type Upstream } from "../upstream/Upstream.ts"
import type { RequestBody } from "../wire/request-bytes.ts"
import type { Accounting } from "./Accounting.ts"
import { openedFor, tunedFor } from "./fuller.ts"
import { newRecord, type RequestRecord } from "./record.ts"
import { relay, type FlowEnd } from "./relay.ts"
import type { RequestRun } from "./request-run.ts"
import { type AnswerFacts, Shadow, Tail } from "./shadow.ts"
import { translatorFor } from "./translation.ts"

/** What shadows draw on. */
export interface ShadowsNeed {
  readonly dialects: DialectList
  readonly registry: Registry["Service"]
  readonly router: Router["Service"]
  readonly upstream: Upstream["Service"]
  readonly deadlines: Deadlines["Service"]
  readonly refusals: LearnedRefusals<ModelRefusal>
  readonly counts: RuleCounts
  readonly accounting: Accounting["Service"]
  readonly fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
}

const isPlace = (candidate: Candidate, shadows: number): boolean => {
  const { model, state } = candidate
  const { backend, live } = state
  const taken = live.inFlight + live.siblings.inFlight
  const slots = slotsOf(model, live)?.slots
  const places = Math.min(backend.maxConcurrent ?? Infinity, slots ?? Infinity)
  if (places < Infinity) return taken + shadows < places
  // How many it works on at a time is not known: whoever is real has it alone.
  return locality(backend.type) === "cloud" || taken === 0
}

const askedOnce = {
  wantsStream: false,
  again: () => false,
  silent: () => undefined,
  hearer: () => undefined
} as const

const streamedOnce = { ...askedOnce, wantsStream: true } as const

/** The shadows of a process. */
export class Shadows {
  private readonly underWay = new Set<Shadow>()
  private readonly need: ShadowsNeed

  constructor(need: ShadowsNeed) {
    this.need = need
  }

  /** How many are under way. */
  get size(): number {
    return this.underWay.size
  }

  /** Sends a copy of a request that has just been routed, where its rule wants one and there is room. */
  begin(run: RequestRun, read: ReadRequest, body: Uint8Array, { rule }: Ruling, totalMs: number): void {
    const { record } = run
    const { counts } = this.need
    const shadow = rule?.shadow
    const { needs } = record
    if (rule === undefined || shadow === undefined || needs === undefined) return
    const candidate =
      this.countOf(({ rule: { name } }) => name === rule.name) < shadow.maxConcurrent && this.chosen(rule, needs)
    if (candidate === false || candidate === undefined) {
      counts.add("shadows", [rule.name, "none", "none", "skipped"])
      return
    }
    const { accounting } = this.need
    const made = new Shadow(rule, candidate, counts, (outcome, facts) =>
      accounting.shadowed(record, candidate, outcome, facts)
    )
    run.shadow = made
    this.underWay.add(made)
    candidate.state.live.yields = () => this.makeRoom(candidate)
    // Its turn comes when the real one has been sent.
    const whole = Effect.andThen(Effect.yieldNow, this.asked(made, record, needs, read, body, totalMs))
    made.fiber = this.need.fork(Effect.onExit(whole, (exit) => Effect.sync(() => this.leave(made, exit))))
    if (made.isCut) made.cut()
  }

  /** Ends all of them. */
  endAll(): void {
    for (const shadow of this.underWay) shadow.cut()
  }

  private countOf(isMeant: (shadow: Shadow) => boolean): number {
    let count = 0
    for (const shadow of this.underWay) if (isMeant(shadow)) count += 1
    return count
  }

  private at(candidate: Candidate): number {
    const { name } = candidate.state.backend
    return this.countOf((shadow) => shadow.candidate.state.backend.name === name)
  }

  private chosen(rule: Rule, needs: RoutingNeeds): Candidate | undefined {
    const { registry, router } = this.need
    const { shadow } = rule
    const able =
      shadow === undefined ? [] : router.shadowable(needs, rule, shadow.side, registry.snapshot(), performance.now())
    let found: Candidate | undefined
    for (const candidate of able) {
      const { model, state } = candidate
      // A model that has to be loaded may push out the one that the real requests need.
      if (model.loaded === false || (shadow?.remote !== true && isInCloud(state.backend))) continue
      if (!isPlace(candidate, this.at(candidate))) continue
      if (found === undefined || state.live.inFlight < found.state.live.inFlight) found = candidate
    }
    return found
  }

  // A real request has taken a place where shadows are.
  private makeRoom(candidate: Candidate): void {
    const { name } = candidate.state.backend
    for (const shadow of this.underWay) {
      if (shadow.candidate.state.backend.name !== name || shadow.isCut) continue
      const others = this.countOf((each) => !each.isCut && each.candidate.state.backend.name === name) - 1
      if (!isPlace(candidate, others)) shadow.cut()
    }
  }

  private leave(shadow: Shadow, exit: Exit.Exit<void>): void {
    this.underWay.delete(shadow)
    if (Exit.isFailure(exit)) shadow.ended(shadow.isCut ? "cut" : "failed", undefined)
    if (this.at(shadow.candidate) === 0) shadow.candidate.state.live.yields = undefined
  }

  private asked(
    shadow: Shadow,
    real: RequestRecord,
    needs: RoutingNeeds,
    read: ReadRequest,
    came: Uint8Array,
    totalMs: number
  ): Effect.Effect<void> {
    const { deadlines, dialects, refusals, upstream } = this.need
    const { candidate } = shadow
    const { backend } = candidate.state
    const { id } = candidate.model
    const started = performance.now()
    const clock = new RequestClock(started, Math.min(totalMs || Infinity, backend.limits.totalMs || Infinity))
    const record = newRecord(`${real.id}-shadow`, real.route, real.request, started, clock, real.grant)
    record.routes(needs, started)
    const plan = { targets: [{ name: id, candidates: [candidate], suffix: "", understood: false, entry: id }] }
    const known = read.parsed === undefined ? undefined : Result.succeed(read.parsed)
    const translator = translatorFor(dialects, record, came, known, plan)
    const failed = (): void => shadow.ended("failed", undefined)
    if (Result.isFailure(translator)) return Effect.sync(failed)
    const said = translator.success?.for(candidate, id, refusals.of(candidate.state, id, started))
    if (said !== undefined && Result.isFailure(said)) return Effect.sync(failed)
    const { body, route } = said?.success ?? { body: ownBody(candidate, real, needs, read, came), route: real.route }
    const call = upstream.call({
      backend,
      route,
      model: id,
      apiPath: candidate.state.apiPath,
      body,
      clientHeaders: real.request.headers,
      requestId: record.id,
      zones: needs.zones,
      clock,
      caller: needs.stream ? streamedOnce : askedOnce
    })
    deadlines.add(clock)
    return Effect.matchEffect(Effect.flatten(call), {
      onFailure: (error) =>
        Effect.sync(() =>
          error._tag === "ErrorStatus"
            ? shadow.ended("failed", this.facts(error.status, started, started, {}))
            : failed()
        ),
      onSuccess: (answer) => this.heard(shadow, answer, started, clock, real.route.operation.generates)
    }).pipe(Effect.onExit(() => Effect.sync(() => deadlines.remove(clock))))
  }

  private facts(
    status: number,
    started: number,
    firstAt: number,
    seen: Partial<Pick<AnswerFacts, "bytes" | "finish" | "usage" | "written">>
  ): AnswerFacts {
    const { bytes = 0, finish, usage, written } = seen
    return {
      status,
      firstByteMs: firstAt - started,
      wholeMs: performance.now() - started,
      usage,
      bytes,
      written,
      finish
    }
  }

  private heard(
    shadow: Shadow,
    answer: CommittedAnswer,
    started: number,
    clock: RequestClock,
    marked: boolean
  ): Effect.Effect<void> {
    const { status } = answer.head
    const firstAt = performance.now()
    if (answer._tag === "Whole") {
      const { body, usage } = answer
      const bytes = body.byteLength
      return Effect.sync(() =>
        shadow.ended("completed", this.facts(status, started, firstAt, { bytes, finish: finishIn(body), usage }))
      )
    }
    const { idleMs } = shadow.candidate.state.backend.limits
    return Effect.callback<void>((resume) => {
      const drained = drain(answer, clock, { idleMs, marked }, (end, tail) => {
        const facts = this.facts(status, started, firstAt, {
          finish: finishIn(tail),
          usage: answer.watch?.used(),
          written: answer.watch?.written
        })
        if (end._tag === "Complete") shadow.ended("completed", facts)
        else if (end._tag === "Broken") shadow.ended("truncated", undefined)
        resume(Effect.void)
      })
      return Effect.sync(drained.drop)
    })
  }
}

const ownBody = (
  candidate: Candidate,
  { route }: RequestRecord,
  needs: RoutingNeeds,
  { model: span }: ReadRequest,
  came: Uint8Array
): RequestBody => {
  const { dialect } = route
  const open = openedFor(candidate, dialect, came)
  const tuned = dialect.withOwn === undefined ? undefined : tunedFor(candidate, dialect.id, needs)
  const body = tuned === undefined ? open : (dialect.withOwn?.(open, tuned.own, tuned.context) ?? open)
  return dialect.withModel(body, candidate.model.id, body === came ? span : undefined)
}

/** Reads a flow to its end and keeps nothing of it but its last bytes. */
const drain = (
  answer: CommittedAnswer & { readonly _tag: "Flow" },
  clock: RequestClock,
  { idleMs, marked }: { readonly idleMs: number; readonly marked: boolean },
  done: (end: FlowEnd, tail: Uint8Array) => void
): { readonly drop: () => void } => {
  const tail = new Tail()
  let end: FlowEnd = { _tag: "ClientGone" }
  const flow = relay({
    body: answer.head.body,
    attach: (sink) => answer.attach(tail.tap(sink)),
    watch: answer.watch,
    marked,
    endsInOrder: true,
    errorText: () => "",
    progress: () => clock.renew(performance.now()),
    stalled: () => undefined,
    resumed: () => answer.taken(),
    parting: (cut) => cut(),
    onEnd: (how) => {
      end = how
      answer.taken()
    },
    onClosed: () => done(end, tail.bytes)
  })
  clock.arm("idle", idleMs, (error: UpstreamError) => flow.cut(error))
  const reader = new ReadableStream<Uint8Array>(flow).getReader()
  const next = (): void => {
    reader.read().then(
      ({ value }) => {
        if (value !== undefined) next()
      },
      () => undefined
    )
  }
  next()
  return { drop: () => flow.drop() }
}
