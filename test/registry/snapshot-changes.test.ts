import { expect, test } from "bun:test"
import { Redacted } from "effect"
import fc from "fast-check"
import { modes } from "../../src/domain/server.ts"
import { listBounds } from "../../src/registry/model-index.ts"
import {
  applyProbe,
  emptySnapshot,
  knownLimit,
  withBackend,
  reconcile,
  withoutBackend,
  withMode
} from "../../src/registry/snapshot-changes.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { backend, down, model, modelNames, outcomes, up } from "./backends.ts"

const limits = { failures: 3, recoveries: 2 }
const names = fc.constantFrom("one", "two", "three")

const configs = fc
  .uniqueArray(
    fc.record({ name: names, port: fc.integer({ min: 0, max: 2 }), priority: fc.integer({ min: 1, max: 2 }) }),
    { selector: ({ name }) => name }
  )
  .map((entries) => entries.map(({ name, port, priority }) => backend(name, { url: `http://h:${port}`, priority })))

type Step = (snapshot: Snapshot) => Snapshot

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    fc.tuple(names, fc.array(modelNames, { maxLength: 2 }), fc.integer({ min: 0, max: 2 })).map(
      ([name, ids, port]): Step =>
        (s) =>
          withBackend(s, backend(name, { url: `http://h:${port}`, models: ids.map((id) => model(id)) }))
    ),
    names.map(
      (name): Step =>
        (s) =>
          withoutBackend(s, name)
    ),
    fc.tuple(names, outcomes).map(
      ([name, outcome]): Step =>
        (s) =>
          applyProbe(s, name, outcome, limits).snapshot
    ),
    fc.tuple(names, fc.constantFrom(...modes)).map(
      ([name, mode]): Step =>
        (s) =>
          withMode(s, name, mode)
    ),
    configs.map(
      (wanted): Step =>
        (s) =>
          reconcile(s, wanted, new Map(), limits).snapshot
    )
  ),
  { maxLength: 30 }
)

const run = (list: ReadonlyArray<Step>): Snapshot => list.reduce((snapshot, step) => step(snapshot), emptySnapshot)

const servers = (snapshot: Snapshot, id: string) =>
  (snapshot.candidates.get(id) ?? []).map((candidate) => candidate.state.backend.name)

test("the index says exactly what the backends say, in their order", () =>
  fc.assert(
    fc.property(steps, (list) => {
      const { backends, candidates } = run(list)
      const expected = new Map<string, Array<object>>()
      for (const state of backends.values()) {
        for (const served of state.models.values()) {
          expected.set(served.id, [...(expected.get(served.id) ?? []), { state, model: served }])
        }
      }
      expect(new Set(candidates.keys())).toEqual(new Set(expected.keys()))
      for (const [id, served] of candidates) {
        const wanted = expected.get(id) ?? []
        expect(served.length).toBe(wanted.length)
        served.forEach((candidate, i) => {
          expect(candidate.state).toBe(backends.get(candidate.state.backend.name) as typeof candidate.state) // reason: it is there
          expect(candidate).toEqual(wanted[i] as typeof candidate) // reason: the lengths are equal
        })
      }
    })
  ))

test("every model that is served is known, and stays known after it has gone", () =>
  fc.assert(
    fc.property(steps, steps, (before, later) => {
      const first = run(before)
      const last = later.reduce((snapshot, step) => step(snapshot), first)
      for (const id of [...first.candidates.keys(), ...last.candidates.keys()]) expect(last.known.has(id)).toBe(true)
    })
  ))

test("a probe that tells nothing new gives back the very same snapshot", () =>
  fc.assert(
    fc.property(steps, names, outcomes, (list, name, outcome) => {
      let snapshot = run(list)
      for (let i = 0; i < 5; i++) snapshot = applyProbe(snapshot, name, outcome, limits).snapshot
      const again = applyProbe(snapshot, name, outcome, limits)
      expect(again.snapshot).toBe(snapshot)
      expect(again.change).toBeUndefined()
    })
  ))

