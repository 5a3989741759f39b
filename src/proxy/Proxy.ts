/**
 * The requests that are being forwarded: one fiber each, from its arrival to the end of its answer, and one place where
 * each of them is accounted for.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { type GatewayError, OutOfFiles, Overloaded } from "../domain/errors.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import type { Grant } from "../domain/grant.ts"
import { jitteredWait } from "../domain/retry-after.ts"
import { LearnedRefusals } from "../registry/learned-refusals.ts"
import { ListDrift } from "../registry/list-drift.ts"
import { AnswerCache } from "../cache/AnswerCache.ts"
import type { CachePolicy } from "../domain/cache-policy.ts"
import { Captures } from "../capture/Captures.ts"
import { storeCaptured } from "./captured.ts"
import { keepAnswer } from "./cached-answer.ts"
import { Hooks } from "../hooks/Hooks.ts"
import { Registry } from "../registry/Registry.ts"
import { Router } from "../router/Router.ts"
import { Deadlines } from "../upstream/Deadlines.ts"
import { OpenFiles } from "../upstream/OpenFiles.ts"
import { HostContacts, Perimeter } from "../upstream/perimeter.ts"
import { RequestClock, Upstream } from "../upstream/Upstream.ts"
import { Accounting } from "./Accounting.ts"
import { keepAliveSeconds, type Listening } from "../http/BunServer.ts"
import { lastEventMs } from "./deliver.ts"
import { Drain } from "../admission/Drain.ts"
import { Limiter } from "../admission/Limiter.ts"
import type { LimitSettings } from "../domain/rate-limits.ts"
import { Conversations, promptChain } from "../fleet/prompt-chain.ts"
import { rulesUnder, tokensTaken } from "./limited.ts"
import { EarlyStream } from "./early-stream.ts"
import { Hedging } from "./hedging.ts"
import { declaredLength } from "./request-body.ts"
import type { RefusedRequest } from "./request-line.ts"
import { newRecord } from "./record.ts"
import type { GaveUp } from "./final-failure.ts"
import type { Forwarding } from "./forwarding.ts"
import { Shadows } from "./shadows.ts"
import { RequestTrace } from "./request-trace.ts"
import { Traces } from "./Traces.ts"
import { type Reply, RequestRun } from "./request-run.ts"
import type { QueueLook } from "./queue-outlook.ts"
import { queueText, SlotQueue } from "./slot-queue.ts"
import { likeSeeker, priorityOf, seekerOf, sessionOf } from "./seeker.ts"
import { forward, isStreamed } from "./forward.ts"
import { refuse } from "../dialect/refuse.ts"
import { Dialects } from "../dialect/all.ts"
import { translationHeaders } from "./answer-head.ts"
import { EndOfTurn, EventLoopTurns } from "../domain/EventLoopTurns.ts"
import { Budgets } from "../usage/Budgets.ts"
import { Prices } from "../usage/Prices.ts"
import { type UploadLimits, Uploads } from "../admission/uploads.ts"
import { endUnanswered, stopping } from "./unanswered.ts"
import { Workload } from "./workload.ts"

/** What bounds a request; times in milliseconds, 0 is no limit. */
export interface ProxyLimits extends UploadLimits {
  readonly totalMs: number
  readonly uploadMs: number
  readonly maxStreamedBytes: number
  readonly backendPaths: boolean
  readonly maxSessions: number
  readonly sessionIdleMs: number
  readonly stallMs: number
  /** Requests whose bodies are there. */
  readonly maxConcurrent: number
  readonly keepAliveMs: number
  /** Attempts that may follow the first. */
  readonly maxRetries: number
  /** Requests of one model that wait for a slot, and how long. */
  readonly maxQueue: number
  readonly queueMs: number
  readonly severalKeys: boolean
  /** Headers that tell conversations apart. */
  readonly sessionHeaders: ReadonlyArray<string>
  /** How much keys, owners and models may be asked. */
  readonly rates: LimitSettings
  /** Which answers are given again, and the largest that is kept. */
  readonly cached: ReadonlyArray<CachePolicy>
  readonly maxKeptBytes: number
}

