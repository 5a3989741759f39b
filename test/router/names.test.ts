import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import type { BackendType } from "../../src/backend/all.ts"
import { ollamaName } from "../../src/backend/ollama.ts"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import { isListedAs } from "../../src/registry/candidates.ts"
import { applyProbe, emptySnapshot, withBackend, withoutBackend } from "../../src/registry/snapshot-changes.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { resolveAlias } from "../../src/router/alias-chains.ts"
import { upstreamName, lookUpName, nameTargets } from "../../src/router/names.ts"
import { planAll } from "../../src/router/decision.ts"
import { Plan } from "../../src/router/plan.ts"
import { anyNeeds, now, plainSettings } from "../kit/generators.ts"
import { backend, up } from "../registry/backends.ts"

const thresholds = { failures: 1, recoveries: 1 }

// Spellings of few models, with and without prefixes and suffixes, so that they meet.
const names = fc
  .record({
    prefix: fc.constantFrom("", "", "", "p/", "q/p/", "library/"),
    stem: fc.constantFrom("m", "M", "n", "N"),
    tag: fc.constantFrom("", "", ":latest", ":Latest", ":70b", ":free", ":nitro", ":free:online")
  })
  .map(({ prefix, stem, tag }) => prefix + stem + tag)

const types = fc.constantFrom<BackendType>("ollama", "ollama", "vllm", "openai")

const lists = fc.array(fc.record({ type: types, models: fc.uniqueArray(names, { maxLength: 4 }) }), { maxLength: 4 })

const probed = (snapshot: Snapshot, name: string, models: ReadonlyArray<string>): Snapshot =>
  applyProbe(snapshot, name, up(...models), thresholds).snapshot

const snapshots = fc
  .record({ before: lists, after: lists, gone: fc.option(fc.nat(3), { nil: undefined }) })
  .map(({ after, before, gone }) => {
    const all = [...before.slice(0, 4 - after.length), ...after]
    let snapshot = before.reduce(
      (snap, { type, models }, at) => probed(withBackend(snap, backend(`b${at}`, { type })), `b${at}`, models),
      emptySnapshot
    )
    for (const [at, { type, models }] of all.entries()) {
      snapshot = probed(withBackend(snapshot, backend(`b${at}`, { type })), `b${at}`, models)
    }
    return gone === undefined ? snapshot : withoutBackend(snapshot, `b${gone}`)
  })

const settings: fc.Arbitrary<RoutingSettings> = fc
  .record({
    aliases: fc.array(fc.tuple(names, names), { maxLength: 2 }).map((all) => new Map(all)),
    groups: fc.array(fc.tuple(names, fc.uniqueArray(names, { minLength: 1, maxLength: 3 })), { maxLength: 2 }),
    fallbacks: fc.array(fc.tuple(names, fc.uniqueArray(names, { maxLength: 2 })), { maxLength: 2 }),
    stripPrefixes: fc.boolean(),
    modelSuffixes: fc.boolean()
  })
  .map((some) =>
    Object.assign({}, plainSettings, some, { groups: new Map(some.groups), fallbacks: new Map(some.fallbacks) })
  )

const law = (name: string, holds: (wanted: string, set: RoutingSettings, snapshot: Snapshot) => void) =>
  test(name, () => fc.assert(fc.property(names, settings, snapshots, holds), { numRuns: 500 }))

const labels = (candidates: Snapshot["candidates"] extends ReadonlyMap<string, infer L> ? L : never) =>
  candidates.map(({ state, model }) => `${state.backend.name} ${model.id}`)

