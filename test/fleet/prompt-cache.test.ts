import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { PromptCache } from "../../src/fleet/prompt-cache.ts"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"

/** A chain of blocks of 100 bytes whose first ones are another's; a token is a byte. */
const chainOf = (conversation: number, blocks: number, shared = 0): PromptChain => ({
  hashes: Array.from({ length: blocks }, (_, at) => (at < shared ? at + 1 : conversation * 10_000 + at)),
  ends: Array.from({ length: blocks }, (_, at) => (at + 1) * 100),
  bytes: blocks * 100,
  root: conversation
})

const chains = fc.array(
  fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 40 }))
    .map(([conversation, blocks]) => chainOf(conversation, blocks, 3)),
  { minLength: 1, maxLength: 40 }
)

const capacity = fc.integer({ min: 100, max: 6000 })

describe("what a server is likely to have cached", () => {
  test("is never more than it holds", () => {
    fc.assert(
      fc.property(chains, capacity, (all, tokens) => {
        const cache = new PromptCache(tokens)
        for (const each of all) {
          cache.holds(each, 1)
          expect(cache.tokens).toBeLessThanOrEqual(tokens)
        }
      })
    )
  })

  test("is found to its whole depth where it was just computed, as far as it fits", () => {
    fc.assert(
      fc.property(chains, capacity, (all, tokens) => {
        const cache = new PromptCache(tokens)
        for (const each of all) {
          cache.holds(each, 1)
          expect(cache.depthOf(each)).toBe(Math.min(each.hashes.length, Math.floor(tokens / 100)))
        }
      })
    )
  })

  test("is what came since and what was found besides, where a prompt is found that was thought to be pushed out", () => {
    const cache = new PromptCache(3000)
    for (const each of [1, 2, 3]) cache.holds(chainOf(each, 15), 1)
    expect(cache.depthOf(chainOf(1, 15))).toBe(0)
    cache.corrects(chainOf(1, 15), 1, 0, 1500)
    expect(cache.capacity).toBe(4500)
    for (const each of [1, 2, 3]) cache.holds(chainOf(each, 15), 1)
    for (const each of [1, 2, 3]) expect(cache.depthOf(chainOf(each, 15))).toBe(15)
  })

  test("is told by what came since a prompt was there, though others have used its beginning", () => {
    const cache = new PromptCache()
    for (const each of [1, 2, 3]) cache.holds(chainOf(each, 20, 5), 1)
    cache.corrects(chainOf(1, 20, 5), 1, 2000, 0)
    // It may have been started anew.
    expect(cache.capacity).toBe(Infinity)
    cache.corrects(chainOf(3, 20, 5), 1, 2000, 2000)
    // The beginning, which all have, and the rest of the two others.
    expect(cache.capacity).toBe(3500)
  })

  test("is told as it is now, however often it was asked before", () => {
    fc.assert(
      fc.property(chains, capacity, fc.array(fc.nat(2), { minLength: 1 }), (all, tokens, steps) => {
        const cache = new PromptCache(tokens)
        const [asked] = all
        if (asked === undefined) return
        for (const [at, each] of all.entries()) {
          cache.depthOf(asked)
          const step = steps[at % steps.length]
          if (step === 0) cache.holds(each, 1)
          else if (step === 1) cache.corrects(each, 1, each.bytes, 0)
          else cache.clear()
          expect(cache.depthOf(asked)).toBe(cache.depthOf({ ...asked }))
        }
      })
    )
  })

  test("is found to any depth of what it has in common with what was computed", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 30 }), (shared, more) => {
        const cache = new PromptCache()
        cache.holds(chainOf(1, shared + more, shared), 1)
        expect(cache.depthOf(chainOf(2, shared + 5, shared))).toBe(shared)
      })
    )
  })

  test("is forgotten the oldest first", () => {
    fc.assert(
      fc.property(chains, capacity, (all, tokens) => {
        const cache = new PromptCache(tokens)
        for (const each of all) cache.holds(each, 1)
        let isWhole = true
        for (const each of all.toReversed()) {
          const found = cache.depthOf(each) === each.hashes.length
          // Nothing is held whole that was computed before something forgotten, but for what they have in common.
          if (!isWhole && each.hashes.length > 3) expect(cache.depthOf(each)).toBeLessThanOrEqual(each.hashes.length)
          isWhole &&= found
        }
        const used = new Set(all.toReversed().flatMap(({ hashes }) => hashes))
        const latest = [...used].slice(0, Math.floor(tokens / 100))
        expect(cache.tokens).toBe(latest.length * 100)
      })
    )
  })

  test("is cut back to what an answer tells of it, and so is all that it is thought to hold", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 10, max: 40 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 3 }),
        fc.option(fc.constant(100_000), { nil: Infinity }),
        (blocks, others, kept, before) => {
          const cache = new PromptCache(before)
          const first = chainOf(1, blocks)
          cache.holds(first, 1)
          for (let other = 2; other < 2 + others; other += 1) cache.holds(chainOf(other, blocks), 1)
          cache.corrects(first, 1, blocks * 100, kept * 100)
          expect(cache.depthOf(first)).toBe(kept)
          expect(cache.capacity).toBeLessThan(before)
          expect(cache.tokens).toBeLessThanOrEqual(cache.capacity)
          // What came last has pushed it out, and is there.
          expect(cache.depthOf(chainOf(1 + others, blocks))).toBe(blocks)
        }
      )
    )
  })

  test("stays as it is where an answer bears it out", () => {
    fc.assert(
      fc.property(chains, capacity, fc.double({ min: 0.75, max: 1, noNaN: true }), (all, tokens, share) => {
        const cache = new PromptCache(tokens)
        for (const each of all) cache.holds(each, 1)
        const before = cache.tokens
        for (const each of all) cache.corrects(each, 1, each.bytes, each.bytes * share)
        expect(cache.tokens).toBe(before)
        expect(cache.capacity).toBe(tokens)
      })
    )
  })

  test("is thought to be no more because answers are found as well, and more where it is full and most was thought forgotten", () => {
    const cache = new PromptCache(3000)
    for (let turn = 10; turn <= 20; turn += 1) {
      // The answer of the turn before is 300 tokens.
      cache.corrects(chainOf(1, turn), 1, (turn - 1) * 100, (turn - 1) * 100 + 300)
      cache.holds(chainOf(1, turn), 1)
    }
    expect(cache.capacity).toBe(3000)
    cache.corrects(chainOf(2, 20), 1, 300, 2000)
    expect(cache.capacity).toBe(3000)
    for (const each of [2, 3]) cache.holds(chainOf(each, 20), 1)
    cache.corrects(chainOf(1, 20), 1, 300, 2000)
    expect(cache.capacity).toBeGreaterThan(3000)
  })

  test("is never thought to be more than the server says", () => {
    const cache = new PromptCache()
    cache.told(3000)
    for (const each of [1, 2]) cache.holds(chainOf(each, 20), 1)
    cache.corrects(chainOf(3, 20), 1, 300, 2000)
    expect(cache.capacity).toBe(3000)
  })

  test("that has been used since some use is what the last prompts had, each block once", () => {
    fc.assert(
      fc.property(chains, capacity, fc.nat(), (all, tokens, which) => {
        const cache = new PromptCache(tokens)
        for (const each of all) cache.holds(each, 1)
        const since = which % (all.length + 1)
        const used = new Set(
          all
            .slice(since)
            .toReversed()
            .flatMap(({ hashes }) => hashes)
        )
        const left = Math.min(used.size, Math.floor(tokens / 100)) * 100
        expect(cache.usedAfter(since, Infinity)).toBe(left)
        expect(cache.usedAfter(since, 250)).toBe(Math.min(left, 250))
        // What came before holds as far as nobody else had it since.
        const [last] = all.slice(-1)
        if (last !== undefined)
          expect(cache.depthAfter(last, since)).toBe(since === all.length ? 0 : cache.depthOf(last))
      })
    )
  })

  test("is as much as the server says, until an answer contradicts it", () => {
    const cache = new PromptCache()
    cache.told(3000)
    cache.holds(chainOf(1, 20), 1)
    cache.holds(chainOf(2, 20), 1)
    expect(cache.tokens).toBe(3000)
    cache.holds(chainOf(3, 5), 1)
    cache.corrects(chainOf(2, 20), 1, 2000, 0)
    const learned = cache.capacity
    expect(learned).toBeLessThan(3000)
    cache.told(3000)
    expect(cache.capacity).toBe(learned)
    cache.told(8000)
    expect(cache.capacity).toBe(8000)
  })

  test("fits from the moment on at which the server says that it holds less", () => {
    const cache = new PromptCache()
    cache.holds(chainOf(1, 40), 1)
    cache.told(1000)
    expect(cache.tokens).toBeLessThanOrEqual(1000)
  })

  test("is nothing after a restart", () => {
    const cache = new PromptCache(1000)
    cache.holds(chainOf(1, 20), 1)
    cache.clear()
    expect(cache.tokens).toBe(0)
    expect(cache.depthOf(chainOf(1, 20))).toBe(0)
    cache.holds(chainOf(2, 5), 1)
    expect(cache.depthOf(chainOf(2, 5))).toBe(5)
  })
})
