import { expect, test } from "bun:test"
import * as fc from "fast-check"
import { isCrowdedBy, isCrowdedByAny } from "../../src/fleet/running.ts"
import { Standing } from "../../src/fleet/standing.ts"

const keys = ["ann", "bob", "cy"] as const

test("a key that has half of a server is seen, in whatever order its requests came among others", () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom(undefined, ...keys), { maxLength: 9 }), (came) => {
      const standing = new Standing()
      for (const key of came) standing.begins({ prompt: 10, output: 10, chain: undefined, key }, 0)
      expect(isCrowdedByAny(standing.running)).toBe(keys.some((key) => isCrowdedBy(standing.running, key)))
    })
  )
})
