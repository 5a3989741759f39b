import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import {
  type HeardQueue,
  partFor,
  QueuesElsewhere,
  ServedLately,
  toldWaiting
} from "../../src/admission/queues-elsewhere.ts"
import { Schedule, type Waiter } from "../../src/admission/schedule.ts"

const names = ["ann", "bob", "cy"] as const
const processes = 3

/** A process has served a key, or one hears of all others; what is lost on the way of some of them, it hears as it was. */
const step = fc.oneof(
  fc.record({
    _tag: fc.constant("serves" as const),
    by: fc.nat(processes - 1),
    key: fc.constantFrom(...names),
    seconds: fc.integer({ min: 1, max: 20 })
  }),
  fc.record({
    _tag: fc.constant("hears" as const),
    lost: fc.uniqueArray(fc.nat(processes - 1)),
    times: fc.integer({ min: 1, max: 3 })
  })
)

const heardOf = (all: ReadonlyArray<ServedLately>, now = 0): ReadonlyArray<HeardQueue> =>
  all.map((each, at) => ({ from: String(at), told: { served: each.told(now), waiting: [] } }))

const add = (sums: Map<string, number>, more: Iterable<readonly [string, number]>): void => {
  for (const [key, seconds] of more) sums.set(key, (sums.get(key) ?? 0) + seconds)
}

const sorted = (sums: Iterable<readonly [string, number]>) => [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1))

describe("what other queues have served", () => {
  test("counts once, however often it is told and whatever was lost before", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const all = Array.from({ length: processes }, () => new ServedLately())
        const listener = new QueuesElsewhere()
        let last = heardOf(all)
        listener.hears(last)
        const served = new Map<string, number>()
        const counted = new Map<string, number>()
        for (const each of steps) {
          if (each._tag === "serves") {
            all[each.by]?.adds(each.key, each.seconds, 0)
            add(served, [[each.key, each.seconds]])
            continue
          }
          const fresh = heardOf(all)
          last = fresh.map((told, at) => (each.lost.includes(at) ? (last[at] ?? told) : told))
          for (let time = 0; time < each.times; time += 1) add(counted, listener.hears(last))
        }
        add(counted, listener.hears(heardOf(all)))
        expect(sorted(counted)).toEqual(sorted(served))
      })
    )
  })

  test("is the same in whatever order they are heard", () => {
    const told = fc.array(fc.record({ key: fc.constantFrom(...names), seconds: fc.integer({ min: 1, max: 20 }) }), {
      maxLength: 10
    })
    fc.assert(
      fc.property(fc.array(told, { minLength: 1, maxLength: 5 }), fc.nat(1000), (each, seed) => {
        const all = each.map(() => new ServedLately())
        const here = [new QueuesElsewhere(), new QueuesElsewhere()] as const
        for (const listener of here) listener.hears(heardOf(all))
        for (const [at, counts] of each.entries()) for (const { key, seconds } of counts) all[at]?.adds(key, seconds, 0)
        const said = heardOf(all)
        const turned = said.map((_, at) => said[(at + seed) % said.length]).filter((one) => one !== undefined)
        const [one, other] = [here[0].hears(said), here[1].hears(turned.toReversed())]
        expect(sorted(other)).toEqual(sorted(one))
        // What a queue makes of it is the same as well.
        const orders = [one, other].map((seconds) => {
          const schedule = new Schedule()
          for (const key of names) schedule.enter({ group: "m", priority: "normal", key, session: 0, cost: 1 })
          schedule.servedElsewhere(seconds)
          return [...names, "new"].map((key) => schedule.serviceOf(key))
        })
        expect(orders[1]).toEqual(orders[0] ?? [])
      })
    )
  })

  test("is forgotten with a process that is gone: of what it had served when it is heard again only the last seconds count", () => {
    const [gone, there] = [new ServedLately(), new ServedLately()]
    const listener = new QueuesElsewhere()
    gone.adds("ann", 5, 0)
    there.adds("bob", 1, 0)
    expect(sorted(listener.hears(heardOf([gone, there])))).toEqual([
      ["ann", 5],
      ["bob", 1]
    ])
    expect([...listener.hears([])]).toEqual([])
    // One has gone on all the while, the other one was quiet.
    for (const now of [2000, 4000, 6000]) gone.adds("ann", 7, now)
    there.adds("bob", 2, 6000)
    expect([...listener.hears(heardOf([gone, there], 6000))]).toEqual([["bob", 2]])
    gone.adds("ann", 2, 7000)
    expect([...listener.hears(heardOf([gone, there], 7000))]).toEqual([["ann", 2]])
  })

  test("is told of the keys of the last seconds alone, and of a thousand at most", () => {
    const served = new ServedLately()
    for (let at = 0; at < 3000; at += 1) served.adds(`key-${at}`, 1, 0)
    expect(served.told(0).length).toBe(1000)
    expect(served.told(0).at(-1)?.key).toBe("key-2999")
    served.adds("ann", 1, 2000)
    expect(served.told(3000).map(({ key }) => key)).toEqual(["ann"])
    expect(served.told(200_000)).toEqual([])
  })

  test("counts whole for a key whose count was forgotten and began anew", () => {
    const served = new ServedLately()
    const listener = new QueuesElsewhere()
    listener.hears(heardOf([served]))
    served.adds("ann", 5, 0)
    listener.hears(heardOf([served]))
    expect(served.told(100_000)).toEqual([])
    served.adds("ann", 8, 100_000)
    expect([...listener.hears(heardOf([served], 100_000))]).toEqual([["ann", 8]])
  })
})

