import { expect, test } from "bun:test"
import fc from "fast-check"
import type { Model } from "../../src/domain/server.ts"
import { newLiveState, noteTold, slotsOf, standingOf } from "../../src/registry/live-state.ts"
import { mergeModels, sameModels } from "../../src/registry/model-index.ts"
import { applyProbe, emptySnapshot, withBackend, withSlotsSeen } from "../../src/registry/snapshot-changes.ts"
import { backend } from "./backends.ts"

const model = (id: string, slots?: number): Model => ({
  id,
  capabilities: {},
  ...(slots === undefined ? {} : { slots })
})

const count = fc.option(fc.integer({ min: 1, max: 60_000 }), { nil: undefined })

test("law: slots are those of the model's config, else the backend's, else what the server told, else what was learned", () => {
  fc.assert(
    fc.property(count, count, count, count, (ofModel, ofBackend, told, learned) => {
      const live = newLiveState()
      // Two in a row are believed.
      if (learned !== undefined) for (const _ of [1, 2]) standingOf(live, "m").slots.waited(learned)
      const one = backend("b", {
        ...(ofBackend === undefined ? {} : { slots: ofBackend }),
        models: ofModel === undefined ? [] : [model("m", ofModel)]
      })
      const merged = mergeModels(one, [model("m", told)]).get("m")
      if (merged === undefined) throw new Error("it is there")
      const config = ofModel ?? ofBackend
      expect(slotsOf(merged, live)).toEqual(
        config !== undefined
          ? { slots: config, from: "config" }
          : told !== undefined
            ? { slots: told, from: "told" }
            : learned !== undefined
              ? { slots: learned, from: "learned" }
              : undefined
      )
    })
  )
})

test("slots that a config no longer has are not taken for what the server says", () => {
  const thresholds = { failures: 1, recoveries: 1 }
  const up = { _tag: "Up", models: [model("m", 4)], latencyMs: 1 } as const
  const slots = (snapshot: typeof emptySnapshot) => snapshot.backends.get("b")?.models.get("m")?.slots
  const before = applyProbe(withBackend(emptySnapshot, backend("b", { slots: 9 })), "b", up, thresholds).snapshot
  expect(slots(before)).toBe(9)
  const after = withBackend(before, backend("b"))
  expect(slots(after)).toBeUndefined()
  expect(slots(applyProbe(after, "b", up, thresholds).snapshot)).toBe(4)
})

test("slots and caches that cannot be are nothing told", () => {
  const odd = { id: "m", capabilities: {}, slots: -4, cacheTokens: 1e300 }
  expect(mergeModels(backend("b"), [odd]).get("m")).toEqual(model("m"))
})

test("a list with other slots is another list, and slots that are seen anew change a snapshot once", () => {
  expect(sameModels(new Map([["m", model("m", 4)]]), new Map([["m", model("m", 5)]]))).toBe(false)
  const thresholds = { failures: 1, recoveries: 1 }
  const up = { _tag: "Up", models: [model("m"), model("n")], latencyMs: 1 } as const
  const before = applyProbe(withBackend(emptySnapshot, backend("b")), "b", up, thresholds).snapshot
  const loads = new Map([["m", { running: 4, slots: 4 }]])
  const after = withSlotsSeen(before, "b", loads)
  expect(after.candidates.get("m")?.[0]?.model.slots).toBe(4)
  expect(after.candidates.get("n")?.[0]?.model.slots).toBeUndefined()
  expect(withSlotsSeen(after, "b", loads)).toBe(after)
  expect(withSlotsSeen(after, "nobody", loads)).toBe(after)
})

test("what a server no longer tells of its work is forgotten", () => {
  const live = newLiveState()
  noteTold(
    live,
    new Map([
      ["m", { running: 1, waiting: 0 }],
      ["n", { running: 2 }]
    ]),
    5
  )
  noteTold(
    live,
    new Map([
      ["m", { running: 3 }],
      ["n", {}]
    ]),
    7
  )
  expect([...live.told]).toEqual([["m", { running: 3, at: 7 }]])
})
