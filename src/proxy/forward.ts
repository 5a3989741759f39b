/**
 * A request from its body to the attempts: read, understood, routed.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { BadRequest, LoopDetected, type GatewayError } from "../domain/errors.ts"
import type { DialectRoute, ModelChange, Passage, ReadRequest } from "../dialect/Dialect.ts"
import { boundaryOf } from "../dialect/multipart.ts"
import { type BodyReading, isLarge } from "../dialect/parsed-body.ts"
import { requestIdHeaders } from "../dialect/refuse.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import type { ZoneLimits } from "../domain/zones.ts"
import type { PromptChain } from "../fleet/prompt-chain.ts"
import type { BackendState } from "../registry/snapshot.ts"
import type { PromptMaker } from "../router/candidate-columns.ts"
import type { Plan } from "../router/plan.ts"
import { gatewayHops, maxGatewayHops } from "../upstream/endpoint.ts"
import { Attempts } from "./attempts.ts"
import type { Forwarding } from "./forwarding.ts"
import type { RequestRun } from "./request-run.ts"
import { capturedOf } from "./captured.ts"
import { cachePlaceOf, fillFor, giveKept, mayGive } from "./cached-answer.ts"
import { guardedBody, guardFor, unseenRefusal } from "./guard.ts"
import { realtime } from "./realtime.ts"
import { changedBackend, decideChange, refusedUnread } from "./model-changes.ts"
import { forbiddenBackend, passedTo, passOn } from "./passed-on.ts"
import type { GaveUp } from "./final-failure.ts"
import { codingFault, readBody } from "./request-body.ts"
import { isAsking, reserveFor } from "./spending.ts"
import { StreamedBody, type StreamedLimits, withStreamedBody } from "./streamed-body.ts"
import { tokensAsked, withinLimits } from "./limited.ts"
import { isAskedAsIs, isAskedNatively, translatorFor } from "./translation.ts"
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
    const refusal = admitted(forwarding, run)
    return refusal === undefined ? taken(forwarding, run, body) : Effect.fail(refusal)
  })
}

/** Why a request does not go on whose body is there, as far as it must be. */
const admitted = (forwarding: Forwarding, run: RequestRun): GatewayError | undefined => {
  const { record } = run
  const full = forwarding.taken(run)
  if (full !== undefined) return full
  record.awaits(performance.now() - record.started)
  const hops = gatewayHops(record.request.headers)
  run.hops = hops
  return hops > maxGatewayHops ? new LoopDetected({ hops }) : undefined
}

/** What changes the models of a server, by what its body names or unread. */
const changed = (forwarding: Forwarding, run: RequestRun, passage: Passage, change: ModelChange): Forwarded => {
  const { limits, record, upload } = run
  const { clock, request, route } = record
  const { registry, router, turns } = forwarding
  const { headers, method } = request
  const asked = { route, passage, change, method, headers }
  const changeable = () => ({ snapshot: registry.snapshot(), names: router.names(), key: record.grant })
  const unread = refusedUnread(asked)
  if (unread !== undefined) return Effect.fail(unread)
  const { fields } = change
  if (fields === undefined) {
    const to = forbiddenBackend(changedBackend(asked, changeable()), record.grant?.scope)
    // Files of models are as large as they are, and whoever may have one pulled may send one.
    return "live" in to
      ? passedOn(forwarding, run, passage, to, { ...limits, maxStreamedBytes: Infinity })
      : Effect.fail(to)
  }
  return Effect.flatMap(readBody(request, clock, limits, upload, turns), (body): Forwarded => {
    upload.arrived()
    const refusal = admitted(forwarding, run)
    if (refusal !== undefined) return Effect.fail(refusal)
    const decision = decideChange(asked, fields, body, changeable())
    if (decision._tag === "Refused") return Effect.fail(decision.why)
    if (decision._tag === "Passed") {
      const { body: told, to } = decision
      return withinLimits(forwarding.limits, run, "", 0, () => passOn(forwarding, run, to, passage, told))
    }
    return Effect.sync(() => answered(run, decision.answer.body, decision.answer.type))
  })
}

