/**
 * One of several processes that share a port: answers requests, is told of the backends by its supervisor, and tells it
 * what requests show of them.
 */
import { Context, Effect, Layer, Option, Queue, Redacted, Schema, type Scope } from "effect"
import { defaultLimits } from "../config/compile.ts"
import {
  type ConfigInvalid,
  type ConfigOptions,
  NexusConfig,
  readForReload,
  readConfigText
} from "../config/NexusConfig.ts"
import { standingOf } from "../operations/handlers/health-pages.ts"
import { listen, type ListenFailed } from "../http/BunServer.ts"
import { Gateway } from "../runtime/Gateway.ts"
import { Meters } from "../proxy/Meters.ts"
import { Operations } from "../operations/Operations.ts"
import { Recent } from "../proxy/History.ts"
import { type Answer, noAnswer, type Question, Siblings } from "../operations/Siblings.ts"
import { Registry } from "../registry/Registry.ts"
import type { BackendState } from "../registry/state.ts"
import { Files } from "../upstream/Files.ts"
import { listenForAdmin } from "../runtime/admin-listener.ts"
import { drainServer } from "../runtime/shutdown.ts"
import { type ProcessPart, workerLayer } from "../runtime/layers.ts"
import { makeDelegate } from "./delegation.ts"
import { noteElsewhere } from "./sibling-standings.ts"
import { Down, type Up } from "./messages.ts"

/** Time between two tellings of figures, in milliseconds. */
const figuresEveryMs = 250

const decodeDown = Schema.decodeUnknownOption(Down)

const say = (message: Up): void => {
  if (process.connected === true) process.send?.(message)
}

const tell = (message: Up): Effect.Effect<void> => Effect.sync(() => say(message))

/** Messages of the supervisor, and the end of it as one more wish to stop. */
const inbox: Effect.Effect<Queue.Queue<Down>, never, Scope.Scope> = Effect.gen(function* () {
  const queue = yield* Queue.unbounded<Down>()
  const onMessage = (message: unknown) => {
    const read = decodeDown(message)
    if (Option.isSome(read)) Queue.offerUnsafe(queue, read.value)
  }
  const onDisconnect = () => {
    Queue.offerUnsafe(queue, { _tag: "Stop" })
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      process.on("message", onMessage)
      process.on("disconnect", onDisconnect)
      if (process.connected === false) onDisconnect()
    }),
    () =>
      Effect.sync(() => {
        process.off("message", onMessage)
        process.off("disconnect", onDisconnect)
      })
  )
  return queue
})

/** Time that the other workers have for an answer; figures that come later than this are late. */
const answerWithin = { Requests: "1 second", Request: "1 second", Measures: "500 millis" } as const

/** The other workers as this one asks them, and where their answers go; `say` reaches the supervisor. */
export const makeSiblings = (say: (message: Up) => void) => {
  const waiting = new Map<number, (answer: Answer) => void>()
  let asks = 0
  const ask = (question: Question): Effect.Effect<Answer | undefined> =>
    Effect.callback<Answer | undefined>((resume) => {
      asks += 1
      const number = asks
      waiting.set(number, (answer) => resume(Effect.succeed(answer)))
      say({ _tag: "Recall", ask: number, question })
      return Effect.sync(() => waiting.delete(number))
    }).pipe(Effect.timeoutOrElse({ duration: answerWithin[question._tag], orElse: () => Effect.succeed(undefined) }))
  const recalled = (number: number, answer: Answer): void => {
    waiting.get(number)?.(answer)
    waiting.delete(number)
  }
  return { ask, recalled }
}

const answerTo = (question: Question, recent: Recent["Service"], meters: Meters["Service"]): Answer => {
  switch (question._tag) {
    case "Requests":
      return { ...noAnswer, requests: recent.list() }
    case "Request": {
      const found = recent.find(question.id)
      return found === undefined ? noAnswer : { ...noAnswer, explained: [found] }
    }
    case "Measures":
      return { ...noAnswer, measures: [meters.measures()] }
  }
}

const age = (now: number, at: number): number => (at === 0 ? -1 : Math.max(0, now - at))

const figuresOf = ({ backend, live }: BackendState, now: number) => ({
  name: backend.name,
  ...standingOf(live, now),
  aliveAgoMs: age(now, live.aliveAt),
  failedAgoMs: age(now, live.failedAt)
})

/** The config a worker starts with: the first thing it is told. */
const firstConfig = Effect.fnUntraced(function* (
  messages: Queue.Queue<Down>,
  overrides: ConfigOptions["overrides"]
): Effect.fn.Return<NexusConfig["Service"] | undefined, ConfigInvalid> {
  while (true) {
    const message = yield* Queue.take(messages)
    if (message._tag === "Stop") return undefined
    if (message._tag !== "Config") continue
    return NexusConfig.holding((yield* readConfigText(message.file ?? undefined, overrides)).loaded)
  }
})

