import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { promptChain, type PromptChain } from "../../src/fleet/prompt-chain.ts"
import { standingOf } from "../../src/registry/live-state.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { Plan } from "../../src/router/plan.ts"
import { idle, anyNeeds, now, plainSettings, snapshotOf } from "../kit/generators.ts"

/** A process that knows so many servers; `askedAt` is when it asked each last. */
const processOf = (askedAt: ReadonlyArray<number>, inFlight: ReadonlyArray<number> = []): Snapshot => {
  const snapshot = snapshotOf(askedAt.map((_, at) => ({ ...idle, inFlight: inFlight[at] ?? 0 })))
  for (const [at, { live }] of [...snapshot.backends.values()].entries()) live.askedAt = askedAt[at] ?? 0
  return snapshot
}

const system = "You help with code. ".repeat(60)

const chainOf = (words: string, instructions = system): PromptChain => {
  const messages = [
    { role: "system", content: instructions },
    { role: "user", content: words }
  ]
  return promptChain(Buffer.from(JSON.stringify({ model: "a", messages })))
}

/** Servers that read a token in a tenth of a millisecond, each with so many conversations that had turns of 3,000 tokens there. */
const livedIn = (conversations: ReadonlyArray<number>): Snapshot => {
  const snapshot = processOf(conversations.map(() => 0))
  let nth = 0
  for (const [at, { live }] of [...snapshot.backends.values()].entries()) {
    const standing = standingOf(live, "a")
    standing.speeds.reads(3000, 300)
    for (let each = 0; each < (conversations[at] ?? 0); each += 1) {
      nth += 1
      for (let turn = 0; turn < 2; turn += 1) standing.turns.begins({ ...chainOf("Hello"), root: nth, nth }, 3000, 0)
    }
  }
  return snapshot
}

const settings = { ...plainSettings, affinity: true }

const placeOf = (chain: PromptChain, snapshot: Snapshot, turn: number, tokens?: number): string | undefined => {
  const needs = anyNeeds("a")
  const plan = new Plan(
    tokens === undefined ? needs : { ...needs, promptTokens: tokens },
    settings,
    snapshot,
    { turn, random: () => 0.5 },
    now,
    undefined,
    undefined,
    { chain: () => chain }
  )
  return plan.next(now)?.candidate.state.backend.name
}

const histories = (servers: number) => fc.array(fc.nat(100_000), { minLength: servers, maxLength: servers })

describe("a conversation that no server is known to hold", () => {
  test("begins at the same server in every process, whatever each has asked before", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 9 }).chain((servers) => fc.tuple(histories(servers), histories(servers))),
        fc.string({ minLength: 1, maxLength: 40 }),
        fc.nat(20),
        fc.nat(20),
        ([mine, theirs], words, turn, other) => {
          const chain = chainOf(words)
          expect(placeOf(chain, processOf(mine), turn)).toBe(placeOf(chain, processOf(theirs), other) ?? "")
        }
      )
    )
  })

  test("goes to none that has more to do, whoever it is drawn to", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(4), { minLength: 2, maxLength: 9 }),
        fc.string({ minLength: 1, maxLength: 40 }),
        (inFlight, words) => {
          const snapshot = processOf(
            inFlight.map(() => 0),
            inFlight
          )
          const chosen = snapshot.backends.get(placeOf(chainOf(words), snapshot, 0) ?? "")
          expect(chosen?.live.inFlight).toBe(Math.min(...inFlight))
        }
      )
    )
  })

  test("is not where all others are that have the same instructions", () => {
    for (const servers of [2, 3, 4, 7, 10]) {
      const counts = new Map<string, number>()
      const conversations = 200 * servers
      const snapshot = processOf(Array<number>(servers).fill(0))
      for (let nth = 0; nth < conversations; nth += 1) {
        const place = placeOf(chainOf(`Question ${String(nth)}: what is wrong here?`), snapshot, nth) ?? ""
        counts.set(place, (counts.get(place) ?? 0) + 1)
      }
      expect(counts.size).toBe(servers)
      for (const count of counts.values()) expect(Math.abs(count - 200)).toBeLessThan(70)
    }
  })

  test("goes to one that is a little sooner though it has more to do, and one of too few words to be kept does not", () => {
    const snapshot = processOf([0, 0], [0, 1])
    for (const [at, { live }] of [...snapshot.backends.values()].entries())
      standingOf(live, "a").speeds.reads(3000, at === 0 ? 306 : 300)
    expect(placeOf(chainOf("What is new?"), snapshot, 0, 3000)).toBe("b1")
    expect(placeOf(chainOf("Hi", "Short."), snapshot, 0, 3000)).toBe("b0")
  })

  test("of too few words to be kept goes to who was asked longest ago", () => {
    const snapshot = processOf([5, 3, 9])
    expect(placeOf(chainOf("Hi", "Short."), snapshot, 0)).toBe("b1")
  })
})

describe("a conversation that begins", () => {
  const fewest = (conversations: ReadonlyArray<number>): ReadonlyArray<string> =>
    conversations.flatMap((count, at) => (count === Math.min(...conversations) ? [`b${String(at)}`] : []))
  const counts = fc.array(fc.nat(7), { minLength: 2, maxLength: 6 })

  test("goes where the fewest others have been of late, as long as conversations go on", () => {
    fc.assert(
      fc.property(counts, fc.double({ min: 0.2, max: 1, noNaN: true }), (conversations, continuing) => {
        const chain = { ...chainOf("What is new?"), root: 1000, nth: 100, known: false, continuing }
        expect(fewest(conversations)).toContain(placeOf(chain, livedIn(conversations), 0) ?? "")
      })
    )
  })

  test("goes to any of them where none ever goes on", () => {
    const all = fc.sample(fc.string({ minLength: 4, maxLength: 40 }), { numRuns: 200, seed: 7 })
    const places = all.map((words) => {
      const chain = { ...chainOf(words), nth: 100, known: false, continuing: 0 }
      return placeOf(chain, livedIn([0, 7]), 0)
    })
    expect(new Set(places)).toEqual(new Set(["b0", "b1"]))
  })

  test.each([
    ["generic", "b1"],
    ["openai", "b0"]
  ] as const)(
    "is kept from %s servers by conversations with other models only where one machine has them all",
    (type, place) => {
      const chain = { ...chainOf("What is new?"), nth: 100, known: false, continuing: 1 }
      const snapshot = livedIn([1, 2])
      const [first, ...rest] = snapshot.backends.values()
      if (first === undefined) throw new Error("no backend")
      for (const { backend } of [first, ...rest]) Object.assign(backend, { type })
      for (const nth of [10, 11, 12, 13])
        standingOf(first.live, "b").turns.begins({ ...chain, root: nth, nth }, 3000, 0)
      expect(placeOf(chain, snapshot, 0)).toBe(place)
    }
  )

  test("is not one that another process has begun: that goes where it is held, however many are there", () => {
    const chain = { ...chainOf("What is new?"), nth: 100, known: false, continuing: 1 }
    const snapshot = livedIn([7, 0])
    const first = [...snapshot.backends.values()][0]
    if (first === undefined) throw new Error("no backend")
    expect(placeOf(chain, snapshot, 0, 4000)).toBe("b1")
    standingOf(first.live, "a").hears(chain, 4000 / chain.bytes)
    expect(placeOf(chain, snapshot, 0, 4000)).toBe("b0")
  })
})
