/**
 * One of several processes that share a port: answers requests, is told of the backends by its supervisor, and tells it
 * what requests show of them.
 */
import { Context, Effect, Layer, Option, Queue, Schema, type Scope } from "effect"
import { defaultLimits } from "../config/compile.ts"
import type { Loaded } from "../config/NexusConfig.ts"
import { standingOf } from "../http/health.ts"
import { listen, type ListenFailed } from "../http/BunServer.ts"
import { HttpApi } from "../http/HttpApi.ts"
import { Operations } from "../http/Operations.ts"
import { Recent } from "../http/Recent.ts"
import { type Memories, noMemories, Siblings } from "../http/Siblings.ts"
import { Registry } from "../registry/Registry.ts"
import type { BackendState } from "../registry/snapshot.ts"
import { drainOf } from "./drain.ts"
import { type Part, worker } from "./layers.ts"
import { Down, type Up } from "./messages.ts"

/** Time between two tellings of figures, in milliseconds. */
const figuresEveryMs = 250

const decodeDown = Schema.decodeUnknownOption(Down)

const tell = (message: Up): Effect.Effect<void> =>
  Effect.sync(() => {
    if (process.connected === true) process.send?.(message)
  })

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

/** Time that the other workers have for an answer. */
const recallFor = "1 second"

/** The other workers as this one asks them, and where their answers go. */
const makeSiblings = () => {
  const waiting = new Map<number, (memories: Memories) => void>()
  let asks = 0
  const ask = (id: string | undefined): Effect.Effect<Memories> =>
    Effect.callback<Memories>((resume) => {
      asks += 1
      const number = asks
      waiting.set(number, (memories) => resume(Effect.succeed(memories)))
      process.send?.({ _tag: "Recall", ask: number, ...(id === undefined ? {} : { id }) } satisfies Up)
      return Effect.sync(() => waiting.delete(number))
    }).pipe(Effect.timeoutOrElse({ duration: recallFor, orElse: () => Effect.succeed(noMemories) }))
  const recalled = (number: number, memories: Memories): void => {
    waiting.get(number)?.(memories)
    waiting.delete(number)
  }
  return { ask, recalled }
}

const remembered = (recent: Recent["Service"], id: string | undefined): Memories => {
  if (id === undefined) return { requests: recent.list(), explained: [] }
  const found = recent.find(id)
  return { requests: [], explained: found === undefined ? [] : [found] }
}

const age = (now: number, at: number): number => (at === 0 ? -1 : Math.max(0, now - at))

const figuresOf = ({ backend, live }: BackendState, now: number) => ({
  name: backend.name,
  ...standingOf(live, now),
  aliveAgoMs: age(now, live.aliveAt),
  failedAgoMs: age(now, live.failedAt)
})

/** Runs until the supervisor, a signal or the end of the supervisor asks it to stop; then drains. */
export const work = (
  config: Loaded,
  part: Part,
  port: number,
  signal: Effect.Effect<unknown>
): Effect.Effect<void, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const messages = yield* inbox
    const siblings = makeSiblings()
    const services = yield* Layer.build(worker(config, part)).pipe(Effect.provideService(Siblings, siblings))
    const registry = Context.get(services, Registry)
    const recent = Context.get(services, Recent)
    const { server: settings } = config.settings
    for (const backend of config.backends) yield* registry.put(backend)

    const onState = ({ name, status, streak, reason, models, listed, probeMs }: Down & { readonly _tag: "State" }) => {
      const live = registry.snapshot().backends.get(name)?.live
      if (live !== undefined) live.probeMs = probeMs
      return registry.adopt(name, { health: { status, streak, reason }, models, listed })
    }
    const onPut = ({ name, url, type, priority, origin }: Down & { readonly _tag: "Put" }) =>
      registry.put({
        name,
        url,
        type,
        priority,
        origin,
        apiKey: undefined,
        forwardAuthorization: false,
        maxConcurrent: undefined,
        limits: defaultLimits(config.settings),
        models: []
      })
    const onOthers = ({ backends }: Down & { readonly _tag: "Others" }) => {
      const now = performance.now()
      for (const { name, in_flight, cooling_ms, circuits } of backends) {
        const live = registry.snapshot().backends.get(name)?.live
        if (live === undefined) continue
        live.elsewhere = {
          inFlight: in_flight,
          coolUntil: now + cooling_ms,
          circuits: circuits.map(({ model, state, failures, retry_in_ms }) => ({
            model,
            state,
            failures,
            openUntil: now + retry_in_ms
          }))
        }
      }
    }
    // True when it was the wish to stop.
    const apply = Effect.fnUntraced(function* (message: Down) {
      switch (message._tag) {
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
          onOthers(message)
          return false
        case "Recall":
          yield* tell({ _tag: "Recalled", ask: message.ask, ...remembered(recent, message.id) })
          return false
        case "Recalled":
          siblings.recalled(message.ask, message)
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
      fetch: Context.get(services, HttpApi).handle,
      reusePort: true
    }).pipe(Effect.tapError(({ reason }) => tell({ _tag: "Failed", reason })))
    yield* tell({ _tag: "Listening", port: listening.port })
    yield* Context.get(services, Operations).warm

    const refusalsTold = new Map<string, string>()
    const report = Effect.suspend(() => {
      const now = performance.now()
      const states = [...registry.snapshot().backends.values()]
      const refused = states.filter(
        ({ backend, health }) =>
          health.status === "config_error" && health.streak === 0 && refusalsTold.get(backend.name) !== health.reason
      )
      for (const { backend, health } of states) {
        if (health.status === "config_error") refusalsTold.set(backend.name, health.reason)
        else refusalsTold.delete(backend.name)
      }
      return Effect.andThen(
        Effect.forEach(
          refused,
          ({ backend, health }) => tell({ _tag: "Refused", name: backend.name, reason: health.reason }),
          {
            discard: true
          }
        ),
        tell({ _tag: "Figures", backends: states.map((state) => figuresOf(state, now)) })
      )
    })
    yield* report.pipe(Effect.andThen(Effect.sleep(figuresEveryMs)), Effect.forever, Effect.forkScoped)
    yield* registry.nextSuspect.pipe(
      Effect.flatMap((name) => tell({ _tag: "Suspect", name })),
      Effect.forever,
      Effect.forkScoped
    )
    const stopped = Queue.take(messages).pipe(Effect.flatMap(apply), Effect.repeat({ until: (stop) => stop }))
    yield* Effect.race(stopped, signal)
    yield* drainOf(services, listening, settings.shutdown_grace_seconds)
  })
