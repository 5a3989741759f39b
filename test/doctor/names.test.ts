import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { deadNames } from "../../src/doctor/names.ts"
import { resolve } from "../../src/router/aliases.ts"
import { modelsOf } from "../../src/router/plan.ts"

const found = (
  aliases: Readonly<Record<string, string>>,
  fallbacks: Readonly<Record<string, ReadonlyArray<string>>>,
  lists: ReadonlyArray<ReadonlyArray<string> | undefined>
) => {
  const routing = { aliases: new Map(Object.entries(aliases)), fallbacks: new Map(Object.entries(fallbacks)) }
  return deadNames(routing, {
    lists,
    modelsOf: (name) => modelsOf(name, routing),
    resolve: (name) => resolve(name, routing.aliases)
  })
}

describe("names that lead nowhere", () => {
  test("are told of as what is known, while a backend does not tell its models", () => {
    expect(found({ q: "nopes" }, {}, [["small"], undefined])).toMatchObject([
      { seen: "routing.aliases.q leads to nopes, which no backend that tells its models serves" }
    ])
    expect(found({ q: "nopes" }, {}, [undefined])).toEqual([])
  })

  test("are told of once in a chain of aliases, and not where a fallback answers", () => {
    expect(found({ a: "b", b: "nopes" }, {}, [["small"]])).toHaveLength(1)
    expect(found({ a: "big" }, { big: ["small"] }, [["small"]])).toEqual([])
  })

  test("are never those of a model that is served", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), { minLength: 1 }), (models) => {
        const aliases = Object.fromEntries(models.map((model, at) => [`Alias${at}`, model]))
        expect(found(aliases, { Other: models }, [models])).toEqual([])
      })
    )
  })
})