describe("a name", () => {
  law(
    "that a backend lists, and that is no alias and no group, leads to all who list it so",
    (wanted, set, snapshot) => {
      const listed = snapshot.candidates.get(wanted)
      if (listed === undefined || set.aliases.has(wanted) || set.groups.has(wanted)) return
      const found = lookUpName(wanted, set, snapshot)
      expect(found).toMatchObject({ name: wanted, suffix: "", understood: false })
      expect(found.candidates).toBe(listed)
      for (const { models, backend } of snapshot.backends.values()) {
        const has = listed.some(({ state }) => state.backend === backend)
        if (models.has(wanted)) expect(has).toBe(true)
      }
    }
  )

  law("leads to the same as what it was understood as (once is enough)", (wanted, set, snapshot) => {
    const found = lookUpName(wanted, { ...set, aliases: new Map() }, snapshot)
    const again = lookUpName(found.name, { ...set, aliases: new Map() }, snapshot)
    expect(again.candidates).toEqual(found.candidates)
    if (found.candidates.length > 0) expect(again).toMatchObject({ name: found.name, suffix: "", understood: false })
  })

  law("leads nowhere that its settings switch off", (wanted, set, snapshot) => {
    const plain = { ...set, aliases: new Map(), groups: new Map(), stripPrefixes: false, modelSuffixes: false }
    for (const { model } of lookUpName(wanted, plain, snapshot).candidates) {
      expect(ollamaName(model.id)).toBe(ollamaName(wanted))
    }
    const noSuffix = lookUpName(wanted, { ...set, modelSuffixes: false }, snapshot)
    expect(noSuffix.suffix).toBe("")
  })

  law("of a model is asked of each backend by the name that it lists", (wanted, set, snapshot) => {
    for (const target of nameTargets(wanted, set, snapshot)) {
      for (const candidate of target.candidates) {
        const asked = upstreamName({ ...target, suffix: "" }, candidate)
        expect(candidate.state.models.has(asked)).toBe(true)
      }
    }
  })

  law("is looked for along its aliases first", (wanted, set, snapshot) => {
    const end = resolveAlias(wanted, set.aliases)
    if (snapshot.candidates.has(end) || set.groups.has(end)) expect(lookUpName(wanted, set, snapshot).name).toBe(end)
  })
})

describe("Ollamas", () => {
  law("that serve one model are all there under each of its spellings, and listed under one", (_, __, snapshot) => {
    const all = [...snapshot.backends.values()].filter(({ backend }) => backend.type === "ollama")
    for (const state of all) {
      for (const id of state.models.keys()) {
        const same = all.filter(({ models }) => [...models.keys()].some((each) => ollamaName(each) === ollamaName(id)))
        const served = snapshot.candidates.get(id) ?? []
        const there = served.filter(({ state: { backend } }) => backend.type === "ollama")
        expect(there.map((each) => each.state.backend.name)).toEqual(same.map(({ backend }) => backend.name))
      }
    }
    const listed = [...snapshot.candidates].filter(([id, list]) => isListedAs(id, list))
    const spellings = listed
      .filter(([, list]) => list.every(({ state }) => state.backend.type === "ollama"))
      .map(([id]) => ollamaName(id))
    expect(new Set(spellings).size).toBe(spellings.length)
  })
})

describe("a group", () => {
  law(
    "is asked like one model: its plan is a permutation of its able candidates, each once",
    (wanted, set, snapshot) => {
      const entries = set.groups.get(wanted)
      if (entries === undefined || set.aliases.has(wanted)) return
      const plain = { ...set, fallbacks: new Map() }
      const [group] = nameTargets(wanted, plain, snapshot)
      const able = (group?.candidates ?? []).filter(({ state }) => state.health.status === "healthy")
      const plan = new Plan(anyNeeds(wanted), plain, snapshot, { turn: 0, random: () => 0.5 }, now)
      const order = planAll(plan, now).map(({ candidate }) => candidate)
      expect(labels(order).toSorted()).toEqual(labels(able).toSorted())
      expect(new Set(labels(order)).size).toBe(order.length)
      const expected = entries.flatMap((entry) => snapshot.candidates.get(resolveAlias(entry, set.aliases)) ?? [])
      for (const candidate of expected) expect(labels(group?.candidates ?? [])).toContain(labels([candidate])[0] ?? "")
    }
  )
})
