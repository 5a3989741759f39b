import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { Schedule, type Turn, type Waiter } from "../../src/admission/schedule.ts"
import { type PriorityClass, priorityClasses } from "../../src/domain/request.ts"

interface Numbered extends Waiter {
  readonly id: number
}

const priority = fc.constantFrom(...priorityClasses)

const waiter = fc.record({
  group: fc.constantFrom("llama", "qwen"),
  priority,
  key: fc.constantFrom("ann", "bob", "cy"),
  session: fc.nat(2),
  cost: fc.constantFrom(0.1, 1, 7)
})

type Step =
  | { readonly _tag: "enter"; readonly waiter: Waiter }
  | { readonly _tag: "leave"; readonly which: number }
  | { readonly _tag: "pass"; readonly turns: ReadonlyArray<Turn>; readonly most: number }

const steps: fc.Arbitrary<ReadonlyArray<Step>> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ _tag: fc.constant("enter" as const), waiter }) },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("leave" as const), which: fc.nat(40) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        _tag: fc.constant("pass" as const),
        turns: fc.array(fc.constantFrom<Turn>("goes", "stays", "key stays", "all stay"), {
          minLength: 1,
          maxLength: 8
        }),
        most: fc.nat(6)
      })
    }
  ),
  { maxLength: 60 }
)

/** One that goes, with those that waited at that moment. */
interface Gone {
  readonly who: Numbered
  readonly among: ReadonlyArray<Numbered>
}

/** Lets one go after the other until nobody is left. */
const emptied = (schedule: Schedule<Numbered>, waiting: Array<Numbered>): ReadonlyArray<Gone> => {
  const gone: Array<Gone> = []
  schedule.pass((who) => {
    gone.push({ who, among: [...waiting] })
    waiting.splice(waiting.indexOf(who), 1)
    return "goes"
  }, 100_000)
  return gone
}

/** Takes the steps, beside a plain list of those that wait. */
const taken = (all: ReadonlyArray<Step>, each?: (schedule: Schedule<Numbered>, waiting: Array<Numbered>) => void) => {
  const schedule = new Schedule<Numbered>()
  const waiting: Array<Numbered> = []
  const entered: Array<Numbered> = []
  const left: Array<Numbered> = []
  const gone: Array<Gone> = []
  for (const step of all) {
    if (step._tag === "enter") {
      const numbered = { ...step.waiter, id: entered.length }
      entered.push(numbered)
      waiting.push(numbered)
      schedule.enter(numbered)
    } else if (step._tag === "leave") {
      const who = entered[step.which]
      if (who === undefined) continue
      const place = waiting.indexOf(who)
      expect(schedule.leave(who)).toBe(place >= 0)
      if (place < 0) continue
      waiting.splice(place, 1)
      left.push(who)
    } else {
      let turn = 0
      schedule.pass((who) => {
        const verdict = step.turns[turn % step.turns.length] ?? "goes"
        turn += 1
        if (verdict === "goes") {
          gone.push({ who, among: [...waiting] })
          waiting.splice(waiting.indexOf(who), 1)
        }
        return verdict
      }, step.most)
      expect(turn).toBeLessThanOrEqual(step.most)
    }
    each?.(schedule, waiting)
  }
  gone.push(...emptied(schedule, waiting))
  return { schedule, entered, left, gone }
}

const enteredFirst = (waiters: ReadonlyArray<Waiter>): { schedule: Schedule<Numbered>; waiting: Array<Numbered> } => {
  const schedule = new Schedule<Numbered>()
  const waiting = waiters.map((each, id) => ({ ...each, id }))
  for (const each of waiting) schedule.enter(each)
  return { schedule, waiting }
}

const rank = (of: PriorityClass): number => priorityClasses.indexOf(of)

const byId = (a: number, b: number): number => a - b

