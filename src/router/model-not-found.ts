/**
 * What is said of a name that leads to no model: where it led, what was meant, and what there is.
 */
import { nearestOf } from "../config/nearest.ts"
import { ModelNotAllowed, ModelNotFound } from "../domain/errors.ts"
import { allowsModel } from "../domain/grant.ts"
import { type RoutingSettings, splitModelAt } from "../domain/routing.ts"
import { isListedAs } from "../registry/candidates.ts"
import { inRotation, type Snapshot } from "../registry/snapshot.ts"
import { neverListed } from "./filter.ts"
import { lookUpName } from "./names.ts"
import { mayAskFor } from "./scope.ts"
import { backendsWithin, type Bounds, targetWithin } from "./zoned-targets.ts"

/** Names listed in "Available: …" at most. */
const namesListed = 20

/** Names that may have been meant, at most. */
const namesMeant = 3

/** Letters of a name that another can be meant by, at least: anything is close to a shorter one. */
const shortestMeant = 3

/** Letters that may be wrong in a name, at most. */
const mostWrong = 4

/** Names that are held against the one that came, at most: whoever asks for nonsense is to cost little. */
const namesCompared = 500

/** The models that can be asked for now within some bounds, sorted. */
const servedNames = (snapshot: Snapshot, settings: RoutingSettings, bounds: Bounds): ReadonlyArray<string> =>
  [...snapshot.candidates]
    .filter(([model, candidates]) => {
      if (!isListedAs(model, candidates)) return false
      const listed = { name: model, candidates, suffix: "", understood: false, entry: model }
      return targetWithin(bounds, listed, model, settings, snapshot).candidates.some(({ state }) => inRotation(state))
    })
    .map(([model]) => model)
    .sort()

const isServed = (name: string, settings: RoutingSettings, snapshot: Snapshot, bounds: Bounds): boolean =>
  targetWithin(bounds, lookUpName(name, settings, snapshot), name, settings, snapshot).candidates.some(({ state }) =>
    inRotation(state)
  )

/** The refusal of a name that a key is not for; no other name is told than those that its requests may go by. */
export const modelNotAllowed = (
  model: string,
  by: ModelNotAllowed["by"],
  settings: RoutingSettings,
  snapshot: Snapshot,
  bounds: Bounds
): ModelNotAllowed => {
  const names = [...settings.aliases.keys(), ...settings.groups.keys()]
  const usable = settings.listAliases ? names.filter((name) => isServed(name, settings, snapshot, bounds)) : []
  const available = [...new Set([...usable, ...servedNames(snapshot, settings, bounds)])].slice(0, namesListed)
  return new ModelNotAllowed({ model, by, available })
}

// Without folders and the tag: what people remember of a name.
const stemOf = (name: string): string =>
  name
    .toLowerCase()
    .replace(/\/+$/, "")
    .replace(/^.*\//, "")
    .replace(/[:@].*$/, "")

const meantBy = (name: string, known: ReadonlyArray<string>): ReadonlyArray<string> => {
  const compared = known.slice(0, namesCompared)
  const wanted = stemOf(name)
  if (wanted.length < shortestMeant) return []
  const stems = new Map(compared.map((each) => [each, stemOf(each)]))
  const near = compared.filter((each) => {
    const stem = stems.get(each) ?? ""
    return stem.length >= shortestMeant && (stem.startsWith(wanted) || wanted.startsWith(stem))
  })
  const closest = new Set(nearestOf(wanted, new Set(stems.values()), namesMeant, mostWrong))
  const alike = compared.filter((each) => closest.has(stems.get(each) ?? ""))
  return [
    ...new Set([
      ...nearestOf(name, near, namesMeant, mostWrong),
      ...near,
      ...nearestOf(name, compared, namesMeant, mostWrong),
      ...alike
    ])
  ]
}

// Where an alias or a group that is nobody's led to, in names that `mayName` lets be told.
const ledWords = (
  name: string,
  end: string,
  { aliases, groups }: RoutingSettings,
  mayName: (name: string) => boolean
): string | undefined => {
  const entries = groups.get(end)
  const isAlias = aliases.has(name)
  if (isAlias && !mayName(end)) return "the alias leads to nothing that a backend lists"
  const alias = isAlias ? `the alias leads to '${end}', ` : ""
  if (entries === undefined) return isAlias ? `${alias}which no backend lists` : undefined
  const told = entries.filter(mayName)
  const list = told.length === 0 ? "" : `: ${told.join(", ")}`
  return `${alias}${isAlias ? "a" : "the"} group of models that no backend lists${list}`
}

/** The refusal of a name that leads to no model that anybody has ever listed. */
export const modelNotFound = (
  name: string,
  settings: RoutingSettings,
  snapshot: Snapshot,
  bounds: Bounds = {}
): ModelNotAllowed | ModelNotFound => {
  const { scope } = bounds
  if (!mayAskFor(name, scope, settings)) return modelNotAllowed(name, "models", settings, snapshot, bounds)
  const served = servedNames(snapshot, settings, bounds)
  const backends = backendsWithin(bounds, settings, snapshot)
  const silent = neverListed(name, { backends })
  const end = lookUpName(name, settings, snapshot).name
  const mayName = (each: string): boolean => {
    const { backend, model } = each.includes("@") ? splitModelAt(each) : { backend: "", model: each }
    const isHidden = snapshot.backends.has(backend) && !backends.has(backend)
    return !isHidden && (allowsModel(scope, each) || allowsModel(scope, model))
  }
  const led = ledWords(name, end, settings, mayName)
  const usable = [...settings.aliases.keys(), ...settings.groups.keys()].filter(
    (each) => each !== name && isServed(each, settings, snapshot, bounds)
  )
  const meant = meantBy(settings.groups.has(end) ? name : end, [...new Set([...usable, ...served])]).slice(
    0,
    namesMeant
  )
  return new ModelNotFound({
    model: name,
    available: served.slice(0, namesListed),
    ...(led === undefined ? {} : { led }),
    ...(meant.length === 0 ? {} : { meant }),
    ...(silent.length === 0 ? {} : { silent })
  })
}
