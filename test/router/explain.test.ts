import { describe, expect, test } from "bun:test"
import { Effect, Layer, Random } from "effect"
import fc from "fast-check"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import { closedCircuit, failCircuit } from "../../src/domain/circuit.ts"
import { refreshMarked } from "../../src/registry/live-state.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { explainPlan, planAll } from "../../src/router/decision.ts"
import { Router } from "../../src/router/Router.ts"
import { mostRecorded } from "../../src/router/live-figures.ts"
import { anyNeeds, needs, now, plainSettings, settings, snapshotOf, standings } from "../kit/generators.ts"

const routerOf = (set: RoutingSettings) =>
  Effect.runSync(
    Effect.map(Effect.scoped(Layer.build(Router.layer(() => set))), (context) =>
      Router.pipe(Effect.provide(context))
    ).pipe(Effect.flatten, Random.withSeed("seed"))
  )

/** A busy moment later: everything that lives beside the snapshot has changed. */
const upset = ({ backends }: Snapshot): void => {
  for (const { live, models } of backends.values()) {
    live.inFlight += 7
    live.askedAt += 100
    live.firstByteMs = 12_345
    for (const id of models.keys()) {
      live.cooling.set(id, now + 60_000)
      live.circuits.set(id, failCircuit(failCircuit(failCircuit(closedCircuit, now), now), now))
    }
    refreshMarked(live)
  }
}

describe("a decision that is explained", () => {
  test("is the same whatever has happened since", () =>
    fc.assert(
      fc.property(standings, needs, settings, (all, wanted, set) => {
        const snapshot = snapshotOf(all)
        const { plan } = routerOf(set).consider(wanted, snapshot, now)
        const seen = plan.liveFigures(now)
        const before = explainPlan(plan, seen)
        upset(snapshot)
        expect(explainPlan(plan, seen)).toEqual(before)
      })
    ))

  test("tells the order in which the candidates are asked, for every strategy but the random one", () =>
    fc.assert(
      fc.property(standings, needs, settings, (all, wanted, set) => {
        fc.pre(set.strategy !== "random")
        const snapshot = snapshotOf(all)
        const { plan } = routerOf(set).consider(wanted, snapshot, now)
        const { order } = explainPlan(plan, plan.liveFigures(now))
        const asked = planAll(plan, now).map(({ candidate, model }) => [candidate.state.backend.name, model])
        expect(order.map(({ backend, model }) => [backend, model])).toEqual(asked)
      })
    ))

  test("tells the first draw of the random strategy as it was", () =>
    fc.assert(
      fc.property(standings, needs, settings, (all, wanted, set) => {
        const { plan } = routerOf({ ...set, strategy: "random" }).consider(wanted, snapshotOf(all), now)
        const seen = plan.liveFigures(now)
        const first = plan.next(now)
        const told = explainPlan(plan, seen).order.map(({ backend }) => backend)
        expect(told.slice(0, 1)).toEqual(first === undefined ? [] : [first.candidate.state.backend.name])
      })
    ))

  test("names everyone who serves the model once, as a candidate or with the reason why not", () =>
    fc.assert(
      fc.property(standings, needs, settings, (all, wanted, set) => {
        const snapshot = snapshotOf(all)
        const { plan } = routerOf(set).consider(wanted, snapshot, now)
        const { candidates, excluded, models } = explainPlan(plan, plan.liveFigures(now))
        const named = [...candidates, ...excluded].map(({ backend, model }) => `${backend} ${model}`)
        const serving = models.flatMap((model) =>
          (snapshot.candidates.get(model) ?? []).map(({ state }) => `${state.backend.name} ${model}`)
        )
        if (serving.length === 0) return expect(named).toHaveLength(all.length)
        // Those with room for the prompt alone stand back while another has room for the output as well.
        expect(new Set(named).size).toBe(named.length)
        expect(serving).toEqual(expect.arrayContaining(named))
        expect(excluded.every(({ reason }) => reason !== "")).toBe(true)
        if (wanted.outputTokens === 0) expect(named.toSorted()).toEqual(serving.toSorted())
      })
    ))

  test("takes no turn of round robin", () => {
    const [one] = fc.sample(standings, { numRuns: 1, seed: 3 })[0] ?? []
    if (one === undefined) throw new Error("no backend")
    const able = { ...one, status: "healthy", models: ["a"], failures: 0, capabilities: {} } as const
    const free = { ...able, maxConcurrent: undefined, coolingMs: undefined, context: undefined }
    const snapshot = snapshotOf([free, free, free])
    const router = routerOf({ ...plainSettings, strategy: "round_robin" })
    const first = () => router.consider(anyNeeds("a"), snapshot, now).plan.next(now)?.candidate.state.backend.name
    expect([first(), first(), first()]).toEqual(["b0", "b0", "b0"])
  })

  test(`keeps the figures of ${String(mostRecorded)} candidates at most`, () => {
    const [one] = fc.sample(standings, { numRuns: 1, seed: 3 })[0] ?? []
    if (one === undefined) throw new Error("no backend")
    const many = Array.from({ length: mostRecorded + 1 }, () => ({ ...one, models: ["a" as const] }))
    const { plan } = routerOf(plainSettings).consider(anyNeeds("a"), snapshotOf(many), now)
    const { candidates, excluded } = explainPlan(plan, plan.liveFigures(now))
    expect(candidates.length + excluded.length).toBe(mostRecorded)
  })
})
