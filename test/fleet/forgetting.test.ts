import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { chanceOf } from "../../bench/soak/chance.ts"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { PromptCache } from "../../src/fleet/prompt-cache.ts"
import type { Running } from "../../src/fleet/running.ts"
import { Standing } from "../../src/fleet/standing.ts"

const shared = 20

/** A turn of a conversation in blocks of 100 bytes, the first of which all have in common; a token is a byte. */
const turnOf = (conversation: number, turn: number, common = shared): PromptChain => {
  const blocks = common + turn * 5
  return {
    hashes: Array.from({ length: blocks }, (_, at) => (at < common ? at + 1 : conversation * 10_000 + at)),
    ends: Array.from({ length: blocks }, (_, at) => (at + 1) * 100),
    bytes: blocks * 100,
    root: conversation
  }
}

/** A server that caches all it has read, until it is started anew. */
class Server {
  readonly standing = new Standing()
  private readonly held = new Set<number>()
  private readonly whole: boolean
  private now = 0

  /** Its answers come in one piece, or as streams. */
  constructor(whole: boolean) {
    this.whole = whole
  }

  expects(conversation: number, turn: number): number {
    const chain = turnOf(conversation, turn)
    return this.standing.cachedOf({ prompt: chain.bytes, output: 10, chain, whole: this.whole })
  }

  /** Whether it was expected to have of a prompt what it had not. */
  turn(conversation: number, turn: number): boolean {
    const chain = turnOf(conversation, turn)
    const { whole } = this
    const running = this.standing.begins({ prompt: chain.bytes, output: 10, chain, whole }, (this.now += 10))
    const missing = chain.hashes.findIndex((hash) => !this.held.has(hash))
    const cached = 100 * (missing < 0 ? chain.hashes.length : missing)
    for (const hash of chain.hashes) this.held.add(hash)
    const tokens = { prompt: chain.bytes, cached, completion: 10 }
    if (!whole) this.standing.answers(running, (this.now += 10))
    this.standing.ends(running, (this.now += 10), { tokens, written: 0, whole })
    return running.cached > cached
  }

  /** Gives up what only this conversation has. */
  gives(conversation: number): void {
    for (const hash of turnOf(conversation, 100).hashes.slice(shared)) this.held.delete(hash)
  }

  startsAnew(): void {
    this.held.clear()
  }
}

describe.each([true, false])("where answers come in one piece (%p)", (whole) => {
  test("a server that has forgotten all it held is expected to hold nothing of it after two turns", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 3, max: 8 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 0, max: 7 }),
        (conversations, turns, first) => {
          const server = new Server(whole)
          for (let turn = 1; turn <= turns; turn += 1)
            for (let each = 0; each < conversations; each += 1) server.turn(each, turn)
          server.startsAnew()
          const order = Array.from({ length: conversations }, (_, at) => (first + at) % conversations)
          const wrong = order.filter((each) => server.turn(each, turns + 1))
          expect(wrong.length).toBeLessThanOrEqual(2)
          for (const each of order) expect(server.expects(each, turns + 1)).toBeGreaterThan(0)
        }
      )
    )
  })

  test("one turn that was not found takes nothing from the others", () => {
    const server = new Server(whole)
    for (const turn of [1, 2]) for (const each of [0, 1, 2]) server.turn(each, turn)
    const before = server.expects(1, 2)
    server.startsAnew()
    server.turn(0, 3)
    expect(server.expects(1, 2)).toBe(before)
  })

  test("a server that had to give up one prompt for others is taken to hold as much as came since", () => {
    const server = new Server(whole)
    for (const each of [1, 2, 3]) server.turn(each, 8)
    server.gives(1)
    server.turn(1, 9)
    // What the other two have of their own, and what all have in common.
    expect(server.standing.cache.capacity).toBe(10_000)
    expect(server.expects(3, 8)).toBeGreaterThan(5000)
  })
})

test("a prompt is expected to be cached no more where as much is being read since, in a cache for all that is full", () => {
  const standing = new Standing()
  standing.cache.told(8000)
  const work = (conversation: number) => {
    const chain = turnOf(conversation, 10)
    return { prompt: chain.bytes, output: 10, chain }
  }
  const seen = { tokens: { prompt: 7000, cached: 0, completion: 10 }, written: 10, whole: false }
  const first = standing.begins(work(1), 0)
  standing.answers(first, 100)
  standing.ends(first, 200, seen)
  expect(standing.cachedOf(work(1))).toBeCloseTo(7000)
  standing.begins(work(2), 300)
  // Of 8,000 tokens the other one takes 7,000, of which both have the first 2,000.
  expect(standing.cachedOf(work(1))).toBeCloseTo(3000)
  const other = new Standing()
  const same = other.begins(work(1), 0)
  other.answers(same, 100)
  other.ends(same, 200, seen)
  other.begins(work(2), 300)
  expect(other.cachedOf(work(1))).toBeCloseTo(7000)
})

test("what is being read pushes out what a server held that has a slot for each, and is there for no other one", () => {
  const standing = new Standing()
  standing.sharesCache = false
  const work = (conversation: number) => {
    const chain = turnOf(conversation, 10)
    return { prompt: chain.bytes, output: 10, chain }
  }
  const turn = (conversation: number, now: number): void => {
    const running = standing.begins(work(conversation), now)
    standing.answers(running, now + 100)
    const tokens = { prompt: 7000, cached: 0, completion: 10 }
    standing.ends(running, now + 200, { tokens, written: 10, whole: false })
  }
  turn(1, 0)
  standing.begins(work(3), 300)
  expect(standing.cachedOf(work(1))).toBeCloseTo(7000)
  expect(standing.cachedOf(work(4))).toBeCloseTo(2000)
  standing.cache.capacity = 8000
  expect(standing.cachedOf(work(1))).toBeCloseTo(3000)
})

test("prompts are expected to be cached as they are where all that is read shares one cache, whatever they begin with", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 2, max: 4 }), (seed, atOnce) => {
      const chance = chanceOf(seed)
      const standing = new Standing()
      // Of six conversations, which begin with the same 20,000 tokens and go on for up to 10,000 more.
      standing.cache.told(50_000)
      const truth = new PromptCache(50_000)
      const turns = new Map<number, number>()
      const working: Array<{
        readonly id: number
        readonly chain: PromptChain
        readonly running: Running
        readonly cached: number
      }> = []
      let [off, all] = [0, 0]
      for (let now = 1; now < 300; now += 1) {
        const [ended] = working.length < atOnce ? [] : working.splice(Math.floor(chance() * working.length), 1)
        if (ended !== undefined) {
          const tokens = { prompt: ended.chain.bytes, cached: ended.cached, completion: 10 }
          standing.answers(ended.running, now)
          standing.ends(ended.running, now, { tokens, written: 10, whole: false })
        }
        const id = 1 + Math.floor(chance() * 6)
        if (working.some((each) => each.id === id)) continue
        turns.set(id, 1 + ((turns.get(id) ?? 0) % 20))
        const chain = turnOf(id, turns.get(id) ?? 1, 200)
        // Those that are worked on are forgotten last.
        for (const each of working) truth.holds(each.chain, 1)
        const cached = truth.depthOf(chain) * 100
        const running = standing.begins({ prompt: chain.bytes, output: 10, chain }, now)
        truth.holds(chain, 1)
        working.push({ id, chain, running, cached })
        off += Math.abs(running.cached - cached)
        all += chain.bytes
      }
      expect(off / all).toBeLessThan(0.02)
    }),
    { numRuns: 20 }
  )
})
