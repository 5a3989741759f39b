/**
 * The running gateway: from read settings to a listening socket, and from a signal to an orderly end.
 */
import { Context, Duration, Effect, Fiber, Layer, type Option, type Scope } from "effect"
import { type ConfigInvalid, NexusConfig, type Loaded } from "../config/NexusConfig.ts"
import { demoBackends } from "../demo/demo.ts"
import type { Backend } from "../domain/backend.ts"
import * as Discovery from "../health/Discovery.ts"
import { listen, type ListenFailed, type Listening } from "../http/BunServer.ts"
import { Drain } from "../http/Drain.ts"
import { HttpApi } from "../http/HttpApi.ts"
import { Proxy } from "../http/Proxy.ts"
import { Registry } from "../registry/Registry.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { gateway } from "./layers.ts"

/** A gateway that is listening. */
export interface Running {
  readonly url: string
  readonly port: number
  readonly config: Loaded
  readonly demo: boolean
  readonly snapshot: () => Snapshot
  /** Requests under way. */
  readonly active: () => number
  /** Stops accepting, lets requests finish within the grace, ends the rest. */
  readonly drain: Effect.Effect<void>
}

/** What keeps a gateway from starting. */
export type StartError = ConfigInvalid | ListenFailed

const finished = (proxy: Proxy["Service"]): Effect.Effect<void> =>
  Effect.sleep("20 millis").pipe(Effect.repeat({ while: () => proxy.active() > 0 }), Effect.asVoid)

const drainOf = (services: Context.Context<Drain | Proxy>, server: Listening, graceSeconds: number) =>
  Effect.gen(function* () {
    const proxy = Context.get(services, Proxy)
    yield* Context.get(services, Drain).begin
    const stopped = server.stop(false)
    yield* finished(proxy).pipe(Effect.timeoutOption(Duration.seconds(graceSeconds)))
    proxy.endAll()
    yield* finished(proxy).pipe(Effect.timeoutOption("2 seconds"))
    // The last bytes of ended answers get a moment to leave.
    yield* Effect.promise(() => stopped).pipe(Effect.timeoutOption("1 second"))
    yield* Effect.promise(() => server.stop(true))
  })

/** The address a client on this machine uses. */
const clientHost = (host: string): string => {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1"
  return host.includes(":") ? `[${host}]` : host
}

/** Starts a gateway over read settings; it lives as long as the scope. */
export const start = Effect.fnUntraced(function* (config: Loaded, demo: boolean) {
  const services = yield* Layer.build(gateway(config))
  const registry = Context.get(services, Registry)
  const { server } = config.settings
  const api = Context.get(services, HttpApi)
  const simulated: ReadonlyArray<Backend> = demo ? yield* demoBackends : []
  for (const backend of [...config.backends, ...simulated]) yield* registry.put(backend)
  const listening = yield* listen({ hostname: server.host, port: server.port, fetch: api.handle })
  if (config.discovery) {
    yield* Layer.build(Discovery.layer({ ownPort: listening.port })).pipe(Effect.provideContext(services))
  }
  const running: Running = {
    url: `http://${clientHost(server.host)}:${listening.port}`,
    port: listening.port,
    config,
    demo,
    snapshot: registry.snapshot,
    active: Context.get(services, Proxy).active,
    drain: drainOf(services, listening, server.shutdown_grace_seconds)
  }
  return running
})

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
const firstSignal = Effect.callback<NodeJS.Signals>((resume) => {
  let seen = false
  const onSignal = (signal: NodeJS.Signals) => {
    if (seen) process.exit(signal === "SIGINT" ? 130 : 143)
    seen = true
    resume(Effect.succeed(signal))
  }
  process.on("SIGTERM", onSignal)
  process.on("SIGINT", onSignal)
})

/** How `nexus serve` is asked to run. */
export interface ServeOptions {
  readonly config: Option.Option<string>
  /** Settings from flags, nested and spelled as in the file. */
  readonly overrides: Record<string, unknown>
  readonly demo: boolean
  /** Called with the settings before anything is started. */
  readonly onConfig: (config: Loaded) => Effect.Effect<void>
  /** Called once the gateway listens and its backends have been looked at. */
  readonly onReady: (running: Running) => Effect.Effect<void>
  /** Called at the first signal. */
  readonly onStop: (signal: string) => Effect.Effect<void>
}

const probed = (running: Running): Effect.Effect<void> =>
  Effect.sleep("10 millis").pipe(
    Effect.repeat({
      while: () => [...running.snapshot().backends.values()].some(({ health }) => health.status === "unknown")
    }),
    Effect.timeoutOption("1500 millis"),
    Effect.asVoid
  )

/** Runs the gateway until a signal, then drains it. */
export const serve = (options: ServeOptions): Effect.Effect<void, StartError, Scope.Scope> =>
  Effect.gen(function* () {
    const loaded = yield* Layer.build(NexusConfig.layer({ path: options.config, overrides: options.overrides }))
    const config = Context.get(loaded, NexusConfig)
    yield* options.onConfig(config)
    const signal = yield* Effect.forkChild(firstSignal, { startImmediately: true })
    const running = yield* start(config, options.demo)
    yield* probed(running)
    yield* options.onReady(running)
    yield* options.onStop(yield* Fiber.join(signal))
    yield* running.drain
  })
