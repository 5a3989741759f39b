import { expect, test } from "bun:test"
import fc from "fast-check"
import { applyProbe, emptySnapshot, withBackend, reconcile, withMode } from "../../src/registry/snapshot-changes.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { backend, up } from "./backends.ts"

const limits = { failures: 3, recoveries: 2 }
const nothing = new Map()

const names = fc.constantFrom("one", "two", "three", "four")
const definitions = fc.record({ port: fc.integer({ min: 0, max: 2 }), priority: fc.integer({ min: 1, max: 2 }) })
const configs = fc
  .uniqueArray(fc.tuple(names, definitions), { selector: ([name]) => name })
  .map((entries) => entries.map(([name, { port, priority }]) => backend(name, { url: `http://h:${port}`, priority })))
const others = fc
  .subarray(["found", "one"])
  .map((found) => found.map((name) => backend(name, { url: "http://elsewhere", origin: "discovered" })))

const worlds = fc.record({ first: configs, second: configs, found: others })

const started = ({
  first,
  found
}: {
  readonly first: Parameters<typeof reconcile>[1]
  readonly found: typeof first
}) => {
  const before = found.reduce(withBackend, reconcile(emptySnapshot, first, nothing, limits).snapshot)
  return [...before.backends.keys()].reduce<Snapshot>(
    (snapshot, name) => applyProbe(snapshot, name, up("m"), limits).snapshot,
    before
  )
}

test("after a new config there are exactly its backends and those that came by another way (law)", () =>
  fc.assert(
    fc.property(worlds, (world) => {
      const before = started(world)
      const { snapshot } = reconcile(before, world.second, nothing, limits)
      const kept = [...before.backends.values()].filter(({ backend: { origin } }) => origin !== "config")
      expect(new Set(snapshot.backends.keys())).toEqual(
        new Set([...world.second.map(({ name }) => name), ...kept.map((state) => state.backend.name)])
      )
      for (const wanted of world.second) expect(snapshot.backends.get(wanted.name)?.backend).toEqual(wanted)
    })
  ))

test("a backend the config has not changed is the very same, with its health, models and counters (law)", () =>
  fc.assert(
    fc.property(worlds, (world) => {
      const before = started(world)
      const { snapshot, put: changed } = reconcile(before, world.second, nothing, limits)
      const news = new Set(changed.map(({ name }) => name))
      for (const [name, state] of snapshot.backends)
        if (!news.has(name)) expect(state).toBe(before.backends.get(name) as typeof state) // reason: it was there
    })
  ))

test("a changed priority keeps health, models and counters; a changed address starts afresh", () => {
  const before = applyProbe(withBackend(emptySnapshot, backend("one")), "one", up("m"), limits).snapshot
  const kept = reconcile(before, [backend("one", { priority: 1 })], nothing, limits).snapshot.backends.get("one")
  expect(kept?.health.status).toBe("healthy")
  expect(kept?.live).toBe(before.backends.get("one")?.live)
  const afresh = reconcile(before, [backend("one", { url: "http://new" })], nothing, limits).snapshot.backends.get(
    "one"
  )
  expect(afresh?.health.status).toBe("unknown")
})

test("what was found out beforehand of a new backend counts at once", () => {
  const found = new Map([["two", up("m")]])
  const { snapshot } = reconcile(emptySnapshot, [backend("two")], found, limits)
  expect(snapshot.backends.get("two")?.health.status).toBe("healthy")
  expect(snapshot.candidates.get("m")?.length).toBe(1)
})

test("backends stand in the order of the config, whoever came by another way after them (law)", () =>
  fc.assert(
    fc.property(worlds, (world) => {
      const { snapshot } = reconcile(started(world), world.second, nothing, limits)
      const order = [...snapshot.backends.keys()]
      expect(order.slice(0, world.second.length)).toEqual(world.second.map(({ name }) => name))
      for (const list of snapshot.candidates.values()) {
        const places = list.map(({ state }) => order.indexOf(state.backend.name))
        expect(places).toEqual(places.toSorted((a, b) => a - b))
      }
    })
  ))

test("the same config again changes nothing (law)", () =>
  fc.assert(
    fc.property(worlds, (world) => {
      const once = reconcile(started(world), world.second, nothing, limits).snapshot
      const twice = reconcile(once, world.second, nothing, limits)
      expect(twice.snapshot).toBe(once)
      expect([...twice.put, ...twice.removed]).toEqual([])
    })
  ))

test("a backend that is drained or disabled stays so when the config changes something else of it", () => {
  const drained = withMode(withBackend(emptySnapshot, backend("one")), "one", "draining")
  const { snapshot } = reconcile(drained, [backend("one", { priority: 3 })], nothing, limits)
  expect(snapshot.backends.get("one")?.mode).toBe("draining")
})
