import { expect } from "bun:test"
import { Context, Effect, Fiber, Layer, Stream } from "effect"
import { Registry } from "../../src/registry/Registry.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { effect } from "../kit/effect.ts"
import { backend, up } from "./backends.ts"

const registry = Effect.map(Layer.build(Registry.layer(() => ({ failures: 1, recoveries: 1 }))), (built) =>
  Context.get(built, Registry)
)

effect(
  "whoever waits for something of the backends goes on the moment it holds, and at once when it holds already",
  () =>
    Effect.gen(function* () {
      const { put, noteProbe, when } = yield* registry
      yield* put(backend("one"))
      const isHealthy = ({ backends }: Snapshot) => backends.get("one")?.health.status === "healthy"
      const waiting = yield* Effect.forkChild(when(isHealthy), { startImmediately: true })
      yield* Effect.yieldNow
      expect(waiting.pollUnsafe()).toBeUndefined()
      yield* noteProbe("one", up("m"))
      yield* Fiber.join(waiting)
      yield* when(isHealthy)
    })
)

effect(
  "whoever follows the backends is told of each change once, and of nothing when a probe finds what was known",
  () =>
    Effect.gen(function* () {
      const { put, noteProbe, changes, remove, snapshot } = yield* registry
      const seen: Array<number> = []
      yield* changes.pipe(
        Stream.runForEach(({ generation }) => Effect.sync(() => void seen.push(generation))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* put(backend("one"))
      yield* noteProbe("one", up("m"))
      for (let nth = 0; nth < 10; nth += 1) yield* noteProbe("one", up("m"))
      yield* remove("two")
      yield* remove("one")
      yield* Effect.repeat(Effect.yieldNow, { until: () => seen.at(-1) === snapshot().generation })
      expect(seen).toEqual([0, 1, 2, 3])
    })
)
