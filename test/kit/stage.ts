/**
 * The proxy over calls that a test answers itself: no socket, no clock that runs, nothing to wait for.
 */
import { Context, Effect, Layer, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"
import { Limiter } from "../../src/admission/Limiter.ts"
import { Drain } from "../../src/admission/Drain.ts"
import type { Backend } from "../../src/backend/backend.ts"
import type { UpstreamError } from "../../src/domain/upstream-errors.ts"
import { openai } from "../../src/dialect/openai/openai.ts"
import type { Listening } from "../../src/http/BunServer.ts"
import { Accounting } from "../../src/proxy/Accounting.ts"
import { History } from "../../src/proxy/History.ts"
import { Meters } from "../../src/proxy/Meters.ts"
import { Proxy, type ProxyLimits } from "../../src/proxy/Proxy.ts"
import { Captures } from "../../src/capture/Captures.ts"
import { AnswerCache } from "../../src/cache/AnswerCache.ts"
import { Hooks } from "../../src/hooks/Hooks.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Budgets } from "../../src/usage/Budgets.ts"
import { Prices } from "../../src/usage/Prices.ts"
import { UsageLedger } from "../../src/usage/UsageLedger.ts"
import { Router } from "../../src/router/Router.ts"
import { layerOf } from "../../src/telemetry/logging.ts"
import { Deadlines, type Deadline } from "../../src/upstream/Deadlines.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { Upstream } from "../../src/upstream/Upstream.ts"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import type { ReceivedAnswer, AnswerBody, BodySink } from "../../src/wire/received-answer.ts"
import type { Call } from "../../src/wire/call.ts"
import { plainSettings } from "./generators.ts"
import { logsAt } from "./log.ts"

const encoder = new TextEncoder()

/** The body of an answer, delivered by the test. */
export class Feed implements AnswerBody {
  readonly length = undefined
  aborted = false
  private sink: BodySink | undefined

  start(sink: BodySink): void {
    this.sink = sink
  }

  pause(): void {}

  resume(): void {}

  abort(): void {
    this.aborted = true
    this.sink = undefined
  }

  /** Whether somebody takes what comes. */
  get taken(): boolean {
    return this.sink !== undefined
  }

  piece(text: string): void {
    this.sink?.piece(encoder.encode(text))
  }

  end(): void {
    const { sink } = this
    this.sink = undefined
    sink?.end()
  }

  fail(error: UpstreamError): void {
    const { sink } = this
    this.sink = undefined
    sink?.fail(error)
  }
}

/** The head of an answer with this body. */
export const arrivalOf = (
  status: number,
  body: AnswerBody,
  headers: Readonly<Record<string, string>> = { "content-type": "application/json" }
): ReceivedAnswer => ({ status, header: (name) => headers[name] ?? null, names: () => Object.keys(headers), body })

/** A call that has been sent, and the ways to answer it. */
export interface Sent {
  readonly call: Call
  /** The backend it went to. */
  readonly backend: string
  readonly dropped: () => boolean
  readonly answer: (status: number, headers?: Readonly<Record<string, string>>) => Feed
  readonly fail: (error: UpstreamError) => void
}

/** A listening server without a socket, whose clients are gone when their requests are aborted. */
export const server: Listening = {
  hostname: "",
  port: 0,
  timeout: () => undefined,
  peer: () => "127.0.0.1",
  onlyPeer: undefined,
  upgrade: () => undefined,
  onGone: (request, left) => request.signal.addEventListener("abort", left),
  reply: (body, head) => new Response(body instanceof Uint8Array ? body : new ReadableStream(body), head),
  pending: () => 0,
  closeIdle: () => undefined,
  stop: () => Promise.resolve()
}

const backendOf = (name: string, priority: number): Backend => ({
  name,
  url: `http://${name}`,
  type: "generic",
  priority,
  origin: "config",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits: { firstByteMs: 1000, idleMs: 1000, totalMs: 0, connectMs: 1000 },
  models: []
})

const [operation] = openai.operations
const route = operation === undefined ? undefined : { dialect: openai, operation }

// What bounds the requests of a stage, unless it says otherwise.
const stageLimits: ProxyLimits = {
  totalMs: 0,
  uploadMs: 10_000,
  stallMs: 1000,
  keepAliveMs: 0,
  maxBodyBytes: 100_000,
  maxStreamedBytes: 1_000_000,
  backendPaths: false,
  maxSessions: 10,
  sessionIdleMs: 0,
  maxUploads: 10,
  maxUploadBytes: 1_000_000,
  uploadShare: 1,
  maxConcurrent: 10,
  maxRetries: 2,
  maxQueue: 100,
  severalKeys: false,
  queueMs: 0,
  sessionHeaders: [],
  rates: { keys: {}, owners: [], models: [] },
  cached: [],
  maxKeptBytes: 0
}

/** Lets everything that can go on go on, until it holds; a bound on rounds takes the place of a time limit. */
export const rounds = async (holds: () => boolean, what: string): Promise<void> => {
  for (let round = 0; !holds(); round += 1) {
    if (round > 2000) throw new Error(`it did not come to that: ${what}`)
    await new Promise((resume) => setImmediate(resume))
  }
}

/** A proxy in front of these backends, the first one preferred, each with the model `m`. */
export const makeStage = async (
  names: ReadonlyArray<string>,
  limits: Partial<ProxyLimits> = {},
  routing: Partial<RoutingSettings> = {},
  backends: Partial<Backend> = {}
) => {
  const sent: Array<Sent> = []
  const watches = new Set<Deadline>()
  const send = (call: Call): Promise<ReceivedAnswer> =>
    new Promise((resolve, reject) => {
      let feed: Feed | undefined
      let dropped = false
      call.abort.listen({
        aborted: (reason) => {
          dropped = true
          reject(reason)
          const fallen = feed
          // reason: the reason of an abort is an upstream error on this path
          if (fallen !== undefined) queueMicrotask(() => fallen.fail(reason as UpstreamError))
        }
      })
      sent.push({
        call,
        backend: new URL(call.url).hostname,
        dropped: () => dropped || feed?.aborted === true,
        answer: (status, headers) => {
          feed = new Feed()
          resolve(arrivalOf(status, feed, headers))
          return feed
        },
        fail: reject
      })
    })
  const registry = Registry.layer(() => ({ failures: 1, recoveries: 1 }))
  const router = Router.layer(() => ({ ...plainSettings, strategy: "priority_only", ...routing }))
  const quiet = layerOf(
    () => logsAt("error"),
    (_, done) => done(),
    false
  )
  const layer = Proxy.layer(() => ({ ...stageLimits, ...limits })).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        Layer.succeed(Deadlines, {
          add: (watch) => {
            watches.add(watch)
            // There is no sweep here: whoever leaves is noticed from the beginning on.
            watch.lasts?.()
          },
          remove: (watch) => void watches.delete(watch)
        }),
        Drain.layer,
        Limiter.layer(),
        Accounting.layer.pipe(Layer.provide(quiet)),
        Upstream.layer(() => 100_000).pipe(Layer.provide(Transport.layerOf({ ask: () => Effect.never, send })))
      )
    ),
    Layer.provideMerge(
      Layer.mergeAll(
        History.layer,
        Meters.layer(1).pipe(Layer.provide(Limiter.layer())),
        Prices.none,
        Budgets.none,
        Hooks.none,
        AnswerCache.layer(() => 0),
        Captures.none
      )
    ),
    Layer.provideMerge(UsageLedger.none),
    Layer.provideMerge(Layer.mergeAll(registry, router)),
    Layer.provideMerge(TestClock.layer())
  )
  const runtime = ManagedRuntime.make(layer)
  const services = await runtime.runPromise(Effect.context<Proxy | Registry | History | Meters>())
  const proxy = Context.get(services, Proxy)
  const history = Context.get(services, History)
  const { ledger } = Context.get(services, Meters)
  const { put, adopt, snapshot } = Context.get(services, Registry)
  for (const [at, name] of names.entries()) {
    await runtime.runPromise(put({ ...backendOf(name, at), ...backends }))
    const health = { status: "healthy", streak: 1, reason: "" } as const
    const models = [{ id: "m", capabilities: {} }]
    await runtime.runPromise(adopt(name, { mode: "enabled", health, models, listed: true }))
  }
  const live = () => [...snapshot().backends.values()].map((state) => state.live)
  return {
    sent,
    /** Lets so many milliseconds pass, for all that waits for the clock. */
    pass: (ms: number) => runtime.runPromise(TestClock.adjust(ms)),
    proxy,
    history,
    ledger,
    live,
    /** Times that run. */
    watches,
    /** The nth call, once it has been sent. */
    call: async (nth: number): Promise<Sent> => {
      await rounds(() => sent.length > nth, `call ${nth} is sent`)
      const found = sent[nth]
      if (found === undefined) throw new Error(`no call ${nth}`)
      return found
    },
    /** Posts a chat request; `body` in place of its usual one. */
    post: (id: string, stream = false, init: RequestInit = {}): Promise<Response> => {
      const body = JSON.stringify({ model: "m", messages: [], stream })
      const request = new Request("http://localhost/v1/chat/completions", { method: "POST", body, ...init })
      if (route === undefined) throw new Error("the dialect asks for nothing")
      return proxy.handle(route, request, id, server)
    },
    /** The phase of a request under way. */
    phase: (id: string) => history.underWay.list().find((each) => each.id === id)?.phase,
    /** What must be back when nothing is under way. */
    held: () => ({
      underWay: proxy.active(),
      watches: watches.size,
      tickets: live().reduce((sum, { inFlight }) => sum + inFlight, 0),
      active: ledger.active,
      inFlight: ledger.meters().reduce((sum, { inFlight }) => sum + inFlight, 0),
      streams: ledger.meters().reduce((sum, { streams }) => sum + streams, 0)
    }),
    [Symbol.asyncDispose]: () => runtime.dispose()
  }
}

/** What a stage holds when nothing is under way. */
export const nothingHeld = { underWay: 0, watches: 0, tickets: 0, active: 0, inFlight: 0, streams: 0 }

/** A whole good answer. */
export const wholeAnswer = JSON.stringify({
  id: "x",
  object: "chat.completion",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }]
})