describe("of those that wait for a slot", () => {
  test("others are looked at where all of a key stay, and none of that key and class any more", () => {
    fc.assert(
      fc.property(fc.array(waiter, { minLength: 1, maxLength: 30 }), (all) => {
        const schedule = new Schedule<Numbered>()
        for (const [id, each] of all.entries()) schedule.enter({ ...each, id })
        const seen: Array<string> = []
        schedule.pass(({ group, key, priority: rank }) => {
          seen.push(`${group} ${key} ${rank}`)
          return "key stays"
        }, 1000)
        const lanes = new Set(all.map(({ group, key, priority: rank }) => `${group} ${key} ${rank}`))
        expect(seen.toSorted()).toEqual([...lanes].toSorted())
        expect(schedule.size).toBe(all.length)
      })
    )
  })

  test("no place is lost: whoever enters leaves or goes, exactly once", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const { entered, gone, left, schedule } = taken(all)
        const over = [...left.map(({ id }) => id), ...gone.map(({ who }) => who.id)]
        expect(over.toSorted(byId)).toEqual(entered.map(({ id }) => id))
        expect(schedule.size).toBe(0)
      })
    )
  })

  test("the counts are those of the ones that wait, at once", () => {
    fc.assert(
      fc.property(steps, (all) => {
        taken(all, (schedule, waiting) => {
          expect(schedule.size).toBe(waiting.length)
          const sizes = Map.groupBy(waiting, ({ group }) => group)
          expect([...schedule.groups].toSorted()).toEqual(
            [...sizes].map(([group, { length }]): [string, number] => [group, length]).toSorted()
          )
          for (const group of ["llama", "qwen"]) expect(schedule.sizeOf(group)).toBe(sizes.get(group)?.length ?? 0)
        })
      })
    )
  })

  test("those of one class, key and conversation go in the order in which they came", () => {
    fc.assert(
      fc.property(steps, (all) => {
        const { gone } = taken(all)
        const same = Map.groupBy(gone, ({ who }) => JSON.stringify([who.group, who.priority, who.key, who.session]))
        for (const each of same.values()) {
          const ids = each.map(({ who }) => who.id)
          expect(ids).toEqual(ids.toSorted(byId))
        }
      })
    )
  })

  test("whoever goes is of the key that has had the least of those that wait in its class", () => {
    fc.assert(
      fc.property(fc.array(waiter, { maxLength: 60 }), (waiters) => {
        const { schedule, waiting } = enteredFirst(waiters)
        const had = new Map<string, number>()
        for (const { among, who } of emptied(schedule, waiting)) {
          const least = Math.min(
            ...among.filter((each) => each.priority === who.priority).map(({ key }) => had.get(key) ?? 0)
          )
          expect(had.get(who.key) ?? 0).toBeCloseTo(least, 3)
          had.set(who.key, (had.get(who.key) ?? 0) + who.cost)
        }
      })
    )
  })

  test("the better class goes first, but for who has been passed over ten times", () => {
    fc.assert(
      fc.property(fc.array(waiter, { maxLength: 80 }), (waiters) => {
        const { schedule, waiting } = enteredFirst(waiters.map((each) => ({ ...each, group: "llama" })))
        const passed = new Map<PriorityClass, number>()
        for (const { among, who } of emptied(schedule, waiting)) {
          const better = among.some((each) => rank(each.priority) < rank(who.priority))
          if (better) expect(passed.get(who.priority)).toBe(10)
          passed.set(who.priority, 0)
          for (const lesser of new Set(among.map((each) => each.priority))) {
            if (rank(lesser) > rank(who.priority)) passed.set(lesser, Math.min(10, (passed.get(lesser) ?? 0) + 1))
          }
        }
      })
    )
  })

  test("nobody starves: a batch goes after at most 11 times its place while better ones of any key keep coming", () => {
    const better = fc.constantFrom<PriorityClass>("high", "normal")
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.array(fc.tuple(better, fc.nat(1000)), { minLength: 1, maxLength: 20 }),
        fc.integer({ min: 1, max: 3 }),
        (place, comers, atOnce) => {
          const { schedule } = enteredFirst(
            Array.from({ length: place }, () => ({
              group: "llama",
              priority: "batch",
              key: "night",
              session: 1,
              cost: 5
            }))
          )
          const gone: Array<PriorityClass> = []
          let id = place
          while (gone.filter((each) => each === "batch").length < place && gone.length < 1000) {
            for (let more = 0; more < atOnce; more += 1) {
              const [which, key] = comers[id % comers.length] ?? ["high", 0]
              schedule.enter({ id, group: "llama", priority: which, key: `${key + id}`, session: id, cost: 0.1 })
              id += 1
            }
            schedule.pass((who) => {
              gone.push(who.priority)
              return "goes"
            }, 1)
          }
          expect(gone.length).toBeLessThanOrEqual(11 * place)
        }
      )
    )
  })

  test("a batch of one model is not forgotten for the batches of another that has servers to spare", () => {
    const { schedule } = enteredFirst([{ group: "slow", priority: "batch", key: "night", session: 1, cost: 5 }])
    const slow: Array<PriorityClass> = []
    for (let id = 1; !slow.includes("batch") && id < 200; id += 2) {
      schedule.enter({ id, group: "slow", priority: "high", key: "day", session: id, cost: 1 })
      schedule.enter({ id: id + 1, group: "fast", priority: "batch", key: "other", session: id, cost: 0.001 })
      let hasSlot = true
      schedule.pass((who) => {
        if (who.group === "fast") return "goes"
        if (!hasSlot) return "all stay"
        hasSlot = false
        slow.push(who.priority)
        return "goes"
      }, 100)
    }
    expect(slow.length).toBeLessThanOrEqual(11)
  })

  test("a batch of a slow model does not go first for what goes of a busy one", () => {
    const { schedule } = enteredFirst([
      { group: "slow", priority: "batch", key: "night", session: 1, cost: 5 },
      { group: "slow", priority: "normal", key: "day", session: 1, cost: 5 }
    ])
    for (let id = 2; id < 42; id += 1) {
      schedule.enter({ id, group: "fast", priority: "high", key: "day", session: id, cost: 0.001 })
      schedule.pass(({ group }) => (group === "fast" ? "goes" : "all stay"), 100)
    }
    const order: Array<PriorityClass> = []
    schedule.pass((who) => {
      order.push(who.priority)
      return "goes"
    }, 100)
    expect(order).toEqual(["normal", "batch"])
  })

  test("a key that comes back has one turn before the others, and no claim to what it did not use", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2, max: 20 }), (before, turns) => {
        const of = (key: string, id: number): Numbered => ({
          id,
          group: "llama",
          priority: "normal",
          key,
          session: 1,
          cost: 1
        })
        const schedule = new Schedule<Numbered>()
        schedule.enter(of("ann", 0))
        schedule.pass(() => "goes", 1)
        for (let id = 0; id < before + turns; id += 1) schedule.enter(of("bob", id))
        schedule.pass(() => "goes", before)
        for (let id = 0; id < turns; id += 1) schedule.enter(of("ann", id))
        const order: Array<string> = []
        schedule.pass(({ key }) => {
          order.push(key)
          return "goes"
        }, turns)
        const anns = order.filter((key) => key === "ann").length
        expect(anns).toBeLessThanOrEqual(Math.ceil(turns / 2) + 1)
        expect(anns).toBeGreaterThanOrEqual(Math.floor(turns / 2) - 1)
      })
    )
  })

  test("keys that come back go in the order in which they come, before the one that keeps all busy", () => {
    const of = (key: string, id: number): Numbered => ({
      id,
      group: "llama",
      priority: "normal",
      key,
      session: 1,
      cost: 1
    })
    fc.assert(
      fc.property(
        fc.shuffledSubarray(["ann", "bob", "cy", "dan", "eve"]),
        fc.integer({ min: 1, max: 20 }),
        (keys, busy) => {
          const schedule = new Schedule<Numbered>()
          for (let id = 0; id < busy + 5; id += 1) schedule.enter(of("script", id))
          schedule.pass(() => "goes", busy)
          for (const [id, key] of keys.entries()) {
            const comes = of(key, 100 + id)
            schedule.enter(comes)
            expect(schedule.placeOf(comes)).toEqual({ before: id, cost: id })
          }
          const order: Array<string> = []
          schedule.pass(({ key }) => {
            order.push(key)
            return "goes"
          }, keys.length)
          expect(order).toEqual(keys)
        }
      )
    )
  })

  test("one that had its turn in vain goes first of its conversation, and its key has had no more than before", () => {
    const of = (key: string, id: number): Numbered => ({
      id,
      group: "llama",
      priority: "normal",
      key,
      session: 1,
      cost: 1
    })
    const schedule = new Schedule<Numbered>()
    for (const each of [of("ann", 0), of("ann", 1), of("bob", 2), of("bob", 3)]) schedule.enter(each)
    let first: Numbered | undefined
    schedule.pass((waiter) => {
      first = waiter
      return "goes"
    }, 1)
    if (first === undefined) throw new Error("nobody has gone")
    schedule.enter(first, true)
    const order: Array<number> = []
    schedule.pass(({ id }) => {
      order.push(id)
      return "goes"
    }, 4)
    expect(order).toEqual([0, 2, 1, 3])
  })

  test("a place is never beyond those that wait for the same model", () => {
    fc.assert(
      fc.property(fc.array(waiter, { minLength: 1, maxLength: 30 }), (waiters) => {
        const { schedule, waiting } = enteredFirst(waiters)
        for (const each of waiting) {
          const { before: place } = schedule.placeOf(each)
          expect(place).toBeGreaterThanOrEqual(0)
          expect(place).toBeLessThan(Math.max(1, schedule.sizeOf(each.group)))
        }
      })
    )
  })

  test("no two of one key that wait for the same model are told the same place, and those that are alike go in that order", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { minLength: 2, maxLength: 20 }), (sessions) => {
        const schedule = new Schedule<Numbered>()
        const waiting = sessions.map((session, id): Numbered => ({
          id,
          session,
          group: "llama",
          priority: "normal",
          key: "ann",
          cost: 1
        }))
        for (const each of waiting) schedule.enter(each)
        const places = new Map(waiting.map((each) => [each.id, schedule.placeOf(each).before]))
        expect(new Set(places.values()).size).toBe(waiting.length)
        expect(emptied(schedule, [...waiting]).map(({ who }) => places.get(who.id))).toEqual(waiting.map((_, at) => at))
      })
    )
  })

  test("what goes before one is what those of its conversation take that came before it, whatever it takes itself", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }), (costs) => {
        const schedule = new Schedule<Numbered>()
        const waiting = costs.map((cost, id): Numbered => ({
          id,
          session: 1,
          group: "llama",
          priority: "normal",
          key: "ann",
          cost
        }))
        for (const each of waiting) schedule.enter(each)
        let cost = 0
        for (const each of waiting) {
          expect(schedule.placeOf(each)).toEqual({ before: each.id, cost })
          cost += each.cost
        }
      })
    )
  })

  test("the place that one would have that came now is the one that it has when it comes", () => {
    fc.assert(
      fc.property(steps, waiter, (all, next) => {
        const { schedule } = taken(all)
        const told = schedule.placeOf(next)
        const comes = { ...next, id: -1 }
        schedule.enter(comes)
        expect(schedule.placeOf(comes)).toEqual(told)
      })
    )
  })
})
