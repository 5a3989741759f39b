import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Slots } from "../../src/fleet/slots.ts"
import type { Running } from "../../src/fleet/running.ts"
import { Standing } from "../../src/fleet/standing.ts"

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
        standing.answers(running, at)
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
    while (standing.running.length < standing.slots.places(false)) {
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
          expect(slots.places(false)).toBeGreaterThanOrEqual(most)
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
          expect(slots.places(false)).toBeGreaterThanOrEqual(1)
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

  test("are found however many there are, and little more is given than that", () => {
    for (const slots of [1, 2, 3, 5, 8, 12, 16, 17, 20, 24, 32, 48, 64]) {
      for (const lasts of varied) {
        const found = served(slots, 60 + 20 * slots, lasts).slots
        expect(found.seen).toBeLessThanOrEqual(slots)
        expect(found.seen).toBeGreaterThanOrEqual(slots > 32 ? slots - 1 : slots)
        expect(found.places(false)).toBeLessThanOrEqual(slots * 1.125 + 1)
      }
    }
  })

  test("are looked for ever more seldom where there are no more", () => {
    const slots = new Slots()
    for (const _ of [1, 2]) slots.waited(8)
    const searches = (answers: number): number => {
      let found = 0
      for (let nth = 0; nth < answers; nth += 1) {
        if (slots.places(false) > 8) {
          found += 1
          slots.given(9)
          slots.waited(8)
        } else slots.begins(8)
      }
      return found
    }
    expect(searches(1000)).toBeGreaterThan(searches(1000))
    expect(searches(10_000)).toBeGreaterThan(0)
  })

  test("are looked for by those first who have the most of a server", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(1000), (all, answers) => {
        const slots = new Slots()
        for (const _ of [1, 2]) slots.waited(all)
        for (let nth = 0; nth < answers; nth += 1) slots.begins(1)
        expect(slots.places(true)).toBeLessThanOrEqual(slots.places(false))
        expect(slots.places(true)).toBeGreaterThanOrEqual(all)
      })
    )
  })

  test("grow for who leaves the search to others with the answers that end, and never beyond one more than was seen", () => {
    const seen = fc.array(
      fc.tuple(fc.constantFrom("begins", "waited", "ended", "widens"), fc.integer({ min: 1, max: 64 })),
      { maxLength: 80 }
    )
    fc.assert(
      fc.property(seen, (all) => {
        const slots = new Slots()
        let most = 0
        let ended = 0
        for (const [what, count] of all) {
          slots[what](count)
          if (what === "ended") ended += 1
          if (what === "begins" || what === "waited") most = Math.max(most, count)
          expect(slots.calm).toBeLessThanOrEqual(Math.max(4, Math.min(most + 1, 4 + ended)))
        }
      })
    )
  })

  test("are given half as many more at most than were seen while more wait, however long nothing begins", () => {
    const slots = new Slots()
    const first = slots.places(false)
    for (let nth = 0; nth < 100; nth += 1) slots.widens()
    expect(slots.places(false)).toBe(first)
    slots.begins(10)
    for (let nth = 0; nth < 100; nth += 1) slots.widens()
    expect(slots.places(false)).toBe(15)
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

  test("stay what they are where one begins at once beside more than those behind whom others waited", () => {
    const slots = new Slots()
    for (const _ of [1, 2]) slots.waited(8)
    for (let round = 0; round < 10; round += 1) {
      slots.waited(2)
      slots.waited(3)
      slots.begins(6)
    }
    expect(slots.seen).toBe(8)
  })

  test("are not known by one that was late once", () => {
    const slots = new Slots()
    slots.begins(6)
    slots.waited(6)
    expect(slots.seen).toBeUndefined()
    slots.waited(6)
    expect(slots.seen).toBe(6)
  })

  test("are looked for while answers in one piece are under way, which show nothing before their end", () => {
    const standing = new Standing()
    const streamed = standing.begins({ prompt: 10, output: 20, chain: undefined }, 0)
    standing.answers(streamed, 5)
    standing.ends(streamed, 25, { tokens: undefined, written: 20, whole: false })
    const whole = Array.from({ length: 4 }, () =>
      standing.begins({ prompt: 10, output: 2000, chain: undefined, whole: true }, 100)
    )
    standing.widens(1000, false)
    expect(standing.slots.places(false)).toBe(4)
    for (const each of whole.toReversed()) {
      standing.ends(each, 3000, { tokens: undefined, written: 0, whole: true })
    }
    standing.begins({ prompt: 10, output: 2000, chain: undefined, whole: true }, 3000)
    standing.widens(4000, false)
    expect(standing.slots.places(false)).toBe(6)
  })

  test("are not looked for while the model is being loaded, however patient somebody is", () => {
    const standing = new Standing()
    for (let nth = 0; nth < 4; nth += 1) {
      standing.begins({ prompt: 10, output: 20, chain: undefined }, 0).isLoading = true
    }
    for (let at = 1; at < 100; at += 1) standing.widens(at * 1000, true)
    expect(standing.slots.places(false)).toBe(4)
  })

  test("are looked for where nothing has ever been seen, by who has been patient", () => {
    const standing = new Standing()
    for (let nth = 0; nth < 4; nth += 1) standing.begins({ prompt: 10, output: 20, chain: undefined, whole: true }, 0)
    standing.widens(250, false)
    expect(standing.slots.places(false)).toBe(4)
    standing.widens(1000, true)
    expect(standing.slots.places(false)).toBe(6)
  })

  test("are not looked for while the beginning of a stream is waited for in vain", () => {
    const standing = new Standing()
    const streamed = standing.begins({ prompt: 10, output: 20, chain: undefined }, 0)
    standing.answers(streamed, 5)
    standing.begins({ prompt: 10, output: 2000, chain: undefined, whole: false }, 100)
    const before = standing.slots.places(false)
    standing.widens(1000, false)
    expect(standing.slots.places(false)).toBe(before)
  })

  test("are unknown again after a restart", () => {
    const slots = new Slots()
    slots.waited(8)
    slots.clear()
    expect(slots.seen).toBeUndefined()
    expect(slots.places(false)).toBe(new Slots().places(false))
  })
})

