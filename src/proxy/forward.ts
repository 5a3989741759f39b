/**
 * A request from its body to the attempts: read, understood, routed.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { BadRequest, type GatewayError } from "../domain/errors.ts"
import type { DialectRoute, LeastContext, NeedsReading, ReadRequest } from "../dialect/Dialect.ts"
import { boundaryOf } from "../dialect/multipart.ts"
import { type BodyReading, isLarge } from "../dialect/parsed-body.ts"
import type { EventLoopTurns } from "../domain/EventLoopTurns.ts"
import type { Grant } from "../domain/grant.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { ZoneLimits } from "../domain/zones.ts"
import type { PromptChain } from "../fleet/prompt-chain.ts"
import type { PromptMaker } from "../router/candidate-columns.ts"
import type { Plan } from "../router/plan.ts"
import { Attempts } from "./attempts.ts"
import type { Forwarding } from "./forwarding.ts"
import type { RequestRecord } from "./record.ts"
import type { RequestRun } from "./request-run.ts"
import { capturedOf } from "./captured.ts"
import { type CachePlace, cachePlaceOf, fillFor, giveKept, mayGive } from "./cached-answer.ts"
import { type Guard, guardedBody, guardFor, unseenRefusal } from "./guard.ts"
import { realtime } from "./realtime.ts"
import { passedTo } from "./passed-on.ts"
import type { GaveUp } from "./final-failure.ts"
import { codingFault, readBody } from "./request-body.ts"
import { onceAffordable } from "./spending.ts"
import { StreamedBody, withStreamedBody } from "./streamed-body.ts"
import { tokensAsked, withinLimits } from "./limited.ts"
import { isAskedAsIs, isAskedNatively, translatorFor } from "./translation.ts"
import { answered, changed, entryRefusal, passedOn } from "./unread.ts"
import { canWake, wakenAfter, wakenFor } from "./waking.ts"

type Forwarded = Effect.Effect<void, GatewayError | GaveUp>

/** The boundary of a form that a request is, where it may be one. */
const boundaryFor = ({ operation }: DialectRoute, { headers }: Request): string | undefined =>
  operation.form === undefined ? undefined : boundaryOf(headers.get("content-type") ?? "")

/** Whether the body of a request is passed on while it comes. */
export const isStreamed = (route: DialectRoute, request: Request): boolean =>
  route.passage !== undefined || boundaryFor(route, request) !== undefined

/** Takes a request from its body to the end of its answer; fails with what the gateway itself refuses it for, or gives up. */
export const forward = (forwarding: Forwarding, run: RequestRun): Forwarded => {
  const { clock, request, route } = run.record
  if (route.socket === true) return realtime(forwarding, run)
  const { passage } = route
  if (passage?.change !== undefined) return changed(forwarding, run, passage, passage.change)
  if (passage !== undefined) {
    const unseen = unseenRefusal(forwarding, run.record, undefined, "what is passed on unread")
    if (unseen !== undefined) return Effect.fail(unseen)
    return passedOn(forwarding, run, passage, passedTo(forwarding, run, passage))
  }
  const boundary = boundaryFor(route, request)
  if (boundary !== undefined) return streamed(forwarding, run, boundary)
  return Effect.flatMap(readBody(request, clock, run.limits, run.upload, forwarding.turns), (body) => {
    run.upload.arrived()
    const refusal = entryRefusal(forwarding, run)
    return refusal === undefined ? taken(forwarding, run, body) : Effect.fail(refusal)
  })
}

/** What a body is read with. */
class BodyNeeds implements NeedsReading {
  readonly turns: EventLoopTurns
  readonly least: LeastContext
  readonly model: string | undefined
  readonly tells: boolean
  private readonly named: Forwarding["standIn"]
  private readonly grant: Grant | undefined

  constructor({ leastContext, standIn, turns }: Forwarding, { record: { grant, route, trace } }: RequestRun) {
    this.turns = turns
    this.least = leastContext
    this.model = route.model
    this.tells = trace?.sampled === true
    this.named = standIn
    this.grant = grant
  }

  standIn(usual: string | undefined): string | undefined {
    return this.named(usual, this.grant)
  }
}

