import { describe, expect, test } from "bun:test"
import { Effect, Layer, Random, Result } from "effect"
import fc from "fast-check"
import type { RoutingNeeds } from "../../src/domain/request.ts"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import type { Candidate, Snapshot } from "../../src/registry/snapshot.ts"
import { standingOf } from "../../src/registry/live-state.ts"
import { reasonWords } from "../../src/router/filter.ts"
import type { Attempt } from "../../src/router/choice.ts"
import { planAll } from "../../src/router/decision.ts"
import { Plan } from "../../src/router/plan.ts"
import { Router } from "../../src/router/Router.ts"
import {
  ableStandings,
  anyNeeds,
  modelIds,
  needs,
  now,
  plainSettings as smart,
  settings,
  snapshotOf,
  standings
} from "../kit/generators.ts"

const planOf = (wanted: RoutingNeeds, set: RoutingSettings, snapshot: Snapshot, turn = 0, draws = 0.5): Plan => {
  return new Plan(wanted, set, snapshot, { turn, random: () => draws }, now)
}

const labels = (attempts: ReadonlyArray<Attempt>): ReadonlyArray<string> =>
  attempts.map(({ candidate, model }) => `${candidate.state.backend.name} ${model}`)

const modelsOf = (model: string, { fallbacks }: RoutingSettings): ReadonlyArray<string> => [
  model,
  ...(fallbacks.get(model) ?? [])
]

type Place = "first" | "last resort" | "mistrusted" | "busy" | "never"

// Said once more in the words of the design, and not with the functions that are being tested.
const placeOf = ({ state, model }: Candidate, wanted: RoutingNeeds): Place => {
  if (!["healthy", "config_error"].includes(state.health.status)) return "never"
  if (wanted.abilities.some((ability) => model.capabilities[ability] === false)) return "never"
  if (model.context_length !== undefined && wanted.atLeastTokens > model.context_length) return "never"
  if (state.health.status === "config_error") return "mistrusted"
  const { maxConcurrent } = state.backend
  if (maxConcurrent !== undefined && state.live.inFlight >= maxConcurrent) return "busy"
  if ((state.live.cooling.get(model.id) ?? 0) > now) return "busy"
  const circuit = state.live.circuits.get(model.id)
  return circuit !== undefined && circuit.openUntil > now ? "last resort" : "first"
}

const named = (snapshot: Snapshot, models: ReadonlyArray<string>, wanted: RoutingNeeds, place: Place) =>
  models.flatMap((model) =>
    (snapshot.candidates.get(model) ?? [])
      .filter((candidate) => placeOf(candidate, wanted) === place)
      .map((candidate) => `${candidate.state.backend.name} ${model}`)
  )

/** Those that may be asked: whose key is said to be bad only while there is nobody else, busy ones included. */
const eligibleOf = (snapshot: Snapshot, models: ReadonlyArray<string>, wanted: RoutingNeeds): ReadonlyArray<string> => {
  const at = (place: Place) => named(snapshot, models, wanted, place)
  const trusted = [...at("first"), ...at("last resort")]
  return trusted.length > 0 || at("busy").length > 0 ? trusted : at("mistrusted")
}

const any = fc.record({
  all: standings,
  wanted: needs,
  set: settings,
  turn: fc.nat(20),
  draws: fc.double({ min: 0, max: 0.999, noNaN: true })
})

const law = (
  name: string,
  holds: (snapshot: Snapshot, wanted: RoutingNeeds, set: RoutingSettings, plan: Plan) => void
) =>
  test(name, () =>
    fc.assert(
      fc.property(any, ({ all, wanted, set, turn, draws }) => {
        const snapshot = snapshotOf(all)
        holds(snapshot, wanted, set, planOf(wanted, set, snapshot, turn, draws))
      }),
      { numRuns: 400 }
    )
  )

