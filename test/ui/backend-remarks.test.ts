import { expect, test } from "bun:test"
import * as fc from "fast-check"
import { remarksOf } from "../../src/ui/backend-remarks.ts"

const known = (name: string, models: ReadonlyArray<string>, p50: number | undefined, error_rate = 0) => ({
  backend: { name, in_flight: 1, mode: "enabled" as const, models: models.map((id) => ({ id })) },
  figures: { error_rate, first_token_ms: p50 === undefined ? null : { p50, p95: 2 * p50 } }
})

test("a backend is said to be slow beside others with its models, and not beside those with smaller ones", () => {
  const remarks = remarksOf([
    known("a", ["small", "large"], 4300),
    known("b", ["large"], 70),
    known("c", ["large"], 90),
    known("lone", ["huge"], 9000),
    known("quick", ["small"], 20)
  ])
  expect(remarks).toEqual(new Map([["a", ["slow: its first token takes 4.3 s, that of others with its models 70 ms"]]]))
})

test("nobody is said to be slow who is not asked, whose others are not, or who nobody waits for", () => {
  expect(
    remarksOf([
      known("a", ["m"], 5000),
      known("b", ["m"], undefined),
      { ...known("c", ["m"], 1), figures: undefined },
      known("d", ["n"], 200),
      known("e", ["n"], 10)
    ]).size
  ).toBe(0)
})

test("a backend whose calls fail is said to fail, though it counts as healthy", () => {
  expect(remarksOf([known("a", ["m"], 10, 0.372), known("b", ["m"], 10, 0.05)])).toEqual(
    new Map([["a", ["37.2 % of its calls failed in the last minute"]]])
  )
})

test("a backend is said to be full while requests wait for a slot of its model, and one with nothing under way is not", () => {
  const queue = (model: string, waiting: number) => ({
    model,
    waiting,
    longest_wait_ms: 7200,
    classes: { high: 0, normal: waiting, batch: 0 }
  })
  const idle = known("idle", ["m"], 10)
  const all = [
    known("a", ["m"], 10),
    known("b", ["n"], 10),
    known("c", ["o"], 10),
    { ...idle, backend: { ...idle.backend, in_flight: 0 } }
  ]
  expect(remarksOf(all, [queue("m", 2), queue("n", 1), queue("o", 0)])).toEqual(
    new Map([
      ["a", ["full: 2 requests wait for a slot of m, the first for 7.2 s"]],
      ["b", ["full: 1 request waits for a slot of n, the first for 7.2 s"]]
    ])
  )
})

test("a backend is said to be full while requests wait for a group that it may answer for, and one beside the group is not", () => {
  const queue = {
    model: "team",
    candidates: [
      { backend: "a", model: "m" },
      { backend: "b", model: "n" }
    ],
    waiting: 1,
    longest_wait_ms: 900,
    classes: { high: 0, normal: 1, batch: 0 }
  }
  const all = [known("a", ["m"], 10), known("b", ["n", "m"], 10), known("c", ["m"], 10)]
  expect(remarksOf(all, [queue])).toEqual(
    new Map(["a", "b"].map((name) => [name, ["full: 1 request waits for a slot of team, the first for 900 ms"]]))
  )
})

test("a backend with a free slot, or one that is drained, is not said to be full while requests wait for others", () => {
  const queue = [{ model: "m", waiting: 2, longest_wait_ms: 7200, classes: { high: 0, normal: 0, batch: 2 } }]
  const withSlots = (name: string, slots: number, mode: "enabled" | "draining" = "enabled") => {
    const { backend, figures } = known(name, ["m"], 10)
    return {
      backend: { ...backend, mode },
      figures: { ...figures, slots: [{ model: "m", slots, from: "config" as const }] }
    }
  }
  const besides = known("besides", ["m", "n"], 10)
  // What it works on is for another of its models.
  const working = [
    { model: "m", slots: 1, from: "config" as const, in_flight: 0 },
    { model: "n", slots: 8, from: "config" as const, in_flight: 6 }
  ]
  const all = [
    withSlots("full", 1),
    withSlots("free", 2),
    withSlots("drained", 1, "draining"),
    { backend: { ...besides.backend, in_flight: 6 }, figures: { ...besides.figures, slots: working } }
  ]
  expect([...remarksOf(all, queue).keys()]).toEqual(["full"])
})

test("a backend is slow that takes three times as long as the middle one of the others, however many there are", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 100, max: 4000 }), { minLength: 2, maxLength: 12 }), (times) => {
      const remarks = remarksOf(times.map((ms, at) => known(`s${at}`, ["m", "n"], ms)))
      for (const [at, ms] of times.entries()) {
        const others = times.toSpliced(at, 1).toSorted((a, b) => a - b)
        const middle = others[Math.floor(others.length / 2)] ?? Infinity
        expect(remarks.has(`s${at}`)).toBe(ms >= 300 && ms >= 3 * middle)
      }
    })
  )
})
