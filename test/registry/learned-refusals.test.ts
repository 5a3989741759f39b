import { describe, expect, test } from "bun:test"
import type { ProbeOutcome } from "../../src/domain/backend-health.ts"
import { learnedForMs, LearnedRefusals } from "../../src/registry/learned-refusals.ts"
import type { BackendState, Snapshot } from "../../src/registry/snapshot.ts"
import { applyProbe, emptySnapshot, withBackend } from "../../src/registry/snapshot-changes.ts"
import { backend, model } from "./backends.ts"

const good: ProbeOutcome = { _tag: "Up", models: [model("m")], latencyMs: 1 }
const bad: ProbeOutcome = { _tag: "Down", reason: "gone" }

const probed = (snapshot: Snapshot, ...outcomes: ReadonlyArray<ProbeOutcome>): Snapshot =>
  outcomes.reduce(
    (before, outcome) => applyProbe(before, "a", outcome, { failures: 3, recoveries: 1 }).snapshot,
    snapshot
  )

const stateIn = (snapshot: Snapshot): BackendState => snapshot.backends.get("a")!

const up = probed(withBackend(emptySnapshot, backend("a")), good)

const learnt = (): LearnedRefusals<string> => {
  const refusals = new LearnedRefusals<string>()
  refusals.learn(stateIn(up), "m", ["effort"], 1000)
  return refusals
}

const known = (refusals: LearnedRefusals<string>, snapshot: Snapshot, name = "m", now = 2000) => [
  ...refusals.of(stateIn(snapshot), name, now)
]

describe("what a model has refused to be told", () => {
  test("is remembered of that model alone, while its backend is well", () => {
    const refusals = learnt()
    expect(known(refusals, up)).toEqual(["effort"])
    expect(known(refusals, up, "other")).toEqual([])
    expect(known(refusals, probed(up, good, good))).toEqual(["effort"])
    refusals.learn(stateIn(up), "m", ["temperature"], 1500)
    expect(known(refusals, up)).toEqual(["effort", "temperature"])
  })

  test("is forgotten with a probe that fails: another server may come back", () => {
    expect(known(learnt(), probed(up, bad, good))).toEqual([])
    expect(known(learnt(), probed(up, bad, bad, bad, good, good))).toEqual([])
  })

  test("is forgotten with another definition of the backend", () => {
    expect(known(learnt(), withBackend(up, backend("a", { priority: 7 })))).toEqual([])
  })

  test("is forgotten after an hour, as models of a service change", () => {
    expect(known(learnt(), up, "m", 1000 + learnedForMs - 1)).toEqual(["effort"])
    expect(known(learnt(), up, "m", 1000 + learnedForMs)).toEqual([])
  })
})