/** A form goes on as soon as it is known where to. */
const streamed = (forwarding: Forwarding, run: RequestRun, boundary: string): Forwarded => {
  const { limits, record, upload } = run
  const { clock, request, route } = record
  const coded = codingFault(request)
  if (coded !== undefined) return Effect.fail(coded)
  const form = route.operation.form?.(boundary, new BodyNeeds(forwarding, run))
  const mediaType = request.headers.get("content-type")
  return withStreamedBody({ clock, form, limits, mediaType, request, upload }, (body) =>
    Effect.flatMap(
      body.begun((whole) => form?.read(whole) !== undefined),
      () => {
        const refusal = entryRefusal(forwarding, run)
        const read = form?.read(body.isWhole)
        if (refusal !== undefined || read === undefined)
          return refusal === undefined ? Effect.void : Effect.fail(refusal)
        if (Result.isSuccess(read)) body.names(read.success.model)
        return understood(forwarding, run, body, read)
      }
    )
  )
}

const taken = (forwarding: Forwarding, run: RequestRun, body: Uint8Array): Forwarded => {
  const { operation } = run.record.route
  const fault = operation.queryFault?.(new URL(run.record.request.url).searchParams)
  return fault === undefined ? readAndUnderstood(forwarding, run, body, true) : Effect.fail(fault)
}

/** Reads what routing must know of a body, and goes on with that. */
const readAndUnderstood = (forwarding: Forwarding, run: RequestRun, body: Uint8Array, mayWake: boolean): Forwarded => {
  const reading = run.record.route.operation.needs(body, new BodyNeeds(forwarding, run))
  return reading instanceof Promise
    ? onceRead(forwarding, run, body, reading, mayWake)
    : understood(forwarding, run, body, reading, mayWake)
}

const onceRead = (
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array,
  reading: Promise<Result.Result<ReadRequest, GatewayError>>,
  mayWake: boolean
): Forwarded =>
  Effect.flatMap(
    Effect.promise(() => reading),
    (read) => understood(forwarding, run, body, read, mayWake)
  )

// What the client is told says that it is an estimate.
const estimated = (
  run: RequestRun,
  made: { readonly field: string; readonly body: string } | undefined
): Effect.Effect<void> =>
  Effect.sync(() =>
    answered(run, made?.body ?? "{}", run.record.route.dialect.types.whole, { "x-nexus-estimated": made?.field ?? "" })
  )

/** Asks those who count as their models do; where there is none, or it cannot, the answer is an estimate. */
const counted = (
  forwarding: Forwarding,
  run: RequestRun,
  read: ReadRequest,
  plan: Plan,
  body: Uint8Array
): Effect.Effect<void, GatewayError | GaveUp> => {
  const { route } = run.record
  for (const { candidates } of plan.targets) {
    for (const { state } of candidates) if (!isAskedNatively(state, route)) plan.lose(state)
  }
  const guess = estimated(run, route.operation.estimate?.(read.needs))
  if (!plan.canAsk(performance.now())) return guess
  return Effect.catch(new Attempts(forwarding, run, read, plan, body, undefined).all, () => guess)
}

// Made where there is a choice, and once.
class BodyPrompt implements PromptMaker {
  private readonly chainOf: Forwarding["chainOf"]
  private readonly record: RequestRecord
  private readonly body: Uint8Array
  private made: PromptChain | undefined

  constructor({ chainOf }: Forwarding, { record }: RequestRun, body: Uint8Array) {
    this.chainOf = chainOf
    this.record = record
    this.body = body
  }

  chain(sorts: boolean): PromptChain {
    return (this.made ??= this.chainOf(this.record, this.body, sorts))
  }
}

const neededBy = (
  { leaves }: Forwarding,
  { record }: RequestRun,
  told: RoutingNeeds,
  zones: ZoneLimits | undefined,
  now: number
): RoutingNeeds => {
  const free = leaves(record, now)
  const { grant, key, route } = record
  const scope = grant?.scope
  const isPlain = free === 0 && scope === undefined && key === undefined && zones === undefined
  const { id: dialect } = route.dialect
  if (isPlain) return told.dialect === undefined ? { ...told, dialect } : told
  // Most keys say no more than whose they are.
  if (free === 0 && scope === undefined && zones === undefined && key !== undefined) {
    if (told.dialect !== dialect) return { ...told, dialect, key }
    // Read for this request alone: a copy would take as long as all else that is done for a key.
    const own: RoutingNeeds & { key?: string | undefined } = told
    own.key = key
    return own
  }
  return {
    ...told,
    dialect,
    ...(free === 0 ? {} : { leaves: free }),
    ...(key === undefined ? {} : { key }),
    ...(scope === undefined ? {} : { scope }),
    ...(zones === undefined ? {} : { zones })
  }
}