/** What nobody reads goes to one backend. */
const passedOn = (
  forwarding: Forwarding,
  run: RequestRun,
  passage: Passage,
  to: BackendState | GatewayError,
  limits: StreamedLimits = run.limits
): Forwarded => {
  const { record, upload } = run
  const { clock, request } = record
  if (!("live" in to)) return Effect.fail(to)
  const mediaType = request.headers.get("content-type")
  return withStreamedBody({ clock, form: undefined, limits, mediaType, request, upload }, (body) =>
    Effect.flatMap(
      body.begun(() => true),
      (): Forwarded => {
        const refusal = admitted(forwarding, run)
        return refusal === undefined
          ? withinLimits(forwarding.limits, run, "", 0, () => passOn(forwarding, run, to, passage, body))
          : Effect.fail(refusal)
      }
    )
  )
}

const standInFor =
  ({ standIn }: Forwarding, { record: { grant } }: RequestRun) =>
  (usual: string | undefined) =>
    standIn(usual, grant)

/** A form goes on as soon as it is known where to. */
const streamed = (forwarding: Forwarding, run: RequestRun, boundary: string): Forwarded => {
  const { limits, record, upload } = run
  const { clock, request, route } = record
  const coded = codingFault(request)
  if (coded !== undefined) return Effect.fail(coded)
  const { leastContext: least, turns } = forwarding
  const standIn = standInFor(forwarding, run)
  const form = route.operation.form?.(boundary, { turns, least, model: route.model, standIn })
  const mediaType = request.headers.get("content-type")
  return withStreamedBody({ clock, form, limits, mediaType, request, upload }, (body) =>
    Effect.flatMap(
      body.begun((whole) => form?.read(whole) !== undefined),
      () => {
        const refusal = admitted(forwarding, run)
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
  const { leastContext: least, turns } = forwarding
  const { route, trace } = run.record
  const { model, operation } = route
  const tells = trace?.sampled === true
  const reading = operation.needs(body, { turns, least, model, tells, standIn: standInFor(forwarding, run) })
  if (!(reading instanceof Promise)) return understood(forwarding, run, body, reading, mayWake)
  return Effect.flatMap(
    Effect.promise(() => reading),
    (read) => understood(forwarding, run, body, read, mayWake)
  )
}

// Nobody is asked.
const answered = (
  run: RequestRun,
  body: string | Uint8Array<ArrayBuffer>,
  type: string,
  headers: Readonly<Record<string, string>> = {}
): void => {
  const { record } = run
  const { dialect } = record.route
  run.respond(
    new Response(body, { headers: { "content-type": type, ...requestIdHeaders(dialect, record.id), ...headers } })
  )
  const end = { outcome: "completed", status: 200, backend: "", bytes: body.length, cutPrompt: undefined } as const
  record.ends(end, performance.now())
}

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
const promptOf = ({ chainOf }: Forwarding, { record }: RequestRun, body: Uint8Array): PromptMaker => {
  let chain: PromptChain | undefined
  return (sorts) => (chain ??= chainOf(record, body, sorts))
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
    const own: RoutingNeeds & { key?: string } = told
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
  const prompt = body instanceof StreamedBody ? undefined : promptOf(forwarding, run, body)
  const ruling = router.rule(needs, snapshot, record)
  const plan = router.route(needs, snapshot, now, ruling, prompt)
  if (Result.isFailure(plan)) {
    // Why there is nobody to ask is what people ask most.
    const { plan: considered } = router.consider(needs, snapshot, now, ruling)
    accounting.routed(record, considered, now)
    const { estimate } = record.route.operation
    // An estimate is to be had of those who have too much to do.
    if (estimate !== undefined && plan.failure._tag === "Overloaded") return estimated(run, estimate(needs))
    if (!mayWake || estimate !== undefined) return Effect.fail(plan.failure)
    const waking = wakenFor(registry, run, plan.failure, considered, needs)
    return waking === undefined
      ? Effect.fail(plan.failure)
      : Effect.andThen(
          waking,
          Effect.suspend(() => understood(forwarding, run, body, read, false))
        )
  }
  accounting.routed(record, plan.success, now)
  const [target] = plan.success.targets
  const going: Going = { forwarding, run, body, read: read.success, plan: plan.success, mayWake }
  return withinLimits(forwarding.limits, run, target?.name ?? needs.model, tokensAsked(record, needs), () =>
    sent(going)
  )
}

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
  const { body, forwarding, mayWake, plan, read, run } = going
  const guard = guardFor(forwarding, run.record, plan, run.guard)
  if (guard === run.guard || guard === undefined) return undefined
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
  const { forwarding, plan, run } = going
  const { spending } = forwarding
  if (!spending.budgets.isOn() || run.record.route.operation.estimate !== undefined) return afforded(going)
  const reserved = (refusal: GatewayError | undefined): Forwarded =>
    refusal === undefined ? afforded(going) : Effect.fail(refusal)
  const refusal = reserveFor(spending, run, plan, performance.now())
  return isAsking(refusal) ? Effect.flatMap(refusal, reserved) : reserved(refusal)
}

/** Sends a request on for which there is money. */
const afforded = (going: Going): Forwarded => {
  const { body, forwarding, plan, run } = going
  const { record } = run
  if (body instanceof StreamedBody || record.route.operation.estimate !== undefined) return asking(going)
  const { caching, captures } = forwarding
  run.captured = capturedOf(captures, record, body, plan)
  const place = cachePlaceOf(caching, run, body, plan)
  if (place === undefined) return asking(going)
  const now = performance.now()
  return Effect.flatMap(caching.cache.find(place.key, now), (kept): Forwarded => {
    const isHit = kept !== undefined && mayGive(kept, place, now)
    record.caches(isHit ? "hit" : "miss")
    forwarding.accounting.rules.add("cache", [plan.targets[0]?.entry ?? "", isHit ? "hit" : "miss"])
    if (isHit) {
      run.captured?.answer.took(kept.body)
      return Effect.sync(() => giveKept({ record, respond: (response) => run.respond(response) }, kept, now))
    }
    run.fill = fillFor(caching, place)
    return asking(going)
  })
}

/** Asks backends. */
const asking = ({ body, forwarding, mayWake, plan, read, run }: Going): Forwarded => {
  const { record } = run
  const { registry } = forwarding
  const { ruling, snapshot } = plan
  // What is passed on while it comes is nothing that could be said otherwise.
  if (body instanceof StreamedBody) return new Attempts(forwarding, run, read, plan, body, undefined).all
  if (record.route.operation.estimate !== undefined) return counted(forwarding, run, read, plan, body)
  // One that is asked again, since its backend has been woken, has its copy.
  if (ruling?.shadow === true && record.attempts === 0) forwarding.shadow(run, read, body, ruling)
  const going = built(forwarding, run, body, read, plan)
  if (!mayWake || !canWake(snapshot)) return going
  return Effect.catchTag(going, "GaveUp", (gaveUp) => {
    const waking = wakenAfter(registry, run, gaveUp)
    return waking === undefined
      ? Effect.fail(gaveUp)
      : Effect.andThen(
          waking,
          Effect.suspend(() => understood(forwarding, run, body, Result.succeed(read), false))
        )
  })
}

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
  if (building === undefined) return asked(forwarding, run, body, read, plan, known)
  return Effect.flatMap(
    Effect.promise(() => building),
    (made) => asked(forwarding, run, body, read, plan, made)
  )
}

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
  if (instead !== undefined) {
    const { stream, whole } = dialect.types
    return Effect.sync(() => answered(run, new Uint8Array(instead), needs.stream ? stream : whole))
  }
  const mayHear = operation.generates && dialect.keepAlive !== undefined
  if (needs.stream && run.limits.keepAliveMs > 0 && mayHear) forwarding.keepAlive(run)
  return new Attempts(forwarding, run, { needs, model }, plan, body, translator).all
}
