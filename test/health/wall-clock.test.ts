import { expect } from "bun:test"
import { Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { layerOf } from "../../src/health/HealthScheduler.ts"
import { browse } from "../../src/discovery/mdns/Browser.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect, underWallClock } from "../kit/effect.ts"
import { announced } from "../discovery/mdns/packets.ts"
import { backend } from "../registry/backends.ts"
import { FakeWorld } from "./fake.ts"
import { FakeLink, ollama, resolving, stagedWith } from "../discovery/stage.ts"

const hour = 3_600_000
const box = "http://gpu-box:11434"
const named = {
  ports: [11434],
  hosts: [{ host: "gpu-box", port: undefined }],
  surroundings: resolving({ "gpu-box": ["10.0.0.5"] })
}

for (const [way, set] of [
  ["forward", hour],
  ["back", -hour]
] as const) {
  effect(`a found server that is away is kept for its grace when the wall clock is set ${way} meanwhile`, () => {
    const clock = { setBy: 0 }
    const scene = stagedWith(
      named,
      ({ world }) => Effect.sync(() => world.serve(box, ollama)),
      ({ world, registry, names }) =>
        Effect.gen(function* () {
          expect(names()).toEqual(["ollama-gpu-box-11434"])
          world.kill(box)
          yield* registry.noteProbe("ollama-gpu-box-11434", { _tag: "Down", reason: "connection refused" })
          yield* TestClock.adjust("20 seconds")
          clock.setBy = set
          yield* TestClock.adjust("35 seconds")
          expect(names()).toEqual(["ollama-gpu-box-11434"])
          yield* TestClock.adjust("35 seconds")
          expect(names()).toEqual([])
        })
    )
    return underWallClock(() => clock.setBy, scene())
  })

  effect(`a suspected backend is probed within a second when the wall clock was just set ${way}`, () => {
    const clock = { setBy: 0 }
    const world = new FakeWorld()
    const one = backend("one")
    const thresholds = { failures: 1, recoveries: 1 }
    const Base = Layer.mergeAll(
      Registry.layer(() => thresholds),
      Transport.layerOf(world.transport),
      Logger.layer([])
    )
    const settings = { enabled: true, intervalMs: hour, timeoutMs: 5000, thresholds }
    const scene = Registry.use((registry) =>
      Effect.gen(function* () {
        world.serve(one.url, { "/v1/models": { json: { data: [{ id: "m" }] } } })
        yield* registry.put(one)
        yield* TestClock.adjust(1)
        const asked = world.asked.length
        clock.setBy = set
        registry.suspect("one")
        yield* TestClock.adjust("900 millis")
        expect(world.asked.length).toBe(asked)
        yield* TestClock.adjust("100 millis")
        expect(world.asked.length).toBe(asked + 1)
      })
    ).pipe(Effect.provide(layerOf(() => settings).pipe(Layer.provideMerge(Base))))
    return underWallClock(() => clock.setBy, scene)
  })

  effect(`what a server said of itself by mDNS lives as long as it said when the wall clock is set ${way}`, () => {
    const clock = { setBy: 0 }
    const link = new FakeLink()
    const scene = Effect.gen(function* () {
      const { adverts } = yield* browse({ types: ["_ollama._tcp"], interface: undefined, open: link.open })
      link.hear({ records: announced("Box", ["10.0.0.5"], { ttl: 120 }) })
      yield* TestClock.adjust("1 second")
      clock.setBy = set
      yield* TestClock.adjust("110 seconds")
      expect((yield* adverts).map(({ state }) => state)).toEqual(["live"])
      yield* TestClock.adjust("20 seconds")
      expect((yield* adverts).map(({ state }) => state)).toEqual(["silent"])
    })
    return underWallClock(() => clock.setBy, scene)
  })
}
