/**
 * What is wrong with the entries of `[[routes]]`, and what of them is worth a word.
 */
import { isGlob, isWithin, matchesAny, matchesGlob } from "../domain/glob.ts"
import type { RuleMatch, RuleTime } from "../domain/routing.ts"
import type { Mistake } from "./check.ts"
import { matchOf } from "./compile-routes.ts"
import { isTable, type KeyPath, showPath, type Table, valueAt } from "./path.ts"
import type { Settings } from "./schema.ts"
import { isLineName } from "../domain/header-lines.ts"

const textsOf = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : Array.isArray(value) ? value.filter((each) => typeof each === "string") : []

const tablesOf = (tree: Table, path: KeyPath): ReadonlyArray<{ readonly at: KeyPath; readonly table: Table }> => {
  const list = valueAt(tree, path)
  return (Array.isArray(list) ? list : []).flatMap((table: unknown, at) =>
    isTable(table) ? [{ at: [...path, at], table }] : []
  )
}

const namesAt = (tree: Table, path: KeyPath): ReadonlyArray<string> =>
  tablesOf(tree, path).flatMap(({ table }) => textsOf(table["name"]))

const hasSecret = /^(authorization|proxy-authorization|cookie|x-api-key|api-key|x-goog-api-key)$/i

const headerMistakes = (at: KeyPath, match: Table): ReadonlyArray<Mistake> => {
  const headers = match["headers"]
  return Object.keys(isTable(headers) ? headers : {}).flatMap((name): ReadonlyArray<Mistake> => {
    const path = [...at, "headers", name]
    const where = showPath(path)
    if (hasSecret.test(name)) return [{ path, reason: `${where}: a key is not written here; name it with key` }]
    return isLineName(name) ? [] : [{ path, reason: `${where}: no header has this name` }]
  })
}

const keyMistakes = (
  at: KeyPath,
  match: Table,
  known: ReadonlyArray<string>,
  issuers: ReadonlyArray<string>
): ReadonlyArray<Mistake> =>
  textsOf(match["key"]).flatMap((glob) => {
    if (known.some((name) => matchesGlob(glob, name))) return []
    // Whom an issuer knows is not known here.
    if (issuers.some((name) => glob.startsWith(`${name}:`) || isGlob(glob))) return []
    const there = known.length === 0 ? "there are none" : `there are ${known.join(", ")}`
    return [{ path: [...at, "key"], value: glob, reason: `no [[auth.keys]] is called so; ${there}` }]
  })

const isTimeZone = (name: string): boolean => {
  try {
    return new Intl.DateTimeFormat("en-US", { timeZone: name }).resolvedOptions().timeZone !== ""
  } catch {
    return false
  }
}

const timeMistakes = (at: KeyPath, match: Table): ReadonlyArray<Mistake> => {
  const { days, time, timezone } = match
  const path = [...at, "timezone"]
  if (typeof timezone === "string" && timezone !== "") {
    if (!isTimeZone(timezone)) {
      return [{ path, value: timezone, reason: "expected a time zone such as Europe/Berlin or UTC" }]
    }
    if (days === undefined && time === undefined) {
      return [{ path, value: timezone, reason: "without time or days it is of no effect" }]
    }
  }
  const [from, until] = typeof time === "string" ? time.split("-") : []
  return from !== undefined && from === until
    ? [{ path: [...at, "time"], value: time, reason: "it ends when it begins; leave it out for the whole day" }]
    : []
}

const tokenMistakes = (at: KeyPath, match: Table): ReadonlyArray<Mistake> => {
  const [min, max] = [valueAt(match, ["prompt_tokens", "min"]), valueAt(match, ["prompt_tokens", "max"])]
  return typeof min === "number" && typeof max === "number" && min > max
    ? [{ path: [...at, "prompt_tokens", "max"], value: max, reason: `it is less than min (${min})` }]
    : []
}

const aside = ["canary", "shadow"] as const

const asideMistakes = (at: KeyPath, route: Table): ReadonlyArray<Mistake> =>
  aside.flatMap((name) => {
    const table = route[name]
    if (!isTable(table) || table["model"] !== undefined || table["backends"] !== undefined) return []
    const path = [...at, name]
    return [{ path, reason: `${showPath(path)} has neither model nor backends: where do its requests go?` }]
  })

const weightMistakes = (at: KeyPath, { strategy, weights }: Table): ReadonlyArray<Mistake> => {
  const path = [...at, "weights"]
  if (!isTable(weights)) return []
  if (typeof strategy === "string" && strategy !== "smart") {
    return [{ path, reason: `${showPath(path)}: they are of the smart strategy, and this rule has "${strategy}"` }]
  }
  return ["priority", "load", "latency"].every((part) => weights[part] === 0)
    ? [{ path, reason: `${showPath(path)}: all are 0; at least one must be more` }]
    : []
}

