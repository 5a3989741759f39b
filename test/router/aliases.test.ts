import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { aliasChain, maxAliasHops, resolveAlias } from "../../src/router/alias-chains.ts"
import { nameTargets } from "../../src/router/names.ts"
import { emptySnapshot } from "../../src/registry/snapshot-changes.ts"
import { plainSettings } from "../kit/generators.ts"

const names = fc.constantFrom("a", "b", "c", "d", "e", "__proto__", "constructor")

const aliases = fc.array(fc.tuple(names, names), { maxLength: 8 }).map((pairs) => new Map<string, string>(pairs))

describe("an alias", () => {
  test("resolves to an end, whatever the table: cycles, itself, chains of any length", () =>
    fc.assert(
      fc.property(names, aliases, (name, table) => {
        let steps = 0
        const counted = new Map(table)
        counted.get = (key) => {
          steps += 1
          return table.get(key)
        }
        expect(new Set<string>([...table.values(), name]).has(resolveAlias(name, counted))).toBe(true)
        expect(steps).toBeLessThanOrEqual(maxAliasHops + 1)
      })
    ))

  test("of up to three hops leads to the model at the end of its chain", () =>
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { minLength: 1, maxLength: maxAliasHops + 1 }), (chain) => {
        const table = new Map(chain.slice(1).map((next, at) => [chain[at] ?? "", next]))
        expect(resolveAlias(chain[0] ?? "", table)).toBe(chain.at(-1) ?? "")
      })
    ))

  test("has a chain that begins with it, follows the table and ends where it resolves to (law)", () =>
    fc.assert(
      fc.property(names, aliases, (name, table) => {
        const chain = aliasChain(name, table)
        expect(chain[0]).toBe(name)
        expect(chain.at(-1)).toBe(resolveAlias(name, table))
        for (const [at, next] of chain.slice(1).entries()) expect(table.get(chain[at] ?? "")).toBe(next)
      })
    ))

  test("goes before a model of the same name, and no alias means the name itself", () => {
    expect(resolveAlias("gpt-4", new Map([["gpt-4", "llama"]]))).toBe("llama")
    expect(resolveAlias("llama", new Map([["gpt-4", "llama"]]))).toBe("llama")
    expect(resolveAlias("constructor", new Map())).toBe("constructor")
  })
})

test("the models that may answer are the resolved one, then its fallbacks in their order, each once, resolved too", () => {
  const aliases = new Map([
    ["fast", "small"],
    ["backup", "large"]
  ])
  const fallbacks = new Map([["small", ["medium", "backup", "medium", "fast", "large"]]])
  const modelsOf = (name: string) =>
    nameTargets(name, { ...plainSettings, aliases, fallbacks }, emptySnapshot).map((target) => target.name)
  expect(modelsOf("fast")).toEqual(["small", "medium", "large"])
  expect(modelsOf("medium")).toEqual(["medium"])
})
