import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Slots } from "../../src/fleet/slots.ts"
import { type Running, Standing } from "../../src/fleet/standing.ts"

/** A server that works on `slots` requests at once, in the order in which they come, in virtual milliseconds. */
const served = (slots: number, answers: number, varied: (index: number) => number): Standing => {
  const standing = new Standing()
  const waiting: Array<{ running: Running; index: number }> = []
  const events: Array<{ at: number; happens: (now: number) => void }> = []
  let working = 0
  let sent = 0
  const ended: Array<Running> = []
  let now = 0
  const later = (at: number, happens: (now: number) => void) => {
    const place = events.findIndex((each) => each.at > at)
    events.splice(place < 0 ? events.length : place, 0, { at, happens })
  }
  const begin = () => {
    while (working < slots) {
      const next = waiting.shift()
      if (next === undefined) return
      const { index, running } = next
      working += 1
      later(now + 20, (at) => {
        standing.answers(running, at, false)
        later(at + 400 * varied(index), (end) => {
          working -= 1
          ended.push(running)
          standing.ends(running, end, {
            tokens: { prompt: 200, cached: 0, completion: 40 },
            written: 40,
            whole: false
          })
          begin()
        })
      })
    }
  }
  const give = () => {
    while (standing.running.length < standing.slots.places) {
      waiting.push({ running: standing.begins({ prompt: 200, output: 40, chain: undefined }, now), index: sent })
      sent += 1
    }
    begin()
  }
  let ticks = 0
  const tick = (at: number) => {
    ticks += 1
    standing.widens(at, ticks % 4 === 0)
    later(at + 250, tick)
  }
  give()
  later(250, tick)
  for (; ended.length < answers; give()) {
    const event = events.shift()
    if (event === undefined) break
    now = event.at
    event.happens(now)
  }
  return standing
}

describe("the slots of a server", () => {
  test("are never fewer than were just seen to begin at once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 60 }), (all) => {
        const slots = new Slots()
        let most = 0
        for (const working of all) {
          slots.given(working)
          slots.begins(working)
          most = Math.max(most, working)
          expect(slots.places).toBeGreaterThanOrEqual(most)
        }
      })
    )
  })

  test("are never none, whatever is seen", () => {
    const seen = fc.tuple(fc.constantFrom("begins", "waited", "given"), fc.integer({ min: 1, max: 64 }))
    fc.assert(
      fc.property(fc.array(seen, { maxLength: 60 }), (all) => {
        const slots = new Slots()
        for (const [what, count] of all) {
          if (what === "begins") slots.begins(count)
          else if (what === "waited") slots.waited(count)
          else slots.given(count)
          expect(slots.places).toBeGreaterThanOrEqual(1)
        }
      })
    )
  })

  const varied: ReadonlyArray<(index: number) => number> = [
    (index) => 0.6 + ((index * 7) % 9) / 10,
    (index) => 0.6 + ((index * 5) % 7) / 8,
    (index) => 0.2 + ((index * 11) % 17) / 6
  ]

  test("are found within some dozens of answers where there are up to eight", () => {
    for (let slots = 1; slots <= 8; slots += 1) {
      for (const lasts of varied) expect(served(slots, 48, lasts).slots.seen).toBe(slots)
    }
  })

  test("are never thought to be more than there are, nor far fewer than the first eight, however many there are", () => {
    for (let slots = 1; slots <= 32; slots += 1) {
      for (const lasts of varied) {
        const { places, seen = 0 } = served(slots, 200, lasts).slots
        expect(seen).toBeLessThanOrEqual(slots)
        expect(seen).toBeGreaterThanOrEqual(Math.min(slots, 8) * 0.75)
        expect(places).toBeLessThanOrEqual(slots + 1)
      }
    }
  })

  test("are fewer once three in a row have waited behind fewer", () => {
    const slots = new Slots()
    for (let at = 0; at < 8; at += 1) slots.waited(8)
    expect(slots.seen).toBe(8)
    slots.waited(2)
    slots.waited(3)
    expect(slots.seen).toBe(8)
    slots.waited(2)
    expect(slots.seen).toBe(3)
  })

  test("are looked for while answers in one piece are under way, which show nothing before their end", () => {
    const standing = new Standing()
    const streamed = standing.begins({ prompt: 10, output: 20, chain: undefined }, 0)
    standing.answers(streamed, 5, false)
    standing.ends(streamed, 25, { tokens: undefined, written: 20, whole: false })
    standing.begins({ prompt: 10, output: 2000, chain: undefined, whole: true }, 100)
    const before = standing.slots.places
    standing.widens(1000, false)
    expect(standing.slots.places).toBeGreaterThan(before)
  })

  test("are not looked for while the beginning of a stream is waited for in vain", () => {
    const standing = new Standing()
    const streamed = standing.begins({ prompt: 10, output: 20, chain: undefined }, 0)
    standing.answers(streamed, 5, false)
    standing.begins({ prompt: 10, output: 2000, chain: undefined, whole: false }, 100)
    const before = standing.slots.places
    standing.widens(1000, false)
    expect(standing.slots.places).toBe(before)
  })

  test("are unknown again after a restart", () => {
    const slots = new Slots()
    slots.waited(8)
    slots.clear()
    expect(slots.seen).toBeUndefined()
    expect(slots.places).toBe(new Slots().places)
  })
})