describe("a plan", () => {
  law("asks nothing more of a backend that was lost, also before anybody was asked", (snapshot, _, __, plan) => {
    const [lost] = snapshot.backends.values()
    if (lost === undefined) return
    plan.lose(lost)
    const left = plan.hasNext(now)
    const asked = planAll(plan, now)
    expect(asked.length > 0).toBe(left)
    expect(asked.filter(({ candidate }) => candidate.state === lost)).toEqual([])
  })

  law("is a permutation of the eligible backends", (snapshot, wanted, set, plan) => {
    const models = modelsOf(wanted.model, set)
    expect(labels(planAll(plan, now)).toSorted()).toEqual(eligibleOf(snapshot, models, wanted).toSorted())
  })

  law("never holds an ineligible backend", (snapshot, wanted, set, plan) => {
    const eligible = new Set(eligibleOf(snapshot, modelsOf(wanted.model, set), wanted))
    expect(labels(planAll(plan, now)).filter((label) => !eligible.has(label))).toEqual([])
  })

  law("keeps the order of the fallbacks, whatever the strategy", (snapshot, wanted, set, plan) => {
    const models = modelsOf(wanted.model, set)
    const last = new Set(named(snapshot, models, wanted, "last resort"))
    const order = planAll(plan, now).filter((attempt) => !last.has(labels([attempt])[0] ?? ""))
    const places = order.map(({ model }) => models.indexOf(model))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    for (const { model, fallback } of order) expect(fallback).toBe(model !== "a")
  })

  law("asks backends with an open circuit after all others", (snapshot, wanted, set, plan) => {
    const last = new Set(named(snapshot, modelsOf(wanted.model, set), wanted, "last resort"))
    const order = labels(planAll(plan, now)).map((label) => last.has(label))
    expect(order).toEqual(order.toSorted((a, b) => Number(a) - Number(b)))
  })

  law("gives a reason for everyone it leaves out", (snapshot, wanted, set, plan) => {
    const models = modelsOf(wanted.model, set)
    const excluded = plan.excluded(now).map(({ candidate, why }) => {
      expect(reasonWords(why, now)).toMatch(/\w/)
      return `${candidate.state.backend.name} ${candidate.model.id}`
    })
    const places: ReadonlyArray<Place> = ["never", "busy", "mistrusted", "last resort"]
    const out = places.flatMap((place) => named(snapshot, models, wanted, place))
    expect(excluded.toSorted()).toEqual(out.toSorted())
  })

  law(
    "prefers backends with room for the prompt and for the output that is asked for",
    (snapshot, wanted, set, plan) => {
      const models = modelsOf(wanted.model, set)
      const last = new Set(named(snapshot, models, wanted, "last resort"))
      const order = planAll(plan, now).filter((attempt) => !last.has(labels([attempt])[0] ?? ""))
      for (const model of models) {
        const roomy = order
          .filter((attempt) => attempt.model === model)
          .map(
            ({
              candidate: {
                model: { context_length: length }
              }
            }) => length === undefined || length >= wanted.promptTokens + wanted.outputTokens
          )
        expect(roomy).toEqual(roomy.toSorted((a, b) => Number(b) - Number(a)))
      }
    }
  )
})

const rankOf = (snapshot: Snapshot, set: RoutingSettings, name: string): number =>
  planAll(planOf(anyNeeds("a"), set, snapshot), now).findIndex(({ candidate }) => candidate.state.backend.name === name)

const pick = fc.record({ all: ableStandings, which: fc.nat(), set: settings, more: fc.integer({ min: 1, max: 5 }) })

describe("of two worlds that differ in one backend,", () => {
  const change = (
    name: string,
    strategies: ReadonlyArray<RoutingSettings["strategy"]>,
    fields: (each: { readonly inFlight: number; readonly priority: number }, more: number) => object,
    holds: (before: Snapshot, after: Snapshot, at: number, set: RoutingSettings) => void
  ) =>
    test(name, () =>
      fc.assert(
        fc.property(pick, fc.constantFrom(...strategies), ({ all, which, set, more }, strategy) => {
          const at = which % all.length
          const changed = all.map((each, i) => (i === at ? { ...each, ...fields(each, more) } : each))
          holds(snapshotOf(all), snapshotOf(changed), at, { ...set, strategy })
        }),
        { numRuns: 400 }
      )
    )

  change(
    "the one with more requests never has the better rank, all else equal",
    ["smart", "priority_only"],
    ({ inFlight }, more) => ({ inFlight: inFlight + more }),
    (before, after, at, set) => {
      const name = `b${String(at)}`
      expect(rankOf(after, set, name)).toBeGreaterThanOrEqual(rankOf(before, set, name))
    }
  )

  change(
    "the one with the better priority never has the lower rank, all else equal",
    ["smart", "priority_only"],
    ({ priority }, more) => ({ priority: Math.max(1, priority - more) }),
    (before, after, at, set) => {
      const name = `b${String(at)}`
      expect(rankOf(after, set, name)).toBeLessThanOrEqual(rankOf(before, set, name))
    }
  )
})

