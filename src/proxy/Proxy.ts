/**
 * The requests that are being forwarded: one fiber each, from its arrival to the end of its answer, and one place where
 * each of them is accounted for.
 */
import { Cause, Context, Effect, Exit, Layer, Random } from "effect"
import { type GatewayError, Internal, OutOfFiles, Overloaded, Stopping } from "../domain/errors.ts"
import type { DialectRoute } from "../dialect/Dialect.ts"
import { spreadWait } from "../domain/retry-after.ts"
import { Roster } from "../domain/roster.ts"
import { Newcomers } from "../registry/newcomers.ts"
import { Registry } from "../registry/Registry.ts"
import { Router } from "../router/Router.ts"
import { Deadlines } from "../upstream/Deadlines.ts"
import { Files } from "../upstream/Files.ts"
import { RequestClock, Upstream } from "../upstream/Upstream.ts"
import { Accounting } from "./Accounting.ts"
import { keepAliveSeconds, type Listening } from "../http/BunServer.ts"
import { partingMs } from "./deliver.ts"
import { Drain } from "../admission/Drain.ts"
import { EarlyStream } from "./early-stream.ts"
import { declaredLength } from "./body.ts"
import { arrived } from "./record.ts"
import { forward, type Forwarding, Run } from "./attempts.ts"
import { refuse } from "../dialect/refuse.ts"
import { Turns } from "../domain/Turns.ts"
import { type Upload, type UploadLimits, Uploads } from "../admission/uploads.ts"

/** What bounds a request; times in milliseconds, 0 is no limit. */
export interface ProxyLimits extends UploadLimits {
  readonly totalMs: number
  readonly uploadMs: number
  readonly stallMs: number
  /** Requests whose bodies are there. */
  readonly maxConcurrent: number
  readonly keepAliveMs: number
  /** Attempts that may follow the first. */
  readonly maxRetries: number
}

/** The forwarding of what clients ask of models. */
export class Proxy extends Context.Service<
  Proxy,
  {
    /** Answers a request; never rejects. */
    readonly handle: (route: DialectRoute, request: Request, id: string, server: Listening) => Promise<Response>
    /** Requests under way. */
    readonly active: () => number
    /** Ends every request under way: with an error event where an answer has begun. */
    readonly endAll: () => void
  }
>()("nexus/http/Proxy") {
  /** Needs the services of the request path; a request goes by the limits of its arrival. */
  static readonly layer = (limits: () => ProxyLimits) => Layer.effect(Proxy, makeProxy(limits))
}

// Bun closes a connection after its silent time even when an upload drips in; it looks every 4 s.
const silentMs = (keepAliveSeconds - 4) * 1000

const clientGone = Symbol("the client has gone")

const outlastsBun = ({ uploadMs }: ProxyLimits): boolean => uploadMs === 0 || uploadMs > silentMs

