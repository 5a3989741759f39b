import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { listAliases, listCatalogue } from "../../src/operations/handlers/catalogue.ts"
import { resolveAlias } from "../../src/router/alias-chains.ts"
import { modelIds, plainSettings, snapshotOf, standings } from "../kit/generators.ts"

const name = fc.constantFrom(...modelIds, "x", "y", "nobody", "__proto__")
const tables = fc.record({
  aliases: fc.array(fc.tuple(name, name), { maxLength: 5 }).map((pairs) => new Map<string, string>(pairs)),
  fallbacks: fc
    .array(fc.tuple(name, fc.array(name, { maxLength: 3 })), { maxLength: 3 })
    .map((pairs) => new Map<string, Array<string>>(pairs))
})
const names = tables.map((some) => Object.assign({}, plainSettings, some))

describe("the models that are told of", () => {
  test("are those of every backend, each once and sorted, with each backend's state (law)", () => {
    fc.assert(
      fc.property(standings, names, (all, table) => {
        const snapshot = snapshotOf(all)
        const models = listCatalogue(snapshot, table)
        expect(models.map(({ id }) => id)).toEqual([...new Set(all.flatMap((each) => each.models))].sort())
        for (const { id, available, backends } of models) {
          const serving = all.flatMap((each, at) => (each.models.includes(id) ? [[`b${at}`, each.status]] : []))
          expect(backends.map(({ backend, status }) => [backend, status])).toEqual(serving)
          expect(available).toBe(serving.some(([, status]) => status === "healthy"))
        }
      })
    )
  })

  test("have exactly the aliases that resolve to them (law)", () => {
    fc.assert(
      fc.property(standings, names, (all, table) => {
        for (const { id, aliases } of listCatalogue(snapshotOf(all), table)) {
          const leading = [...table.aliases.keys()].filter((alias) => resolveAlias(alias, table.aliases) === id)
          expect(aliases).toEqual(leading.sort())
        }
      })
    )
  })
})

test("every alias and fallback is told of with the model it leads to and the healthy backends of that (law)", () => {
  fc.assert(
    fc.property(standings, names, (all, table) => {
      const { aliases, fallbacks } = listAliases(snapshotOf(all), table)
      const healthy = (model: string) =>
        all.flatMap((each, at) => (each.status === "healthy" && each.models.includes(model) ? [`b${at}`] : []))
      expect(aliases.map(({ alias }) => alias)).toEqual([...table.aliases.keys()].sort())
      expect(new Map(fallbacks.map(({ model, fallbacks }) => [model, fallbacks.length]))).toEqual(
        new Map([...table.fallbacks].map(([model, others]) => [model, others.length]))
      )
      for (const { alias, chain, model, backends } of aliases) {
        expect([chain[0], chain.at(-1)]).toEqual([alias, model])
        expect(model).toBe(resolveAlias(alias, table.aliases))
        expect(backends).toEqual(healthy(model))
      }
      for (const { model, fallbacks: targets } of fallbacks) {
        const wanted = table.fallbacks.get(model)?.map((each) => resolveAlias(each, table.aliases)) ?? []
        expect(targets).toEqual(wanted.map((each) => ({ model: each, backends: healthy(each) })))
      }
    })
  )
})