const waiterOf = (key: string, cost = 1): Waiter => ({ group: "m", priority: "normal", key, session: 0, cost })

const orderOf = (schedule: Schedule<Waiter>): ReadonlyArray<string> => {
  const order: Array<string> = []
  schedule.pass(({ key }) => {
    order.push(key)
    return "goes"
  }, 1000)
  return order
}

describe("a queue that hears of others", () => {
  test("lets a key go after others for what it had elsewhere, as if it had had that here", () => {
    const schedule = new Schedule<Waiter>()
    for (const key of ["greedy", "greedy", "modest", "modest"]) schedule.enter(waiterOf(key))
    schedule.servedElsewhere(new Map([["greedy", 1.5]]))
    expect(orderOf(schedule)).toEqual(["modest", "modest", "greedy", "greedy"])
  })

  test("puts nobody who is new behind those who wait, and no one behind what was served while it was not there", () => {
    const schedule = new Schedule<Waiter>()
    schedule.enter(waiterOf("waits"))
    schedule.servedElsewhere(new Map([["greedy", 50]]))
    schedule.servedElsewhere(new Map([["greedy", 50]]))
    schedule.enter(waiterOf("new"))
    expect(schedule.serviceOf("new")).toBe(schedule.serviceOf("waits"))
    expect(orderOf(schedule)).toEqual(["waits", "new"])
    // Nobody waits: who has been served elsewhere is not behind for it for ever.
    const idle = new Schedule<Waiter>()
    idle.servedElsewhere(new Map([["greedy", 50]]))
    idle.servedElsewhere(new Map([["greedy", 1]]))
    expect(idle.serviceOf("greedy") - idle.serviceOf("new")).toBe(1)
  })

  test("owes a key that waits elsewhere what others are given here from then on", () => {
    const schedule = new Schedule<Waiter>()
    for (let nth = 0; nth < 5; nth += 1) schedule.enter(waiterOf("greedy", 3))
    schedule.waitElsewhere(new Set(["modest"]))
    schedule.pass(() => "goes", 4)
    expect(schedule.serviceOf("greedy") - schedule.serviceOf("modest")).toBe(12)
  })

  test("and tells what its own keys had, without the turns that came to nothing", () => {
    const had: Array<readonly [string, number]> = []
    const schedule = new Schedule<Waiter>((key, seconds) => had.push([key, seconds]))
    const waiter = waiterOf("ann", 4)
    schedule.enter(waiter)
    schedule.pass(() => "goes", 1)
    schedule.enter(waiter, true)
    expect(had).toEqual([
      ["ann", 4],
      ["ann", -4]
    ])
  })
})

describe("the places of a server", () => {
  const queue = fc.dictionary(fc.constantFrom(...names), fc.nat(2), { minKeys: 1 })

  test("are parted whole among the processes that wait for it, as much for each key as for any other", () => {
    fc.assert(
      fc.property(fc.array(queue, { minLength: 2, maxLength: 4 }), (queues) => {
        const all = queues.map((each) => new Map(Object.entries(each)))
        const parts = all.map((here, at) => {
          const listener = new QueuesElsewhere()
          listener.hears(
            all.flatMap((keys, other) =>
              other === at ? [] : [{ from: String(other), told: { served: [], waiting: toldWaiting([["m", keys]]) } }]
            )
          )
          return partFor(here, listener.waitingFor("m") ?? new Map(), 2)
        })
        expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(1, 9)
        const keys = new Set(all.flatMap((each) => [...each.keys()]))
        for (const [at, part] of parts.entries()) {
          expect(part).toBeGreaterThan(0)
          expect(part).toBeLessThanOrEqual((all[at]?.size ?? 0) / keys.size + 1e-9)
        }
      })
    )
  })

  test("are left to others for a second where nobody takes them, and not again for ten", () => {
    const listener = new QueuesElsewhere()
    expect([0, 500, 999, 1000, 5000, 10_999].map((now) => listener.mayTake("m", 0, now))).toEqual([
      true,
      true,
      true,
      false,
      false,
      false
    ])
    expect(listener.mayTake("m", 0, 11_000)).toBe(true)
    // Whoever takes them shows that it is of use.
    const taken = [11_500, 11_900, 12_400, 13_300].map((now, at) => listener.mayTake("m", at, now))
    expect(taken).toEqual([true, true, true, true])
  })

  test("are left to others for longer who have taken one, though it is free again when that is looked at", () => {
    const listener = new QueuesElsewhere()
    const heard = (took = 0) => {
      const told = { served: [], waiting: toldWaiting([["m", new Map([["ann", 1]])]], () => took) }
      listener.hears([{ from: "b", told }])
    }
    heard()
    expect([0, 500].map((now) => listener.mayTake("m", 0, now))).toEqual([true, true])
    heard(1)
    expect([900, 1800].map((now) => listener.mayTake("m", 0, now))).toEqual([true, true])
    heard(2)
    expect([1850, 2800].map((now) => listener.mayTake("m", 0, now))).toEqual([true, true])
    heard(2)
    expect([2900, 3700].map((now) => listener.mayTake("m", 0, now))).toEqual([false, false])
  })
})
