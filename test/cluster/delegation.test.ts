import { expect, test } from "bun:test"
import { Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import fc from "fast-check"
import { BadRequest, Conflict } from "../../src/domain/errors.ts"
import { Control } from "../../src/operations/Control.ts"
import { carryOut, makeDelegate } from "../../src/cluster/delegation.ts"
import { type Change, type Changed, Down, Up } from "../../src/cluster/messages.ts"
import { effect } from "../kit/effect.ts"
import { noControl } from "../kit/control.ts"
import { makePlace } from "./places.ts"

/** A worker's view of the changes, and what it has said. */
const delegate = () => {
  const said: Array<Change> = []
  const made = makeDelegate((message) => {
    if (message._tag === "Change") said.push(message)
  })
  return { ...made, said }
}

const comparison = (generation: number): Omit<Changed, "ask"> => ({
  _tag: "Changed",
  comparison: { generation, changes: [] }
})

test("each change gets its own answer, in whatever order they come (law)", () =>
  fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }).chain((count) =>
        fc.shuffledSubarray(
          Array.from({ length: count }, (_, at) => at),
          { minLength: count, maxLength: count }
        )
      ),
      async (order) => {
        const { control, changed, said } = delegate()
        const answers = order.map(() => Effect.runPromise(control.reload))
        for (const at of order) changed({ ...comparison(at), ask: said[at]?.ask ?? 0 })
        expect((await Promise.all(answers)).map(({ generation }) => generation)).toEqual(
          order.toSorted((a, b) => a - b)
        )
      }
    )
  ))

effect("a change that is refused fails with the reason, and one that is not answered in time says so", () =>
  Effect.gen(function* () {
    const { control, changed, said } = delegate()
    const refused = yield* Effect.forkChild(Effect.flip(control.setMode("one", "draining")))
    const late = yield* Effect.forkChild(Effect.flip(control.compare))
    yield* TestClock.adjust(1)
    const [first, second] = said
    changed({ _tag: "Changed", ask: first?.ask ?? 0, refusal: new BadRequest({ message: "no", param: null }) })
    expect((yield* Fiber.join(refused)).message).toBe("no")
    yield* TestClock.adjust("31 seconds")
    expect((yield* Fiber.join(late)).message).toContain("did not answer in time")
    // What comes after that is for nobody.
    changed({ ...comparison(1), ask: second?.ask ?? 0 })
    changed({ ...comparison(1), ask: 999 })
  })
)

effect("a wish goes to the supervisor and what comes of it back through pipes, for each kind of wish", () =>
  Effect.gen(function* () {
    const place = makePlace(1)
    const backend = { name: "one", url: "http://one", type: "generic", mode: "enabled", status: "healthy" } as const
    const change = { ...backend, models: 1, in_flight: 0, saved: null, note: null }
    const did: Array<string> = []
    const noting = <A>(what: string, answer: A) => Effect.sync(() => (did.push(what), answer))
    const supervisor = Control.of({
      status: () => ({ generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null }),
      reload: noting("reload", { generation: 5, changes: [] }),
      compare: Effect.fail(new Conflict({ message: "not now" })),
      add: ({ url }) => noting(`add ${url}`, change),
      remove: (name, save) => noting(`remove ${name} ${String(save)}`, change),
      setMode: (name, mode) => noting(`set ${name} ${mode}`, { ...change, mode })
    })
    const { control, changed, said } = delegate()
    const through = <A, E>(wish: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        const asking = yield* Effect.forkChild(wish)
        yield* TestClock.adjust(1)
        const up = Schema.decodeUnknownSync(Up)(JSON.parse(JSON.stringify(said.at(-1))))
        if (up._tag !== "Change") throw new Error("a change was asked for")
        yield* Effect.provideService(carryOut(place.slot, up), Control, supervisor)
        const down = Schema.decodeUnknownSync(Down)(place.told.at(-1))
        if (down._tag !== "Changed") throw new Error("what came of it was told")
        changed(down)
        return yield* Fiber.join(asking)
      })
    expect(yield* through(control.reload)).toEqual({ generation: 5, changes: [] })
    expect(yield* through(control.add({ url: "http://one" }))).toEqual(change)
    expect(yield* through(control.remove("one", true))).toEqual(change)
    expect(yield* through(control.setMode("one", "disabled"))).toEqual({ ...change, mode: "disabled" })
    expect(yield* Effect.flip(through(control.compare))).toEqual(new Conflict({ message: "not now" }))
    expect(did).toEqual(["reload", "add http://one", "remove one true", "set one disabled"])
  })
)

effect("a supervisor that refuses everything is heard", () =>
  Effect.gen(function* () {
    const place = makePlace(1)
    yield* Effect.provide(carryOut(place.slot, { _tag: "Change", ask: 3, wish: { _tag: "Reload" } }), noControl)
    expect(place.told).toMatchObject([{ _tag: "Changed", ask: 3, refusal: { message: "nothing can be changed here" } }])
  })
)
