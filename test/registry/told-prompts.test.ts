import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { endsOf, promptChain, type PromptChain } from "../../src/fleet/prompt-chain.ts"
import { standingOf, Ticket } from "../../src/registry/live-state.ts"
import type { BackendState, Snapshot } from "../../src/registry/snapshot.ts"
import { ComputedPrompts, takePrompts } from "../../src/registry/told-prompts.ts"
import { Plan } from "../../src/router/plan.ts"
import { idle, anyNeeds, now, plainSettings, snapshotOf } from "../kit/generators.ts"

/** A process that knows four servers. */
const processOf = () => {
  const snapshot = snapshotOf([idle, idle, idle, idle])
  const computed = new ComputedPrompts()
  computed.follows(snapshot)
  return { snapshot, computed }
}

const system = "You help with code. ".repeat(400)

interface Message {
  readonly role: string
  readonly content: string
}

const chainOf = (messages: ReadonlyArray<Message>): PromptChain =>
  promptChain(Buffer.from(JSON.stringify({ model: "a", messages: [{ role: "system", content: system }, ...messages] })))

const stateOf = ({ backends }: Snapshot, name: string): BackendState => {
  const state = backends.get(name)
  if (state === undefined) throw new Error(`there is no ${name}`)
  return state
}

/** Has a server answer a request, as a stream or in one piece. */
const answers = ({ live }: BackendState, chain: PromptChain, at: number, whole = false): void => {
  const work = { prompt: Math.floor(chain.bytes / 4), output: 10, chain }
  const ticket = new Ticket(live, "a", at, () => undefined, { work, onDemand: false, freed: () => undefined })
  ticket.answered(at + chain.bytes / 40, whole)
  ticket.saw({ tokens: undefined, written: 10, whole })
  ticket.settle("good", at + chain.bytes / 40 + 100)
}

/** As it comes out at the other end. */
const overWire = <T>(told: T): T => JSON.parse(JSON.stringify(told)) as T // reason: it is what went in

const tell = (from: ComputedPrompts, to: Snapshot): void => {
  for (const [name, prompts] of from.take()) takePrompts(stateOf(to, name), overWire(prompts))
}

const placeOf = (chain: PromptChain, snapshot: Snapshot): string | undefined => {
  const settings = { ...plainSettings, affinity: true }
  const by = { turn: 1, random: () => 0.5 }
  const plan = new Plan(
    { ...anyNeeds("a"), promptTokens: Math.floor(chain.bytes / 4) },
    settings,
    snapshot,
    by,
    now,
    undefined,
    undefined,
    { chain: () => chain }
  )
  return plan.next(now)?.candidate.state.backend.name
}

describe("a conversation whose turns come in at different processes", () => {
  test("goes to the server that holds it, though the one that it comes to has never seen it", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("b0", "b1", "b2", "b3"),
        fc.string({ minLength: 1 }),
        fc.boolean(),
        (name, words, whole) => {
          const [here, there] = [processOf(), processOf()]
          // It knows how fast they are.
          for (const [other, state] of here.snapshot.backends)
            for (let nth = 0; nth < 3; nth += 1)
              answers(
                state,
                chainOf([{ role: "user", content: `${other} ${String(nth)} ${"z".repeat(nth * 900)}` }]),
                now - 5000
              )
          const first = [{ role: "user", content: words.repeat(Math.ceil(9000 / words.length)) }]
          answers(stateOf(there.snapshot, name), chainOf(first), now - 1000, whole)
          tell(there.computed, here.snapshot)
          const next = chainOf([
            ...first,
            { role: "assistant", content: "Look." },
            { role: "user", content: "And now?" }
          ])
          expect(placeOf(next, here.snapshot)).toBe(name)
        }
      )
    )
  })

  test("is known by the process that hears of it to be held as far as by the one that tells of it", () => {
    const size = fc.integer({ min: 0, max: 300_000 })
    fc.assert(
      fc.property(fc.array(size, { minLength: 1, maxLength: 6 }), (sizes) => {
        const [here, there] = [processOf(), processOf()]
        const chains = sizes.map((length, at) =>
          chainOf([{ role: "user", content: `${String(at)} ${"x".repeat(length)}` }])
        )
        for (const [at, chain] of chains.entries())
          answers(stateOf(there.snapshot, `b${String(at % 4)}`), chain, now - 1000)
        tell(there.computed, here.snapshot)
        for (const [name, { live }] of there.snapshot.backends) {
          const [mine, its] = [standingOf(stateOf(here.snapshot, name).live, "a"), standingOf(live, "a")]
          expect(mine.cache.tokens).toBeCloseTo(its.cache.tokens, 3)
          for (const chain of chains) expect(mine.cache.depthOf(chain)).toBe(its.cache.depthOf(chain))
        }
      }),
      { numRuns: 20 }
    )
  })
})

describe("prompts that are told", () => {
  test("end where those do that they are told of", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 400_000 }), (length) => {
        const { ends } = promptChain(Buffer.from(`"messages":[${"x".repeat(length)}`))
        expect(endsOf(ends.length)).toEqual([...ends])
      })
    )
  })

  test("are told once, of a conversation its last turn, and of too many the last ones", () => {
    const { computed, snapshot } = processOf()
    const state = stateOf(snapshot, "b0")
    const question = { role: "user", content: "What is wrong?" }
    answers(state, chainOf([question]), now)
    answers(state, chainOf([question, { role: "assistant", content: "y".repeat(5000) }]), now + 100)
    const prompts = computed.take().get("b0") ?? []
    expect(prompts.length).toBe(1)
    expect(computed.take().size).toBe(0)
    for (let at = 0; at < 400; at += 1)
      answers(state, chainOf([{ role: "user", content: `${String(at)} ${"x".repeat(40_000)}` }]), now)
    const many = computed.take().get("b0") ?? []
    const hashes = many.reduce((sum, { hashes: text }) => sum + Buffer.from(text, "base64").length / 4, 0)
    expect(many.length).toBeGreaterThan(100)
    expect(hashes).toBeLessThanOrEqual(16_384)
  })

  test("are taken over of no model that the server does not have, and as nothing where they make no sense", () => {
    const { snapshot } = processOf()
    const state = stateOf(snapshot, "b0")
    const told = { model: "a", root: 1, per_byte: 0.25, hashes: "AAAAAA==" }
    takePrompts(state, [
      { ...told, model: "other" },
      { ...told, per_byte: -1 },
      { ...told, hashes: "" },
      { ...told, hashes: "%%" }
    ])
    expect([...state.live.standings.keys()]).toEqual([])
    takePrompts(state, [told])
    expect(standingOf(state.live, "a").cache.tokens).toBe(64)
  })

  test("are noted by nobody where nobody tells them", () => {
    const snapshot = snapshotOf([idle])
    expect(stateOf(snapshot, "b0").live.computes).toEqual([])
    new ComputedPrompts().follows(snapshot)
    expect(stateOf(snapshot, "b0").live.computes).toHaveLength(1)
  })
})
