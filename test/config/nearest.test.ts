import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { nearest } from "../../src/config/nearest.ts"

const keys = ["host", "port", "request_timeout_seconds", "max_body_mb", "strategy"]

describe("the name that was meant", () => {
  for (const [typed, meant] of [
    ["prot", "port"],
    ["hots", "host"],
    ["request_timeout_secs", "request_timeout_seconds"],
    ["maxBodyMb", "max_body_mb"],
    ["STRATEGY", "strategy"]
  ] as const) {
    test(`by ${typed} is ${meant}`, () => expect(nearest(typed, keys)).toBe(meant))
  }

  test("is none of those that are quite different", () => expect(nearest("banana", keys)).toBeUndefined())

  test("is itself when it is known (law)", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z_]{1,20}$/), { minLength: 1 }), fc.nat(), (known, at) => {
        const name = known[at % known.length] ?? ""
        expect(nearest(name, known)).toBe(name)
      })
    )
  })

  test("is the same after one slip of the finger, when it is the only one there is (law)", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{4,20}$/), fc.nat(), (name, at) => {
        const cut = at % name.length
        const swapped =
          name.slice(0, cut) +
          name
            .slice(cut, cut + 2)
            .split("")
            .toReversed()
            .join("") +
          name.slice(cut + 2)
        for (const typed of [
          name.slice(0, cut) + name.slice(cut + 1),
          `${name.slice(0, cut)}x${name.slice(cut)}`,
          swapped
        ]) {
          expect(nearest(typed, [name])).toBe(name)
        }
      })
    )
  })
})