test("the order of a list does not matter", () => {
  const snapshot = applyProbe(withBackend(emptySnapshot, backend("one")), "one", up("a", "b"), limits).snapshot
  expect(applyProbe(snapshot, "one", up("b", "a"), limits).snapshot).toBe(snapshot)
})

test("a list that shrinks is seen at the next probe, an empty one clears, an unreadable one keeps", () => {
  const full = applyProbe(withBackend(emptySnapshot, backend("one")), "one", up("a", "b"), limits).snapshot
  expect([...applyProbe(full, "one", up("b"), limits).snapshot.candidates.keys()]).toEqual(["b"])
  expect(applyProbe(full, "one", up(), limits).snapshot.candidates.size).toBe(0)
  expect(applyProbe(full, "one", { _tag: "Up", models: undefined, latencyMs: 1 }, limits).snapshot).toBe(full)
})

test("what config tells of a model wins over the backend, and adds models the backend does not list", () => {
  const told = backend("one", {
    models: [model("a", { context_length: 8, capabilities: { vision: false } }), model("z")]
  })
  const said = [model("a", { context_length: 99, capabilities: { vision: true, tools: true } })]
  const { snapshot } = applyProbe(
    withBackend(emptySnapshot, told),
    "one",
    { _tag: "Up", models: said, latencyMs: 1 },
    limits
  )
  const models = snapshot.backends.get("one")?.models
  expect(models?.get("a")).toEqual({ id: "a", context_length: 8, capabilities: { vision: false, tools: true } })
  expect(models?.has("z")).toBe(true)
})

test("a model that config tells of is known while its backend has never answered", () => {
  const first = withBackend(emptySnapshot, backend("one", { models: [model("z")] }))
  expect(servers(applyProbe(first, "one", down, limits).snapshot, "z")).toEqual(["one"])
})

test("names that could forge a line or a header are not taken, nor are nonsense lengths", () => {
  const ids = ["ok", "", "a\nb", "a\u0000", "a\u2028b", "\ud800", "   ", "x".repeat(listBounds.idLength + 1), "\u0085"]
  const said = ids.map((id) => model(id, { context_length: -5 }))
  const { snapshot } = applyProbe(
    withBackend(emptySnapshot, backend("one")),
    "one",
    { _tag: "Up", models: said, latencyMs: 1 },
    limits
  )
  expect([...snapshot.candidates.keys()]).toEqual(["ok"])
  expect(snapshot.backends.get("one")?.models.get("ok")).toEqual({ id: "ok", capabilities: {} })
})

test("a list and the memory of names are bounded", () => {
  const many = (prefix: string) => up(...Array.from({ length: listBounds.count + 10 }, (_, i) => `${prefix}${i}`))
  let snapshot = withBackend(emptySnapshot, backend("one"))
  for (const prefix of ["a", "b", "c"]) snapshot = applyProbe(snapshot, "one", many(prefix), limits).snapshot
  expect(snapshot.candidates.size).toBe(listBounds.count)
  expect(snapshot.known.size).toBe(knownLimit)
  expect(snapshot.known.has("c0")).toBe(true)
})

test("a redefined backend keeps its health and counters, one at another address starts afresh", () => {
  const key = () => Redacted.make("k")
  const first = applyProbe(
    withBackend(emptySnapshot, backend("one", { apiKey: key() })),
    "one",
    up("a"),
    limits
  ).snapshot
  const before = first.backends.get("one")
  const same = withBackend(first, backend("one", { priority: 1, apiKey: key() })).backends.get("one")
  expect(same?.health.status).toBe("healthy")
  expect(same?.live).toBe(before?.live as NonNullable<typeof before>["live"]) // reason: it is there
  const moved = withBackend(first, backend("one", { url: "http://elsewhere" })).backends.get("one")
  expect(moved?.health.status).toBe("unknown")
  expect(moved?.models.size).toBe(0)
})
