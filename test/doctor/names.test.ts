import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { deadRoutingNames } from "../../src/doctor/name-check.ts"
import { applyProbe, emptySnapshot, withBackend } from "../../src/registry/snapshot-changes.ts"
import { entryCandidates } from "../../src/router/groups.ts"
import { nameTargets } from "../../src/router/names.ts"
import { plainSettings } from "../kit/generators.ts"
import { backend, up } from "../registry/backends.ts"

const thresholds = { failures: 1, recoveries: 1 }

const found = (
  aliases: Readonly<Record<string, string>>,
  fallbacks: Readonly<Record<string, ReadonlyArray<string>>>,
  lists: ReadonlyArray<ReadonlyArray<string> | undefined>,
  groups: Readonly<Record<string, ReadonlyArray<string>>> = {}
) => {
  const routing = {
    ...plainSettings,
    aliases: new Map(Object.entries(aliases)),
    groups: new Map(Object.entries(groups)),
    fallbacks: new Map(Object.entries(fallbacks))
  }
  const snapshot = lists.reduce((before, list, at) => {
    const there = withBackend(before, backend(`b${at}`, { type: "ollama" }))
    return list === undefined ? there : applyProbe(there, `b${at}`, up(...list), thresholds).snapshot
  }, emptySnapshot)
  return deadRoutingNames(routing, {
    lists,
    leadsTo: (name) => nameTargets(name, routing, snapshot),
    members: (entry) => entryCandidates(entry, routing, snapshot)
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

  test("are not those that a server takes in other spellings, and of a group only those of its entries that nobody has", () => {
    const lists = [["llama3:latest"]]
    expect(found({ gpt: "Llama3", chat: "group" }, { other: ["LLAMA3"] }, lists, { group: ["llama3@b0"] })).toEqual([])
    expect(found({ chat: "group" }, { big: ["group"] }, lists, { group: ["llama3", "nopes@b0"] })).toMatchObject([
      { seen: "routing.groups.group[1] leads to nopes@b0, which no backend serves" }
    ])
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
