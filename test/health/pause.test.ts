import { expect } from "bun:test"
import { Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { layerOf } from "../../src/health/HealthScheduler.ts"
import { makeProbe } from "../../src/health/probe.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect } from "../kit/effect.ts"
import { held } from "../kit/held.ts"
import { backend } from "../registry/backends.ts"
import { FakeWorld } from "./fake.ts"

const one = backend("one")
const list = { "/v1/models": { json: { data: [{ id: "m" }] } } }

effect("after a long pause of Nexus every backend is probed at once", () =>
  held((stop) => {
    const world = new FakeWorld()
    const thresholds = { failures: 1, recoveries: 1 }
    const Base = Layer.mergeAll(
      Registry.layer(() => thresholds),
      Transport.layerOf(world.transport)
    )
    const settings = { enabled: true, intervalMs: 3_600_000, timeoutMs: 5000, thresholds }
    return Registry.use((registry) =>
      Effect.gen(function* () {
        const two = backend("two")
        for (const each of [one, two]) {
          world.serve(each.url, list)
          yield* registry.put(each)
        }
        yield* TestClock.adjust("5 seconds")
        const asked = world.asked.length
        stop(60_000)
        yield* TestClock.adjust("1 second")
        expect(world.asked.length).toBe(asked + 2)
      })
    ).pipe(Effect.provide(layerOf(() => settings).pipe(Layer.provideMerge(Base))))
  })
)

effect("a probe that fails across a pause of Nexus is made again, and says what the second one says", () =>
  held((stop) =>
    Effect.gen(function* () {
      const world = new FakeWorld()
      world.serve(one.url, { "/v1/models": "silence" })
      const probe = yield* Effect.forkChild(Effect.flatten(makeProbe(world.transport, one, () => 1000)))
      yield* TestClock.adjust("500 millis")
      stop(7000)
      world.serve(one.url, list)
      yield* TestClock.adjust("5 seconds")
      expect((yield* Fiber.join(probe))._tag).toBe("Up")
      expect(world.asked.length).toBe(2)
    })
  )
)

effect("a probe of a backend that is gone says so, however often Nexus is held up", () =>
  held((stop) =>
    Effect.gen(function* () {
      const world = new FakeWorld()
      world.serve(one.url, { "/v1/models": "silence" })
      const probe = yield* Effect.forkChild(Effect.flatten(makeProbe(world.transport, one, () => 1000)))
      for (let i = 0; i < 30; i++) {
        stop(1000)
        yield* TestClock.adjust("400 millis")
      }
      expect((yield* Fiber.join(probe))._tag).toBe("Down")
    })
  )
)
