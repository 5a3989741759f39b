/**
 * Keeps the registry true: one supervised fiber per backend that probes it, from when it is put until it is removed.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import { derived } from "../config/derived.ts"
import { NexusConfig } from "../config/NexusConfig.ts"
import type { Backend } from "../backend/backend.ts"
import { type BackendHealth, type Thresholds, unknownHealth } from "../domain/backend-health.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import type { LiveState } from "../registry/live-state.ts"
import { Registry } from "../registry/Registry.ts"
import { OpenFiles } from "../upstream/OpenFiles.ts"
import { ProcessPauses } from "../upstream/ProcessPauses.ts"
import { Transport } from "../upstream/Transport.ts"
import { ProbeSharing } from "./SharedProbes.ts"
import { makeQuestions, type Questions } from "./probe.ts"

/**
 * Milliseconds until the next probe. The rule behind all of it: whatever happens to a backend is known within one
 * interval. So a healthy one is probed a little more often than that, one whose probes speak against its status is
 * asked again in quick succession until the threshold is reached, and one that is down is tried soon at first, then
 * twice as late each time, up to the interval. `downs` counts the failed probes since it is down, `random` lies in [0, 1).
 */
export const probeInterval = (
  health: BackendHealth,
  downs: number,
  intervalMs: number,
  thresholds: Thresholds,
  random: number
): number => {
  const jittered = intervalMs * (0.8 + 0.1 * random)
  if (health.status === "healthy" || health.status === "unhealthy") {
    if (health.streak > 0) {
      const needed = health.status === "healthy" ? thresholds.failures : thresholds.recoveries
      return Math.max(Math.min(100, intervalMs / 10), intervalMs / 10 / Math.max(1, needed - 1))
    }
    if (health.status === "unhealthy") return Math.min(jittered, 1000 * 2 ** Math.min(downs - 1, 20))
  }
  return jittered
}

/** How backends are watched, times in milliseconds. */
export interface HealthSettings {
  /** When false, a backend is probed until it is healthy, and then taken to stay so. */
  readonly enabled: boolean
  readonly intervalMs: number
  readonly timeoutMs: number
  readonly thresholds: Thresholds
}

/** A suspected backend is probed at once, but not sooner than this after its last probe, in milliseconds. */
const suspectEveryMs = 1000

/** A server that works for us is asked what it works on every so many milliseconds, where that is a light question. */
const workEveryMs = 2000

const isWorking = ({ inFlight, siblings }: LiveState): boolean => inFlight + siblings.inFlight > 0

const make = (settingsNow: () => HealthSettings) =>
  Effect.gen(function* () {
    const registry = yield* Registry
    const transport = yield* Transport
    const files = yield* OpenFiles
    const share = yield* ProbeSharing
    const fibers = yield* FiberMap.make<string>()
    const alarms = new Map<string, Latch.Latch>()

    const healthOf = (name: string): BackendHealth => registry.snapshot().backends.get(name)?.health ?? unknownHealth

    const watchWork = Effect.fnUntraced(function* (name: string, ask: NonNullable<Questions["loads"]>) {
      const begun = Latch.makeUnsafe(true)
      while (true) {
        yield* begun.await
        const live = registry.snapshot().backends.get(name)?.live
        if (live === undefined) return
        begun.closeUnsafe()
        live.begins = () => {
          begun.openUnsafe()
        }
        yield* Effect.sleep(workEveryMs)
        if (!isWorking(live)) continue
        begun.openUnsafe()
        if (!settingsNow().enabled) continue
        const loads = yield* ask
        if (loads !== undefined) yield* Effect.flatMap(monotonicMs, (now) => registry.noteLoads(name, loads, now))
      }
    })

    const watch = Effect.fnUntraced(function* (backend: Backend, alarm: Latch.Latch) {
      const { name } = backend
      const questions = yield* makeQuestions(transport, backend, () => settingsNow().timeoutMs)
      const probe = share(backend, questions.probe, settingsNow).pipe(
        // Without files nobody can be asked.
        Effect.tap((outcome) =>
          outcome._tag === "Down" && files.full() ? Effect.void : registry.noteProbe(name, outcome)
        ),
        // A defect of ours is no word on the backend: its state stays, and the next probe comes.
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause)
            ? Effect.failCause(cause)
            : Effect.annotateLogs(Effect.logError("probe failed", cause), { backend: name })
        )
      )
      if (questions.loads !== undefined) yield* Effect.forkChild(watchWork(name, questions.loads))
      let downs = 0
      while (true) {
        alarm.closeUnsafe()
        if (settingsNow().enabled || healthOf(name).status !== "healthy") yield* probe
        const probedAt = yield* monotonicMs
        const settings = settingsNow()
        const health = healthOf(name)
        downs = health.status === "unhealthy" ? downs + 1 : 0
        const random = yield* Random.next
        const woken = Effect.andThen(
          alarm.await,
          Effect.flatMap(monotonicMs, (now) => Effect.sleep(Math.max(0, probedAt + suspectEveryMs - now)))
        )
        const next = probeInterval(health, downs, settings.intervalMs, settings.thresholds, random)
        const idle = !settings.enabled && health.status === "healthy"
        yield* idle ? woken : Effect.race(Effect.sleep(next), woken)
      }
    })

    const start = (backend: Backend) =>
      Effect.suspend(() => {
        const alarm = Latch.makeUnsafe(false)
        alarms.set(backend.name, alarm)
        return FiberMap.run(fibers, backend.name, watch(backend, alarm))
      })

    const pauses = yield* Effect.flatMap(ProcessPauses, ({ follow }) => follow)
    yield* PubSub.take(pauses).pipe(
      Effect.map(() => {
        for (const alarm of alarms.values()) alarm.openUnsafe()
      }),
      Effect.forever,
      Effect.forkScoped
    )
    const news = yield* registry.follow
    yield* Effect.forEach(registry.snapshot().backends.values(), ({ backend }) => start(backend), { discard: true })
    yield* PubSub.take(news).pipe(
      Effect.flatMap((change) => {
        if (change._tag === "Put") return Effect.asVoid(start(change.backend))
        alarms.delete(change.name)
        return FiberMap.remove(fibers, change.name)
      }),
      Effect.forever,
      Effect.forkScoped
    )
    yield* registry.nextSuspect.pipe(
      Effect.map((name) => alarms.get(name)?.openUnsafe()),
      Effect.forever,
      Effect.forkScoped
    )
  })

/** The watch over all backends as the settings of the moment have it: starts with those the registry has, and follows it until the scope closes. */
export const layerOf = (settings: () => HealthSettings): Layer.Layer<never, never, Registry | Transport> =>
  Layer.effectDiscard(make(settings))

/** The watch as the config asks for it. */
export const layer: Layer.Layer<never, never, NexusConfig | Registry | Transport> = Layer.unwrap(
  NexusConfig.useSync(({ current }) =>
    layerOf(
      derived(current, ({ settings: { health_check }, thresholds }) => ({
        enabled: health_check.enabled,
        intervalMs: health_check.interval_seconds * 1000,
        timeoutMs: health_check.timeout_seconds * 1000,
        thresholds
      }))
    )
  )
)