describe("the smart strategy", () => {
  // Times that are alike to the one between them and not to each other once put a machine behind one that it had been before.
  test.each([
    [
      { priority: 42, load: 32, latency: 62 },
      0,
      [
        [4, 2, 427],
        [3, 1, 470],
        [4, 4, 402]
      ]
    ],
    [
      { priority: 35, load: 39, latency: 4 },
      3,
      [
        [3, 3, 887],
        [5, 2, 1772],
        [1, 0, 2131],
        [3, 1, 1737],
        [5, 4, undefined]
      ]
    ],
    [
      { priority: 2, load: 64, latency: 4 },
      0,
      [
        [2, 1, 1347],
        [4, 1, 806],
        [5, 2, 647],
        [1, 2, 666],
        [4, 0, 1048],
        [3, 2, 974],
        [4, 4, 402],
        [5, 3, 418]
      ]
    ]
  ] as const)("puts a machine behind nobody new when it is preferred more (%#)", (weights, at, machines) => {
    const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
    if (one === undefined) throw new Error("no backend")
    const stand = (better: number) =>
      snapshotOf(
        machines.map(([priority, inFlight, firstByteMs], which) => ({
          ...one,
          priority: which === at ? better : priority,
          inFlight,
          firstByteMs
        }))
      )
    const before = machines[at]?.[0] ?? 0
    const rank = (priority: number) => rankOf(stand(priority), { ...smart, weights }, `b${at}`)
    for (let better = before - 1; better > 0; better -= 1) expect(rank(better)).toBeLessThanOrEqual(rank(better + 1))
  })

  test("asks nobody first from whom an answer is to be expected notably later than from another of its priority", () =>
    fc.assert(
      fc.property(ableStandings, (all) => {
        const plan = planOf(anyNeeds("a"), smart, snapshotOf(all))
        const rated = plan.rated(now)
        const asked = plan.next(now)?.candidate.state
        const first = rated.find(({ candidate }) => candidate.state === asked)
        const chosen = first?.candidate.state.backend.priority
        const times = rated.flatMap(({ candidate, end }) =>
          end === undefined || candidate.state.backend.priority !== chosen
            ? []
            : [end.wait + end.load + end.read + end.write]
        )
        if (first?.end === undefined) return
        const mine = first.end.wait + first.end.load + first.end.read + first.end.write
        expect(mine).toBeLessThanOrEqual(Math.min(...times) * 1.31 + 6)
      })
    ))

  test("looks only at the proportions of the weights", () =>
    fc.assert(
      fc.property(ableStandings, settings, (all, { weights }) => {
        const double = { priority: weights.priority * 2, load: weights.load * 2, latency: weights.latency * 2 }
        const order = (set: RoutingSettings) => labels(planAll(planOf(anyNeeds("a"), set, snapshotOf(all)), now))
        expect(order({ ...smart, weights: double })).toEqual(order({ ...smart, weights }))
      })
    ))

  test("tries a backend that has not been measured yet before one that is known to be slow", () => {
    const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
    if (one === undefined) throw new Error("no backend")
    const equal = { ...one, priority: 1, inFlight: 0 }
    const snapshot = snapshotOf([
      { ...equal, firstByteMs: 900 },
      { ...equal, firstByteMs: 100 },
      { ...equal, firstByteMs: undefined }
    ])
    const first = planOf(anyNeeds("a"), { ...smart, weights: { priority: 0, load: 0, latency: 1 } }, snapshot).next(now)
    expect(first?.candidate.state.backend.name).not.toBe("b0")
  })
})

test("a request that goes past a full server which would be done sooner says so; past one that would not, it does not", () => {
  const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
  if (one === undefined) throw new Error("no backend")
  const reasonWhere = (read: number) => {
    const snapshot = snapshotOf([
      { ...one, priority: 1 },
      { ...one, priority: 1 }
    ])
    const ends = [
      { wait: 60_000, load: 0, read, hindrance: 0, write: 0, cached: 0 },
      { wait: 0, load: 0, read: 2000, hindrance: 0, write: 0, cached: 0 }
    ]
    for (const [at, { state }] of (snapshot.candidates.get("a") ?? []).entries()) {
      const end = ends[at]
      if (end !== undefined)
        standingOf(state.live, "a").recalled = { end, baseMs: 100, isFull: at === 0, places: 1, seen: undefined }
    }
    const attempt = planOf(anyNeeds("a"), { ...smart, waits: true }, snapshot).next(now)
    return [attempt?.candidate.state.backend.name, attempt?.reason]
  }
  expect(reasonWhere(500)).toEqual(["b1", "capacity-overflow"])
  expect(reasonWhere(2000)).toEqual(["b1", "capability-match"])
})