/** Runs until the supervisor, a signal or the end of the supervisor asks it to stop; then drains. */
export const work = (
  overrides: ConfigOptions["overrides"],
  part: ProcessPart,
  port: number,
  signal: Effect.Effect<unknown>
): Effect.Effect<void, ListenFailed | ConfigInvalid, Scope.Scope> =>
  Effect.gen(function* () {
    // A hang-up is for the supervisor; this process is told what comes of it.
    process.on("SIGHUP", () => undefined)
    const messages = yield* inbox
    const nexus = yield* firstConfig(messages, overrides)
    if (nexus === undefined) return
    const config = nexus.current()
    const siblings = makeSiblings(say)
    const delegate = makeDelegate(say)
    const services = yield* Layer.build(workerLayer(nexus, part, delegate.control)).pipe(
      Effect.provideService(Siblings, siblings)
    )
    const registry = Context.get(services, Registry)
    const recent = Context.get(services, Recent)
    const meters = Context.get(services, Meters)
    const { server: settings } = config.settings
    for (const backend of config.backends) yield* registry.put(backend)

    const onConfig = ({ file }: Down & { readonly _tag: "Config" }) =>
      readConfigText(file ?? undefined, overrides).pipe(
        Effect.flatMap((read) => readForReload(config, read, overrides)),
        Effect.flatMap((next) => {
          nexus.replace(next)
          return Effect.asVoid(registry.reconcile(next.backends, new Map()))
        }),
        Effect.catch(({ message }) =>
          Effect.annotateLogs(Effect.logError("config not taken over by this worker"), { reason: message })
        ),
        Effect.provideContext(services)
      )
    const onState = ({
      name,
      mode,
      status,
      streak,
      reason,
      models,
      listed,
      apiPath,
      probeMs
    }: Down & { readonly _tag: "State" }) => {
      const live = registry.snapshot().backends.get(name)?.live
      if (live !== undefined) live.probeMs = probeMs
      return registry.adopt(name, { mode, health: { status, streak, reason }, models, listed, apiPath })
    }
    const onPut = ({
      name,
      url,
      query,
      apiPath,
      type,
      priority,
      origin,
      key,
      insecure,
      maxConcurrent
    }: Down & { readonly _tag: "Put" }) =>
      registry.put({
        name,
        url,
        ...(query === undefined ? {} : { query }),
        ...(apiPath === undefined ? {} : { apiPath }),
        type,
        priority,
        origin,
        apiKey: key === undefined ? undefined : Redacted.make(key),
        ...(insecure === true ? { tls: { insecure } } : {}),
        forwardAuthorization: false,
        maxConcurrent,
        limits: defaultLimits(nexus.current().settings),
        models: []
      })
    // True when it was the wish to stop.
    const apply = Effect.fnUntraced(function* (message: Down) {
      switch (message._tag) {
        case "Config":
          yield* onConfig(message)
          return false
        case "Status":
          delegate.stands(message.status)
          return false
        case "Changed":
          delegate.changed(message)
          return false
        case "Put":
          yield* onPut(message)
          return false
        case "Removed":
          yield* registry.remove(message.name)
          return false
        case "State":
          yield* onState(message)
          return false
        case "Others":
          noteElsewhere(registry.snapshot(), message.backends, performance.now())
          return false
        case "Recall":
          yield* tell({ _tag: "Recalled", ask: message.ask, answer: answerTo(message.question, recent, meters) })
          return false
        case "Recalled":
          siblings.recalled(message.ask, message.answer)
          return false
        case "Start":
          return false
        case "Ping":
          yield* tell({ _tag: "Pong" })
          return false
        case "Stop":
          return true
      }
    })

    let first: Down = yield* Queue.take(messages)
    while (first._tag !== "Start") {
      if (yield* apply(first)) return
      first = yield* Queue.take(messages)
    }
    const listening = yield* listen({
      hostname: settings.host,
      port,
      fetch: Context.get(services, Gateway).handle,
      reusePort: true
    }).pipe(Effect.tapError(({ reason }) => tell({ _tag: "Failed", reason })))
    Context.get(services, Files).relieve(listening.closeIdle)
    // A socket cannot be shared, and one worker reaches them all.
    if (part.number === 1) {
      yield* listenForAdmin(config, Context.get(services, Gateway)).pipe(
        Effect.tapError(({ reason }) => tell({ _tag: "Failed", reason: `[admin] listen: ${reason}` }))
      )
    }
    yield* tell({ _tag: "Listening", port: listening.port })
    yield* Context.get(services, Operations).warm

    const report = Effect.suspend(() => {
      const now = performance.now()
      const states = [...registry.snapshot().backends.values()]
      return tell({ _tag: "Figures", backends: states.map((state) => figuresOf(state, now)) })
    })
    yield* report.pipe(Effect.andThen(Effect.sleep(figuresEveryMs)), Effect.forever, Effect.forkScoped)
    yield* registry.nextSuspect.pipe(
      Effect.flatMap((name) => tell({ _tag: "Suspect", name })),
      Effect.forever,
      Effect.forkScoped
    )
    const stopped = Queue.take(messages).pipe(Effect.flatMap(apply), Effect.repeat({ until: (stop) => stop }))
    yield* Effect.race(stopped, signal)
    // What is told meanwhile counts for the requests that still come.
    yield* Queue.take(messages).pipe(Effect.flatMap(apply), Effect.forever, Effect.forkScoped)
    yield* drainServer(services, listening)
  })
