import { expect, test } from "bun:test"
import fc from "fast-check"
import { afterLook, noFullLoad, slotsSeen } from "../../src/backend/vllm-metrics.ts"

interface Look {
  readonly running: number
  readonly waiting: number
}

const slotsAfter = (looks: ReadonlyArray<Look>): number | undefined =>
  slotsSeen(looks.reduce((seen, { running, waiting }) => afterLook(seen, running, waiting), noFullLoad))

/** Looks at a server that works on `slots` at once: it may be on fewer for a moment though some wait. */
const looksAt = (slots: number) =>
  fc.array(fc.record({ running: fc.nat(slots), waiting: fc.nat(20) }), { maxLength: 30 })

test("law: a server is never taken to work on more at once than it does", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }).chain((slots) => fc.tuple(fc.constant(slots), looksAt(slots))),
      ([slots, looks]) => {
        expect(slotsAfter(looks) ?? 0).toBeLessThanOrEqual(slots)
      }
    )
  )
})

test("law: two looks at a full server tell its slots, whatever was seen before", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 64 }).chain((slots) => fc.tuple(fc.constant(slots), looksAt(slots))),
      ([slots, looks]) => {
        const full = { running: slots, waiting: 1 }
        expect(slotsAfter([...looks, full, full])).toBe(slots)
      }
    )
  )
})

test("law: what has been seen of a server only grows", () => {
  fc.assert(
    fc.property(looksAt(64), (looks) => {
      let before = 0
      for (const count of looks.keys()) {
        const now = slotsAfter(looks.slice(0, count + 1)) ?? 0
        expect(now).toBeGreaterThanOrEqual(before)
        before = now
      }
    })
  )
})

test("a server where nothing ever waits has no slots that are known", () => {
  expect(slotsAfter([3, 7, 7, 7].map((running) => ({ running, waiting: 0 })))).toBeUndefined()
})

test("requests that wait for a moment only, while few are worked on, tell nothing", () => {
  const looks = [
    { running: 1, waiting: 11 },
    { running: 3, waiting: 9 },
    { running: 8, waiting: 4 }
  ]
  expect(slotsAfter(looks)).toBeUndefined()
  expect(slotsAfter([...looks, { running: 8, waiting: 2 }])).toBe(8)
})

test("too few slots are mended as soon as more requests are worked on", () => {
  const few = { running: 2, waiting: 5 }
  expect(slotsAfter([few, few])).toBe(2)
  expect(slotsAfter([few, few, { running: 3, waiting: 0 }])).toBe(3)
})