test("nobody waits for a full server longer than a free one takes, whatever that is to others", () => {
  const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
  if (one === undefined) throw new Error("no backend")
  const choiceWhere = (wait: number) => {
    const snapshot = snapshotOf([
      { ...one, priority: 1 },
      { ...one, priority: 1 }
    ])
    const ends = [
      { wait, load: 0, read: 500, hindrance: 0, write: 0, cached: 0 },
      { wait: 0, load: 0, read: 2000, hindrance: 5000, write: 0, cached: 0 }
    ]
    for (const [at, { state }] of (snapshot.candidates.get("a") ?? []).entries()) {
      const end = ends[at]
      if (end !== undefined)
        standingOf(state.live, "a").recalled = { end, baseMs: 100, isFull: at === 0, places: 1, seen: undefined }
    }
    return planOf(anyNeeds("a"), { ...smart, waits: true }, snapshot).choose(now)?._tag
  }
  expect(choiceWhere(1000)).toBe("Wait")
  expect(choiceWhere(3000)).toBe("Ask")
})

test("a conversation leaves its server only for one where it is done sooner by more than twice the time to read it anew", () => {
  const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
  if (one === undefined) throw new Error("no backend")
  return fc.assert(
    fc.property(fc.integer({ min: 1000, max: 60_000 }), fc.double({ min: 0, max: 4, noNaN: true }), (anew, sooner) => {
      fc.pre(Math.abs(sooner - 2) > 0.5)
      const snapshot = snapshotOf([
        { ...one, priority: 1 },
        { ...one, priority: 1 }
      ])
      const ends = [
        { wait: 0, load: 0, read: anew * (1 + sooner), hindrance: 0, write: 0, cached: 0 },
        { wait: 0, load: 0, read: anew, hindrance: 2 * anew, write: 0, cached: 0 }
      ]
      for (const [at, { state }] of (snapshot.candidates.get("a") ?? []).entries()) {
        const end = ends[at]
        if (end !== undefined)
          standingOf(state.live, "a").recalled = { end, baseMs: 0, isFull: false, places: 9, seen: undefined }
      }
      const attempt = planOf(anyNeeds("a"), smart, snapshot).next(now)
      expect(attempt?.candidate.state.backend.name).toBe(sooner > 2 ? "b1" : "b0")
    })
  )
})

test("priority_only asks the lowest number first, the least busy one among equals", () =>
  fc.assert(
    fc.property(ableStandings, (all) => {
      const plan = planOf(anyNeeds("a"), { ...smart, strategy: "priority_only" }, snapshotOf(all))
      const order = planAll(plan, now).map(
        ({ candidate: { state } }) => [state.backend.priority, state.live.inFlight] as const
      )
      expect(order).toEqual(order.toSorted(([p, f], [q, g]) => p - q || f - g))
    })
  ))

const routerOf = (set: RoutingSettings, seed = "seed") =>
  Effect.runSync(
    Effect.map(Effect.scoped(Layer.build(Router.layer(() => set))), (context) =>
      Router.pipe(Effect.provide(context))
    ).pipe(Effect.flatten, Random.withSeed(seed))
  )

const chosenBy = (router: ReturnType<typeof routerOf>, snapshot: Snapshot, model: string): string => {
  const plan = router.route(anyNeeds(model), snapshot, now)
  return Result.isSuccess(plan) ? (plan.success.next(now)?.candidate.state.backend.name ?? "") : ""
}

describe("round robin", () => {
  test("gives each backend the same number of requests of a model, however requests of other models come between", () =>
    fc.assert(
      fc.property(
        ableStandings,
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.constantFrom(...modelIds)),
        (all, rounds, between) => {
          const router = routerOf({ ...smart, strategy: "round_robin" })
          const snapshot = snapshotOf(all)
          const counts = new Map<string, number>()
          for (let i = 0; i < rounds * all.length; i += 1) {
            const other = between[i]
            if (other !== undefined && other !== "a") chosenBy(router, snapshot, other)
            const name = chosenBy(router, snapshot, "a")
            counts.set(name, (counts.get(name) ?? 0) + 1)
          }
          expect([...counts.values()]).toEqual(all.map(() => rounds))
        }
      )
    ))
})

describe("random", () => {
  test("gives everyone a share, and the same order for the same seed", () => {
    const all = fc.sample(ableStandings, { numRuns: 20, seed: 3 }).find((each) => each.length >= 3) ?? []
    const snapshot = snapshotOf(all)
    const draw = (seed: string) => {
      const router = routerOf({ ...smart, strategy: "random" }, seed)
      return Array.from({ length: 200 }, () => chosenBy(router, snapshot, "a"))
    }
    expect(draw("one")).toEqual(draw("one"))
    expect(draw("one")).not.toEqual(draw("two"))
    expect(new Set(draw("one")).size).toBe(all.length)
  })
})

test("a backend that is full is left out in words that name its limit", () => {
  expect(reasonWords({ _tag: "Full", limit: 1, by: "max_concurrent" }, now)).toBe(
    "has its 1 request in flight (max_concurrent)"
  )
  expect(reasonWords({ _tag: "Full", limit: 4, by: "slots" }, now)).toBe("has its 4 requests in flight (slots)")
})
