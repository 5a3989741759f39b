/**
 * The running gateway: from read settings to a listening socket, and from a signal to an orderly end.
 */
import { availableParallelism } from "node:os"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import {
  type ConfigInvalid,
  type ConfigOptions,
  type LoadedConfig,
  NexusConfig,
  readConfig
} from "../config/NexusConfig.ts"
import type { Backend } from "../backend/backend.ts"
import { ListenFailed } from "../http/BunServer.ts"
import { listen } from "../http/listen.ts"
import { Gateway } from "../runtime/Gateway.ts"
import { Operations } from "../operations/Operations.ts"
import { Proxy } from "../proxy/Proxy.ts"
import { Registry } from "../registry/Registry.ts"
import { OpenFiles } from "../upstream/OpenFiles.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { gatewayUrl } from "../http/address.ts"
import { listenForAdmin } from "../runtime/admin-listener.ts"
import { announceOnNetwork } from "../runtime/announce.ts"
import { sendByOtlp } from "../runtime/otlp-switch.ts"
import { drainServer } from "../runtime/shutdown.ts"
import { gatewayLayer, type ProcessPart } from "../runtime/layers.ts"
import { watchConfig } from "../runtime/config-watch.ts"
import type { ConfigInUse } from "../runtime/Reloader.ts"
import { searchForServers } from "../runtime/discovery-switch.ts"
import { statusSignals, statusLog } from "../runtime/status-log.ts"
import { doctorLayer } from "./own-doctor.ts"
import type { WorkersFailed } from "../cluster/Supervisor.ts"

/** What can be told of a gateway that is listening. */
export interface ReadyGateway {
  readonly url: string
  readonly config: LoadedConfig
  readonly snapshot: () => Snapshot
}

/** A gateway that is listening. */
export interface RunningGateway extends ReadyGateway {
  readonly port: number
  /** Where the administration listens; undefined when that is no port of its own. */
  readonly adminPort: number | undefined
  readonly demo: boolean
  /** Waits until this holds of the backends. */
  readonly when: Registry["Service"]["when"]
  /** Requests under way. */
  readonly active: () => number
  /** Loads what no request has needed so far. */
  readonly warm: Effect.Effect<void>
  /** Takes over changes of the config and answers the signals that ask how it stands, from now on. */
  readonly notice: Effect.Effect<void, never, Scope.Scope>
  /** Stops accepting, lets requests finish within the grace, ends the rest. */
  readonly drain: Effect.Effect<void>
}

/** What keeps a gateway from starting. */
export type StartError = ConfigInvalid | ListenFailed | WorkersFailed

const simulations = Effect.flatMap(
  Effect.promise(() => import("../demo/simulate.ts")),
  ({ demoBackends }) => demoBackends
)

/** Starts a gateway over read settings; it lives as long as the scope. */
export const start = Effect.fnUntraced(function* (source: ConfigInUse, demo: boolean) {
  const config = source.read.loaded
  let { port } = config.settings.server
  let adminPort: number | undefined
  const ports = { models: () => port, administration: () => adminPort }
  const services = yield* Layer.build(
    gatewayLayer(NexusConfig.holding(config), source, ports, doctorLayer(source.from))
  )
  const registry = Context.get(services, Registry)
  const { server } = config.settings
  const api = Context.get(services, Gateway)
  const simulated: ReadonlyArray<Backend> = demo ? yield* simulations : []
  for (const backend of [...config.backends, ...simulated]) yield* registry.put(backend)
  const listening = yield* listen({
    hostname: server.host,
    port: server.port,
    fetch: api.handle,
    plainPaths: api.paths,
    socketPaths: api.socketPaths,
    unread: api.unread,
    wire: server.wire
  })
  ;({ port } = listening)
  Context.get(services, OpenFiles).relieve(listening.closeIdle)
  adminPort = (yield* listenForAdmin(config, api))?.port
  yield* Effect.provideContext(
    Effect.forEach(config.notes, (note) => Effect.logDebug(note)),
    services
  )
  yield* Effect.provideContext(searchForServers(listening.port), services)
  const sendRest = yield* Effect.provideContext(sendByOtlp, services)
  const withdraw = yield* Effect.provideContext(announceOnNetwork(listening.port), services)
  const running: RunningGateway = {
    url: gatewayUrl(server.host, listening.port),
    port: listening.port,
    adminPort,
    config,
    demo,
    snapshot: registry.snapshot,
    when: registry.when,
    active: Context.get(services, Proxy).active,
    warm: Context.get(services, Operations).warm,
    notice: Effect.provideContext(Effect.andThen(watchConfig, statusLog), services),
    drain: withdraw.pipe(Effect.andThen(drainServer(services, listening)), Effect.andThen(sendRest))
  }
  return running
})

/** Signals so soon after the first are the same wish, in ms: at Ctrl-C the terminal and `bun run` both send one. */
const sameWishMs = 200

/** The signals that end it in order, and the exit code of a second one. */
const ending = { SIGTERM: 143, SIGINT: 130, SIGQUIT: 131 } as const