const makeProxy = Effect.fnUntraced(function* (limitsNow: () => ProxyLimits) {
  const registry = yield* Registry
  const deadlines = yield* Deadlines
  const drain = yield* Drain
  const files = yield* Files
  const accounting = yield* Accounting
  const context = yield* Effect.context<never>()
  const run = Effect.runForkWith(context)
  const runs = new Roster<Run>()
  const seeded = yield* Random.Random
  const random = () => seeded.nextDoubleUnsafe()
  const stopping = () => new Stopping({ retryAfterSeconds: spreadWait(5, random) })
  const uploads = new Uploads(limitsNow, random)
  // Those whose bodies are there.
  let working = 0
  let retries = 0

  const overloaded = ({ maxConcurrent }: ProxyLimits): Overloaded | undefined => {
    if (working < maxConcurrent) return undefined
    const message = `Nexus is handling ${maxConcurrent} requests already (server.max_concurrent_requests)`
    return new Overloaded({ message, retryAfterSeconds: spreadWait(1, random) })
  }

  const router = yield* Router
  const forwarding: Forwarding = {
    registry,
    router,
    upstream: yield* Upstream,
    accounting,
    turns: new Turns(),
    newcomers: new Newcomers(),
    taken: (current) => {
      current.upload.arrived()
      const refusal = overloaded(limitsNow())
      if (refusal !== undefined) return refusal
      current.working = true
      working += 1
      return undefined
    },
    leastContext: (model) => router.leastContext(model, registry.snapshot()),
    // A share of the traffic may be retries, so that an outage does not multiply it.
    budgetLeft: () => retries < Math.max(3, 0.2 * working),
    retried: () => {
      retries += 1
    },
    keepAlive: (current) => {
      const { exchange, limits, server } = current
      const early = new EarlyStream(
        {
          requestId: exchange.id,
          dialect: exchange.route.dialect,
          everyMs: limits.keepAliveMs,
          partingMs,
          open: (response) => {
            server.timeout(exchange.request, 0)
            current.open(response)
          },
          done: () => deadlines.remove(early)
        },
        exchange.started
      )
      current.early = early
      deadlines.add(early)
    },
    random
  }

  /** Ends a request from outside: its call to a backend is closed, its answer dropped. */
  const dropRun = (current: Run): void => {
    current.exchange.gone = true
    current.exchange.drop()
    current.abort.abort(clientGone)
  }

  const program = (current: Run): Effect.Effect<void, GatewayError> =>
    Effect.callback((resume) => {
      forward(forwarding, current).then(
        (refusal) => resume(refusal === undefined ? Effect.void : Effect.fail(refusal)),
        (defect: unknown) => resume(Effect.die(defect))
      )
      return Effect.sync(() => dropRun(current))
    })

  const answerOf = (current: Run, exit: Exit.Failure<void, GatewayError>): GatewayError => {
    const { exchange } = current
    const failure = Cause.findErrorOption(exit.cause)
    if (failure._tag === "Some") {
      exchange.outcome = "refused"
      return failure.value
    }
    if (Cause.hasInterruptsOnly(exit.cause)) {
      exchange.outcome = drain.refusing() ? "failed" : "client_closed"
      return stopping()
    }
    exchange.outcome = "failed"
    accounting.defect(exchange.id, exit.cause)
    return new Internal({ requestId: exchange.id })
  }

  const finish = (current: Run, exit: Exit.Exit<void, GatewayError>): void => {
    const { exchange } = current
    if (Exit.isFailure(exit)) {
      const response = refuse(exchange.route.dialect, answerOf(current, exit), exchange.id)
      exchange.status = exchange.outcome === "client_closed" ? 499 : response.status
      current.respond(response)
    }
    current.early?.end()
    current.ticket?.settle("none", performance.now())
    if (current.retrying) retries -= 1
    if (current.working) working -= 1
    current.upload.end()
    deadlines.remove(exchange.clock)
    runs.delete(current)
    accounting.ended(exchange)
  }

  const begin = (
    limits: ProxyLimits,
    route: DialectRoute,
    request: Request,
    id: string,
    server: Listening,
    upload: Upload,
    respond: (response: Response) => void
  ): void => {
    const uploadsOutlastBun = outlastsBun(limits)
    const started = performance.now()
    accounting.began()
    const clock = new RequestClock(started, limits.totalMs)
    const exchange = arrived(id, route, request, started, clock)
    const current = new Run(exchange, server, limits, upload, respond)
    runs.add(current)
    deadlines.add(clock)
    if (uploadsOutlastBun) server.timeout(request, 0)
    const fiber = run(program(current))
    exchange.cut = () => fiber.interruptUnsafe()
    request.signal.addEventListener("abort", () => fiber.interruptUnsafe())
    fiber.addObserver((exit) => {
      finish(current, exit)
      if (uploadsOutlastBun) server.timeout(request, keepAliveSeconds)
    })
  }

  const turnAway = ({ dialect }: DialectRoute, error: GatewayError, id: string): Promise<Response> => {
    const response = drain.parting(refuse(dialect, error, id))
    accounting.turnedAway(response.status)
    return Promise.resolve(response)
  }

  const handle = (route: DialectRoute, request: Request, id: string, server: Listening): Promise<Response> => {
    if (drain.refusing()) return turnAway(route, stopping(), id)
    if (files.full()) return turnAway(route, new OutOfFiles({ retryAfterSeconds: spreadWait(1, random) }), id)
    const limits = limitsNow()
    const upload = overloaded(limits) ?? uploads.begin(declaredLength(request) ?? 0, () => server.peer(request))
    if (upload instanceof Overloaded) return turnAway(route, upload, id)
    return new Promise((resolve) =>
      begin(limits, route, request, id, server, upload, (response) => resolve(drain.parting(response)))
    )
  }

  return Proxy.of({
    handle,
    active: () => runs.size,
    endAll: () => {
      runs.each(({ exchange }) => exchange.cut())
    }
  })
})