/** The forwarding of what clients ask of models. */
export class Proxy extends Context.Service<
  Proxy,
  {
    /** Answers a request; never rejects. `grant` is what the key lets do that it came with. */
    readonly handle: (
      route: DialectRoute,
      request: Request,
      id: string,
      server: Listening,
      grant?: Grant
    ) => Promise<Response>
    /** Where a request would stand that came now and is planned like this; undefined where it would not have to wait. */
    readonly outlook: QueueLook
    /** Looks at those that wait for a slot: one may have become free that another process had. */
    readonly stir: () => void
    /** What the queues of several processes tell each other. */
    readonly queues: Pick<SlotQueue, "tells" | "hears" | "isContended" | "tellMs">
    /** Requests under way. */
    readonly active: () => number
    /** Waits until there is none. */
    readonly idle: Effect.Effect<void>
    /** Ends every request under way: with an error event where an answer has begun. */
    readonly endAll: () => void
  }
>()("nexus/proxy/Proxy") {
  /** Needs the services of the request path; a request goes by the limits of its arrival. */
  static readonly layer = (limits: () => ProxyLimits) => Layer.effect(Proxy, makeProxy(limits))
}

// Bun closes a connection after its silent time even when an upload drips in; it looks every 4 s.
const silentMs = (keepAliveSeconds - 4) * 1000

const outlastsBun = ({ uploadMs }: ProxyLimits, streams: boolean): boolean =>
  streams || uploadMs === 0 || uploadMs > silentMs

