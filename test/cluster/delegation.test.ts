import { expect } from "bun:test"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type CallMessage, Calls, replyOf } from "../../src/cluster/calls.ts"
import { changeHandlers, delegatedControl } from "../../src/cluster/delegation.ts"
import { BadRequest, Conflict } from "../../src/domain/errors.ts"
import { Control } from "../../src/operations/Control.ts"
import { noControl } from "../kit/control.ts"
import { effect } from "../kit/effect.ts"

const status = () => ({ generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null })

const overPipe = <A>(message: A): A => JSON.parse(JSON.stringify(message))

/** A worker's changes, and the supervisor that carries them out at the other end of a pipe. */
const delegate = Effect.gen(function* () {
  const run = Effect.runForkWith(yield* Effect.context<Control>())
  const calls = new Calls<string>((_, call: CallMessage) => {
    const reply = replyOf(changeHandlers, overPipe(call))
    if (reply !== undefined) run(Effect.map(reply, (message) => calls.replied("supervisor", overPipe(message))))
  })
  return delegatedControl(calls.askOf("supervisor"), status)
})

effect("a change that is refused fails with the reason, and one that is not answered in time says so", () =>
  Effect.gen(function* () {
    const control = yield* delegate
    expect(yield* Effect.flip(control.setMode("one", "draining"))).toEqual(
      new BadRequest({ message: "no", param: null })
    )
    const late = yield* Effect.forkChild(Effect.flip(control.compare))
    yield* TestClock.adjust("29 seconds")
    expect(late.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(late)).message).toContain("did not answer in time")
  }).pipe(
    Effect.provideService(
      Control,
      Control.of({
        status,
        reload: Effect.never,
        compare: Effect.never,
        settings: Effect.succeed({ settings: [] }),
        nextRouting: Effect.succeed({}),
        add: () => Effect.never,
        remove: () => Effect.never,
        wake: () => Effect.never,
        setMode: () => Effect.fail(new BadRequest({ message: "no", param: null }))
      })
    )
  )
)

effect("a wish goes to the supervisor and what comes of it back through pipes, for each kind of wish", () => {
  const backend = { name: "one", url: "http://one", type: "generic", mode: "enabled", status: "healthy" } as const
  const change = { ...backend, models: 1, in_flight: 0, saved: null, note: null }
  const did: Array<string> = []
  const noting = <A>(what: string, answer: A) => Effect.sync(() => (did.push(what), answer))
  const supervisor = Control.of({
    status,
    reload: noting("reload", { generation: 5, changes: [] }),
    compare: Effect.fail(new Conflict({ message: "not now" })),
    settings: Effect.succeed({ settings: [{ key: "server.port", value: 8000, origin: "default" }] }),
    nextRouting: Effect.succeed({ routing: { strategy: "smart" } }),
    add: ({ url }) => noting(`add ${url}`, change),
    remove: (name, save) => noting(`remove ${name} ${String(save)}`, change),
    wake: (name) => noting(`wake ${name}`, change),
    setMode: (name, mode) => noting(`set ${name} ${mode}`, { ...change, mode })
  })
  return Effect.gen(function* () {
    const control = yield* delegate
    expect(yield* control.reload).toEqual({ generation: 5, changes: [] })
    expect(yield* control.settings).toEqual({ settings: [{ key: "server.port", value: 8000, origin: "default" }] })
    expect(yield* control.nextRouting).toEqual({ routing: { strategy: "smart" } })
    expect(yield* control.add({ url: "http://one" })).toEqual(change)
    expect(yield* control.remove("one", true)).toEqual(change)
    expect(yield* control.setMode("one", "disabled")).toEqual({ ...change, mode: "disabled" })
    expect(yield* control.wake("one")).toEqual(change)
    expect(yield* Effect.flip(control.compare)).toEqual(new Conflict({ message: "not now" }))
    expect(did).toEqual(["reload", "add http://one", "remove one true", "set one disabled", "wake one"])
  }).pipe(Effect.provideService(Control, supervisor))
})

effect("a supervisor that refuses everything is heard", () =>
  Effect.gen(function* () {
    const control = yield* delegate
    expect((yield* Effect.flip(control.reload)).message).toBe("nothing can be changed here")
  }).pipe(Effect.provide(noControl))
)

effect("a change whose supervisor ends is not waited for", () =>
  Effect.gen(function* () {
    const calls = new Calls<string>(() => undefined)
    const { reload } = delegatedControl(calls.askOf("supervisor"), status)
    const asking = yield* Effect.forkChild(Effect.flip(reload), { startImmediately: true })
    calls.lost("supervisor")
    expect((yield* Fiber.join(asking)).message).toContain("did not answer in time")
  })
)
