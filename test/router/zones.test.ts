import { expect, test } from "bun:test"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import fc from "fast-check"
import { matchesGlob } from "../../src/domain/glob.ts"
import type { RoutingSettings, Rule } from "../../src/domain/routing.ts"
import type { ZoneLimit } from "../../src/domain/zones.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { planAll } from "../../src/router/decision.ts"
import { Router } from "../../src/router/Router.ts"
import { requestLimits } from "../../src/router/zoned-targets.ts"
import { idle, anyNeeds, modelIds, now, plainSettings, settings, snapshotOf, standings } from "../kit/generators.ts"

const zoneNames = ["local", "lan", "cloud", "eu-dc"] as const

const zones = fc.subarray([...zoneNames])

const limit = (by: string): fc.Arbitrary<ZoneLimit> => zones.map((each) => ({ by, zones: each }))

const opt = <A>(of: fc.Arbitrary<A>) => fc.option(of, { nil: undefined })

const names = fc.constantFrom("a", "b", "c", "al", "be", "gr", "x/al", "Al", "al:free", "missing")

const rule: fc.Arbitrary<Rule> = fc
  .record({
    models: opt(fc.constantFrom(["a"], ["al"], ["*"])),
    model: opt(names),
    only: opt(fc.constantFrom(["b0", "b1"], ["b*"])),
    canary: opt(names),
    shadow: opt(names),
    zones: opt(limit("rule 'r'"))
  })
  .map(({ canary, model, models, only, shadow, zones: of }) => ({
    name: "r",
    match: models === undefined ? {} : { models },
    side: { ...(model === undefined ? {} : { model }), ...(only === undefined ? {} : { only }) },
    canary: canary === undefined ? undefined : { side: { model: canary }, share: 0.5, by: "session" },
    shadow: shadow === undefined ? undefined : { side: { model: shadow }, share: 1, maxConcurrent: 2, remote: true },
    strategy: undefined,
    weights: undefined,
    zones: of ?? { by: "rule 'r'", zones: zoneNames }
  }))

const policies = fc.record({
  keys: opt(limit("the key 'k'")),
  models: fc.array(fc.record({ glob: fc.constantFrom("a", "b", "al", "be", "gr", "*"), limit: limit("[[models]]") }), {
    maxLength: 3
  }),
  all: opt(limit("all"))
})

const world = fc
  .record({
    base: settings,
    rules: fc.array(rule, { maxLength: 2 }),
    policies,
    of: fc.array(fc.constantFrom(...zoneNames), { minLength: 8, maxLength: 8 }),
    standings,
    chained: fc.boolean()
  })
  .map(({ base, chained, of, policies: { all, keys, models }, rules, standings: list }) => {
    const plain = snapshotOf(list)
    const inZone = <S extends { readonly backend: { readonly name: string } }>(state: S): S => ({
      ...state,
      backend: { ...state.backend, zone: of[Number(state.backend.name.slice(1))] ?? "cloud" }
    })
    const states = new Map([...plain.backends].map(([name, state]) => [name, inZone(state)]))
    const snapshot: Snapshot = {
      ...plain,
      backends: states,
      candidates: new Map(
        [...plain.candidates].map(([id, candidates]) => [
          id,
          candidates.map(({ model, state }) => ({ model, state: states.get(state.backend.name) ?? state }))
        ])
      )
    }
    const aliases = new Map([
      ["al", chained ? "be" : "a"],
      ["be", "b"]
    ])
    const made: RoutingSettings = {
      ...base,
      aliases,
      groups: new Map([["gr", ["a", "be", "c@b0"]]]),
      fallbacks: new Map([...base.fallbacks, ["b", ["al", "gr", "c"]]]),
      rules,
      zones: { models, all }
    }
    const grant = keys === undefined ? undefined : { zones: keys }
    return { settings: made, snapshot, grant }
  })

const header = opt(fc.constantFrom("local", "local, lan", "LAN", "cloud,eu-dc", "nowhere"))

/** Whether a request may go to a backend for a model, by a reading of the settings of its own. */
const mayGo = (
  { zones: given, aliases }: RoutingSettings,
  zone: string,
  asked: string,
  model: string,
  ruled: Rule | undefined,
  of: { readonly zones: ZoneLimit } | undefined,
  text: string | undefined
): boolean => {
  const chain = [asked]
  for (let next = aliases.get(asked); next !== undefined; next = aliases.get(next)) chain.push(next)
  const bounds = [
    of?.zones?.zones,
    given?.all?.zones,
    ruled?.zones?.zones,
    text
      ?.toLowerCase()
      .split(",")
      .map((each) => each.trim()),
    ...(given?.models ?? []).flatMap(({ glob, limit: bound }) =>
      [...chain, model].some((name) => matchesGlob(glob, name)) ? [bound.zones] : []
    )
  ]
  return bounds.every((bound) => bound === undefined || bound.includes(zone))
}

const routerOf = (of: RoutingSettings) =>
  Effect.runSync(
    Effect.provide(
      Effect.map(Router, (router) => router),
      Router.layer(() => of)
    )
  )

