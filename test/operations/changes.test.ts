import { expect } from "bun:test"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Drain } from "../../src/admission/Drain.ts"
import { makeChanges, stateDigest } from "../../src/operations/handlers/changes.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { emptySnapshot, withBackend } from "../../src/registry/snapshot-changes.ts"
import { effect } from "../kit/effect.ts"
import { backend, down, up } from "../registry/backends.ts"

const stage = Effect.gen(function* () {
  const services = yield* Layer.build(
    Layer.merge(
      Registry.layer(() => ({ failures: 1, recoveries: 1 })),
      Drain.layer
    )
  )
  const registry = Context.get(services, Registry)
  yield* registry.put(backend("one"))
  yield* registry.noteProbe("one", up("m"))
  return {
    registry,
    drain: Context.get(services, Drain),
    changes: yield* Effect.provideContext(makeChanges, services)
  }
})

effect("who has not seen the state of the backends yet is told at once", () =>
  Effect.gen(function* () {
    const { changes, registry } = yield* stage
    expect(yield* changes({})).toEqual({ state: stateDigest(registry.snapshot()) })
    expect(yield* changes({ since: "another" })).toEqual({ state: stateDigest(registry.snapshot()) })
  })
)

effect("who has seen it is told when a backend fails, and not when a probe or a request finds what is known", () =>
  Effect.gen(function* () {
    const { changes, registry } = yield* stage
    const { state } = yield* changes({})
    const waiting = yield* Effect.forkChild(changes({ since: state }), { startImmediately: true })
    yield* registry.noteProbe("one", up("m"))
    const live = registry.snapshot().backends.get("one")?.live
    if (live !== undefined) live.inFlight += 1
    yield* TestClock.adjust("1 second")
    expect(waiting.pollUnsafe()).toBeUndefined()
    yield* registry.noteProbe("one", down)
    const told = yield* Fiber.join(waiting)
    expect(told.state).not.toBe(state)
    expect(told.state).toBe(stateDigest(registry.snapshot()))
  })
)

effect("who waits is answered after a while, as long as was asked for, or once the gateway is about to end", () =>
  Effect.gen(function* () {
    const { changes, drain } = yield* stage
    const { state } = yield* changes({})
    const ask = (wait?: number) =>
      Effect.forkChild(changes({ since: state, ...(wait === undefined ? {} : { wait }) }), { startImmediately: true })
    const [short, usual, long] = [yield* ask(5), yield* ask(), yield* ask(60)]
    expect(yield* changes({ since: state, wait: 0 })).toEqual({ state })
    yield* TestClock.adjust("5 seconds")
    expect(yield* Fiber.join(short)).toEqual({ state })
    expect(usual.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("25 seconds")
    expect(yield* Fiber.join(usual)).toEqual({ state })
    expect(long.pollUnsafe()).toBeUndefined()
    yield* drain.begin
    expect(yield* Fiber.join(long)).toEqual({ state })
    expect(yield* changes({ since: state })).toEqual({ state })
  })
)

effect("of many who wait those beyond a bound are answered at once, and who has left makes room", () =>
  Effect.gen(function* () {
    const { changes } = yield* stage
    const { state } = yield* changes({})
    const ask = Effect.forkChild(changes({ since: state, wait: 60 }), { startImmediately: true })
    const all = yield* Effect.all(Array.from({ length: 150 }, () => ask))
    yield* TestClock.adjust(1)
    const waiting = all.filter((one) => one.pollUnsafe() === undefined)
    expect(waiting.length).toBeLessThan(150)
    expect(waiting.length).toBeGreaterThan(10)
    yield* Fiber.interruptAll(waiting)
    const next = yield* ask
    yield* TestClock.adjust(1)
    expect(next.pollUnsafe()).toBeUndefined()
  })
)

effect("two processes that know the same say the same, however they came to it", () =>
  Effect.gen(function* () {
    const { registry } = yield* stage
    yield* registry.put(backend("two"))
    yield* registry.remove("two")
    const { registry: other } = yield* stage
    expect(stateDigest(registry.snapshot())).toBe(stateDigest(other.snapshot()))
    expect(registry.snapshot().generation).not.toBe(other.snapshot().generation)
    expect(stateDigest(withBackend(emptySnapshot, backend("one")))).not.toBe(
      stateDigest(withBackend(emptySnapshot, backend("other")))
    )
  })
)