const makeProxy = Effect.fnUntraced(function* (limitsNow: () => ProxyLimits) {
  const registry = yield* Registry
  const deadlines = yield* Deadlines
  const drain = yield* Drain
  const files = yield* OpenFiles
  const traces = yield* Traces
  const accounting = yield* Accounting
  const context = yield* Effect.context<never>()
  const run = Effect.runForkWith(context)
  const { underWay } = accounting
  const seeded = yield* Random.Random
  const random = () => seeded.nextDoubleUnsafe()
  const uploads = new Uploads(limitsNow, random)
  const workload = new Workload(() => limitsNow().maxConcurrent, random)
  const router = yield* Router
  const limiter = yield* Limiter
  const queue = new SlotQueue(deadlines, registry.snapshot, limitsNow, random, accounting.queues)
  const budgets = yield* Budgets
  const cache = yield* AnswerCache
  const captures = yield* Captures
  const conversations = new Conversations()
  const forwarding: Forwarding = {
    dialects: yield* Dialects,
    registry,
    router,
    upstream: yield* Upstream,
    dialing: { gate: yield* Perimeter, contacts: yield* HostContacts },
    accounting,
    turns: new EventLoopTurns(),
    deadlines,
    queue,
    queueMs: () => limitsNow().queueMs,
    seeks: (record) => seekerOf(record, limitsNow()),
    leaves: (record, now) => queue.spared.leaves(priorityOf(record), record.key, now),
    chainOf: (record, body, sorts) => conversations.sees(promptChain(body, sessionOf(record, limitsNow()), sorts)),
    freed: () => queue.changed(),
    sessions: new Set(),
    hedging: new Hedging(),
    newcomers: new ListDrift(),
    limits: { limiter, rulesOf: rulesUnder(() => limitsNow().rates) },
    refusals: new LearnedRefusals(),
    wishRefusals: new LearnedRefusals(),
    spending: { budgets, prices: yield* Prices },
    hooks: yield* Hooks,
    captures,
    caching: { cache, policies: () => limitsNow().cached, mostBytes: () => limitsNow().maxKeptBytes },
    fork: run,
    taken: (current) => workload.takes(current),
    shadow: (current, read, body, ruling) => shadows.begin(current, read, body, ruling, limitsNow().totalMs),
    leastContext: (model) => router.leastContext(model, registry.snapshot()),
    standIn: (usual, key) => router.standIn(usual, registry.snapshot(), key),
    budgetLeft: () => workload.mayRetry(),
    retried: () => workload.retried(),
    keepAlive: (current) => {
      const { record, limits, server } = current
      const early = new EarlyStream(
        {
          requestId: record.id,
          dialect: record.route.dialect,
          headers: () => translationHeaders(record.translated),
          waits: () => (record.queued === undefined ? undefined : queueText(record.queued)),
          everyMs: limits.keepAliveMs,
          partingMs: lastEventMs,
          open: (response) => {
            server.timeout(record.request, 0)
            current.open(response)
          },
          done: () => deadlines.remove(early)
        },
        record.started
      )
      current.early = early
      deadlines.add(early)
    }
  }

  const answers = new EndOfTurn<Reply>(({ answer, response }) => answer(response))
  const shadows = new Shadows({ ...forwarding, counts: accounting.rules })

  /** Takes in a request; whatever happens then, it is let go by {@link leave}. */
  const enter = (current: RequestRun): void => {
    accounting.began(current)
    deadlines.add(current.record.clock)
    if (current.outlastsBun) current.server.timeout(current.record.request, 0)
  }

  /** The one place where a request ends: it is answered, all that it held is given back, and it is accounted for. */
  const leave = (current: RequestRun, exit: Exit.Exit<void, GatewayError | GaveUp>): void => {
    const { record, server } = current
    const now = performance.now()
    const end =
      record.end ?? endUnanswered(current, Exit.isFailure(exit) ? exit.cause : Cause.empty, random, accounting.defect)
    record.ends(end, now)
    current.early?.end()
    current.ticket?.settle("none", now)
    workload.leaves(current)
    current.limitPass?.end(tokensTaken(record, end), now)
    current.upload.end()
    deadlines.remove(record.clock)
    if (current.captured !== undefined) storeCaptured(captures, current.captured, record, end)
    if (current.fill !== undefined) keepAnswer({ cache }, current.fill, record, end, now)
    accounting.ended(current, end)
    // After what it cost has been counted, so that nobody takes that for free in between.
    if (current.reservation !== undefined) budgets.release(current.reservation)
    current.shadow?.realEnded(record)
    if (current.outlastsBun) server.timeout(record.request, keepAliveSeconds)
  }

  // What acquireUseRelease does, at half of its cost: taking in is plain code right before the fiber starts, and nothing can
  // come in between.
  const begin = (current: RequestRun): void => {
    enter(current)
    // What has been done of it is not to be held by what is done at its end.
    const forwarded = Effect.suspend(() => forward(forwarding, current))
    const left = (exit: Exit.Exit<void, GatewayError | GaveUp>): undefined => void leave(current, exit)
    current.runsIn(run(Effect.onExitPrimitive<void, GatewayError | GaveUp, never>(forwarded, left)))
  }

  const turnAway = (
    { dialect }: DialectRoute,
    error: GatewayError,
    came: Omit<RefusedRequest, "status">
  ): Promise<Response> => {
    const response = drain.parting(refuse(dialect, error, came.id))
    accounting.turnedAway({ ...came, status: response.status })
    return Promise.resolve(response)
  }

  const handle = (
    route: DialectRoute,
    request: Request,
    id: string,
    server: Listening,
    grant?: Grant
  ): Promise<Response> => {
    const came = { id, request, server, key: grant?.name }
    if (drain.refusing()) return turnAway(route, stopping(random), came)
    if (files.full()) return turnAway(route, new OutOfFiles({ retryAfterSeconds: jitteredWait(1, random) }), came)
    const limits = limitsNow()
    const streams = isStreamed(route, request)
    // Of what is passed on while it comes, what is held is counted when it is.
    const length = streams ? 0 : (declaredLength(request) ?? 0)
    const upload = workload.overloaded() ?? uploads.begin(length, server, request)
    if (upload instanceof Overloaded) return turnAway(route, upload, came)
    const { promise, resolve } = Promise.withResolvers<Response>()
    const started = performance.now()
    const tracing = traces.current()
    const trace = tracing === undefined ? undefined : new RequestTrace(tracing, request.headers, started)
    const record = newRecord(id, route, request, started, new RequestClock(started, limits.totalMs), grant, trace)
    const current = new RequestRun(
      record,
      server,
      limits,
      upload,
      outlastsBun(limits, streams),
      drain,
      answers,
      resolve
    )
    record.clock.lasting = current
    begin(current)
    return promise
  }

  const endAll = () => {
    shadows.endAll()
    underWay.interrupt("stopping")
  }
  // Whoever comes back, or is told of anew, may have slots.
  yield* Effect.forkScoped(Stream.runForEach(registry.changes, () => Effect.sync(() => queue.changed())))
  yield* Effect.addFinalizer(() => Effect.sync(endAll))
  const outlook: QueueLook = (plan, from) => queue.placeFor(plan, likeSeeker(from, limitsNow()), performance.now())
  return Proxy.of({
    handle,
    outlook,
    stir: () => queue.changed(),
    queues: queue,
    active: () => underWay.size,
    idle: underWay.none,
    endAll
  })
})
