import { expect, test } from "bun:test"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import type { BackendHealth } from "../../src/domain/backend-health.ts"
import { layerOf } from "../../src/health/HealthScheduler.ts"
import { probeInterval } from "../../src/health/HealthScheduler.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect } from "../kit/effect.ts"
import { backend } from "../registry/backends.ts"
import { FakeWorld } from "./fake.ts"

const thresholds = { failures: 3, recoveries: 2 }
const list = (...ids: ReadonlyArray<string>) => ({ "/v1/models": { json: { data: ids.map((id) => ({ id })) } } })

interface Stage {
  readonly world: FakeWorld
  readonly registry: Registry["Service"]
  readonly status: (name: string) => string | undefined
  readonly models: () => ReadonlyArray<string>
}

const staged =
  <A, E>(body: (stage: Stage) => Effect.Effect<A, E>, enabled = true) =>
  () =>
    Effect.suspend(() => {
      const world = new FakeWorld()
      const Base = Layer.mergeAll(
        Registry.layer(() => thresholds),
        Transport.layerOf(world.transport),
        Logger.layer([])
      )
      const settings = { enabled, intervalMs: 30_000, timeoutMs: 5000, thresholds }
      return Registry.use((registry) =>
        body({
          world,
          registry,
          status: (name) => registry.snapshot().backends.get(name)?.health.status,
          models: () => [...registry.snapshot().candidates.keys()]
        })
      ).pipe(Effect.provide(layerOf(() => settings).pipe(Layer.provideMerge(Base))))
    })

const one = backend("one")

effect(
  "a backend is probed as soon as it is put",
  staged(({ world, registry, status, models }) =>
    Effect.gen(function* () {
      world.serve(one.url, list("m"))
      yield* registry.put(one)
      yield* TestClock.adjust(1)
      expect(status("one")).toBe("healthy")
      expect(models()).toEqual(["m"])
    })
  )
)

effect(
  "a backend that is down at start appears by itself",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      yield* registry.put(one)
      yield* TestClock.adjust("10 minutes")
      expect(status("one")).toBe("unhealthy")
      world.serve(one.url, list("m"))
      yield* TestClock.adjust("30 seconds")
      expect(status("one")).toBe("healthy")
    })
  )
)

effect(
  "a backend that dies is unhealthy within one interval, although it takes three failures",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      world.serve(one.url, list("m"))
      yield* registry.put(one)
      yield* TestClock.adjust("200 seconds")
      world.kill(one.url)
      const asked = world.asked.length
      yield* TestClock.adjust("30 seconds")
      expect(status("one")).toBe("unhealthy")
      expect(world.asked.length - asked).toBeGreaterThanOrEqual(3)
    })
  )
)

effect(
  "a single failed probe changes nothing",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      let probes = 0
      world.serve(one.url, {
        "/v1/models": () => (++probes % 3 === 0 ? { text: "", status: 500 } : { json: { data: [] } })
      })
      yield* registry.put(one)
      for (let i = 0; i < 300; i++) {
        yield* TestClock.adjust("1 second")
        expect(status("one")).toBe("healthy")
      }
      expect(probes).toBeGreaterThan(9)
    })
  )
)

effect(
  "a changed model list is seen at the next probe",
  staged(({ world, registry, models }) =>
    Effect.gen(function* () {
      world.serve(one.url, list("a", "b"))
      yield* registry.put(one)
      yield* TestClock.adjust("1 second")
      world.serve(one.url, list("b", "c"))
      yield* TestClock.adjust("30 seconds")
      expect(models()).toEqual(["b", "c"])
    })
  )
)

effect(
  "a removed backend is asked nothing more, and one put anew is asked at its new address",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      world.serve(one.url, { "/v1/models": "silence" })
      yield* registry.put(one)
      yield* TestClock.adjust("1 second")
      yield* registry.remove("one")
      yield* TestClock.adjust("10 minutes")
      expect(world.asked.length).toBe(1)
      const moved = backend("one", { url: "http://moved.test:1" })
      world.serve(moved.url, list("m"))
      yield* registry.put(moved)
      yield* TestClock.adjust("1 second")
      expect(status("one")).toBe("healthy")
      expect(world.asked.at(-1)?.url).toBe("http://moved.test:1/v1/models")
    })
  )
)

