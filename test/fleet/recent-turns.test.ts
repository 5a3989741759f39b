import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { Standing } from "../../src/fleet/standing.ts"
import { RecentTurns } from "../../src/fleet/recent-turns.ts"
import { poolOf } from "../../src/router/candidate-columns.ts"
import { idle, snapshotOf } from "../kit/generators.ts"

const chainOf = (root: number, nth: number): PromptChain => ({ hashes: [], ends: [], bytes: 0, root, nth })

describe("the turns of conversations at a server", () => {
  test("count each conversation that was there of late, however many turns it had", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 200 }), (roots) => {
        const turns = new RecentTurns()
        for (const [at, root] of roots.entries()) turns.begins(chainOf(root, at + 1), 500, at)
        expect(turns.countBy(roots.length)).toBe(new Set(roots).size)
      })
    )
  })

  test("that failed and come again show no pause", () => {
    const standing = new Standing()
    const work = (nth: number) => ({ prompt: 10, output: 10, chain: chainOf(1, nth) })
    const seen = { tokens: undefined, written: 0, whole: false }
    standing.ends(standing.begins(work(1), 0), 100, seen)
    standing.ends(standing.begins(work(2), 2100), 2200, undefined)
    standing.ends(standing.begins(work(3), 2201), 2300, seen)
    expect(standing.turns.pauseMs).toBe(2000)
  })

  test("are forgotten with the requests that came since", () => {
    const turns = new RecentTurns()
    turns.begins(chainOf(1, 1), 500, 0)
    turns.begins(chainOf(2, 100), 500, 0)
    expect([100, 257, 258, 356, 357].map((nth) => turns.countBy(nth))).toEqual([2, 2, 1, 1, 0])
  })

  test("count when another process gave them, though this one had it do nothing for long", () => {
    const turns = new RecentTurns()
    turns.begins(chainOf(1, 1), 500, 0)
    expect(turns.countBy(1000)).toBe(0)
    turns.isHere(2)
    expect(turns.countBy(1001)).toBe(1)
  })

  test("take what further turns have to read, and come as long after the last answer as they did; the first one shows neither", () => {
    const turns = new RecentTurns()
    const turn = (nth: number, tokens: number, from: number, to: number): void => {
      turns.begins(chainOf(1, nth), tokens, from)
      turns.ends(chainOf(1, nth), to)
    }
    turn(1, 8000, 0, 1000)
    expect([turns.tokens, turns.pauseMs]).toEqual([undefined, undefined])
    turn(2, 500, 3000, 4000)
    turn(3, 500, 6000, 7000)
    expect([turns.tokens, turns.pauseMs]).toEqual([500, 2000])
    // What another process answered ended at a time that nobody here knows.
    turns.isHere(1)
    turns.begins(chainOf(1, 4), 500, 90_000)
    expect(turns.pauseMs).toBe(2000)
  })

  test("are remembered of a thousand at most, however many another process tells of", () => {
    const turns = new RecentTurns()
    for (let root = 1; root <= 3000; root += 1) turns.isHere(root)
    expect([2000, 2001, 3000].map((root) => turns.has(root))).toEqual([false, true, true])
  })

  test("are known of those that another process gave it", () => {
    const standing = new Standing()
    standing.hears({ hashes: [7], ends: [256], root: 3 }, 0.25)
    expect([standing.turns.has(3), standing.turns.has(4)]).toEqual([true, false])
  })
})

test("a llama-server has a cache for each slot, whether its slots are named or not, and a vLLM one for all", () => {
  const shares = (type: "llamacpp" | "vllm"): boolean | undefined => {
    const snapshot = snapshotOf([idle])
    const [candidate] = snapshot.candidates.get("a") ?? []
    if (candidate === undefined) throw new Error("there is nobody")
    const { model, state } = candidate
    const [standing] = poolOf([{ model, state: { ...state, backend: { ...state.backend, type } } }]).standings
    return standing?.sharesCache
  }
  expect([shares("llamacpp"), shares("vllm")]).toEqual([false, true])
})

