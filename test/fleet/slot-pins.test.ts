import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import type { PromptChain } from "../../src/fleet/prompt-chain.ts"
import { type Pinned, type Pinning, SlotPins } from "../../src/fleet/slot-pins.ts"
import { Standing } from "../../src/fleet/standing.ts"

const shared = 20

/** A turn of a conversation in blocks of 100 bytes, the first of which all have in common; a token is a byte. */
const turnOf = (conversation: number, turn: number): PromptChain => {
  const blocks = shared + turn * 5
  return {
    hashes: Array.from({ length: blocks }, (_, at) => (at < shared ? at + 1 : conversation * 10_000 + at)),
    ends: Array.from({ length: blocks }, (_, at) => (at + 1) * 100),
    bytes: blocks * 100,
    root: conversation
  }
}

const tokensOf = (chain: PromptChain): number => chain.bytes + 100

const usual = { slots: 4, alone: true, continues: false, names: true } satisfies Pinning

/** A server with slots that keep what they hold, or are emptied whenever another one is given work. */
class Server {
  readonly pins = new SlotPins()
  readonly keeps: boolean
  readonly held = new Map<number, PromptChain>()
  now = 0

  constructor(keeps: boolean) {
    this.keeps = keeps
  }

  begins(chain: PromptChain, how: Partial<Pinning> = {}): Pinned {
    this.now += 10
    return this.pins.begins(chain, 1, { ...usual, ...how }, this.now)
  }

  private common(slot: number, chain: PromptChain): number {
    const had = this.held.get(slot)
    return had === undefined ? 0 : chain.hashes.filter((hash, at) => had.hashes[at] === hash).length
  }

  /** Works on one, in the slot that is named or else has most in common with it; gives how much of it was cached. */
  ends(pinned: Pinned): number {
    this.now += 10
    const { chain } = pinned
    if (chain === undefined) throw new Error("no chain")
    if (!this.keeps) this.held.clear()
    const slots = [...this.held.keys()].toSorted((one, other) => this.common(other, chain) - this.common(one, chain))
    const slot = pinned.named ?? slots[0] ?? 0
    const cached = this.common(slot, chain) * 100
    this.held.set(slot, chain)
    this.pins.ends(pinned, { cached, tokens: tokensOf(chain) }, false, this.now)
    return cached
  }

  turn(conversation: number, turn: number): { readonly named: number | undefined; readonly cached: number } {
    const pinned = this.begins(turnOf(conversation, turn), { continues: turn > 1 })
    return { named: pinned.named, cached: this.ends(pinned) }
  }
}

