import { describe, expect, test } from "bun:test"
import { Effect, Layer, Random, Result } from "effect"
import fc from "fast-check"
import type { RoutingSettings } from "../../src/domain/routing.ts"
import { newLiveState, settledSamples, staleMs, Ticket } from "../../src/registry/live-state.ts"
import { isLatencyIgnored } from "../../src/router/candidate-columns.ts"
import { explainPlan, planAll } from "../../src/router/decision.ts"
import { Router } from "../../src/router/Router.ts"
import {
  ableStandings,
  anyNeeds,
  needs,
  now as moment,
  plainSettings,
  settings,
  snapshotOf,
  standings
} from "../kit/generators.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { json, completion } from "../kit/answers.ts"

const smart: RoutingSettings = { ...plainSettings, strategy: "smart" }

const routerOf = (set: RoutingSettings) =>
  Effect.runSync(
    Effect.map(Effect.scoped(Layer.build(Router.layer(() => set))), (context) =>
      Router.pipe(Effect.provide(context))
    ).pipe(Effect.flatten, Random.withSeed("seed"))
  )

const minute = 60_000

/** How many requests each of two backends gets in a minute and in the one after, one request at a time. */
const minutesAfter = (
  slowAt: number,
  firstByte: (name: string, draw: number) => number,
  restMs: number,
  seed: number
) => {
  const [one] = fc.sample(ableStandings, { numRuns: 1, seed: 1 })[0] ?? []
  if (one === undefined) throw new Error("no backend")
  const like = { ...one, priority: 50, inFlight: 0, firstByteMs: undefined }
  const snapshot = snapshotOf([like, like])
  const router = routerOf(smart)
  const counts = new Map<string, number>()
  const minutes = [new Map<string, number>(), new Map<string, number>()]
  let draws = seed
  const draw = () => {
    draws = (draws * 1_103_515_245 + 12_345) % 2_147_483_648
    return draws / 2_147_483_648
  }
  let now = moment
  let after: number | undefined
  while (after === undefined || now - after < 2 * minute) {
    const plan = router.route(anyNeeds("a"), snapshot, now)
    const chosen = Result.isSuccess(plan) ? plan.success.next(now)?.candidate.state : undefined
    if (chosen === undefined) throw new Error("nobody to ask")
    const { name } = chosen.backend
    const nth = counts.get(name) ?? 0
    counts.set(name, nth + 1)
    const ticket = new Ticket(chosen.live, "a", now, () => undefined)
    const isSlow = name === "b0" && nth === slowAt
    now += isSlow ? minute : firstByte(name, draw())
    ticket.answered(now)
    now += restMs
    ticket.settle("good", now)
    if (after !== undefined) {
      const since = minutes[Math.floor((now - after) / minute)]
      since?.set(name, (since.get(name) ?? 0) + 1)
    }
    if (isSlow) after = now
  }
  return minutes.map((each) => ({ b0: each.get("b0") ?? 0, b1: each.get("b1") ?? 0 }))
}

const shareOf = ({ b0, b1 }: { readonly b0: number; readonly b1: number }): number => b0 / (b0 + b1)

describe("a backend that took a minute to load its model, beside an equal one", () => {
  const rows: ReadonlyArray<readonly [name: string, slowAt: number, firstByteMs: number, restMs: number]> = [
    ["gets its share again, at its first answer", 0, 50, 0],
    ["gets its share again, with answers of half a second", 0, 50, 450],
    ["gets its share again, with answers of three seconds", 0, 200, 2800],
    ["gets its share again after many good answers", 200, 50, 450]
  ]
  for (const [name, slowAt, firstByteMs, restMs] of rows) {
    test(name, () => {
      for (const seed of [1, 7, 42]) {
        const noisy = (_: string, draw: number) => firstByteMs * (0.7 + 0.6 * draw)
        const [first = { b0: 0, b1: 1 }, second = { b0: 0, b1: 1 }] = minutesAfter(slowAt, noisy, restMs, seed)
        expect(shareOf(first)).toBeWithin(0.35, 0.65)
        expect(shareOf(second)).toBeWithin(0.45, 0.55)
      }
    })
  }
})

