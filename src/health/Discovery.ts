/**
 * Finds LLM servers on the well-known ports of this machine, and keeps the registry in step with what is there.
 */
import { Cause, Effect, Latch, Layer, Ref } from "effect"
import { NexusConfig } from "../config/NexusConfig.ts"
import type { Settings } from "../config/schema.ts"
import type { Backend, Limits } from "../domain/backend.ts"
import { Registry } from "../registry/Registry.ts"
import { Transport } from "../upstream/Transport.ts"
import { type Kind, kinds } from "./fingerprint.ts"
import { identify } from "./identify.ts"

/** Where servers listen by default: Ollama, LM Studio, llama.cpp (two), vLLM and others, SGLang, exo. */
const wellKnownPorts: ReadonlyArray<number> = [11434, 1234, 8080, 9931, 8000, 30000, 52415]

/** How discovery works, times in milliseconds. */
export interface DiscoverySettings {
  readonly intervalMs: number
  /** Time limits of calls to what is found. */
  readonly limits: Limits
  /** The port Nexus itself listens on; undefined while it does not. */
  readonly ownPort: number | undefined
  /** {@link wellKnownPorts} when absent. */
  readonly ports?: ReadonlyArray<number>
}

const hosts = ["127.0.0.1", "[::1]"] as const

/** Time for one answer of a server that may be none, in milliseconds. */
const lookMs = 2000

/** The start waits no longer than this for the first look, in milliseconds. */
const firstLookMs = 1500

/** Looks in a row that may fail before a discovered backend is taken out. */
const missesAllowed = 3

const backendAt = (host: string, port: number, kind: Kind, limits: Limits): Backend => ({
  name: `${kind.label}-${port}`,
  url: `http://${host}:${port}`,
  type: kind.type,
  priority: 50,
  origin: "discovered",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits,
  models: []
})

const look = (transport: Transport["Service"], host: string, port: number, limits: Limits) =>
  Effect.map(identify(transport, backendAt(host, port, kinds.generic, limits), lookMs), (kind) =>
    kind === undefined ? undefined : backendAt(host, port, kind, limits)
  )

const lookAt = Effect.fnUntraced(function* (transport: Transport["Service"], port: number, limits: Limits) {
  for (const host of hosts) {
    const found = yield* look(transport, host, port, limits)
    if (found !== undefined) return found
  }
  return undefined
})

/** Looks once at every port but Nexus' own, and returns what was found there, in the order of the ports. */
export const findOnce = (
  settings: Pick<DiscoverySettings, "limits" | "ownPort" | "ports">
): Effect.Effect<ReadonlyArray<Backend>, never, Transport> =>
  Effect.gen(function* () {
    const transport = yield* Transport
    const ports = (settings.ports ?? wellKnownPorts).filter((port) => port !== settings.ownPort)
    const found = yield* Effect.forEach(ports, (port) => lookAt(transport, port, settings.limits), { concurrency: 4 })
    return found.filter((backend) => backend !== undefined)
  })

const loopback = /^(localhost|127(\.\d{1,3}){3}|0\.0\.0\.0|\[::1?\]|.*\.localhost)$/i

/** The port of a URL that leads to this machine; undefined for all others. */
export const localPort = (url: string): number | undefined => {
  const parsed = URL.parse(url)
  if (parsed === null || !loopback.test(parsed.hostname)) return undefined
  return parsed.port === "" ? (parsed.protocol === "https:" ? 443 : 80) : Number(parsed.port)
}

const make = (settings: DiscoverySettings) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const transport = yield* Transport
    const misses = yield* Ref.make<ReadonlyMap<number, number>>(new Map())

    const at = (port: number) =>
      [...registry.snapshot().backends.values()].filter(({ backend }) => localPort(backend.url) === port)

    const drop = (name: string, why: string) =>
      Effect.andThen(registry.remove(name), Effect.annotateLogs(Effect.logInfo(why), { backend: name }))

    const add = (backend: Backend) => {
      const taken = registry.snapshot().backends.has(backend.name)
      const named = taken ? { ...backend, name: `${backend.name}-found` } : backend
      const about = { backend: named.name, type: named.type, url: named.url }
      return Effect.andThen(registry.put(named), Effect.annotateLogs(Effect.logInfo("backend found"), about))
    }

    const miss = (port: number, name: string) =>
      Ref.modify(misses, (before) => {
        const count = (before.get(port) ?? 0) + 1
        return [count, new Map(before).set(port, count >= missesAllowed ? 0 : count)]
      }).pipe(
        Effect.flatMap((count) => (count >= missesAllowed ? drop(name, "backend has gone, removed") : Effect.void))
      )

    const hit = (port: number) => Ref.update(misses, (before) => new Map(before).set(port, 0))

    const visit = Effect.fnUntraced(function* (port: number) {
      const there = at(port)
      const ours = there.find(({ backend }) => backend.origin === "discovered")
      const configured = there.some(({ backend }) => backend.origin !== "discovered")
      if (configured || port === settings.ownPort) {
        if (ours !== undefined) yield* drop(ours.backend.name, "backend is in the config, the discovered one removed")
        return
      }
      // Health probes look after what is registered; only one that is down is looked at again.
      if (ours !== undefined && ours.health.status !== "unhealthy") return yield* hit(port)
      const found = yield* lookAt(transport, port, settings.limits)
      if (ours === undefined) return found === undefined ? undefined : yield* add(found)
      if (found === undefined) return yield* miss(port, ours.backend.name)
      yield* hit(port)
      if (found.type === ours.backend.type && found.url === ours.backend.url) {
        return registry.suspect(ours.backend.name)
      }
      yield* drop(ours.backend.name, "another server answers there now")
      yield* add(found)
    })

    const first = yield* Latch.make(false)
    yield* Effect.forEach(settings.ports ?? wellKnownPorts, visit, { concurrency: 4, discard: true }).pipe(
      Effect.catchCause((cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.failCause(cause) : Effect.logError("discovery failed", cause)
      ),
      Effect.andThen(first.open),
      Effect.andThen(Effect.sleep(settings.intervalMs)),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Effect.timeoutOption(first.await, firstLookMs)
  })

/** Looks now (built once that first look has ended, or taken too long) and then every interval, until the scope closes. */
export const layerOf = (settings: DiscoverySettings): Layer.Layer<never, never, Registry | Transport> =>
  Layer.effectDiscard(make(settings))

/** Time limits of what is found: those of [server]. */
const limitsOf = ({ server }: Settings): Limits => ({
  firstByteMs: (server.first_byte_timeout_seconds ?? server.request_timeout_seconds) * 1000,
  idleMs: server.idle_timeout_seconds * 1000,
  totalMs: server.request_timeout_seconds * 1000,
  connectMs: server.connect_timeout_seconds * 1000
})

/** The search as the config asks for it; `ownPort` is the port Nexus listens on, if it does. */
export const layer = (options: {
  readonly ownPort: number | undefined
}): Layer.Layer<never, never, NexusConfig | Registry | Transport> =>
  Layer.unwrap(
    NexusConfig.useSync(({ current }) => {
      const { settings } = current()
      return layerOf({
        intervalMs: settings.discovery.interval_seconds * 1000,
        limits: limitsOf(settings),
        ownPort: options.ownPort
      })
    })
  )
