import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { newLiveState, type LiveState, Ticket } from "../../src/registry/live-state.ts"
import {
  type HeardStanding,
  nothingAdopted,
  standingToTell,
  takeStandings
} from "../../src/registry/replica-standings.ts"

const quietly = () => undefined

/** Begins a request for a model. */
const begin = (live: LiveState, model = "m"): Ticket => new Ticket(live, model, 0, quietly)

/** Fails a model of a backend so many times in a row. */
const failing = (live: LiveState, times: number, now: number, model = "m"): void => {
  for (let time = 0; time < times; time += 1) new Ticket(live, model, now, quietly).settle("bad", now)
}

/** A replica of its own: what it knows of one backend, and of the others. */
const replica = (name: string) => ({ name, live: newLiveState(), adopted: nothingAdopted() })

type Replica = ReturnType<typeof replica>

const hear = (from: Replica, now: number): HeardStanding => ({
  from: from.name,
  at: now,
  standing: standingToTell(from.live, from.adopted, now)
})

const round = (all: ReadonlyArray<Replica>, now: number): void => {
  const said = all.map((each) => hear(each, now))
  for (const each of all)
    takeStandings(
      each.live,
      said.filter(({ from }) => from !== each.name),
      each.adopted,
      now
    )
}

describe("replicas that tell each other how they stand with a backend", () => {
  test("open a circuit for all when one has opened it, and close it for all when that one closes it", () => {
    const [a, b, c] = [replica("a"), replica("b"), replica("c")]
    failing(a.live, 3, 0)
    round([a, b, c], 10)
    expect([b, c].map(({ live }) => live.circuits.get("m")?.openUntil)).toEqual([2000, 2000])
    // Told again and again, it is not theirs: who has seen nothing himself tells nothing.
    for (let now = 260; now < 2000; now += 250) round([a, b, c], now)
    expect([standingToTell(b.live, b.adopted, 1900), standingToTell(c.live, c.adopted, 1900)]).toEqual([
      undefined,
      undefined
    ])
    new Ticket(a.live, "m", 2100, quietly).settle("good", 2100)
    round([a, b, c], 2110)
    expect([a, b, c].map(({ live }) => live.circuits.size)).toEqual([0, 0, 0])
  })

  test("keep what they have seen themselves when another one has seen it to be well", () => {
    const [a, b] = [replica("a"), replica("b")]
    failing(a.live, 3, 0)
    round([a, b], 10)
    failing(b.live, 1, 2100)
    const own = b.live.circuits.get("m")?.openUntil
    new Ticket(a.live, "m", 2100, quietly).settle("good", 2100)
    round([a, b], 2110)
    expect(b.live.circuits.get("m")?.openUntil).toBe(own)
  })

  test("leave a model alone together when one was asked to, for the same time and the same reason", () => {
    const [a, b] = [replica("a"), replica("b")]
    new Ticket(a.live, "m", 0, quietly).cool(5000, 0, { limited: true, reason: "status 429" })
    round([a, b], 10)
    expect([b.live.cooling.get("m"), b.live.rests.get("m"), b.live.marked]).toEqual([
      5000,
      { limited: true, reason: "status 429" },
      true
    ])
    expect(standingToTell(b.live, b.adopted, 20)).toBeUndefined()
  })

  test("count what is under way at the others, once each", () => {
    const law = fc.property(fc.array(fc.nat(5), { minLength: 2, maxLength: 5 }), (counts) => {
      const all = counts.map((count, at) => {
        const each = replica(String(at))
        for (let one = 0; one < count; one += 1) begin(each.live)
        return each
      })
      round(all, 10)
      round(all, 20)
      const sum = counts.reduce((before, count) => before + count, 0)
      for (const { live } of all) expect(live.inFlight + live.siblings.inFlight).toBe(sum)
    })
    fc.assert(law)
  })

  test("keep a circuit of one that was killed until its time is over, and forget what it had under way", () => {
    const [a, b] = [replica("a"), replica("b")]
    failing(a.live, 3, 0)
    begin(a.live, "other")
    round([a, b], 10)
    expect(b.live.siblings.inFlight).toBe(1)
    takeStandings(b.live, [], b.adopted, 20)
    expect([b.live.siblings.inFlight, b.live.circuits.get("m")?.openUntil]).toEqual([0, 2000])
  })
})
