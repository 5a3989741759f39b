/**
 * The one place where layers meet.
 */
import { totalmem } from "node:os"
import { dirname, resolve } from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { defaultLimits } from "../config/compile.ts"
import { derived } from "../config/derived.ts"
import { adminListen, type ListenAddress } from "../config/listening.ts"
import { ConfigInvalid, keysFileOf, type LoadedConfig, NexusConfig } from "../config/NexusConfig.ts"
import * as HealthScheduler from "../health/HealthScheduler.ts"
import * as SharedProbes from "../health/SharedProbes.ts"
import { Accounting } from "../proxy/Accounting.ts"
import { Control } from "../operations/Control.ts"
import type { Doctor } from "../operations/DoctorService.ts"
import { type AdmissionRules, makeAdmission } from "../admission/access.ts"
import { Drain } from "../admission/Drain.ts"
import type { KeyRing } from "../admission/key-ring.ts"
import { Limiter } from "../admission/Limiter.ts"
import { ClientKeys } from "../admission/ClientKeys.ts"
import { Issuers } from "../issuer/Issuers.ts"
import { Gateway, type OwnPlaces } from "./Gateway.ts"
import { Captures } from "../capture/Captures.ts"
import { AnswerCache } from "../cache/AnswerCache.ts"
import { Hooks } from "../hooks/Hooks.ts"
import * as KeepWarm from "../lifecycle/keep-warm.ts"
import * as Waker from "../lifecycle/waker.ts"
import { Lifecycle } from "../lifecycle/Lifecycle.ts"
import { Meters } from "../proxy/Meters.ts"
import { Operations } from "../operations/Operations.ts"
import { History } from "../proxy/History.ts"
import { Proxy, type ProxyLimits } from "../proxy/Proxy.ts"
import { QueueOutlook } from "../proxy/queue-outlook.ts"
import * as Traces from "../proxy/Traces.ts"
import { Registry } from "../registry/Registry.ts"
import { Router } from "../router/Router.ts"
import * as logging from "../telemetry/logging.ts"
import { Deadlines, sweepMs } from "../upstream/Deadlines.ts"
import * as Files from "../upstream/OpenFiles.ts"
import * as ProcessPauses from "../upstream/ProcessPauses.ts"
import { Replicas } from "../replicas/Replicas.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { admitted, freshContacts, HostContacts, Perimeter, perimeterGate } from "../upstream/perimeter.ts"
import { Transport } from "../upstream/Transport.ts"
import { Upstream } from "../upstream/Upstream.ts"
import { Budgets } from "../usage/Budgets.ts"
import { priceRule } from "../usage/price.ts"
import { Prices, type PriceSettings } from "../usage/Prices.ts"
import { UsageLedger } from "../usage/UsageLedger.ts"
import * as Administration from "./Administration.ts"
import { budgetRules } from "./budget-rules.ts"
import { Reloader, type ConfigInUse } from "./Reloader.ts"
import * as ReplicaStandings from "./ReplicaStandings.ts"

/** The settings of the moment. */
type Config = NexusConfig["Service"]

/** The memory that this process may use, in bytes: that of its container, or else of the machine. */
const memoryBytes = (): number => {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}

const bytes = (megabytes: number): number => Math.round(megabytes * 1_048_576)

const proxyLimits = ({
  settings: { queue, server, ...settings },
  rates,
  routing,
  cached
}: LoadedConfig): ProxyLimits => ({
  totalMs: server.request_timeout_seconds * 1000,
  uploadMs: server.upload_timeout_seconds * 1000,
  stallMs: server.stall_timeout_seconds * 1000,
  keepAliveMs: server.keepalive_after_seconds * 1000,
  maxBodyBytes: bytes(server.max_body_mb),
  maxStreamedBytes: bytes(server.max_streamed_mb),
  backendPaths: server.backend_paths,
  maxSessions: server.max_realtime_sessions,
  sessionIdleMs: server.realtime_idle_timeout_seconds * 1000,
  maxUploads: server.max_concurrent_uploads ?? server.max_concurrent_requests,
  maxUploadBytes: server.max_uploads_mb === undefined ? memoryBytes() / 4 : bytes(server.max_uploads_mb),
  uploadShare: server.upload_share_percent / 100,
  maxConcurrent: server.max_concurrent_requests,
  maxRetries: routing.maxRetries,
  maxQueue: queue.max_queue,
  severalKeys: settings.auth.keys.length > 1 || settings.auth.issuers.length > 0 || settings.auth.store !== undefined,
  queueMs: queue.queue_timeout_seconds * 1000,
  sessionHeaders: settings.routing.session_headers,
  rates,
  cached,
  maxKeptBytes: bytes(settings.cache.max_answer_mb)
})

