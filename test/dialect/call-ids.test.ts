import { expect, test } from "bun:test"
import fc from "fast-check"
import { CallIds } from "../../src/dialect/fitted-chat.ts"

const form = { fits: /^[A-Za-z0-9_-]{1,64}$/, prefix: "toolu_" }

const id = fc.option(fc.string({ unit: fc.constantFrom("a", "b", "_", ".", " "), maxLength: 4 }), { nil: undefined })

test("the ids of an answer's calls fit, and are new: in it, and against the history of its request", () => {
  fc.assert(
    fc.property(fc.array(id), fc.array(id), (history, told) => {
      const callIds = new Set(history.filter((each) => each !== undefined))
      const ids = new CallIds({ model: "m", id: "x1", now: 0, callIds }, form)
      const given = told.map((each) => ids.of(each))
      expect(given.every((each) => form.fits.test(each) && !callIds.has(each))).toBe(true)
      expect(new Set(given).size).toBe(given.length)
      for (const [at, each] of told.entries()) {
        const stands = each !== undefined && form.fits.test(each) && !callIds.has(each) && told.indexOf(each) === at
        if (stands) expect(given[at]).toBe(each)
      }
    })
  )
})
