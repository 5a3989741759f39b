import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { promptChain, type PromptChain } from "../../src/fleet/prompt-chain.ts"
import type { Snapshot } from "../../src/registry/snapshot.ts"
import { Plan } from "../../src/router/plan.ts"
import { anyNeeds, now, plainSettings, snapshotOf, type Standing } from "../kit/generators.ts"

const idle: Standing = {
  status: "healthy",
  priority: 1,
  inFlight: 0,
  maxConcurrent: undefined,
  firstByteMs: undefined,
  context: undefined,
  capabilities: {},
  coolingMs: undefined,
  rest: undefined,
  failures: 0,
  failedMsAgo: 0,
  models: ["a"]
}

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

const settings = { ...plainSettings, affinity: true }

const placeOf = (chain: PromptChain, snapshot: Snapshot, turn: number): string | undefined => {
  const plan = new Plan(
    anyNeeds("a"),
    settings,
    snapshot,
    { turn, random: () => 0.5 },
    now,
    undefined,
    undefined,
    () => chain
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

  test("of too few words to be kept goes to who was asked longest ago", () => {
    const snapshot = processOf([5, 3, 9])
    expect(placeOf(chainOf("Hi", "Short."), snapshot, 0)).toBe("b1")
  })
})
