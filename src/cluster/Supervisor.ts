/**
 * Watches the backends for several workers that share one port, starts a worker anew when it ends, and ends them all.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { type LoadedConfig, NexusConfig } from "../config/NexusConfig.ts"
import type { Backend } from "../backend/backend.ts"
import type { ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"
import { Registry } from "../registry/Registry.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { announceOnNetwork } from "../runtime/announce.ts"
import { watchLayer } from "../runtime/layers.ts"
import { changeHandlers } from "./delegation.ts"
import { endHanging } from "./hang-watch.ts"
import { pingWorker, ToSupervisor } from "./messages.ts"
import { watchConfig } from "../runtime/config-watch.ts"
import { type CallMessage, Calls, replyOf } from "./calls.ts"
import { contactedHosts, HostContacts } from "../upstream/perimeter.ts"
import { QuestionRelay } from "./sibling-questions.ts"
import { Reloader, type ConfigInUse } from "../runtime/Reloader.ts"
import { keepRunning } from "./restarts.ts"
import { searchForServers } from "../runtime/discovery-switch.ts"
import { statusLog } from "../runtime/status-log.ts"
import { type WorkerSlot, send, sendNews, sendStandings } from "./broadcast.ts"

/** The workers cannot be run. */
export class WorkersFailed extends Data.TaggedError("WorkersFailed")<{ readonly reason: string }> {}

/** How the supervisor is to run its workers. */
export interface SupervisorOptions {
  readonly source: ConfigInUse
  readonly count: number
  /** Backends beside those of the config. */
  readonly simulated: ReadonlyArray<Backend>
  /** Arguments that make a worker of this program; `port` 0 is any free one. */
  readonly command: (number: number, port: number, since: number, ageMs: number) => ReadonlyArray<string>
}

/** Workers that run. */
export interface RunningWorkers {
  readonly port: number
  readonly snapshot: () => Snapshot
  /** Waits until this holds of the backends. */
  readonly when: Registry["Service"]["when"]
  /** Resolves when all workers know what the supervisor knows now, or have had a second to take it in. */
  readonly settled: Effect.Effect<void>
  /** Lets all of them finish what is under way, and end. */
  readonly drain: Effect.Effect<void>
  /** Ends all of them at once. */
  readonly kill: () => void
}

/** Ends of a worker before it listened for which the start of the gateway waits. */
const triesAtStart = 5

const othersEveryMs = 250

const read = Schema.decodeUnknownOption(ToSupervisor)

// What is urgent is told so soon, all of it that comes meanwhile.
const urgentMs = 5

const onUp = (registry: Registry["Service"], slot: WorkerSlot, message: ToSupervisor, urgent: () => void): void => {
  switch (message._tag) {
    case "Suspect":
      return registry.suspect(message.name)
    case "Wanted":
      return registry.want(message.name)
    case "Figures": {
      const now = performance.now()
      slot.standings = message.backends
      slot.queue = message.queue
      if (message.prompts !== undefined) slot.prompts = [...slot.prompts, ...message.prompts]
      if (message.tries !== undefined) slot.tries = [...slot.tries, ...message.tries]
      if (message.urgent === true) urgent()
      for (const { name, aliveAgoMs, failedAgoMs, in_flight } of message.backends) {
        const live = registry.snapshot().backends.get(name)?.live
        if (live === undefined) continue
        if (in_flight > 0) live.askedAt = now
        if (aliveAgoMs >= 0) live.aliveAt = Math.max(live.aliveAt, now - aliveAgoMs)
        if (failedAgoMs >= 0) live.failedAt = Math.max(live.failedAt, now - failedAgoMs)
      }
      return
    }
    default:
      return
  }
}

// At the limit of processes or open files.
const notStarted = (defect: unknown): Effect.Effect<string> =>
  Effect.succeed(defect instanceof Error ? defect.message : "it cannot be started")

// RunningWorkers share their port with whoever asks for it so: it must be free before the first of them takes it.
const mustBeFree = ({ settings: { server } }: LoadedConfig): Effect.Effect<void, ListenFailed> =>
  server.port === 0
    ? Effect.void
    : Effect.asVoid(
        Effect.scoped(
          listen({ hostname: server.host, port: server.port, fetch: () => new Response(null, { status: 503 }) })
        )
      )