effect(
  "backends do not wait for each other",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      world.serve(one.url, { "/v1/models": "silence" })
      const two = backend("two")
      world.serve(two.url, list("m"))
      yield* registry.put(one)
      yield* registry.put(two)
      yield* TestClock.adjust(1)
      expect([status("one"), status("two")]).toEqual(["unknown", "healthy"])
      yield* TestClock.adjust("5 seconds")
      expect(status("one")).toBe("unhealthy")
    })
  )
)

effect(
  "a suspected backend is probed at once, but at most once a second",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      world.serve(one.url, list("m"))
      yield* registry.put(one)
      yield* TestClock.adjust("2 seconds")
      expect(world.asked.length).toBe(1)
      registry.suspect("one")
      yield* TestClock.adjust(1)
      expect(world.asked.length).toBe(2)
      for (let i = 0; i < 90; i++) {
        registry.suspect("one")
        yield* TestClock.adjust("10 millis")
      }
      expect(world.asked.length).toBe(2)
      yield* TestClock.adjust("100 millis")
      expect(world.asked.length).toBe(3)
      world.kill(one.url)
      yield* TestClock.adjust("1 second")
      registry.suspect("one")
      yield* TestClock.adjust("4 seconds")
      expect(status("one")).toBe("unhealthy")
    })
  )
)

effect(
  "a defect in a probe is survived",
  staged(({ world, registry, status }) =>
    Effect.gen(function* () {
      world.serve(one.url, { "/v1/models": "defect" })
      yield* registry.put(one)
      yield* TestClock.adjust("1 second")
      expect(status("one")).toBe("unknown")
      world.serve(one.url, list("m"))
      yield* TestClock.adjust("30 seconds")
      expect(status("one")).toBe("healthy")
    })
  )
)

effect(
  "without health checks a backend is probed until it answers, and then taken to be healthy",
  staged(
    ({ world, registry, status, models }) =>
      Effect.gen(function* () {
        yield* registry.put(one)
        yield* TestClock.adjust("1 minute")
        expect(status("one")).toBe("unhealthy")
        world.serve(one.url, list("m"))
        yield* TestClock.adjust("1 minute")
        expect(status("one")).toBe("healthy")
        const asked = world.asked.length
        world.kill(one.url)
        yield* TestClock.adjust("1 hour")
        expect(world.asked.length).toBe(asked)
        expect(status("one")).toBe("healthy")
        expect(models()).toEqual(["m"])
      }),
    false
  )
)

const states: fc.Arbitrary<BackendHealth> = fc.record({
  status: fc.constantFrom("unknown", "healthy", "unhealthy", "config_error"),
  streak: fc.integer({ min: 0, max: 2 }),
  reason: fc.constant("")
})
const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const interval = fc.integer({ min: 50, max: 3_600_000 })

test("no pause is longer than the interval, or so short that probes run without rest", () =>
  fc.assert(
    fc.property(states, fc.integer({ min: 1, max: 1e6 }), interval, random, (health, downs, intervalMs, r) => {
      const ms = probeInterval(health, downs, intervalMs, thresholds, r)
      expect(ms).toBeLessThanOrEqual(intervalMs)
      expect(ms).toBeGreaterThanOrEqual(Math.min(100, intervalMs / 10))
    })
  ))

test("the usual thresholds are reached within one interval of the last good probe", () =>
  fc.assert(
    fc.property(interval, random, fc.integer({ min: 1, max: 5 }), (intervalMs, r, failures) => {
      fc.pre(intervalMs >= 5000 || failures <= 2)
      const limits = { failures, recoveries: 2 }
      const healthy = { status: "healthy", reason: "" } as const
      let total = probeInterval({ ...healthy, streak: 0 }, 0, intervalMs, limits, r)
      for (let streak = 1; streak < failures; streak++)
        total += probeInterval({ ...healthy, streak }, 0, intervalMs, limits, r)
      expect(total).toBeLessThanOrEqual(intervalMs + 1e-6)
    })
  ))

test("a backend that is down is tried later and later, up to the interval", () =>
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 99 }), interval, random, (downs, intervalMs, r) => {
      const at = (count: number) =>
        probeInterval({ status: "unhealthy", streak: 0, reason: "" }, count, intervalMs, thresholds, r)
      expect(at(1)).toBeLessThanOrEqual(1000)
      expect(at(downs + 1)).toBeGreaterThanOrEqual(at(downs))
    })
  ))
