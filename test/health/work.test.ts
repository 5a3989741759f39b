import { expect } from "bun:test"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { layerOf } from "../../src/health/HealthScheduler.ts"
import { Ticket } from "../../src/registry/live-state.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect } from "../kit/effect.ts"
import { backend } from "../registry/backends.ts"
import { FakeWorld } from "./fake.ts"
import { vllmMetrics } from "./metrics-texts.ts"
import * as recorded from "./recorded.ts"

const one = backend("one", { type: "vllm" })
const model = "Qwen/Qwen3-8B"

const vllm = (text: string) => ({
  "/health": { text: "" },
  "/version": { json: { version: "0.32.0" } },
  "/v1/models": { json: recorded.vllmModels },
  "/metrics": { text }
})

const staged =
  (
    body: (world: FakeWorld, registry: Registry["Service"], begin: () => Ticket) => Effect.Effect<void>,
    definition = one
  ) =>
  () =>
    Effect.suspend(() => {
      const world = new FakeWorld()
      const thresholds = { failures: 3, recoveries: 2 }
      const Base = Layer.mergeAll(
        Registry.layer(() => thresholds),
        Transport.layerOf(world.transport),
        Logger.layer([])
      )
      const settings = { enabled: true, intervalMs: 30_000, timeoutMs: 5000, thresholds }
      return Registry.use((registry) =>
        Effect.gen(function* () {
          world.serve(definition.url, vllm(vllmMetrics({})))
          yield* registry.put(definition)
          yield* TestClock.adjust(1)
          yield* body(world, registry, () => {
            const live = registry.snapshot().backends.get("one")?.live
            if (live === undefined) throw new Error("it is there")
            return new Ticket(live, model, 0, () => undefined)
          })
        })
      ).pipe(Effect.provide(layerOf(() => settings).pipe(Layer.provideMerge(Base))))
    })

effect(
  "a vLLM that works for us is asked every two seconds what it works on, by one question, and not when it is idle",
  staged((world, _registry, begin) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("10 seconds")
      const idle = world.asked.length
      expect(world.count("/metrics")).toBe(1)
      const tickets = [begin(), begin()]
      yield* TestClock.adjust("1900 millis")
      expect(world.asked.length).toBe(idle)
      yield* TestClock.adjust("2200 millis")
      expect(world.asked.slice(idle).map(({ url }) => url)).toEqual([`${one.url}/metrics`, `${one.url}/metrics`])
      for (const ticket of tickets) ticket.settle("good", 0)
      yield* TestClock.adjust("3 seconds")
      expect(world.asked.length).toBe(idle + 2)
    })
  )
)

effect(
  "its slots are known within seconds under pressure, and what it works on is told with the time of the look",
  staged((world, registry, begin) =>
    Effect.gen(function* () {
      begin()
      world.serve(one.url, vllm(vllmMetrics({ running: 4, waiting: 9 })))
      yield* TestClock.adjust("5 seconds")
      const state = registry.snapshot().backends.get("one")
      expect(state?.models.get(model)?.slots).toBe(4)
      expect(registry.snapshot().candidates.get("sql-lora")?.[0]?.model.slots).toBe(4)
      const told = state?.live.told.get(model)
      expect(told).toMatchObject({ running: 4, waiting: 9 })
      expect(told?.at).toBeGreaterThan(0)
    })
  )
)

effect(
  "slots of the config stay, whatever the server shows",
  staged(
    (world, registry, begin) =>
      Effect.gen(function* () {
        begin()
        world.serve(one.url, vllm(vllmMetrics({ running: 4, waiting: 9 })))
        yield* TestClock.adjust("61 seconds")
        expect(registry.snapshot().backends.get("one")?.models.get(model)).toMatchObject({
          slots: 16,
          slotsConfigured: true
        })
      }),
    { ...one, slots: 16 }
  )
)
