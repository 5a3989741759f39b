/**
 * How near limits are: what is taken of each at the moment.
 */
import * as Schema from "effect/Schema"
import { type LimitRule, limitScopes, type RateLimits } from "./rate-limits.ts"

/** What there are limits of, by their names in the settings. */
const quotas = ["requests_per_minute", "tokens_per_minute", "max_concurrent"] as const

/**
 * What is taken of one limit: of a minute's requests or tokens what has not come back yet, or the requests under way. Of processes
 * that have a part of it each, the part that is taken of the fullest one.
 */
export const LimitUse = Schema.Struct({
  scope: Schema.Literals(limitScopes),
  /** Of which key, owner or model it is. */
  name: Schema.String,
  quota: Schema.Literals(quotas),
  allowed: Schema.Finite,
  taken: Schema.Finite
})

/** Type of {@link LimitUse}. */
export type LimitUse = typeof LimitUse.Type

/** What is taken under a rule: of requests, of tokens, and under way; `part` is what was to be had of it. */
export const usesOf = (
  { limits, name, scope }: LimitRule,
  requests: number,
  tokens: number,
  underWay: number,
  part = limits
): ReadonlyArray<LimitUse> => {
  const all = [
    [limits.requestsPerMinute, part.requestsPerMinute, requests],
    [limits.tokensPerMinute, part.tokensPerMinute, tokens],
    [limits.maxConcurrent, part.maxConcurrent, underWay]
  ] as const
  return quotas.flatMap((quota, at) => {
    const [allowed, had, taken = 0] = all[at] ?? []
    if (allowed === undefined) return []
    return [{ scope, name, quota, allowed, taken: Math.max(0, (taken * allowed) / (had ?? allowed)) }]
  })
}

const allowedBy = ({ maxConcurrent, requestsPerMinute, tokensPerMinute }: RateLimits, quota: LimitUse["quota"]) =>
  ({ requests_per_minute: requestsPerMinute, tokens_per_minute: tokensPerMinute, max_concurrent: maxConcurrent })[quota]

/**
 * What was counted, by the limits of now: they may be others than when somebody last came under them. `limitsOf` gives those of a
 * holder; undefined where nobody knows them.
 */
export const usesUnder = (
  uses: ReadonlyArray<LimitUse>,
  limitsOf: (holder: Pick<LimitUse, "name" | "scope">) => ReadonlyArray<RateLimits> | undefined
): ReadonlyArray<LimitUse> =>
  uses.flatMap((use) => {
    const allowed = limitsOf(use)?.flatMap((limits) => allowedBy(limits, use.quota) ?? [])
    if (allowed === undefined || allowed.includes(use.allowed)) return [use]
    const [most] = allowed
    return most === undefined ? [] : [Object.assign({}, use, { allowed: most })]
  })

/** How much of a limit is taken, of one; more where more was taken than had been reserved. */
const shareTaken = ({ allowed, taken }: LimitUse): number => taken / allowed

/** The limits of those who are nearest to one, nearest first, of so many at most; a limit that is told twice counts as the nearer. */
export const nearestLimits = (uses: Iterable<LimitUse>, most: number): ReadonlyArray<LimitUse> => {
  const holders = new Map<string, Map<string, LimitUse>>()
  for (const use of uses) {
    const id = `${use.scope} ${use.name}`
    const own = holders.get(id) ?? new Map<string, LimitUse>()
    const known = own.get(use.quota)
    if (known === undefined || shareTaken(use) > shareTaken(known)) own.set(use.quota, use)
    holders.set(id, own)
  }
  return Array.from(holders.values(), (own) => [...own.values()])
    .map((own) => ({ own, share: Math.max(...own.map(shareTaken)) }))
    .toSorted((a, b) => b.share - a.share)
    .slice(0, most)
    .flatMap(({ own }) => own)
}
