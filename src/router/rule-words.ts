/**
 * What the route table made of a request, in words for a person.
 */
import { type MatchedPart, type Rule, type RuleTime, type Ruling, weekdays } from "../domain/routing.ts"
import type { RoutingNeeds } from "../domain/request.ts"

/** Which rule a request goes by, and why those before it are not for it. */
export interface RuleEntry {
  /** The rule; null when none is for it. */
  readonly name: string | null
  /** Whether it is one of the rule's canary. */
  readonly canary: boolean
  /** Whether a copy of it is to go elsewhere. */
  readonly shadow: boolean
  readonly passed: ReadonlyArray<{ readonly name: string; readonly reason: string }>
}

const oneOf = (globs: ReadonlyArray<string> = []): string => globs.join(" or ")

const clock = (minute: number): string =>
  `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`

const timeWords = ({ days, hours, timezone }: RuleTime): string =>
  [
    ...(hours === undefined ? [] : [`${clock(hours.from)}-${clock(hours.until)}`]),
    ...(days === undefined ? [] : [days.map((day) => weekdays[day]).join(", ")]),
    ...(timezone === undefined ? [] : [`(${timezone})`])
  ].join(" ")

const tokenWords = (tokens: number, { min, max }: { readonly min: number; readonly max: number }): string =>
  tokens < min
    ? `its prompt of about ${tokens} tokens is shorter than ${min}`
    : `its prompt of about ${tokens} tokens is longer than ${max}`

/** Why a rule is not for a request; what its headers say is not told. */
const missWords = (miss: MatchedPart, { match }: Rule, needs: RoutingNeeds, key: string | undefined): string => {
  switch (miss) {
    case "model":
      return `the model is not ${oneOf(match.models)}`
    case "key":
      return key === undefined ? "it came with no key" : `the key '${key}' is not ${oneOf(match.keys)}`
    case "endpoint":
      return `${needs.operation.name} is not ${oneOf(match.endpoints)}`
    case "abilities":
      return `it does not call for ${(match.abilities ?? []).filter((each) => !needs.abilities.includes(each)).join(", ")}`
    case "prompt_tokens":
      return tokenWords(needs.promptTokens, match.promptTokens ?? { min: 0, max: Infinity })
    case "headers":
      return `its headers do not have ${(match.headers ?? []).map(([name, value]) => `${name}: ${value}`).join(", ")}`
    case "time":
      return `it did not come at ${timeWords(match.time ?? {})}`
  }
}

/** A ruling in words. */
export const ruleEntry = ({ canary, key, misses, rule, rules, shadow }: Ruling, needs: RoutingNeeds): RuleEntry => ({
  name: rule?.name ?? null,
  canary,
  shadow,
  passed: misses.flatMap((miss, at) => {
    const missed = rules[at]
    return missed === undefined ? [] : [{ name: missed.name, reason: missWords(miss, missed, needs, key) }]
  })
})
