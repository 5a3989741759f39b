/**
 * The one place where layers meet.
 */
import { Layer } from "effect"
import { defaultLimits } from "../config/compile.ts"
import type { Loaded } from "../config/NexusConfig.ts"
import { NexusConfig } from "../config/NexusConfig.ts"
import * as HealthScheduler from "../health/HealthScheduler.ts"
import { Accounting } from "../http/Accounting.ts"
import { admission } from "../http/admit.ts"
import { Drain } from "../http/Drain.ts"
import { HttpApi } from "../http/HttpApi.ts"
import { Operations } from "../http/Operations.ts"
import { Recent } from "../http/Recent.ts"
import { Proxy, type ProxyLimits } from "../http/Proxy.ts"
import { Registry } from "../registry/Registry.ts"
import { Router } from "../router/Router.ts"
import * as logging from "../telemetry/logging.ts"
import { Deadlines, sweepMs } from "../upstream/Deadlines.ts"
import { Transport } from "../upstream/Transport.ts"
import { Upstream } from "../upstream/Upstream.ts"

const bytes = (megabytes: number): number => Math.round(megabytes * 1_048_576)

const proxyLimits = ({ settings: { server } }: Loaded): ProxyLimits => ({
  totalMs: server.request_timeout_seconds * 1000,
  uploadMs: server.upload_timeout_seconds * 1000,
  stallMs: server.stall_timeout_seconds * 1000,
  maxBodyBytes: bytes(server.max_body_mb),
  maxConcurrent: server.max_concurrent_requests
})

const allLimits = (loaded: Loaded): ReadonlyArray<number> => {
  const { totalMs, uploadMs, stallMs } = proxyLimits(loaded)
  const every = [defaultLimits(loaded.settings), ...loaded.backends.map(({ limits }) => limits)]
  const ofBackends = every.flatMap((limits) => [limits.connectMs, limits.firstByteMs, limits.idleMs, limits.totalMs])
  return [totalMs, uploadMs, stallMs, ...ofBackends]
}

/** What a process is for, when it is not the whole gateway: one of several that share its port. */
export interface Part {
  /** From 1. */
  readonly number: number
  readonly of: number
  /** When the gateway began, in milliseconds since 1970. */
  readonly since: number
}

const services = (loaded: Loaded) => {
  const { settings } = loaded
  return Layer.mergeAll(Upstream.layer(bytes(settings.server.max_answer_mb)), Accounting.layer).pipe(
    Layer.provideMerge(Recent.layer),
    Layer.provideMerge(Router.layer(loaded.routing))
  )
}

const base = (loaded: Loaded, part: Part | undefined) =>
  Layer.mergeAll(
    NexusConfig.layerOf(loaded),
    Transport.layer,
    Deadlines.layer(sweepMs(allLimits(loaded))),
    Drain.layer,
    Registry.layer(loaded.thresholds),
    logging.layer(loaded.settings.logging, part === undefined ? {} : { worker: part.number })
  )

/** What answers requests, over settings that have been read; without the watch over backends, which a part is told of. */
const answering = (loaded: Loaded, part: Part | undefined) => {
  const { server } = loaded.settings
  const rules = admission({
    hostname: server.host,
    allowedHosts: server.allowed_hosts,
    origins: server.cors.origins,
    keys: loaded.authKeys
  })
  const limits = proxyLimits(loaded)
  const share = { ...limits, maxConcurrent: Math.ceil(limits.maxConcurrent / (part?.of ?? 1)) }
  const operations = Operations.layer({ maxRetries: loaded.routing.maxRetries, since: part?.since })
  return HttpApi.layer(rules).pipe(
    Layer.provideMerge(Layer.mergeAll(Proxy.layer(share, loaded.routing), operations)),
    Layer.provideMerge(services(loaded))
  )
}

/** Everything but the socket, over settings that have been read. */
export const gateway = (loaded: Loaded) =>
  answering(loaded, undefined).pipe(
    Layer.provideMerge(HealthScheduler.layer),
    Layer.provideMerge(base(loaded, undefined))
  )

/** The same for one of several processes, which is told of the backends and watches none. */
export const worker = (loaded: Loaded, part: Part) =>
  answering(loaded, part).pipe(Layer.provideMerge(base(loaded, part)))

/** The watch over the backends alone. */
export const watch = (loaded: Loaded) => HealthScheduler.layer.pipe(Layer.provideMerge(base(loaded, undefined)))