/** What is wrong with the route table beyond its Schema. */
export const routeMistakes = (tree: Table): ReadonlyArray<Mistake> => {
  const keys = namesAt(tree, ["auth", "keys"])
  const issuers = namesAt(tree, ["auth", "issuers"])
  return tablesOf(tree, ["routes"]).flatMap(({ at, table }) => {
    const match = isTable(table["match"]) ? table["match"] : {}
    const within = [...at, "match"]
    return headerMistakes(within, match).concat(
      keyMistakes(within, match, keys, issuers),
      timeMistakes(within, match),
      tokenMistakes(within, match),
      weightMistakes(at, table),
      asideMistakes(at, table)
    )
  })
}

const namesWithin = (narrow: ReadonlyArray<string> | undefined, wide: ReadonlyArray<string> | undefined): boolean =>
  wide === undefined || (narrow?.every((each) => wide.some((other) => isWithin(each, other))) ?? false)

const timeWithin = (narrow: RuleTime | undefined, wide: RuleTime | undefined): boolean => {
  if (wide === undefined) return true
  if (narrow === undefined || narrow.timezone !== wide.timezone) return false
  const { days, hours } = wide
  const sameHours = narrow.hours?.from === hours?.from && narrow.hours?.until === hours?.until
  return (sameHours || (hours === undefined && days === undefined)) && daysWithin(narrow.days, days)
}

const daysWithin = (narrow: ReadonlyArray<number> | undefined, wide: ReadonlyArray<number> | undefined): boolean =>
  wide === undefined || (narrow?.every((day) => wide.includes(day)) ?? false)

const all = { min: 0, max: Infinity }

/** Whether all requests that a rule is for are another's as well; false where that cannot be told in a simple way. */
export const isCovered = (narrow: RuleMatch, wide: RuleMatch): boolean => {
  const tokens = narrow.promptTokens ?? all
  const { max, min } = wide.promptTokens ?? all
  return (
    namesWithin(narrow.models, wide.models) &&
    namesWithin(narrow.keys, wide.keys) &&
    namesWithin(narrow.endpoints, wide.endpoints) &&
    (wide.abilities ?? []).every((ability) => narrow.abilities?.includes(ability) ?? false) &&
    (wide.headers ?? []).every(
      ([name, glob]) => narrow.headers?.some(([other, value]) => other === name && isWithin(value, glob)) ?? false
    ) &&
    tokens.min >= min &&
    tokens.max <= max &&
    timeWithin(narrow.time, wide.time)
  )
}

/** Where a key stands, such as `nexus.toml:12`, and the line alone. */
export interface Places {
  readonly place: (path: KeyPath) => string
  readonly line: (path: KeyPath) => string
}

const unreachable = ({ routes }: Settings, { line, place }: Places): ReadonlyArray<string> => {
  const matches = routes.map(({ match }) => matchOf(match))
  return routes.flatMap(({ name }, at) => {
    const narrow = matches[at]
    const before = narrow === undefined ? -1 : matches.findIndex((wide, other) => other < at && isCovered(narrow, wide))
    if (before < 0) return []
    const first = routes[before]?.name ?? ""
    return [
      `${place(["routes", at])}: rule ${name} is never reached: rule ${first}${line(["routes", before])} is for all that it is for, and stands before it`
    ]
  })
}

const unknownBackends = ({ backends, routes }: Settings, { place }: Places): ReadonlyArray<string> => {
  const names = backends.map(({ name }) => name)
  return routes.flatMap((route, at) =>
    [
      { path: ["routes", at, "backends"], globs: route.backends ?? [] },
      ...aside.map((name) => ({ path: ["routes", at, name, "backends"], globs: route[name]?.backends ?? [] }))
    ].flatMap(({ globs, path }) =>
      globs.flatMap((glob, entry) => {
        if (names.some((name) => matchesAny([glob], name))) return []
        const what = isGlob(glob) ? `no [[backends]] is called like ${glob}` : `no [[backends]] is called ${glob}`
        return [`${place([...path, entry])}: ${showPath([...path, entry])} = "${glob}": ${what}`]
      })
    )
  )
}

/** What of a route table without mistakes is worth a word. */
export const routeWarnings = (settings: Settings, places: Places): ReadonlyArray<string> =>
  settings.routes.length === 0 ? [] : [...unreachable(settings, places), ...unknownBackends(settings, places)]