const allLimits = (loaded: LoadedConfig): ReadonlyArray<number> => {
  const { totalMs, uploadMs, stallMs, keepAliveMs, queueMs } = proxyLimits(loaded)
  const named = [...loaded.backends, ...loaded.followed.map(({ backend }) => backend)]
  const every = [defaultLimits(loaded.settings), ...named.map(({ limits }) => limits)]
  const ofBackends = every.flatMap((limits) => [limits.connectMs, limits.firstByteMs, limits.idleMs, limits.totalMs])
  return [totalMs, uploadMs, stallMs, keepAliveMs, queueMs, ...ofBackends]
}

/** What a process is for, when it is not the whole gateway: one of several that share its port. */
export interface ProcessPart {
  /** From 1. */
  readonly number: number
  readonly of: number
  /** When the gateway began, in milliseconds since 1970, for people to read. */
  readonly since: number
  /** How long it had run when the part was started, in milliseconds. */
  readonly ageMs: number
}

type Tokens = Issuers["Service"]["tokens"]

const rulesOf =
  (keys: () => KeyRing, tokens: Tokens) =>
  ({ settings: { admin, server } }: LoadedConfig): AdmissionRules =>
    makeAdmission({
      hostname: server.host,
      allowedHosts: server.allowed_hosts,
      trustedProxies: server.trusted_proxies,
      origins: server.cors.origins,
      keys,
      tokens: tokens(),
      modelChanges: server.model_changes,
      livePage: admin.live_page
    })

// Asked at a place of its own, it knows the names of that place, and no page of any origin.
const adminRulesOf =
  (place: ListenAddress, keys: () => KeyRing, tokens: Tokens) =>
  ({ settings: { admin, server } }: LoadedConfig): AdmissionRules =>
    makeAdmission({
      hostname: place._tag === "Port" ? place.host : "localhost",
      allowedHosts: server.allowed_hosts,
      trustedProxies: server.trusted_proxies,
      origins: [],
      keys,
      tokens: tokens(),
      modelChanges: server.model_changes,
      livePage: admin.live_page
    })

const writesUsage = ({ settings: { budgets, usage } }: LoadedConfig): boolean => usage.enabled || budgets.length > 0

// A file that is open stays so: what says where it is counts from the start.
const clientKeys = ({ current }: Config) =>
  ClientKeys.layerWith(
    () => current().authKeys,
    keysFileOf(current()),
    () => current().issuers
  ).pipe(
    Layer.catchTag("KeysUnavailable", ({ message }) =>
      Layer.effect(ClientKeys, new ConfigInvalid({ path: current().path ?? "", message }))
    )
  )

// Tokens of issuers count until the one or the other says that they do not.
const issuers = (config: Config) =>
  Layer.unwrap(
    Effect.map(ClientKeys, ({ revokedTokens }) => Issuers.layer(() => config.current().issuers, revokedTokens))
  ).pipe(Layer.provideMerge(clientKeys(config)))

const routingOf = ({ routing }: LoadedConfig) => routing

const dayMs = 86_400_000

// A file that is open stays so: what these say of it counts from the start.
const ledger = ({ current }: Config, part: ProcessPart | undefined) => {
  const { path, settings } = current()
  const { usage } = settings
  return UsageLedger.layer({
    path: resolve(dirname(path ?? "."), usage.path),
    recordsMs: usage.retention_days * dayMs,
    sumsMs: usage.sums_days * dayMs,
    prunes: (part?.number ?? 1) === 1
  })
}

const priceSettings = ({ settings: { prices, usage } }: LoadedConfig): PriceSettings => ({
  rules: prices.map((entry) => priceRule(entry, usage.kwh_usd ?? 0)),
  isListed: usage.public_prices
})

