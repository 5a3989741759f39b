import { expect } from "bun:test"
import { Effect, Exit, Fiber, Layer, Logger, Option, PubSub } from "effect"
import { Registry } from "../../src/registry/Registry.ts"
import { effect } from "../kit/effect.ts"
import { backend, down, refused, up } from "./backends.ts"

const lines: Array<string> = []
const Recorded = Logger.layer([Logger.map(Logger.formatLogFmt, (line) => void lines.push(line))])
const World = Layer.merge(
  Registry.layer(() => ({ failures: 2, recoveries: 1 })),
  Recorded
)

const world =
  <A>(body: (registry: Registry["Service"]) => Effect.Effect<A>) =>
  () =>
    Effect.suspend(() => {
      lines.length = 0
      return Registry.use(body).pipe(Effect.provide(World))
    })

effect(
  "one line is logged for each change of state, and none for a probe that changes nothing",
  world((registry) =>
    Effect.gen(function* () {
      yield* registry.put(backend("one"))
      for (const outcome of [up("a"), up("a"), down, down, down, up("a"), up("a", "b"), up("b", "a"), refused]) {
        yield* registry.noteProbe("one", outcome)
      }
      expect(lines.map((line) => /message="?([a-z_ ]+)/.exec(line)?.[1])).toEqual([
        "backend became healthy",
        "backend became unhealthy",
        "backend became healthy",
        "model list changed",
        "backend became config_error"
      ])
      expect(lines[1]).toContain("connection refused")
    })
  )
)

effect(
  "a reason cannot forge a log line",
  world((registry) =>
    Effect.gen(function* () {
      yield* registry.put(backend("one"))
      yield* registry.noteProbe("one", { _tag: "Down", reason: "x\nlevel=info all is well\u001b[2J" })
      expect(lines.length).toBe(1)
      expect(lines[0]).not.toContain("\n")
      expect(lines[0]).not.toContain("\u001b")
    })
  )
)

effect(
  "a probe of a backend that has been removed meanwhile changes nothing",
  world((registry) =>
    Effect.gen(function* () {
      yield* registry.put(backend("one"))
      yield* registry.remove("one")
      const before = registry.snapshot()
      yield* registry.noteProbe("one", up("a"))
      expect(registry.snapshot()).toBe(before)
      expect(lines).toEqual([])
    })
  )
)

effect(
  "a thousand suspicions of one backend are one, and those of strangers none",
  world((registry) =>
    Effect.gen(function* () {
      yield* registry.put(backend("one"))
      for (let i = 0; i < 1000; i++) registry.suspect("one")
      registry.suspect("nobody")
      expect(yield* registry.nextSuspect).toBe("one")
      const waiting = yield* Effect.forkChild(registry.nextSuspect, { startImmediately: true })
      expect(waiting.pollUnsafe()).toBeUndefined()
      registry.suspect("one")
      expect(Exit.isSuccess(yield* Fiber.await(waiting))).toBe(true)
    })
  )
)

effect(
  "followers hear of puts and removals",
  world((registry) =>
    Effect.scoped(
      Effect.gen(function* () {
        const news = yield* registry.follow
        yield* registry.put(backend("one"))
        yield* registry.remove("one")
        yield* registry.remove("one")
        const heard = yield* PubSub.takeAll(news)
        expect(heard.map((change) => change._tag)).toEqual(["Put", "Removed"])
        expect(Option.getOrUndefined(PubSub.remainingUnsafe(news))).toBe(0)
      })
    )
  )
)
