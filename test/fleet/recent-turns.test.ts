import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { Standing } from "../../src/fleet/standing.ts"
import { RecentTurns } from "../../src/fleet/recent-turns.ts"
import { poolOf } from "../../src/router/candidate-columns.ts"
import { idle, snapshotOf } from "../kit/generators.ts"

const chainOf = (root: number, nth: number): PromptChain => ({ hashes: [], ends: [], bytes: 0, root, nth })

describe("the turns of conversations at a server", () => {
  test("weigh as much for each conversation that was there of late, up to eight, however many turns it had", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 200 }), (roots) => {
        const turns = new RecentTurns()
        for (const [at, root] of roots.entries()) turns.begins(chainOf(root, at + 1), 500)
        expect(turns.tokensBy(roots.length)).toBe(500 * Math.min(8, new Set(roots).size))
      })
    )
  })

  test("are forgotten with the requests that came since", () => {
    const turns = new RecentTurns()
    turns.begins(chainOf(1, 1), 500)
    turns.begins(chainOf(2, 100), 500)
    expect([100, 257, 258, 356, 357].map((nth) => turns.tokensBy(nth) / 500)).toEqual([2, 2, 1, 1, 0])
  })

  test("count when another process gave them, though this one had it do nothing for long", () => {
    const turns = new RecentTurns()
    turns.begins(chainOf(1, 1), 500)
    expect(turns.tokensBy(1000)).toBe(0)
    turns.isHere(2)
    expect(turns.tokensBy(1001)).toBe(500)
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
    standing.answers(running, 100, false)
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
    standing.answers(running, 100, false)
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
        standing.answers(running, now, false)
        now += 100
        standing.ends(running, now, { tokens: { prompt: 1000, cached, completion: 10 }, written: 10, whole: false })
      }
      expect(standing.speeds.readMs).toBeCloseTo(0.5, 6)
    })
  )
})