describe("a prompt that begins as another one does", () => {
  const beginning = [1, 2, 3]
  const workOf = (root: number) => ({
    prompt: 2000,
    output: 10,
    chain: { hashes: [...beginning, root], ends: [1000, 2000, 3000, 4000], bytes: 8000, root }
  })

  test("finds that beginning cached where the other one is being read, and where it has been", () => {
    const standing = new Standing()
    expect(standing.cachedOf(workOf(11))).toBe(0)
    const running = standing.begins(workOf(10), 0)
    expect(standing.cachedOf(workOf(11))).toBe(750)
    standing.answers(running, 100)
    expect(standing.cachedOf(workOf(11))).toBe(750)
    standing.ends(running, 200, undefined)
    expect(standing.cachedOf(workOf(11))).toBe(750)
  })

  test("does not where the other one left before it was read", () => {
    const standing = new Standing()
    const running = standing.begins(workOf(10), 0)
    standing.ends(running, 50, undefined)
    expect(standing.cachedOf(workOf(11))).toBe(0)
  })

  test("does not where each slot has a cache of its own", () => {
    const standing = new Standing()
    standing.sharesCache = false
    const running = standing.begins(workOf(10), 0)
    expect(standing.cachedOf(workOf(11))).toBe(0)
    standing.answers(running, 100)
    expect(standing.cachedOf(workOf(11))).toBe(0)
    standing.ends(running, 200, undefined)
    expect(standing.cachedOf(workOf(11))).toBe(750)
  })
})

test("a server that tells what it found cached is not taken for faster than it is", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 100, max: 900 }), { minLength: 30, maxLength: 60 }), (found) => {
      const standing = new Standing()
      let now = 0
      for (const cached of found) {
        const running = standing.begins({ prompt: 1000, output: 10, chain: undefined }, now)
        now += (1000 - cached) * 0.5
        standing.answers(running, now)
        now += 100
        standing.ends(running, now, { tokens: { prompt: 1000, cached, completion: 10 }, written: 10, whole: false })
      }
      expect(standing.speeds.readMs).toBeCloseTo(0.5, 6)
    })
  )
})

test("a server of which nothing is known is taken for no faster than it is by what comes while it reads", () => {
  const arrivals = fc.array(fc.tuple(fc.integer({ min: 100, max: 9000 }), fc.integer({ min: 0, max: 3999 })), {
    minLength: 1,
    maxLength: 20
  })
  fc.assert(
    fc.property(arrivals, (all) => {
      const standing = new Standing()
      // All of them come while the first one is read.
      const times = all.map(([, at]) => at).toSorted((a, b) => a - b)
      let end = 8000 * 0.5
      const first = standing.begins({ prompt: 8000, output: 10, chain: undefined }, 0)
      const begun = all.map(([prompt], at) => standing.begins({ prompt, output: 10, chain: undefined }, times[at] ?? 0))
      standing.answers(first, end)
      for (const [at, running] of begun.entries()) standing.answers(running, (end += (all[at]?.[0] ?? 0) * 0.5))
      expect(standing.speeds.readMs).toBeCloseTo(0.5, 6)
    })
  )
})

describe("a prompt that is read keeps waiting", () => {
  const pauseMs = 2000
  const turn = (standing: Standing, root: number, from: number) =>
    standing.begins({ prompt: 1000, output: 10, chain: chainOf(root, root) }, from)
  const seen = { tokens: { prompt: 1000, cached: 0, completion: 100 }, written: 100, whole: false }

  test("those whose next turns come meanwhile: the more the longer it takes, and none where there are none", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 1, max: 5000 }), (count, ms) => {
        const standing = new Standing()
        for (let root = 1; root <= count; root += 1) standing.ends(turn(standing, root, 0), 10, undefined)
        const waits = standing.forecast.keepsWaiting(count, 0, ms, pauseMs, 10)
        expect(waits).toBeGreaterThan(0)
        expect(waits).toBeLessThan(count * ms)
        expect(standing.forecast.keepsWaiting(count, 0, 2 * ms, pauseMs, 10)).toBeGreaterThan(2 * waits)
        expect(new Standing().forecast.keepsWaiting(0, 0, ms, pauseMs, 10)).toBe(0)
      })
    )
  })

  test("nobody whose answer is written for longer than that", () => {
    const standing = new Standing()
    const known = turn(standing, 1, 0)
    standing.answers(known, 1000)
    standing.ends(known, 5000, seen)
    const waitsWhenIdle = standing.forecast.keepsWaiting(1, 0, 3000, pauseMs, 6000)
    standing.answers(turn(standing, 1, 6000), 7000)
    expect(standing.forecast.keepsWaiting(1, 0, 3000, pauseMs, 7000)).toBe(0)
    // Half of it is written by then.
    const later = standing.forecast.keepsWaiting(1, 0, 3000, pauseMs, 9000)
    expect(later).toBeGreaterThan(0)
    expect(later).toBeLessThan(waitsWhenIdle)
  })
})
