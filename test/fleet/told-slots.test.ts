import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import { firstToken } from "../../bench/fleet/sums.ts"
import { runVirtual } from "../../bench/fleet/virtual.ts"
import { busyBatch } from "../../bench/fleet/workloads/batch.ts"
import { Slots } from "../../src/fleet/slots.ts"

describe("a batch is given no more than the slots that a server has told, less one, while chats come beside it", () => {
  // With these seeds chats waited behind three of the batch at each of the servers.
  test.each([59, 62, 100])(
    "of arrivals %d: nineteen of twenty chats have their first token within three seconds",
    async (seed) => {
      const result = await runVirtual(busyBatch, 1, seed)
      expect(firstToken(95, ({ key }) => key !== "batch").of(result)).toBeLessThan(3)
    }
  )
})

describe("slots that a server has told while requests waited", () => {
  test("are all that it is given, until more are tried now and then", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 }),
        (told, seen) => {
          const slots = new Slots()
          for (const working of seen) {
            slots.given(working)
            slots.begins(Math.min(working, told))
            slots.widens()
          }
          slots.shows(told)
          expect(slots.seen).toBe(told)
          expect(slots.places(true)).toBeLessThanOrEqual(told + Math.max(1, Math.floor(told / 8)))
        }
      )
    )
  })

  test("are searched beyond where more were seen to begin at once", () => {
    const slots = new Slots()
    slots.begins(9)
    slots.shows(8)
    expect(slots.seen).toBeUndefined()
    const told = new Slots()
    told.shows(8)
    told.begins(9)
    told.shows(8)
    expect([told.seen, told.places(false)]).toEqual([undefined, 10])
  })

  test("take back nothing that is known already", () => {
    const slots = new Slots()
    slots.begins(4)
    for (let time = 0; time < 2; time += 1) slots.waited(4)
    slots.shows(6)
    expect(slots.seen).toBe(4)
  })
})