describe("the slots of a server whose slots keep what they hold", () => {
  test("each conversation has one of its own as long as there are as many, in whatever order they come", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 8 }),
        fc.array(fc.nat(7), { minLength: 10, maxLength: 60 }),
        (count, order) => {
          const server = new Server(true)
          const turns = new Map<number, number>()
          for (const each of order) {
            const conversation = 1 + (each % count)
            const turn = (turns.get(conversation) ?? 0) + 1
            turns.set(conversation, turn)
            const pinned = server.begins(turnOf(conversation, turn), { slots: count, continues: turn > 1 })
            const cached = server.ends(pinned)
            if (turn > 1) expect(cached).toBe((shared + (turn - 1) * 5) * 100)
          }
        }
      )
    )
  })

  test("one that is at work is never named, nor one that may go on with what nobody waits for", () => {
    const step = fc.record({
      conversation: fc.integer({ min: 1, max: 6 }),
      ends: fc.integer({ min: 0, max: 5 }),
      seen: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const server = new Server(true)
        const under: Array<Pinned> = []
        const doubted = new Map<number, number>()
        for (const { conversation, ends, seen } of steps) {
          const pinned = server.begins(turnOf(conversation, 1))
          const { named } = pinned
          if (named !== undefined) {
            expect(under.some((other) => other.slot === named)).toBe(false)
            expect(doubted.get(named) ?? 0).toBeLessThanOrEqual(server.now)
          }
          under.push(pinned)
          while (under.length > ends) {
            const over = under.shift()
            if (over === undefined) break
            if (seen) server.ends(over)
            else {
              server.pins.ends(over, undefined, false, server.now)
              if (over.slot !== undefined) doubted.set(over.slot, server.now + 1000)
            }
          }
        }
      })
    )
  })

  test("more conversations than slots push out one another in one slot, and not all in all", () => {
    const server = new Server(true)
    let kept = 0
    for (let turn = 1; turn <= 8; turn += 1)
      for (let each = 1; each <= 6; each += 1) if (server.turn(each, turn).cached > shared * 100) kept += 1
    expect(kept).toBeGreaterThanOrEqual(3 * 7)
  })

  test("to take the slot of another one, named or not, costs more than to read all at a server with an empty slot", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 4, maxLength: 4 }),
        fc.nat(60),
        (turns, minutes) => {
          const server = new Server(true)
          turns.forEach((last, at) => {
            for (let turn = 1; turn <= last; turn += 1) server.turn(at + 1, turn)
          })
          const chain = turnOf(9, 1)
          const { cached, lost } = server.pins.look(chain, 1, server.now + Math.min(minutes, 5) * 60_000)
          expect(chain.bytes - cached + lost).toBeGreaterThan(chain.bytes)
        }
      )
    )
  })

  test("a server whose slots all have conversations is told to push one out, though it chooses which", () => {
    const standing = new Standing()
    let now = 0
    const turn = (chain: PromptChain, cached: number, continues: boolean): void => {
      const prompt = chain.bytes
      const nth = (now += 10)
      const running = standing.begins({ prompt, output: 100, chain: { ...chain, nth } }, now, 0, {
        ...usual,
        continues
      })
      standing.answers(running, (now += 10))
      standing.ends(running, (now += 10), {
        tokens: { prompt, cached, completion: 100 },
        written: 100,
        whole: false
      })
    }
    for (const each of [1, 2, 3, 4]) turn(turnOf(each, 1), 0, false)
    expect(standing.placeOf({ prompt: 2500, output: 100, chain: turnOf(5, 1) }, now)?.lost).toBeGreaterThan(0)
    for (const each of [1, 2, 3, 4]) turn({ ...turnOf(each, 12), known: true }, (shared + 5) * 100, true)
    expect(standing.placeOf({ prompt: 2500, output: 100, chain: turnOf(5, 1) }, now)).toMatchObject({
      named: undefined,
      slot: undefined,
      own: false
    })
    expect(standing.placeOf({ prompt: 2500, output: 100, chain: turnOf(5, 1) }, now)?.lost).toBeGreaterThan(6000)
    // It may have saved one that was there before.
    standing.turns.isHere(5)
    expect(standing.placeOf({ prompt: 2500, output: 100, chain: turnOf(5, 1) }, now)).toBeUndefined()
  })

  test("a slot is left to the server where it would save what is in it, and may have a copy of what is asked", () => {
    const server = new Server(true)
    for (let each = 1; each <= 4; each += 1) for (const turn of [1, 6]) server.turn(each, turn)
    expect(server.begins(turnOf(5, 1)).named).toBeUndefined()
  })

  test("a conversation that goes on from an earlier turn stays in its slot, and takes neither an empty one nor that of another one", () => {
    for (const others of [2, 3]) {
      const server = new Server(true)
      for (const turn of [1, 12]) for (let each = 0; each <= others; each += 1) server.turn(each, turn)
      const pinned = server.begins({ ...turnOf(1, 2), known: true }, { continues: true })
      expect(pinned).toMatchObject({ named: 1, own: true, lost: 0 })
      expect(server.ends(pinned)).toBe((shared + 10) * 100)
    }
  })

  test("a server that cannot go back to an earlier turn has not forgotten the others", () => {
    const server = new Server(true)
    for (const turn of [1, 2, 12]) for (const each of [1, 2, 3]) server.turn(each, turn)
    expect(server.pins.retention.at(server.now)).toBe("keeps")
    const pinned = server.begins({ ...turnOf(1, 2), known: true }, { continues: true })
    expect(pinned.cached).toBeGreaterThan(0)
    server.held.delete(0)
    expect(server.ends(pinned)).toBe(0)
    expect(server.turn(2, 13)).toEqual({ named: 1, cached: (shared + 60) * 100 })
  })

  test("the first turn of another thread of a session leaves the slot of that session alone", () => {
    const server = new Server(true)
    for (const turn of [1, 12]) server.turn(1, turn)
    expect(server.begins({ ...turnOf(2, 1), root: 1, known: true }).named).toBe(1)
  })

  test("a turn that is asked again while its slot may go on with it leaves the slot of another thread of its session alone", () => {
    const server = new Server(true)
    const threadOf = (thread: number, turn: number): PromptChain => ({ ...turnOf(thread, turn), root: 1, known: true })
    for (const turn of [1, 2, 12]) for (const each of [1, 9]) server.turn(each, turn)
    server.ends(server.begins(threadOf(2, 1)))
    const left = server.begins(threadOf(2, 1), { continues: true })
    expect(left).toMatchObject({ named: 2, own: true })
    server.pins.ends(left, undefined, false, server.now)
    const again = server.begins(threadOf(2, 1), { continues: true })
    expect(again).toMatchObject({ named: 3, own: false })
    server.ends(again)
    expect(server.turn(1, 13)).toEqual({ named: 0, cached: (shared + 60) * 100 })
  })

  test("nothing is named while one is under way that may be in any slot", () => {
    const server = new Server(true)
    server.turn(1, 1)
    const stray = server.begins(turnOf(9, 1), { names: false })
    expect(server.begins(turnOf(1, 2)).named).toBeUndefined()
    server.ends(stray)
    expect(server.begins(turnOf(1, 2), { alone: false }).named).toBeUndefined()
  })

  test("a conversation that has begun elsewhere is left to the server, which may have it in a slot", () => {
    const server = new Server(true)
    expect(server.begins(turnOf(1, 3), { continues: true }).named).toBeUndefined()
  })

  test("a conversation that another server had until now gets an empty slot, and takes none from those that are there", () => {
    const server = new Server(true)
    server.turn(1, 1)
    const moved = server.begins({ ...turnOf(2, 3), known: true }, { continues: true })
    expect(moved.named).toBe(1)
    server.ends(moved)
    expect(server.turn(1, 2).cached).toBeGreaterThan(0)
  })

  test("a conversation that the server was left to place is left to it again, wherever it has come since", () => {
    const server = new Server(true)
    server.turn(1, 1)
    server.ends(server.begins({ ...turnOf(2, 3), known: true }, { continues: true, names: false }))
    expect(server.begins({ ...turnOf(2, 4), known: true }, { continues: true }).named).toBeUndefined()
  })

  test("a conversation is not sent back to a slot that another one may have taken since", () => {
    const server = new Server(true)
    server.turn(1, 1)
    server.ends(server.begins({ ...turnOf(1, 2), known: true }, { continues: true, names: false }))
    expect(server.begins({ ...turnOf(1, 3), known: true }, { continues: true }).named).toBeUndefined()
  })

  test("a server that has forgotten all is noticed at once, and its slots are named as before", () => {
    const server = new Server(true)
    for (const turn of [1, 2, 3]) for (const each of [1, 2, 3]) server.turn(each, turn)
    expect(server.pins.retention.at(server.now)).toBe("keeps")
    server.held.clear()
    expect(server.turn(1, 4).cached).toBe(0)
    expect(server.pins.look(turnOf(2, 4), 1, server.now).cached).toBe(0)
    for (const each of [2, 3]) server.turn(each, 4)
    for (const each of [1, 2, 3]) expect(server.turn(each, 5).cached).toBe((shared + 20) * 100)
  })
})

