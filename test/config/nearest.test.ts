import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { mistakesOf } from "./reading.ts"
import { nearest, nearestOf } from "../../src/config/nearest.ts"

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

  test("is the one that the fewest slips lead to, however they are counted (law)", () => {
    const steps = (a: string, b: string): number => {
      const table = Array.from({ length: a.length + 1 }, (_, i) =>
        Array.from({ length: b.length + 1 }, (__, j) => i + j)
      )
      const at = (i: number, j: number): number => table[i]?.[j] ?? 0
      for (let i = 1; i <= a.length; i += 1) {
        for (let j = 1; j <= b.length; j += 1) {
          const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
          const change = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1)
          const row = table[i] ?? []
          row[j] = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, change, swapped ? at(i - 2, j - 2) + 1 : Infinity)
        }
      }
      return at(a.length, b.length)
    }
    const words = fc.stringMatching(/^[abc]{0,9}$/)
    fc.assert(
      fc.property(words, fc.uniqueArray(words), fc.constantFrom(1, 2, 9), (name, known, wrong) => {
        const limit = Math.min(wrong, Math.max(1, Math.floor(name.length * 0.4)))
        const close = known.filter((each) => steps(name, each) <= limit)
        expect(nearestOf(name, known, 100, wrong)).toEqual(close.toSorted((a, b) => steps(name, a) - steps(name, b)))
      }),
      { numRuns: 2000 }
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

test("a key of a backend is known by what other gateways call it, and not mistaken for one that stands far off", () => {
  const told = (key: string) => mistakesOf(`[[backends]]\nname = "a"\nurl = "http://h:1"\n${key}`)
  expect(told(`api_base = "http://h:1/v1"`)).toEqual([
    "nexus.toml:4: unknown key backends[0].api_base; did you mean backends[0].url?"
  ])
  expect(told("timeout = 5")).toEqual([
    "nexus.toml:4: unknown key backends[0].timeout; did you mean backends[0].request_timeout_seconds?"
  ])
  expect(told(`headers = { a = "b" }`)).toEqual(["nexus.toml:4: unknown key backends[0].headers"])
})

test.each([
  [
    "is told what there is, where that is little",
    `[[routes]]\nname = "night"\nwhen = { model = "m" }`,
    "nexus.toml:3: unknown key routes[0].when; there are name, match, model, backends, zones, strategy, weights, canary, shadow"
  ],
  [
    "is known as the name of a model where its id stands",
    `[[backends]]\nname = "a"\nurl = "http://h:1"\n[[backends.models]]\nid = "m"\nname = "m"`,
    "nexus.toml:6: unknown key backends[0].models[0].name; did you mean backends[0].models[0].id?"
  ],
  [
    "is known as the id of a model where its name stands",
    `[[models]]\nname = "m"\nid = "m"\ncache_requests = "all"`,
    "nexus.toml:3: unknown key models[0].id; did you mean models[0].name?"
  ],
  [
    "is known as the variable of a client's key, named as that of a backend is",
    `[[auth.keys]]\nname = "x"\nkey = "nx-0123456789"\napi_key_env = "K"`,
    "nexus.toml:4: unknown key auth.keys[0].api_key_env; did you mean auth.keys[0].env?"
  ]
])("a key that is none %s", (_, toml, told) => {
  expect(mistakesOf(toml)).toEqual([told])
})
