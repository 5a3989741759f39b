/**
 * Which rule of the route table a request goes by: the first one that is for it.
 */
import { matchesAny, matchesGlob } from "../domain/glob.ts"
import { type RoutingNeeds, sessionNamed } from "../domain/request.ts"
import {
  type RoutingSettings,
  type MatchedPart,
  type Rule,
  type RuleMatch,
  type RuleTime,
  type Ruling,
  weekdays
} from "../domain/routing.ts"

/** A request as rules see it, beside what routing needs of it. */
export interface RuledRequest {
  readonly id: string
  /** The name of the key that it came with. */
  readonly key: string | undefined
  readonly request: { readonly headers: { readonly get: (name: string) => string | null } }
}

/** All that a rule may be for. */
export interface RuleFacts {
  readonly needs: Pick<RoutingNeeds, "abilities" | "operation" | "promptTokens">
  /** The names of its model: the one that was asked for, and those that it leads to. */
  readonly names: ReadonlyArray<string>
  readonly key: string | undefined
  readonly header: (name: string) => string | null
  /** When it came, in milliseconds since 1970. */
  readonly at: number
}

interface LocalTime {
  readonly day: number
  readonly minute: number
}

const minuteMs = 60_000

const locals = new Map<string, { readonly made: number; readonly local: LocalTime }>()
const zones = new Map<string, Intl.DateTimeFormat>()

const formatOf = (timezone: string): Intl.DateTimeFormat => {
  const known = zones.get(timezone)
  if (known !== undefined) return known
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: timezone,
    weekday: "short",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23"
  })
  zones.set(timezone, format)
  return format
}

const timeIn = (timezone: string, at: number): LocalTime => {
  const parts = new Map(
    formatOf(timezone)
      .formatToParts(at)
      .map(({ type, value }) => [type, value])
  )
  const day = weekdays.findIndex((name) => name === parts.get("weekday")?.toLowerCase())
  return { day, minute: Number(parts.get("hour")) * 60 + Number(parts.get("minute")) }
}

/** Day and minute at a moment, in a time zone or in that of this machine. */
const localTime = (timezone: string | undefined, at: number): LocalTime => {
  if (timezone === undefined) {
    const date = new Date(at)
    return { day: date.getDay(), minute: date.getHours() * 60 + date.getMinutes() }
  }
  const minute = Math.floor(at / minuteMs)
  const known = locals.get(timezone)
  if (known?.made === minute) return known.local
  const local = timeIn(timezone, at)
  locals.set(timezone, { made: minute, local })
  return local
}

/** Whether a time of the day and week is there at a moment. */
export const isWithinTime = ({ days, hours, timezone }: RuleTime, at: number): boolean => {
  const { day, minute } = localTime(timezone, at)
  const isOn = (which: number): boolean => days === undefined || days.includes(which)
  if (hours === undefined) return isOn(day)
  const { from, until } = hours
  if (from < until) return minute >= from && minute < until && isOn(day)
  // What has begun the day before belongs to that.
  return (minute >= from && isOn(day)) || (minute < until && isOn((day + 6) % 7))
}

const hasHeaders = ({ headers = [] }: RuleMatch, { header }: RuleFacts): boolean =>
  headers.every(([name, glob]) => {
    const value = header(name)
    return value !== null && matchesGlob(glob, value)
  })

/** What of a request a rule is not for; undefined when it is for it. The cheapest is looked at first. */
export const missOf = (match: RuleMatch, facts: RuleFacts): MatchedPart | undefined => {
  const { abilities, endpoints, keys, models, promptTokens, time } = match
  const { key, names, needs } = facts
  if (models !== undefined && !names.some((name) => matchesAny(models, name))) return "model"
  if (keys !== undefined && (key === undefined || !matchesAny(keys, key))) return "key"
  if (endpoints !== undefined && !matchesAny(endpoints, needs.operation.name)) return "endpoint"
  if (abilities?.every((ability) => needs.abilities.includes(ability)) === false) return "abilities"
  if (promptTokens !== undefined && (needs.promptTokens < promptTokens.min || needs.promptTokens > promptTokens.max)) {
    return "prompt_tokens"
  }
  if (!hasHeaders(match, facts)) return "headers"
  return time !== undefined && !isWithinTime(time, facts.at) ? "time" : undefined
}