// What is spent stands in the ledger, and in no other place.
const spending = (config: Config, part: ProcessPart | undefined) => {
  const { current } = config
  if (!writesUsage(current())) return Layer.merge(UsageLedger.none, Budgets.none)
  const { number = 1, of = 1 } = part ?? {}
  const budgets = Effect.map(Registry, ({ snapshot }) =>
    Budgets.layer(budgetRules(current, snapshot), { number, of }, () => current().settings.cluster.when_away)
  )
  return Layer.unwrap(budgets).pipe(Layer.provideMerge(ledger(config, part)))
}

// A file that is open stays so: what these say counts from the start.
const capturing = ({ current }: Config) => {
  const { captureSecret, path, settings } = current()
  const { keys, max_mb: most, models, path: file, retention_days: days } = settings.capture
  if (captureSecret === undefined) return Captures.none
  const stored = (rules: Meters["Service"]["ledger"]["rules"]) =>
    Captures.layer({
      keys,
      models,
      path: resolve(dirname(path ?? "."), file),
      secret: Redacted.value(captureSecret),
      mostBytes: bytes(most),
      keptMs: days * dayMs,
      counts: (outcome, size) => {
        rules.add("captures", [outcome])
        if (size > 0) rules.add("capturedBytes", [], size)
      }
    })
  return Layer.unwrap(Effect.map(Meters, ({ ledger }) => stored(ledger.rules)))
}

const pricing = ({ current }: Config) => {
  const { path, settings } = current()
  const { prices_file: file } = settings.usage
  if (!writesUsage(current())) return Prices.none
  return Prices.layer(
    derived(current, priceSettings),
    file === undefined ? undefined : resolve(dirname(path ?? "."), file)
  )
}

// The link is made once, and so is what is kept by it.
const keptAnswers = ({ current }: Config, part: ProcessPart | undefined) => {
  const most = () => bytes(current().settings.cache.max_mb)
  return current().settings.cache.store === "memory"
    ? AnswerCache.layer(() => most() / (part?.of ?? 1))
    : Layer.unwrap(
        Effect.map(
          Effect.promise(() => import("../cache/SharedAnswers.ts")),
          ({ sharedAnswers }) => sharedAnswers(most)
        )
      )
}

const services = (config: Config, part: ProcessPart | undefined) =>
  Layer.mergeAll(
    capturing(config),
    keptAnswers(config, part),
    Hooks.layer(() => config.current().hooks),
    Upstream.layer(() => bytes(config.current().settings.server.max_answer_mb)),
    Accounting.layer,
    Lifecycle.layer
  ).pipe(
    Layer.provideMerge(
      Layer.mergeAll(History.layer, Meters.layer(part?.number ?? 1), Traces.layer, pricing(config)).pipe(
        Layer.provideMerge(spending(config, part))
      )
    ),
    Layer.provideMerge(Router.layer(() => routingOf(config.current())))
  )

// The link is made once: what says where it leads counts from the start.
const sharedStore = ({ current }: Config) => {
  const { store } = current()
  if (store === undefined) return SharedStore.none
  return Layer.unwrap(
    Effect.gen(function* () {
      const gate = yield* Perimeter
      const contacts = yield* HostContacts
      const run = Effect.runPromiseWith(yield* Effect.context<never>())
      return SharedStore.layer(store, async (host, port) => {
        const address = await run(admitted(gate, host))
        contacts.opened(host, port, address, performance.now())
        return address
      })
    })
  )
}

const replicas = ({ current }: Config, part: ProcessPart | undefined) =>
  Replicas.layer({
    name: current().store?.replicaName,
    worker: part?.number ?? 1,
    workers: part?.of ?? 1,
    since: part?.since,
    ageMs: part?.ageMs
  })

const limiter = ({ current }: Config, processes: number) =>
  current().store === undefined
    ? Limiter.layer(processes)
    : Layer.unwrap(
        Effect.map(
          Effect.promise(() => import("../admission/SharedLimiter.ts")),
          ({ sharedLimiter }) => sharedLimiter(() => current().settings.cluster.when_away)
        )
      )

