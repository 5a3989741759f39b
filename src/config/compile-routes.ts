/**
 * The route table as the router takes it.
 */
import {
  type RuleMatch,
  type Rule,
  type RuleSide,
  type RuleTime,
  weekdays,
  type ZonePolicies
} from "../domain/routing.ts"
import { limitOfAll } from "./privacy.ts"
import type { Settings } from "./schema.ts"

type RouteEntry = Settings["routes"][number]
type MatchEntry = RouteEntry["match"]

const listed = (given: string | ReadonlyArray<string>): ReadonlyArray<string> =>
  typeof given === "string" ? [given] : given

const minuteOf = (time: string): number => Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5))

const timeOf = ({ days, time, timezone }: MatchEntry): RuleTime | undefined => {
  if (days === undefined && time === undefined) return undefined
  const [from = "", until = ""] = time?.split("-") ?? []
  return {
    ...(time === undefined ? {} : { hours: { from: minuteOf(from), until: minuteOf(until) } }),
    ...(days === undefined ? {} : { days: days.map((day) => weekdays.indexOf(day)) }),
    ...(timezone === undefined ? {} : { timezone })
  }
}

/** Which requests an entry is for. */
export const matchOf = (entry: MatchEntry): RuleMatch => {
  const { abilities, endpoint, headers, key, model, prompt_tokens: tokens } = entry
  const time = timeOf(entry)
  return {
    ...(model === undefined ? {} : { models: listed(model) }),
    ...(key === undefined ? {} : { keys: listed(key) }),
    ...(headers === undefined
      ? {}
      : { headers: Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const) }),
    ...(tokens === undefined ? {} : { promptTokens: { min: tokens.min ?? 0, max: tokens.max ?? Infinity } }),
    ...(abilities === undefined ? {} : { abilities }),
    ...(endpoint === undefined ? {} : { endpoints: listed(endpoint) }),
    ...(time === undefined ? {} : { time })
  }
}

const sideOf = (
  model: string | undefined,
  only: ReadonlyArray<string> | undefined,
  not?: ReadonlyArray<string>
): RuleSide => ({
  ...(model === undefined ? {} : { model }),
  ...(only === undefined ? {} : { only }),
  ...(not === undefined ? {} : { not })
})

/** A rule as the router takes it. */
const ruleOf = ({ backends, canary, match, model, name, shadow, strategy, weights, zones }: RouteEntry): Rule => ({
  name,
  match: matchOf(match),
  // Where the canary is some backends, those get no more than its share.
  side: sideOf(model, backends, canary?.model === undefined ? canary?.backends : undefined),
  canary:
    canary === undefined
      ? undefined
      : {
          side: sideOf(canary.model ?? model, canary.backends ?? backends),
          share: canary.share,
          by: canary.by
        },
  shadow:
    shadow === undefined
      ? undefined
      : {
          side: sideOf(shadow.model ?? model, shadow.backends),
          share: shadow.share,
          maxConcurrent: shadow.max_concurrent,
          remote: shadow.remote
        },
  strategy,
  weights,
  ...(zones === undefined ? {} : { zones: { by: `rule '${name}'`, zones } })
})

/** Where requests may go by what they are; nothing where nothing says anything of it. */
export const zonePoliciesOf = ({ backends, models, privacy, routes }: Settings): { readonly zones?: ZonePolicies } => {
  const named = models.flatMap(({ name, zones }) =>
    zones === undefined ? [] : [{ glob: name, limit: { by: `[[models]] '${name}'`, zones } }]
  )
  const all = limitOfAll(
    privacy,
    backends.map(({ zone }) => zone)
  )
  if (all === undefined && named.length === 0 && routes.every(({ zones }) => zones === undefined)) return {}
  return { zones: { models: named, all } }
}

/** The route table. */
export const rulesOf = ({ routes }: Settings): ReadonlyArray<Rule> => routes.map(ruleOf)