test("no plan ever holds a candidate beyond the zones of its key, header, rule and model, and no shadow is one", () =>
  fc.assert(
    fc.property(world, names, header, fc.boolean(), ({ grant, settings: of, snapshot }, asked, text, canary) => {
      const router = routerOf(of)
      const headers = new Headers(text === undefined ? {} : { "x-nexus-zones": text })
      const limits = router.zones(headers, grant)
      if (limits !== undefined && "_tag" in limits) throw new Error("a good header is refused")
      const needs = { ...anyNeeds(asked), ...(limits === undefined ? {} : { zones: limits }) }
      const found = router.rule(needs, snapshot, { id: "1", key: "k", request: { headers } }, 0)
      const ruling = found === undefined ? undefined : { ...found, canary }
      const { plan } = router.consider(needs, snapshot, now, ruling)
      const held = plan.targets.flatMap(({ candidates }) => candidates)
      const asks = planAll(plan, now).map(({ candidate }) => candidate)
      const copies =
        ruling?.rule?.shadow === undefined
          ? []
          : router.shadowable(needs, ruling.rule, ruling.rule.shadow.side, snapshot, now)
      const spares = plan.targets.flatMap((target) => plan.spare(target, now, () => true)?.candidate ?? [])
      for (const { model, state } of [...held, ...asks, ...copies, ...spares]) {
        const zone = state.backend.zone ?? ""
        expect(mayGo(of, zone, asked, model.id, ruling?.rule, grant, text)).toBe(true)
      }
    }),
    { numRuns: 500 }
  ))

test("a candidate that is left out for its zone is told with the zone and with who does not allow it", () =>
  fc.assert(
    fc.property(world, names, header, ({ grant, settings: of, snapshot }, asked, text) => {
      const router = routerOf(of)
      const headers = new Headers(text === undefined ? {} : { "x-nexus-zones": text })
      const zones = requestLimits(headers, grant)
      const needs = { ...anyNeeds(asked), ...(Array.isArray(zones) ? { zones } : {}) }
      const { plan, refusal } = router.consider(needs, snapshot, now)
      const told = plan.excluded(now)
      const kept = new Set(plan.targets.flatMap(({ candidates }) => candidates))
      for (const { candidate, why } of told) {
        if (why._tag !== "BeyondZones") continue
        expect(kept.has(candidate)).toBe(false)
        expect(why.limit.zones).not.toContain(why.zone)
        expect(candidate.state.backend.zone).toBe(why.zone)
      }
      const isBarred = plan.empty && told.length > 0 && told.every(({ why }) => why._tag === "BeyondZones")
      if (isBarred) expect(refusal?._tag).toBe("ZoneNotAllowed")
    })
  ))

test("where nothing is said of zones the targets are the very same as before", () =>
  fc.assert(
    fc.property(standings, (list) => {
      const snapshot = snapshotOf(list)
      const router = routerOf(plainSettings)
      for (const id of modelIds) {
        const { plan } = router.consider(anyNeeds(id), snapshot, now)
        expect(plan.targets[0]?.candidates ?? []).toBe(snapshot.candidates.get(id) ?? plan.targets[0]?.candidates ?? [])
      }
    })
  ))

test("a header that names no zones in good form is refused, and opens nothing", () => {
  for (const text of ["", ",", "local;lan", "local lan", "*", "../x", "local,,lan"]) {
    const zones = requestLimits({ get: () => text }, undefined)
    expect(zones !== undefined && "_tag" in zones ? zones._tag : zones).toBe("BadRequest")
  }
})

test("a header never lets a request go where its key does not", () => {
  const of = { zones: { by: "the key 'k'", zones: ["local"] } }
  const limits = requestLimits({ get: () => "local, lan, cloud" }, of)
  expect(Array.isArray(limits) ? limits.map(({ zones: each }) => each) : limits).toEqual([
    ["local"],
    ["local", "lan", "cloud"]
  ])
})

test("who asks in another spelling of an alias, with a prefix or with a suffix, is bound as the alias is", () => {
  const snapshot = snapshotOf([])
  expect(snapshot.backends.size).toBe(0)
  const router = routerOf({
    ...plainSettings,
    aliases: new Map([["private", "a"]]),
    zones: {
      models: [{ glob: "private", limit: { by: "[[models]] 'private'", zones: ["local"] } }],
      all: undefined
    }
  })
  const [state] = snapshotOf([idle]).backends.values()
  if (state === undefined) throw new Error("no backend")
  const far = { ...state, backend: { ...state.backend, zone: "cloud" } }
  const model = far.models.get("a")
  if (model === undefined) throw new Error("no model")
  const world: Snapshot = {
    ...snapshot,
    backends: new Map([["b0", far]]),
    candidates: new Map([["a", [{ state: far, model }]]])
  }
  for (const name of ["private", "openai/private", "private:free", "x/y/private"]) {
    expect(router.consider(anyNeeds(name), world, now).refusal?._tag).toBe("ZoneNotAllowed")
  }
  expect(Result.isSuccess(router.route(anyNeeds("a"), world, now))).toBe(true)
})