const understood = (
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array | StreamedBody,
  read: Result.Result<ReadRequest, GatewayError>,
  mayWake = true
): Effect.Effect<void, GatewayError | GaveUp> => {
  const { record } = run
  const { registry, router, accounting } = forwarding
  if (Result.isFailure(read)) return Effect.fail(read.failure)
  const { needs: told } = read.success
  const zones = router.zones(record.request.headers, record.grant)
  if (zones instanceof BadRequest) return Effect.fail(zones)
  // Those of a form are kept as they are: more of them may be known by the time of the answer.
  const now = performance.now()
  const needs = neededBy(forwarding, run, told, zones, now)
  record.routes(needs, now)
  record.trace?.reads(read.success)
  const snapshot = registry.snapshot()
  const prompt = body instanceof StreamedBody ? undefined : new BodyPrompt(forwarding, run, body)
  const ruling = router.rule(needs, snapshot, record)
  const plan = router.route(needs, snapshot, now, ruling, prompt)
  if (Result.isFailure(plan)) {
    // Why there is nobody to ask is what people ask most.
    const { plan: considered } = router.consider(needs, snapshot, now, ruling)
    accounting.routed(record, considered, now)
    const { estimate } = record.route.operation
    // An estimate is to be had of those who have too much to do.
    if (estimate !== undefined && plan.failure._tag === "Overloaded") return estimated(run, estimate(needs))
    const isWaking = mayWake && estimate === undefined
    const waking = isWaking ? wakenFor(registry, run, plan.failure, considered, needs) : undefined
    return waking === undefined ? Effect.fail(plan.failure) : onceAwake(waking, forwarding, run, body, read)
  }
  accounting.routed(record, plan.success, now)
  const going: Going = { forwarding, run, body, read: read.success, plan: plan.success, mayWake }
  return withinLimits(forwarding.limits, run, plan.success, tokensAsked(record, needs), going, sent)
}

// Plans once more what has waited for a server to wake.
const onceAwake = (
  waking: Effect.Effect<void, GatewayError>,
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array | StreamedBody,
  read: Result.Result<ReadRequest, GatewayError>
): Forwarded =>
  Effect.andThen(
    waking,
    Effect.suspend(() => understood(forwarding, run, body, read, false))
  )

/** A request that has been planned, on its way to be sent. */
interface Going {
  readonly forwarding: Forwarding
  readonly run: RequestRun
  readonly body: Uint8Array | StreamedBody
  readonly read: ReadRequest
  readonly plan: Plan
  readonly mayWake: boolean
}

/** Has the hooks judge a request that are for it, and goes on with what they make of it; undefined where none has to. */
const judged = (going: Going): Forwarded | undefined => {
  const { forwarding, plan, run } = going
  const guard = guardFor(forwarding, run.record, plan, run.guard)
  return guard === run.guard || guard === undefined ? undefined : judgedBy(guard, going)
}

const judgedBy = (guard: Guard, going: Going): Forwarded | undefined => {
  const { body, forwarding, mayWake, read, run } = going
  run.guard = guard
  if (body instanceof StreamedBody) {
    const unseen = guard.unseen("request", "a form with files")
    return unseen === undefined ? undefined : Effect.fail(unseen)
  }
  return Effect.flatMap(guardedBody(guard, forwarding, body, read), ({ body: shown, changed }) => {
    if (changed) return readAndUnderstood(forwarding, run, shown, mayWake)
    return sent({ ...going, body: shown, read: { needs: read.needs, model: undefined } })
  })
}

/** Sends a request on that has been let in. */
const sent = (going: Going): Forwarded => {
  const judging = judged(going)
  if (judging !== undefined) return judging
  const { forwarding, run } = going
  const { spending } = forwarding
  const isFree = !spending.budgets.isOn() || run.record.route.operation.estimate !== undefined
  return isFree ? afforded(going) : onceReserved(going)
}

const onceReserved = (going: Going): Forwarded =>
  onceAffordable(going.forwarding.spending, going.run, going.plan, () => afforded(going))

/** Sends a request on for which there is money. */
const afforded = (going: Going): Forwarded => {
  const { body, forwarding, plan, run } = going
  const { record } = run
  if (body instanceof StreamedBody || record.route.operation.estimate !== undefined) return asking(going)
  const { caching, captures } = forwarding
  run.captured = capturedOf(captures, record, body, plan)
  const place = cachePlaceOf(caching, run, body, plan)
  return place === undefined ? asking(going) : kept(going, place)
}

