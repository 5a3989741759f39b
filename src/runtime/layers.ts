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

/** Everything but the socket, over settings that have been read. */
export const gateway = (loaded: Loaded) => {
  const { settings } = loaded
  const Base = Layer.mergeAll(
    NexusConfig.layerOf(loaded),
    Transport.layer,
    Deadlines.layer(sweepMs(allLimits(loaded))),
    Drain.layer,
    Registry.layer(loaded.thresholds),
    logging.layer(settings.logging)
  )
  const Services = Layer.mergeAll(
    Router.layer(loaded.routing),
    Upstream.layer(bytes(settings.server.max_answer_mb)),
    Accounting.layer,
    HealthScheduler.layer
  ).pipe(Layer.provideMerge(Base))
  const rules = admission({
    hostname: settings.server.host,
    allowedHosts: settings.server.allowed_hosts,
    origins: settings.server.cors.origins,
    keys: loaded.authKeys
  })
  return HttpApi.layer(rules).pipe(
    Layer.provideMerge(Layer.mergeAll(Proxy.layer(proxyLimits(loaded), loaded.routing), Operations.layer)),
    Layer.provideMerge(Services)
  )
}
