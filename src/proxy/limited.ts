/**
 * Requests under limits: let in before they are sent on, and counted by what they really took when they have ended.
 */
import * as Effect from "effect/Effect"
import { isDeciding, type LimitDecision, type Limiter, type LimitPass } from "../admission/Limiter.ts"
import { type GatewayError, RateLimited } from "../domain/errors.ts"
import type { Grant } from "../domain/grant.ts"
import { type LimitRule, limitRules, type LimitSettings } from "../domain/rate-limits.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { aliasChain } from "../router/alias-chains.ts"
import type { Plan } from "../router/plan.ts"
import { countTokens, saidTokens } from "../usage/usage-record.ts"
import type { GaveUp } from "./final-failure.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"
import type { RequestRun } from "./request-run.ts"

type Rules = ReadonlyArray<LimitRule>

/** What lets requests in. */
export interface RequestLimiter {
  readonly limiter: Limiter["Service"]
  /** The rules that a request is under; of what is not read, those of its key alone. */
  readonly rulesOf: (grant: Grant | undefined, plan: LimitedPlan | undefined) => Rules
}

/** What a request asks for, and who may answer it. */
export type LimitedPlan = Pick<Plan, "requested" | "settings" | "targets">

/** The model of a group that has one alone, be it at several backends; undefined of what is no group, or of several models. */
const onlyModel = ({ settings, targets: [first] }: LimitedPlan): string | undefined => {
  if (first === undefined || !settings.groups.has(first.name)) return undefined
  const [one, ...others] = first.candidates
  return others.every(({ model }) => model.id === one?.model.id) ? one?.model.id : undefined
}

// What is named and what that leads to, which tells all of its names but for another table of aliases.
const named = (plan: LimitedPlan): string => {
  const { requested, settings, targets } = plan
  const [first] = targets
  if (first === undefined) return requested
  const only = settings.groups.size === 0 ? undefined : onlyModel(plan)
  if (only === undefined && first.name === requested) return requested
  return `${requested}\n${first.entry}\n${first.name}\n${only ?? ""}`
}

/** The names on the way from what was asked for to what answers. */
const calledBy = (plan: LimitedPlan): ReadonlyArray<string> => {
  const { requested, settings, targets } = plan
  const [first] = targets
  const only = onlyModel(plan)
  return [
    ...aliasChain(requested, settings.aliases),
    ...(first === undefined ? [] : aliasChain(first.entry, settings.aliases)),
    ...(only === undefined ? [] : [only])
  ]
}

// Models of one key whose rules are kept.
const mostModels = 1000

const noKey = {}

/** Finds the rules of requests by the settings of the moment: those of a key and model are made once. */
export const rulesUnder = (settings: () => LimitSettings): RequestLimiter["rulesOf"] => {
  let under: LimitSettings | undefined
  let aliases: LimitedPlan["settings"]["aliases"] | undefined
  let known = new WeakMap<object, Map<string, Rules>>()
  return (grant, plan) => {
    const now = settings()
    const names = plan?.settings.aliases ?? aliases
    if (under !== now || aliases !== names) {
      known = new WeakMap()
      under = now
      aliases = names
    }
    let models = known.get(grant ?? noKey)
    if (models === undefined) known.set(grant ?? noKey, (models = new Map()))
    const name = now.models.length === 0 || plan === undefined ? "" : named(plan)
    const before = models.get(name)
    if (before !== undefined) return before
    const model = name === "" ? "" : (plan?.targets[0]?.name ?? plan?.requested ?? "")
    const made = limitRules(now, { grant, model, called: name === "" || plan === undefined ? [] : calledBy(plan) })
    if (models.size < mostModels) models.set(name, made)
    return made
  }
}

type Forwarded = Effect.Effect<void, GatewayError | GaveUp>

/** The tokens that a request is likely to take. */
export const tokensAsked = ({ route }: RequestRecord, needs: RoutingNeeds): number => {
  const { embeds, generates } = route.operation
  const { allPromptTokens, answers = 1, outputTokens, promptTokens } = needs
  return generates || embeds !== undefined ? (allPromptTokens ?? promptTokens) + outputTokens * answers : 0
}

const letIn = (run: RequestRun, pass: LimitPass): void => {
  run.limitPass = pass
  run.record.limits(pass.left)
}

/** Goes on with a request that its limits let in: by what it asks for, and with so many tokens. */
export const withinLimits = <Going>(
  { limiter, rulesOf }: RequestLimiter,
  run: RequestRun,
  plan: LimitedPlan | undefined,
  tokens: number,
  going: Going,
  goesOn: (going: Going) => Forwarded
): Forwarded => {
  const rules = rulesOf(run.record.grant, plan)
  // One that waited for a server to wake has been let in.
  if (rules.length === 0 || run.limitPass !== undefined) return goesOn(going)
  const decision = limiter.enter(rules, tokens)
  if (decision instanceof RateLimited) return Effect.fail(decision)
  if (isDeciding(decision)) return onceDecided(decision, run, going, goesOn)
  letIn(run, decision)
  return goesOn(going)
}

const onceDecided = <Going>(
  decision: Effect.Effect<LimitDecision>,
  run: RequestRun,
  going: Going,
  goesOn: (going: Going) => Forwarded
): Forwarded => {
  const taken = Effect.map(decision, (made) => {
    if (!(made instanceof RateLimited)) letIn(run, made)
    return made
  })
  // Whoever leaves meanwhile has what was taken for him all the same, so that it is given back at his end.
  return Effect.flatMap(Effect.uninterruptible(taken), (made) =>
    made instanceof RateLimited ? Effect.fail(made) : goesOn(going)
  )
}

/** The tokens that a request took: those that were told, or as many as it is likely to have. */
export const tokensTaken = (record: RequestRecord, { bytes }: RequestEnd): number => {
  const { begunUsage, committed, decided, passed, route, usage } = record
  const { embeds, generates } = route.operation
  if (usage !== undefined) return saidTokens(usage)
  const { tokens } = countTokens({
    usage,
    begun: begunUsage,
    answered: committed !== undefined && committed.status < 400,
    countable: generates || embeds !== undefined,
    generates,
    promptTokens: decided?.needs.allPromptTokens ?? decided?.needs.promptTokens ?? 0,
    written: passed.written,
    bytes
  })
  const { cacheRead, cacheWrite, fresh, output } = tokens
  return fresh + cacheRead + cacheWrite + output
}