/** Gives the answer that was kept at a place, or asks for one that may be. */
const kept = (going: Going, place: CachePlace): Forwarded => {
  const { forwarding, plan, run } = going
  const { caching } = forwarding
  const { record } = run
  const now = performance.now()
  return Effect.flatMap(caching.cache.find(place.key, now), (found): Forwarded => {
    const isHit = found !== undefined && mayGive(found, place, now)
    record.caches(isHit ? "hit" : "miss")
    forwarding.accounting.rules.add("cache", [plan.targets[0]?.entry ?? "", isHit ? "hit" : "miss"])
    if (isHit) {
      run.captured?.answer.took(found.body)
      return Effect.sync(() => giveKept({ record, respond: (response) => run.respond(response) }, found, now))
    }
    run.fill = fillFor(caching, place)
    return asking(going)
  })
}

/** Asks backends. */
const asking = (going: Going): Forwarded => {
  const { body, forwarding, mayWake, plan, read, run } = going
  const { record } = run
  const { ruling, snapshot } = plan
  // What is passed on while it comes is nothing that could be said otherwise.
  if (body instanceof StreamedBody) return new Attempts(forwarding, run, read, plan, body, undefined).all
  if (record.route.operation.estimate !== undefined) return counted(forwarding, run, read, plan, body)
  // One that is asked again, since its backend has been woken, has its copy.
  if (ruling?.shadow === true && record.attempts === 0) forwarding.shadow(run, read, body, ruling)
  const asks = built(forwarding, run, body, read, plan)
  return mayWake && canWake(snapshot) ? orWoken(going, asks) : asks
}

// Goes on with one whose backend may be woken where nobody was there.
const orWoken = ({ body, forwarding, read, run }: Going, asks: Forwarded): Forwarded =>
  Effect.catchTag(asks, "GaveUp", (gaveUp) => {
    const waking = wakenAfter(forwarding.registry, run, gaveUp)
    return waking === undefined ? Effect.fail(gaveUp) : onceAwake(waking, forwarding, run, body, Result.succeed(read))
  })

/** From the plan to the attempts, once what is to be translated has been built. */
const built = (
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array,
  read: ReadRequest,
  plan: Plan
): Effect.Effect<void, GatewayError | GaveUp> => {
  const { parsed } = read
  const known = parsed === undefined ? undefined : Result.succeed(parsed)
  const building = known === undefined ? builtFor(forwarding, run, body, plan) : undefined
  return building === undefined
    ? asked(forwarding, run, body, read, plan, known)
    : onceBuilt(building, forwarding, run, body, read, plan)
}

const onceBuilt = (
  building: Promise<BodyReading>,
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array,
  read: ReadRequest,
  plan: Plan
): Forwarded =>
  Effect.flatMap(
    Effect.promise(() => building),
    (made) => asked(forwarding, run, body, read, plan, made)
  )

// A large body that is to be translated, where it has not been built.
const builtFor = (
  { turns }: Forwarding,
  { record }: RequestRun,
  body: Uint8Array,
  plan: Plan
): Promise<BodyReading> | undefined => {
  const build = record.route.operation.client?.build
  if (build === undefined || !isLarge(body) || isAskedAsIs(record, body, plan)) return undefined
  return Promise.resolve(build(body, turns))
}

const answeredInstead = (run: RequestRun, instead: Uint8Array, isStream: boolean): Effect.Effect<void> => {
  const { stream, whole } = run.record.route.dialect.types
  return Effect.sync(() => answered(run, new Uint8Array(instead), isStream ? stream : whole))
}

const asked = (
  forwarding: Forwarding,
  run: RequestRun,
  body: Uint8Array,
  { model, needs }: ReadRequest,
  plan: Plan,
  built: BodyReading | undefined
): Effect.Effect<void, GatewayError | GaveUp> => {
  const { dialect, operation } = run.record.route
  const translating = translatorFor(forwarding.dialects, run.record, body, built, plan)
  if (Result.isFailure(translating)) return Effect.fail(translating.failure)
  const translator = translating.success
  const instead = translator?.instead(plan)
  if (instead !== undefined) return answeredInstead(run, instead, needs.stream)
  const mayHear = operation.generates && dialect.keepAlive !== undefined
  if (needs.stream && run.limits.keepAliveMs > 0 && mayHear) forwarding.keepAlive(run)
  return new Attempts(forwarding, run, { needs, model }, plan, body, translator).all
}
