import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { standingOf } from "../../src/registry/live-state.ts"
import type { Candidate } from "../../src/registry/snapshot.ts"
import { bestSpeeds, placesAt } from "../../src/router/expected-end.ts"
import { slotExclusion } from "../../src/router/filter.ts"
import { idle, snapshotOf } from "../kit/generators.ts"

const one = (slots?: number): Candidate => {
  const [candidate] = snapshotOf([idle]).candidates.get("a") ?? []
  if (candidate === undefined) throw new Error("nobody")
  return slots === undefined ? candidate : { ...candidate, model: { ...candidate.model, slots, slotsConfigured: true } }
}

type Claim = Parameters<typeof placesAt>[2]

const claims: fc.Arbitrary<Claim> = fc.record({
  leaves: fc.constantFrom(undefined, 1),
  key: fc.constantFrom(undefined, "ann", "bob"),
  shares: fc.boolean()
})

/** Lets these ask one after the other, each that has a slot; gives those who had one. */
const admitted = (candidate: Candidate, all: ReadonlyArray<Claim>): ReadonlyArray<Claim> => {
  const standing = standingOf(candidate.state.live, candidate.model.id)
  return all.filter((claim) => {
    if (slotExclusion(candidate, claim) !== undefined) return false
    standing.begins({ prompt: 10, output: 10, chain: undefined, leaves: claim.leaves, key: claim.key }, 0)
    return true
  })
}

describe("the places of a server", () => {
  test("whose slots are known are all that are given, whoever asks, and batches leave one to others", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 12 }), fc.array(claims, { maxLength: 40 }), (slots, all) => {
        const given = admitted(one(slots), all)
        expect(given.length).toBeLessThanOrEqual(slots)
        expect(given.filter(({ leaves }) => leaves === 1).length).toBeLessThanOrEqual(slots - 1)
        // Whoever leaves none free is only turned away where there is none.
        const others = all.filter(({ leaves, shares }) => leaves === undefined && shares === false).length
        if (others >= slots) expect(given.length).toBe(slots)
      })
    )
  })

  test("are not all given at once to a key that has half of them where there are others", () => {
    const greedy = { key: "greedy", shares: true }
    for (const [slots, given] of [
      [1, 1],
      [2, 2],
      [4, 3],
      [8, 3]
    ] as const) {
      const candidate = one(slots)
      const standing = standingOf(candidate.state.live, candidate.model.id)
      const many = Array.from({ length: 20 }, () => greedy)
      expect(admitted(candidate, many).length).toBe(given)
      for (let more = given; more < slots; more += 1) {
        standing.slots.eases(more)
        expect(admitted(candidate, many).length).toBe(1)
      }
      expect(admitted(candidate, many).length).toBe(0)
    }
  })

  test("that batches leave are no more where others are there already", () => {
    const batch = { leaves: 1 }
    const chat = {}
    expect(admitted(one(4), [chat, batch, batch, batch, batch]).length).toBe(4)
    expect(admitted(one(4), [batch, batch, batch, batch, chat]).length).toBe(4)
    expect(admitted(one(1), [batch, batch]).length).toBe(1)
  })

  test("beyond the first three, while nothing is known, are for keys that do not have half of it", () => {
    const candidate = one()
    const standing = standingOf(candidate.state.live, "a")
    const greedy = { key: "greedy", shares: true }
    expect(admitted(candidate, [greedy, greedy, greedy, greedy, greedy]).length).toBe(3)
    for (const [at, running] of standing.running.entries()) standing.answers(running, at + 1)
    expect(slotExclusion(candidate, greedy)).toMatchObject({ _tag: "Full" })
    for (const key of ["ann", "bob", "cy"]) {
      expect(admitted(candidate, [{ key, shares: true }]).length).toBe(1)
      const last = standing.running.at(-1)
      if (last !== undefined) standing.answers(last, 10)
    }
    // Where no other key asks it has what it can have.
    expect(placesAt(candidate, standing, { key: "greedy", shares: false })).toBeGreaterThan(6)
  })

  test("count what other processes have there", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(14), claims, (slots, others, claim) => {
        const candidate = one(slots)
        candidate.state.live.siblings = { inFlight: others, answering: others, coolUntil: 0, circuits: [] }
        const given = admitted(candidate, Array<Claim>(20).fill(claim))
        expect(given.length + others).toBeLessThanOrEqual(Math.max(slots, others))
        const takesAll = claim.leaves === undefined && claim.shares === false
        if (takesAll) expect(given.length).toBe(Math.max(0, slots - others))
      })
    )
  })
})

describe("the best speeds of some servers", () => {
  test("have what loading this very model took elsewhere beside what any model took", () => {
    const [first, second] = snapshotOf([idle, idle]).candidates.get("a") ?? []
    if (first === undefined || second === undefined) throw new Error("nobody")
    const candidates = [first, second]
    const lives = candidates.map(({ state }) => state.live)
    const standings = candidates.map(({ model, state }) => standingOf(state.live, model.id))
    const loads = () => {
      const { itsLoadMs, loadMs } = bestSpeeds({ candidates, lives, standings }, undefined)
      return [loadMs, itsLoadMs]
    }
    expect(loads()).toEqual([undefined, undefined])
    first.state.live.residency.tookToLoad("quick", 5000)
    expect(loads()).toEqual([5000, undefined])
    second.state.live.residency.tookToLoad("a", 60_000)
    expect(loads()).toEqual([5000, 60_000])
  })
})