/** Resolves at the first SIGTERM, SIGINT or SIGQUIT; a second one ends the process at once, `last` being called before. */
const firstSignal = (last: () => void) =>
  Effect.callback<NodeJS.Signals>((resume) => {
    let first: number | undefined
    const onSignal = (signal: keyof typeof ending) => {
      const now = performance.now()
      if (first === undefined) {
        first = now
        return resume(Effect.succeed(signal))
      }
      if (now - first < sameWishMs) return
      last()
      process.exit(ending[signal])
    }
    process.on("SIGTERM", onSignal)
    process.on("SIGINT", onSignal)
    process.on("SIGQUIT", onSignal)
  })

/** A worker and the port it listens on. */
export interface WorkerPart extends ProcessPart {
  readonly port: number
}

/** How `nexus serve` is asked to run. */
export interface ServeOptions {
  readonly config: Option.Option<string>
  /** Settings from flags, nested and spelled as in the file. */
  readonly overrides: Record<string, unknown>
  readonly demo: boolean
  /** Whether a backend whose key is not set keeps the gateway from starting. */
  readonly strict: boolean
  /** Which of several processes this is to be; undefined for the one that a person starts. */
  readonly asWorker: WorkerPart | undefined
  /** Arguments that make a worker of this program. */
  readonly workerCommand: (part: WorkerPart) => ReadonlyArray<string>
  /** Called once the gateway listens and its backends have been looked at. */
  readonly onReady: (ready: ReadyGateway) => Effect.Effect<void>
  /** Called at the first signal. */
  readonly onStop: (signal: string) => Effect.Effect<void>
}

const isProbed = ({ backends }: Snapshot): boolean =>
  backends.values().every(({ health }) => health.status !== "unknown")

/** Waits until each backend has been looked at, or for so long at most. */
export const probed = (when: Registry["Service"]["when"], withinMs: number): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(when(isProbed), withinMs))

// A person who waits for it to start is told then how things are, whoever has not answered.
const firstLookMs = 1500

const serveAlone = (source: ConfigInUse, options: ServeOptions): Effect.Effect<void, StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const signal = yield* Effect.forkChild(
      firstSignal(() => undefined),
      { startImmediately: true }
    )
    const running = yield* start(source, options.demo)
    yield* running.notice
    yield* probed(running.when, firstLookMs)
    yield* options.onReady(running)
    yield* running.warm
    yield* options.onStop(yield* Fiber.join(signal))
    yield* running.drain
  })

const serveTogether = (
  source: ConfigInUse,
  count: number,
  options: ServeOptions
): Effect.Effect<void, StartError, Scope.Scope> =>
  Effect.gen(function* () {
    let kill = (): void => undefined
    const signal = yield* Effect.forkChild(
      firstSignal(() => kill()),
      { startImmediately: true }
    )
    const simulated = options.demo ? yield* simulations : []
    const command = (number: number, port: number, since: number, ageMs: number) =>
      options.workerCommand({ number, of: count, since, ageMs, port })
    const { supervise } = yield* Effect.promise(() => import("../cluster/Supervisor.ts"))
    const workers = yield* supervise({ source, count, simulated, command })
    ;({ kill } = workers)
    const ready: ReadyGateway = {
      url: gatewayUrl(source.read.loaded.settings.server.host, workers.port),
      config: source.read.loaded,
      snapshot: workers.snapshot
    }
    yield* probed(workers.when, firstLookMs)
    yield* workers.settled
    yield* options.onReady(ready)
    yield* options.onStop(yield* Fiber.join(signal))
    yield* workers.drain
  })

/** Runs the gateway, or the part of it that `asWorker` says, until a signal; then drains it. */
export const serve = (options: ServeOptions): Effect.Effect<void, StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const { asWorker, overrides } = options
    // They would end a process that does not listen to them; a worker never does.
    for (const signal of statusSignals) process.on(signal, () => undefined)
    if (asWorker !== undefined) {
      const { runWorker } = yield* Effect.promise(() => import("../cluster/Worker.ts"))
      return yield* runWorker(
        overrides,
        asWorker,
        asWorker.port,
        doctorLayer({ path: options.config, overrides, allowMissing: "any" }),
        firstSignal(() => undefined)
      )
    }
    const from: ConfigOptions = { path: options.config, overrides, allowMissing: options.strict ? "none" : "backends" }
    const source: ConfigInUse = { read: yield* readConfig(from), from }
    const config = source.read.loaded
    const { workers } = config.settings.server
    const count = workers === 0 ? availableParallelism() : workers
    yield* count === 1 ? serveAlone(source, options) : serveTogether(source, count, options)
  }).pipe(
    Effect.catchTag("ListenFailed", (failure) =>
      Effect.promise(() => import("../remote/port-holder.ts")).pipe(
        Effect.flatMap(({ whyNotListening }) => whyNotListening(failure)),
        Effect.flatMap((reason) => Effect.fail(new ListenFailed({ ...failure, reason })))
      )
    )
  )