describe("a backend that is slow for good, beside a fast one,", () => {
  for (const [times, restMs] of [
    [2, 450],
    [10, 450],
    [10, 0]
  ] as const) {
    test(`gets a twentieth of the requests at most, ${times} times as slow, ${restMs} ms between`, () => {
      const firstByte = (name: string, draw: number) => (name === "b0" ? times : 1) * 50 * (0.7 + 0.6 * draw)
      const [, second = { b0: 1, b1: 0 }] = minutesAfter(0, firstByte, restMs, 3)
      expect(shareOf(second)).toBeGreaterThan(0)
      expect(shareOf(second)).toBeLessThanOrEqual(0.05)
    })
  }
})

test("a machine whose answers take half a minute is tried again no sooner than after ten minutes, a quick one after ten seconds", () => {
  const triedAfter = (durationMs: number, ms: number): boolean => {
    const live = { ...newLiveState(), samples: settledSamples, measuredAt: 1000, durationMs }
    return Array.from({ length: 20 }, (_, turn) => isLatencyIgnored(live, turn, 1000 + ms)).includes(true)
  }
  expect(triedAfter(300, 9_000)).toBe(false)
  expect(triedAfter(300, 11_000)).toBe(true)
  expect(triedAfter(30_000, 590_000)).toBe(false)
  expect(triedAfter(30_000, 610_000)).toBe(true)
})

test("a slow machine where somebody has spoken for two hours is tried again after one", () => {
  const live = { ...newLiveState(), samples: settledSamples }
  new Ticket(live, "voice", 0, () => undefined).settle("good", 7_200_000)
  const isTriedAt = (now: number): boolean =>
    Array.from({ length: 20 }, (_, turn) => isLatencyIgnored(live, turn, now)).includes(true)
  live.measuredAt = 7_200_000
  expect(isTriedAt(7_200_000 + 3_590_000)).toBe(false)
  expect(isTriedAt(7_200_000 + 3_610_000)).toBe(true)
})

test("whatever the turn, what explain tells of a decision is what was decided, also later", () =>
  fc.assert(
    fc.property(
      standings,
      needs,
      settings,
      fc.nat(40),
      fc.array(fc.record({ samples: fc.nat(settledSamples), age: fc.nat(2 * staleMs) }), {
        minLength: 8,
        maxLength: 8
      }),
      (all, wanted, set, turns, figures) => {
        fc.pre(set.strategy !== "random")
        const snapshot = snapshotOf(all)
        for (const [at, { live }] of [...snapshot.backends.values()].entries()) {
          const { age = 0, samples = 0 } = figures[at % figures.length] ?? {}
          live.samples = samples
          live.measuredAt = moment - age
          live.askedAt = moment - age
        }
        const router = routerOf(set)
        for (let turn = 0; turn < turns; turn += 1) router.route(wanted, snapshot, moment)
        const { plan } = router.consider(wanted, snapshot, moment)
        const seen = plan.liveFigures(moment)
        const asked = planAll(plan, moment).map(({ candidate, model }) => [candidate.state.backend.name, model])
        const told = () => explainPlan(plan, seen)
        const before = told()
        expect(before.order.map(({ backend, model }) => [backend, model])).toEqual(asked)
        for (const { live } of snapshot.backends.values()) {
          live.firstByteMs = 12_345
          live.samples = 0
          live.measuredAt = 0
          live.askedAt += 7
        }
        expect(told()).toEqual(before)
      }
    )
  ))

test("two equal backends share the requests of one client after one of them has answered slowly", async () => {
  let slow = true
  const script = async function* () {
    if (slow) {
      slow = false
      await Bun.sleep(400)
    }
    yield json(completion("m", "a"))
  }
  await using one = await startUpstream({ models: ["m"], script })
  await using two = await startUpstream({ models: ["m"], script: () => [json(completion("m", "b"))] })
  await using gateway = await startGateway({ backends: [backendFor("one", one), backendFor("two", two)] })
  const body = JSON.stringify({ model: "m", messages: [] })
  /** How many of sixty requests the one gets that gets fewer. */
  const least = async (): Promise<number> => {
    const [first, second] = [one.calls().length, two.calls().length]
    for (let nth = 0; nth < 60; nth += 1) {
      expect((await ask(gateway.port, "POST", "/v1/chat/completions", body)).status).toBe(200)
    }
    return Math.min(one.calls().length - first, two.calls().length - second)
  }
  let share = await least()
  // A moment in which the machine stands still makes one of them slow once more.
  for (let more = 15; more > 0 && share <= 10; more -= 1) share = await least()
  expect(share).toBeGreaterThan(10)
})
