/**
 * How much may be asked in a minute and at a time.
 */
import { matchesGlob } from "./glob.ts"

/** What bounds requests; absent is no limit. */
export interface RateLimits {
  readonly requestsPerMinute?: number
  /** Of prompts and answers together. */
  readonly tokensPerMinute?: number
  readonly maxConcurrent?: number
}

/** Whose limits there are. */
export const limitScopes = ["key", "owner", "model"] as const

/** Limits of one that is counted by itself. */
export interface LimitRule {
  /** What is counted together. */
  readonly id: string
  readonly scope: (typeof limitScopes)[number]
  /** Of which key, owner or model they are. */
  readonly name: string
  /** The same in words, such as `the key 'laptop'`. */
  readonly of: string
  readonly limits: RateLimits
}

/** Limits by names, which are globs. */
type LimitsByName = ReadonlyArray<{ readonly name: string; readonly limits: RateLimits }>

/** All limits that settings tell. */
export interface LimitSettings {
  /** Of each key, where it says nothing else. */
  readonly keys: RateLimits
  /** The first that means an owner counts. */
  readonly owners: LimitsByName
  /** All that mean a model count. */
  readonly models: LimitsByName
}

/** Whose key it is that a request comes with. */
interface LimitedKey {
  readonly name: string
  readonly owner?: string
  readonly limits?: RateLimits
}

/** Of whom it is. */
interface Limited {
  readonly grant: LimitedKey | undefined
  /** The model or the group that its name leads to. */
  readonly model: string
  /** Further names by which it was asked for, such as an alias. */
  readonly called?: ReadonlyArray<string>
}

const isSome = (limits: RateLimits): boolean =>
  limits.requestsPerMinute !== undefined || limits.tokensPerMinute !== undefined || limits.maxConcurrent !== undefined

const none: ReadonlyArray<LimitRule> = []

const named = (all: LimitsByName, name: string): RateLimits | undefined =>
  all.find((each) => matchesGlob(each.name, name))?.limits

/** The rules that all requests with a key are under. */
export const keyRules = (
  { keys, owners }: LimitSettings,
  { limits: own, name, owner }: LimitedKey
): Array<LimitRule> => {
  const rules: Array<LimitRule> = []
  const limits = { ...keys, ...own }
  if (isSome(limits)) rules.push({ id: `key ${name}`, scope: "key", name, of: `the key '${name}'`, limits })
  const ofOwner = owner === undefined ? undefined : named(owners, owner)
  if (owner !== undefined && ofOwner !== undefined) {
    rules.push({ id: `owner ${owner}`, scope: "owner", name: owner, of: `the owner '${owner}'`, limits: ofOwner })
  }
  return rules
}

/** The limits of one that is counted by itself; `grantOf` finds keys, and where it knows none of a name nobody knows its limits. */
export const limitsOfHolder = (
  settings: LimitSettings,
  { name, scope }: Pick<LimitRule, "name" | "scope">,
  grantOf: (name: string) => LimitedKey | undefined
): ReadonlyArray<RateLimits> | undefined => {
  if (scope === "owner") return [named(settings.owners, name) ?? {}]
  if (scope === "model") return limitRules(settings, { grant: undefined, model: name }).map(({ limits }) => limits)
  const grant = grantOf(name)
  return grant === undefined ? undefined : [{ ...settings.keys, ...grant.limits }]
}

/** The rules that a request is under. */
export const limitRules = (settings: LimitSettings, { called, grant, model }: Limited): ReadonlyArray<LimitRule> => {
  const { keys, models, owners } = settings
  if (grant?.limits === undefined && models.length === 0 && owners.length === 0 && !isSome(keys)) return none
  const rules = grant === undefined ? [] : keyRules(settings, grant)
  for (const { limits, name } of models) {
    // What is meant by several names is counted once, as the model that they lead to.
    const meant = matchesGlob(name, model) ? model : called?.find((each) => matchesGlob(name, each))
    if (meant === undefined) continue
    rules.push({ id: `model ${name} ${meant}`, scope: "model", name: meant, of: `the model '${meant}'`, limits })
  }
  return rules
}

/** How much is left of a limit, and in how many milliseconds all of it is there again. */
export interface AmountLeft {
  readonly limit: number
  readonly left: number
  readonly resetMs: number
}

/** What is left of the limits of a request, those of which the least is left; at a moment in milliseconds since 1970. */
export interface LimitsLeft {
  readonly at: number
  readonly requests?: AmountLeft | undefined
  readonly tokens?: AmountLeft | undefined
}