describe("a server that refuses what it has no slot for", () => {
  const work = { prompt: 200, output: 40, chain: undefined }

  test("is known to have as many slots as it worked on, at the first refusal, and is given no more", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), (count) => {
        const standing = new Standing()
        for (let each = 0; each < count; each += 1) standing.begins(work, each * 100)
        const refused = standing.begins(work, count * 100)
        standing.refuses(refused, count * 100 + 2, 0)
        standing.ends(refused, count * 100 + 2, undefined)
        expect([standing.slots.seen, standing.slots.places(false)]).toEqual([count, count])
      })
    )
  })

  test("tells nothing by those that came with the one that it refused, and may be refused as well", () => {
    const standing = new Standing()
    const all = [1, 2, 3, 4].map(() => standing.begins(work, 0))
    for (const each of all) standing.refuses(each, 3, 0)
    expect([standing.slots.seen, standing.slots.places(false)]).toEqual([undefined, 1])
  })

  test("is found to have more once it works on more, one after the other", () => {
    const standing = new Standing()
    const one = standing.begins(work, 0)
    const two = standing.begins(work, 100)
    standing.refuses(two, 101, 0)
    standing.ends(two, 101, undefined)
    expect(standing.slots.seen).toBe(1)
    standing.answers(one, 110)
    standing.answers(standing.begins(work, 200), 210)
    expect(standing.slots.seen).toBeUndefined()
    expect(standing.slots.places(false)).toBe(3)
  })
})

/** Slots that are known to be so many. */
const knownToBe = (count: number): Slots => {
  const slots = new Slots()
  slots.begins(count)
  slots.waited(count)
  slots.waited(count)
  expect(slots.seen).toBe(count)
  return slots
}

describe("slots that other processes use as well", () => {
  test("are not taken for more when what these told was true a moment ago", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 40 }), (late) => {
        const slots = knownToBe(8)
        for (const times of late) {
          for (let time = 0; time < times; time += 1) slots.begins(4, 5)
          slots.begins(4, 4)
        }
        expect(slots.seen).toBe(8)
      })
    )
  })

  test("are found to be more when that is seen again and again, or when this process alone has more", () => {
    const others = knownToBe(8)
    for (let time = 0; time < 4; time += 1) others.begins(4, 5)
    expect([others.seen, others.places(false)]).toEqual([undefined, 10])
    const own = knownToBe(8)
    own.begins(9, 1)
    expect(own.seen).toBeUndefined()
  })
})