describe("the slots of a server that empties those which are idle", () => {
  test("are named no more after one turn that found nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 4, maxLength: 40 }), (order) => {
        const server = new Server(false)
        const turns = new Map<number, number>()
        let inVain = 0
        for (const each of order) {
          const turn = (turns.get(each) ?? 0) + 1
          turns.set(each, turn)
          const pinned = server.begins(turnOf(each, turn))
          const isShown = pinned.shows
          const cached = server.ends(pinned)
          if (isShown && cached === 0) inVain += 1
          if (inVain > 0) expect(server.pins.retention.at(server.now)).toBe("forgets")
        }
        expect(inVain).toBeLessThanOrEqual(1)
      })
    )
  })

  test("one request tries it for all that are under way", () => {
    const server = new Server(false)
    for (const each of [1, 2, 3, 4]) server.turn(each, 1)
    const second = [1, 2, 3, 4].map((each) => server.begins(turnOf(each, 2)))
    expect(second.filter(({ named }) => named !== undefined)).toHaveLength(1)
  })

  test("nothing is tried while no slot was idle while another one was at work", () => {
    const server = new Server(false)
    for (const turn of [1, 2, 3]) {
      const all = [1, 2, 3, 4].map((each) => server.begins(turnOf(each, turn)))
      expect(all.map(({ named }) => named !== undefined)).toEqual(all.map(() => turn === 1))
      for (const each of all) server.ends(each)
    }
  })

  test("are tried again after ten minutes, and then later each time", () => {
    const server = new Server(false)
    const fails = (): void => {
      for (const turn of [1, 2]) for (const each of [1, 2, 3]) server.turn(each, turn)
      expect(server.pins.retention.at(server.now)).toBe("forgets")
    }
    fails()
    server.now += 9 * 60_000
    expect(server.turn(7, 1).named).toBeUndefined()
    server.now += 2 * 60_000
    expect(server.pins.retention.at(server.now)).toBe("untried")
    fails()
    server.now += 11 * 60_000
    expect(server.pins.retention.at(server.now)).toBe("forgets")
  })

  test("are not taken for kept where one finds no more than what another one has in common with it, and no more is tried after the second time", () => {
    const pins = new SlotPins()
    let now = 0
    const begins = (conversation: number, turn: number) =>
      pins.begins(turnOf(conversation, turn), 1, usual, (now += 10))
    const ends = (pinned: Pinned, cached: number): void =>
      void pins.ends(pinned, { cached, tokens: tokensOf(turnOf(1, 20)) }, false, (now += 10))
    for (const each of [1, 2, 3]) ends(begins(each, 4), 0)
    for (const each of [1, 2]) {
      expect(pins.retention.at(now)).toBe("untried")
      const trial = begins(each, 5)
      expect(trial.trial).toBe(true)
      ends(trial, shared * 100)
    }
    expect(pins.retention.at(now)).toBe("forgets")
  })
})
