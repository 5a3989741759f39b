/**
 * Requests under limits: let in before they are sent on, and counted by what they really took when they have ended.
 */
import * as Effect from "effect/Effect"
import { isDeciding, type Limiter, type LimitDecision } from "../admission/Limiter.ts"
import { type GatewayError, RateLimited } from "../domain/errors.ts"
import { limitRules, type LimitSettings } from "../domain/rate-limits.ts"
import type { RoutingNeeds } from "../domain/request.ts"
import { countTokens } from "../usage/usage-record.ts"
import type { GaveUp } from "./final-failure.ts"
import type { RequestEnd, RequestRecord } from "./record.ts"
import type { RequestRun } from "./request-run.ts"

/** What lets requests in. */
export interface RequestLimiter {
  readonly limiter: Limiter["Service"]
  readonly settings: () => LimitSettings
}

type Forwarded = Effect.Effect<void, GatewayError | GaveUp>

/** The tokens that a request is likely to take. */
export const tokensAsked = ({ route }: RequestRecord, { outputTokens, promptTokens }: RoutingNeeds): number => {
  const { embeds, generates } = route.operation
  return generates || embeds !== undefined ? promptTokens + outputTokens : 0
}

/** Goes on with a request that its limits let in: of a model, as the gateway knows it, and with so many tokens. */
export const withinLimits = (
  { limiter, settings }: RequestLimiter,
  run: RequestRun,
  model: string,
  tokens: number,
  goesOn: () => Forwarded
): Forwarded => {
  const { grant } = run.record
  const rules = limitRules(settings(), { grant, model })
  // One that waited for a server to wake has been let in.
  if (rules.length === 0 || run.limitPass !== undefined) return goesOn()
  const take = (decision: LimitDecision): LimitDecision => {
    if (decision instanceof RateLimited) return decision
    run.limitPass = decision
    run.record.limits(decision.left)
    return decision
  }
  const go = (decision: LimitDecision): Forwarded =>
    decision instanceof RateLimited ? Effect.fail(decision) : goesOn()
  const decision = limiter.enter(rules, tokens)
  if (!isDeciding(decision)) return go(take(decision))
  // Whoever leaves meanwhile has what was taken for him all the same, so that it is given back at his end.
  return Effect.flatMap(Effect.uninterruptible(Effect.map(decision, take)), go)
}

/** The tokens that a request took: those that were told, or as many as it is likely to have. */
export const tokensTaken = (record: RequestRecord, { bytes }: RequestEnd): number => {
  const { begunUsage, committed, decided, passed, route, usage } = record
  const { embeds, generates } = route.operation
  const { tokens } = countTokens({
    usage,
    begun: begunUsage,
    answered: committed !== undefined && committed.status < 400,
    countable: generates || embeds !== undefined,
    generates,
    promptTokens: decided?.needs.promptTokens ?? 0,
    pieces: passed.pieces,
    bytes
  })
  const { cacheRead, cacheWrite, fresh, output } = tokens
  return fresh + cacheRead + cacheWrite + output
}
