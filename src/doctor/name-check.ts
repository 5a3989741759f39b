/**
 * Whether the names of the routing section lead to a model that somebody serves.
 */
import { nearest } from "../config/nearest.ts"
import { showPath } from "../config/path.ts"
import type { RoutingSettings } from "../domain/routing.ts"
import { type Finding, warning } from "./finding.ts"

/** A model that a name leads to. */
interface Led {
  readonly name: string
  readonly candidates: ReadonlyArray<unknown>
}

/** What the names are held against. */
export interface ServedModels {
  /** The models of each backend; undefined for one that does not tell. */
  readonly lists: ReadonlyArray<ReadonlyArray<string> | undefined>
  /** The models that may answer for a name, with who serves them; the one it stands for first. */
  readonly leadsTo: (name: string) => ReadonlyArray<Led>
  /** Who serves an entry of a group. */
  readonly members: (entry: string) => ReadonlyArray<unknown>
}

/** Aliases, groups and fallbacks that lead to a model nobody serves; nothing is said where no backend tells its models. */
export const deadRoutingNames = (
  { aliases, fallbacks, groups }: Pick<RoutingSettings, "aliases" | "fallbacks" | "groups">,
  { leadsTo, lists, members }: ServedModels
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
    const led = leadsTo(name)
    const isServed = led.some(({ candidates }) => candidates.length > 0)
    // An alias of an alias is told of once, where it is wrong; and so is a group.
    const elsewhere = aliases.has(told) || groups.has(led[0]?.name ?? "")
    return isServed || elsewhere ? [] : [lost(showPath(["routing", "aliases", name]), told, led[0]?.name ?? told)]
  })
  const wrongEntries = [...groups].flatMap(([name, entries]) =>
    entries.flatMap((entry, at) =>
      members(entry).length > 0 ? [] : [lost(showPath(["routing", "groups", name, at]), entry, entry)]
    )
  )
  const wrongFallbacks = [...fallbacks].flatMap(([name, others]) =>
    others.flatMap((told, at) => {
      const [first] = leadsTo(told)
      if (first === undefined || first.candidates.length > 0 || groups.has(first.name)) return []
      return [lost(showPath(["routing", "fallbacks", name, at]), told, first.name)]
    })
  )
  return [...wrongAliases, ...wrongEntries, ...wrongFallbacks]
}