const base = (config: Config, part: ProcessPart | undefined) => {
  const { current } = config
  return Layer.mergeAll(
    sharedStore(config),
    Layer.succeed(NexusConfig, config),
    Transport.layerWith({ namesKeptMs: () => current().settings.server.dns_refresh_seconds * 1000 }),
    Deadlines.layer(derived(current, (loaded) => sweepMs(allLimits(loaded)))),
    Drain.layer,
    Registry.layer(() => current().thresholds)
  ).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        ProcessPauses.layer,
        Files.layer,
        freshContacts,
        Layer.succeed(
          Perimeter,
          perimeterGate(() => current().perimeter)
        )
      )
    ),
    Layer.provideMerge(
      logging.layer(() => current().settings.logging, part === undefined ? {} : { worker: part.number })
    )
  )
}

/** Ports that the system has chosen are known once it listens. */
export interface OwnPorts {
  readonly models: () => number
  readonly administration: () => number | undefined
}

/** What looks over the gateway from inside, made elsewhere. */
export type OwnDoctor = Layer.Layer<Doctor, never, Registry | NexusConfig>

const placesOf = (place: ListenAddress, host: string, ports: OwnPorts): OwnPlaces => ({
  models: { host, port: ports.models() },
  administration:
    place._tag === "Socket" ? { socket: place.path } : { host: place.host, port: ports.administration() ?? place.port }
})

/** What answers requests, over settings that have been read; without the watch over backends, which a part is told of. */
const answering = (config: Config, part: ProcessPart | undefined, ports: OwnPorts, doctor: OwnDoctor) => {
  const { current } = config
  const processes = part?.of ?? 1
  const share = (limits: ProxyLimits): ProxyLimits => ({
    ...limits,
    maxUploads: Math.ceil(limits.maxUploads / processes),
    maxUploadBytes: limits.maxUploadBytes / processes,
    maxConcurrent: Math.ceil(limits.maxConcurrent / processes)
  })
  const operations = Operations.layer({
    maxRetries: () => current().routing.maxRetries,
    since: part?.since,
    ageMs: part?.ageMs
  })
  const place = adminListen(current().settings.admin.listen)
  const outlook = Layer.effect(
    QueueOutlook,
    Effect.map(Proxy, ({ outlook }) => outlook)
  )
  const gateway = Layer.unwrap(
    Effect.map(Effect.all([ClientKeys, Issuers]), ([{ ring }, { tokens }]) =>
      Gateway.layer(
        derived(current, rulesOf(ring, tokens)),
        place === undefined ? undefined : derived(current, adminRulesOf(place, ring, tokens)),
        place === undefined ? undefined : () => placesOf(place, current().settings.server.host, ports)
      )
    )
  )
  return gateway.pipe(
    Layer.provideMerge(Layer.provide(operations, Layer.merge(outlook, doctor))),
    Layer.provideMerge(ReplicaStandings.layer),
    Layer.provideMerge(Proxy.layer(derived(current, (loaded) => share(proxyLimits(loaded))))),
    Layer.provideMerge(services(config, part)),
    Layer.provideMerge(Layer.mergeAll(issuers(config), limiter(config, processes))),
    Layer.provideMerge(replicas(config, part))
  )
}

/** The watch over the backends and the config, and the changes of both; `ownPort` is where the gateway listens. */
export const watchLayer = (config: Config, source: ConfigInUse, ownPort: () => number) =>
  Layer.mergeAll(
    Layer.provide(HealthScheduler.layer, SharedProbes.layer),
    KeepWarm.layer,
    Waker.layer,
    Administration.layer(source.from, ownPort)
  ).pipe(Layer.provideMerge(Reloader.layer(source)), Layer.provideMerge(base(config, undefined)))

/** Everything but the socket, over settings that have been read. */
export const gatewayLayer = (config: Config, source: ConfigInUse, ports: OwnPorts, doctor: OwnDoctor) =>
  answering(config, undefined, ports, doctor).pipe(Layer.provideMerge(watchLayer(config, source, ports.models)))

/** The same for one of several processes, which is told of the backends and watches none. */
export const workerLayer = (
  config: Config,
  part: ProcessPart,
  control: Control["Service"],
  ports: OwnPorts,
  doctor: OwnDoctor
) =>
  answering(config, part, ports, doctor).pipe(
    Layer.provideMerge(Layer.succeed(Control, control)),
    Layer.provideMerge(base(config, part))
  )