/** Starts the watch over the backends and the workers; resolves when all of them listen. */
export const supervise = (
  options: SupervisorOptions
): Effect.Effect<RunningWorkers, ListenFailed | WorkersFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const { source, count } = options
    const config = source.read.loaded
    const nexus = NexusConfig.holding(config)
    if (process.platform !== "linux") {
      return yield* new WorkersFailed({
        reason: `several workers share a port on Linux only, and this is ${process.platform}`
      })
    }
    yield* mustBeFree(config)
    const since = yield* Clock.currentTimeMillis
    const started = performance.now()
    const stopping = yield* Latch.make(false)
    const news = yield* Latch.make(false)
    const state = { listened: false, port: config.settings.server.port }
    const services = yield* Layer.build(watchLayer(nexus, source, () => state.port))
    const registry = Context.get(services, Registry)
    const reloader = Context.get(services, Reloader)
    const inContext = Effect.runForkWith(services)
    for (const backend of [...config.backends, ...options.simulated]) yield* registry.put(backend)

    const slots = Array.from({ length: count }, (_, at): WorkerSlot => ({
      number: at + 1,
      child: undefined,
      listens: false,
      said: 0,
      standings: [],
      queue: undefined,
      prompts: [],
      tries: [],
      told: new Map(),
      config: undefined,
      status: ""
    }))
    const workers = () => slots.flatMap(({ child }) => (child === undefined ? [] : [child]))
    const calls = new Calls<ChildProcess>(send)
    // One that does not listen yet has nothing to tell, and would be late with it.
    const contacts = Context.get(services, HostContacts)
    const questions = new QuestionRelay(
      calls,
      () => slots.flatMap(({ child, listens }) => (child !== undefined && listens ? [child] : [])),
      () => contactedHosts(contacts, performance.now())
    )
    const replyTo = (child: ChildProcess, call: CallMessage): void => {
      const reply = questions.reply(child, call) ?? replyOf(changeHandlers, call)
      if (reply !== undefined) inContext(Effect.map(reply, (message) => send(child, message)))
    }

    /** Runs a worker to its end; `listens` is called when it does. */
    const run = (slot: WorkerSlot, listens: () => void): Effect.Effect<string> =>
      Effect.callback((resume) => {
        const args = options.command(slot.number, state.port, since, Math.round(performance.now() - started))
        const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] })
        let reason = ""
        slot.child = child
        slot.listens = false
        slot.told.clear()
        slot.config = undefined
        slot.status = ""
        child.on("message", (raw) => {
          slot.said += 1
          const said = read(raw)
          if (Option.isNone(said)) return
          const message = said.value
          if (message._tag === "Failed") ({ reason } = message)
          if (message._tag === "Call") return replyTo(child, message)
          if (message._tag === "Reply") return calls.replied(child, message)
          if (message._tag !== "Listening") return onUp(registry, slot, message, () => news.openUnsafe())
          state.port = message.port
          slot.listens = true
          state.listened = true
          listens()
        })
        const ended = (how: string): void => {
          slot.child = undefined
          slot.listens = false
          slot.standings = []
          slot.queue = undefined
          questions.lost(child)
          resume(Effect.succeed(reason === "" ? how : reason))
        }
        child.on("exit", (code, signal) => ended(signal === null ? `exit code ${String(code)}` : signal))
        child.on("error", ({ message }) => ended(message))
        sendNews(slot, registry.snapshot(), reloader)
        send(child, { _tag: "Start" })
        return Effect.sync(() => child.kill("SIGKILL"))
      })

    const places: Array<Fiber.Fiber<void>> = []

    /** Resolves when the worker listens; while others do, one that cannot start is not waited for. */
    const launch = (slot: WorkerSlot) =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<void, WorkersFailed>()
        const tried = (ends: number, how: string): void => {
          if (ends < triesAtStart) return
          const reason = `worker ${slot.number} ends as soon as it has started: ${how}`
          Deferred.doneUnsafe(started, state.listened ? Effect.void : Effect.fail(new WorkersFailed({ reason })))
        }
        const alive = Effect.suspend(() => run(slot, () => Deferred.doneUnsafe(started, Effect.void)))
        const kept = keepRunning(Effect.catchDefect(alive, notStarted), slot.number, stopping, tried)
        places.push(yield* Effect.forkScoped(Effect.provideContext(kept, services)))
        yield* Deferred.await(started)
      })

    yield* Effect.forkScoped(Effect.provideContext(endHanging(slots), services))
    const tellAll = Effect.sync(() => {
      for (const slot of slots) sendNews(slot, registry.snapshot(), reloader)
    })
    // The first one finds the port that all of them share.
    for (const slot of slots.slice(0, 1)) yield* launch(slot)
    yield* Effect.forEach(slots.slice(1), launch, { concurrency: "unbounded", discard: true })
    yield* Effect.provideContext(searchForServers(state.port), services)
    const withdraw = yield* Effect.provideContext(announceOnNetwork(state.port), services)
    yield* Effect.provideContext(Effect.andThen(watchConfig, statusLog), services)
    // What changes in one go, such as backends with the config that names them, is told in one go.
    yield* Stream.merge(registry.changes, reloader.changes).pipe(
      Stream.runForEachArray(() => Effect.andThen(Effect.yieldNow, tellAll)),
      Effect.forkScoped
    )
    yield* Effect.sync(() => {
      news.closeUnsafe()
      sendStandings(slots, registry.snapshot(), performance.now())
    }).pipe(
      Effect.andThen(Effect.raceFirst(Effect.sleep(othersEveryMs), Effect.andThen(news.await, Effect.sleep(urgentMs)))),
      Effect.forever,
      Effect.forkScoped
    )

    const heard = (worker: ChildProcess) => Effect.ignore(calls.askOf(worker)(pingWorker, {}))
    const kill = (): void => {
      stopping.openUnsafe()
      for (const { child } of slots) child?.kill("SIGKILL")
    }
    return {
      port: state.port,
      snapshot: registry.snapshot,
      when: registry.when,
      settled: Effect.andThen(
        tellAll,
        Effect.suspend(() => Effect.forEach(workers(), heard, { concurrency: "unbounded", discard: true }))
      ),
      drain: Effect.gen(function* () {
        yield* stopping.open
        yield* withdraw
        for (const worker of workers()) send(worker, { _tag: "Stop" })
        const { shutdown_delay_seconds, shutdown_grace_seconds } = nexus.current().settings.server
        yield* Effect.timeoutOption(
          Fiber.awaitAll(places),
          Duration.seconds(shutdown_delay_seconds + shutdown_grace_seconds + 5)
        )
        kill()
      }),
      kill
    }
  })
