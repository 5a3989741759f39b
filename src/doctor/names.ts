/**
 * Whether the names of the routing section lead to a model that somebody serves.
 */
import { nearest } from "../config/nearest.ts"
import { showPath } from "../config/path.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import { type Finding, warning } from "./finding.ts"

/** What the names are held against. */
export interface Served {
  /** The models of each backend; undefined for one that does not tell. */
  readonly lists: ReadonlyArray<ReadonlyArray<string> | undefined>
  /** The models that may answer for a name, the one it stands for first. */
  readonly modelsOf: (name: string) => ReadonlyArray<string>
  /** The model a name stands for. */
  readonly resolve: (name: string) => string
}

/** Aliases and fallbacks that lead to a model nobody serves; nothing is said where no backend tells its models. */
export const deadNames = (
  { aliases, fallbacks }: Pick<RoutingSettings, "aliases" | "fallbacks">,
  { lists, modelsOf, resolve }: Served
): ReadonlyArray<Finding> => {
  const known = lists.filter((list) => list !== undefined)
  if (known.length === 0) return []
  const models = new Set(known.flat())
  const nobody = known.length === lists.length ? "no backend serves" : "no backend that tells its models serves"
  const lost = (path: string, told: string, model: string): Finding => {
    const through = told === model ? "" : `, through ${told}`
    const meant = nearest(model, models)
    const some = [...models].slice(0, 5).join(", ")
    const fix =
      meant !== undefined
        ? `did you mean ${meant}?`
        : models.size === 0
          ? undefined
          : `one of ${some}${models.size > 5 ? ", …" : ""}`
    return warning("names", `${path} leads to ${model}${through}, which ${nobody}`, fix)
  }
  const wrongAliases = [...aliases].flatMap(([name, told]) => {
    const [model = told, ...others] = modelsOf(name)
    const isServed = [model, ...others].some((each) => models.has(each))
    // An alias of an alias is told of once, where it is wrong.
    return isServed || aliases.has(told) ? [] : [lost(showPath(["routing", "aliases", name]), told, model)]
  })
  const wrongFallbacks = [...fallbacks].flatMap(([name, others]) =>
    others.flatMap((told, at) => {
      const model = resolve(told)
      return models.has(model) ? [] : [lost(showPath(["routing", "fallbacks", name, at]), told, model)]
    })
  )
  return [...wrongAliases, ...wrongFallbacks]
}