/** A number from 0 to 2^32 - 1 made of a text (FNV-1a). */
const hashOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

// Every bit of the result depends on every one of these (the end of MurmurHash3).
const mixed = (bits: number): number => {
  let hash = bits
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/**
 * Whether a unit is in a share of all: always the same answer for the same unit and `salt`; who is in a share is in every
 * larger one.
 */
export const isInShare = (unit: number, salt: string, share: number): boolean =>
  mixed(Math.imul(unit, 0x9e3779b1) ^ hashOf(salt)) < share * 2 ** 32

/** What shares are drawn by: the session that a request names, else itself. */
export const unitOf = ({ id, request: { headers } }: RuledRequest, sessionHeaders: ReadonlyArray<string>): number =>
  hashOf(sessionNamed(headers, sessionHeaders) ?? id)

const isCanary = ({ canary, name }: Rule, unit: number, key: string | undefined): boolean => {
  if (canary === undefined) return false
  const by = canary.by === "key" && key !== undefined ? hashOf(key) : unit
  return isInShare(by, name, canary.share)
}

/** The models that the rules of a table name. */
export const ruledModels = (rules: ReadonlyArray<Rule>): ReadonlyArray<string> =>
  rules.length === 0
    ? noModels
    : rules.flatMap(({ canary, side }) => [side.model, canary?.side.model].filter((model) => model !== undefined))

const noModels: ReadonlyArray<string> = []

/** The headers that any rule of a table looks at. */
const lookedAt = (rules: ReadonlyArray<Rule>): ReadonlyArray<string> => [
  ...new Set(rules.flatMap(({ match }) => (match.headers ?? []).map(([name]) => name)))
]

// A table is never changed; another takes its place.
const headersOf = new WeakMap<ReadonlyArray<Rule>, ReadonlyArray<string>>()

/** The headers that are kept of requests under a table. */
export const headersFor = (rules: ReadonlyArray<Rule>): ReadonlyArray<string> => {
  const known = headersOf.get(rules)
  if (known !== undefined) return known
  const made = lookedAt(rules)
  headersOf.set(rules, made)
  return made
}

/** What a table makes of a request. */
export const rulingFor = (rules: ReadonlyArray<Rule>, facts: RuleFacts, unit: number): Ruling => {
  const misses: Array<MatchedPart> = []
  let taken: Rule | undefined
  for (const rule of rules) {
    const miss = missOf(rule.match, facts)
    if (miss === undefined) {
      taken = rule
      break
    }
    misses.push(miss)
  }
  const headers = headersFor(rules).flatMap((name) => {
    const value = facts.header(name)
    return value === null ? [] : [[name, value] as const]
  })
  const { at, key } = facts
  const canary = taken !== undefined && isCanary(taken, unit, key)
  const shadow = taken?.shadow !== undefined && isInShare(unit, `${taken.name} shadow`, taken.shadow.share)
  return { rules, rule: taken, canary, shadow, misses, unit, key, headers, at }
}

interface Changed {
  readonly base: RoutingSettings
  readonly settings: RoutingSettings
}

const changed = new WeakMap<Rule, Changed>()

/** The settings that a request goes by under a rule: the same for the same rule. */
export const ruledSettings = (base: RoutingSettings, rule: Rule | undefined): RoutingSettings => {
  if (rule === undefined || (rule.strategy === undefined && rule.weights === undefined)) return base
  const known = changed.get(rule)
  if (known?.base === base) return known.settings
  const { strategy = base.strategy, weights = base.weights } = rule
  const settings = { ...base, strategy, weights }
  changed.set(rule, { base, settings })
  return settings
}
