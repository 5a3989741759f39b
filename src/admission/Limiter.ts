/**
 * Limits on requests, tokens and what is under way at a time: asked before a request goes on, and told how much it took when it
 * has ended.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RateLimited } from "../domain/errors.ts"
import { type AmountLeft, type LimitRule, type LimitsLeft, type RateLimits } from "../domain/rate-limits.ts"
import { TokenBucket } from "./token-bucket.ts"

/** A request that was let in under limits. */
export interface LimitPass {
  readonly left: LimitsLeft
  /** It has ended at that monotonic millisecond, and took so many tokens; the first time counts. */
  readonly end: (tokens: number, now: number) => void
}

/** What becomes of a request. */
export type LimitDecision = LimitPass | RateLimited

/** The limits. */
export class Limiter extends Context.Service<
  Limiter,
  {
    /** Lets a request in that is likely to take so many tokens, under all of its rules or none; at once where nobody else counts. */
    readonly enter: (rules: ReadonlyArray<LimitRule>, tokens: number) => LimitDecision | Promise<LimitDecision>
  }
>()("nexus/admission/Limiter") {
  /** Counts for this process alone, one of so many that share the limits. */
  static readonly layer = (processes = 1) =>
    Layer.effect(
      Limiter,
      Effect.map(Clock.Clock, (clock) => {
        const counts = new LimitCounts(processes)
        return Limiter.of({
          enter: (rules, tokens) => counts.enter(rules, tokens, performance.now(), clock.currentTimeMillisUnsafe())
        })
      })
    )
}

interface Counted {
  limits: RateLimits
  readonly requests: TokenBucket
  readonly tokens: TokenBucket
  underWay: number
}

// Those that are counted before some are looked for of which nothing need be known.
const sweptAt = 1000

const least = (a: AmountLeft | undefined, b: AmountLeft): AmountLeft =>
  a === undefined || b.left / b.limit < a.left / a.limit ? b : a

/** The counts of a process; monotonic milliseconds, `wall` since 1970. */
export class LimitCounts {
  private readonly counted = new Map<string, Counted>()
  private readonly processes: number
  private sweepAt = sweptAt

  constructor(processes = 1) {
    this.processes = processes
  }

  /** How many are counted. */
  get size(): number {
    return this.counted.size
  }

  enter(rules: ReadonlyArray<LimitRule>, tokens: number, now: number, wall: number): LimitDecision {
    if (this.counted.size >= this.sweepAt) this.sweep(now)
    const all = rules.map((rule) => ({ rule, counts: this.countsOf(rule, now) }))
    let refusal: RateLimited | undefined
    for (const { counts, rule } of all) {
      const why = this.refusal(rule, counts, tokens, now, () => this.leftOf(all, now, wall))
      // The longest wait: before it is over another try is of no use.
      if (why !== undefined && (refusal === undefined || why.retryAfterSeconds > refusal.retryAfterSeconds))
        refusal = why
    }
    if (refusal !== undefined) return refusal
    for (const { counts } of all) {
      const { requestsPerMinute, tokensPerMinute } = counts.limits
      if (requestsPerMinute !== undefined) counts.requests.take(requestsPerMinute, 1, now)
      if (tokensPerMinute !== undefined) counts.tokens.take(tokensPerMinute, tokens, now)
      counts.underWay += 1
    }
    let isOver = false
    return {
      left: this.leftOf(all, now, wall),
      end: (used, at) => {
        if (isOver) return
        isOver = true
        for (const { counts } of all) {
          const { tokensPerMinute } = counts.limits
          if (tokensPerMinute !== undefined) counts.tokens.take(tokensPerMinute, used - tokens, at)
          counts.underWay -= 1
        }
      }
    }
  }

  private shareOf({ maxConcurrent, requestsPerMinute, tokensPerMinute }: RateLimits): RateLimits {
    const { processes } = this
    return {
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute: requestsPerMinute / processes }),
      ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: tokensPerMinute / processes }),
      ...(maxConcurrent === undefined ? {} : { maxConcurrent: Math.ceil(maxConcurrent / processes) })
    }
  }

  private countsOf({ id, limits: whole }: LimitRule, now: number): Counted {
    const limits = this.processes === 1 ? whole : this.shareOf(whole)
    const known = this.counted.get(id)
    if (known !== undefined) {
      known.limits = limits
      return known
    }
    const made = {
      limits,
      requests: new TokenBucket(limits.requestsPerMinute ?? 0, now),
      tokens: new TokenBucket(limits.tokensPerMinute ?? 0, now),
      underWay: 0
    }
    this.counted.set(id, made)
    return made
  }

  private refusal(
    { of }: LimitRule,
    { limits, requests, tokens: held, underWay }: Counted,
    tokens: number,
    now: number,
    left: () => LimitsLeft
  ): RateLimited | undefined {
    const { maxConcurrent, requestsPerMinute, tokensPerMinute } = limits
    const refused = (what: string, waitMs: number) => {
      const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
      const message = `Rate limit reached for ${of}: ${what}. Please try again in ${retryAfterSeconds}s`
      return new RateLimited({ message, retryAfterSeconds, left: left() })
    }
    const forRequest = requestsPerMinute === undefined ? 0 : requests.waitMs(requestsPerMinute, 1, now)
    const forTokens = tokensPerMinute === undefined ? 0 : held.waitMs(tokensPerMinute, tokens, now)
    if (forTokens > 0 && forTokens >= forRequest)
      return refused(`${Math.floor(tokensPerMinute ?? 0)} tokens per minute, ${tokens} are asked for`, forTokens)
    if (forRequest > 0) return refused(`${Math.floor(requestsPerMinute ?? 0)} requests per minute`, forRequest)
    return maxConcurrent !== undefined && underWay >= maxConcurrent
      ? refused(`${maxConcurrent} requests at a time`, 0)
      : undefined
  }

  private leftOf(all: ReadonlyArray<{ readonly counts: Counted }>, now: number, at: number): LimitsLeft {
    let requests: AmountLeft | undefined
    let tokens: AmountLeft | undefined
    for (const { counts } of all) {
      const { requestsPerMinute, tokensPerMinute } = counts.limits
      if (requestsPerMinute !== undefined) requests = least(requests, counts.requests.left(requestsPerMinute, now))
      if (tokensPerMinute !== undefined) tokens = least(tokens, counts.tokens.left(tokensPerMinute, now))
    }
    return { at, ...(requests === undefined ? {} : { requests }), ...(tokens === undefined ? {} : { tokens }) }
  }

  // Of whoever is not under way and has all that is his, a new count knows as much.
  private sweep(now: number): void {
    for (const [id, { limits, requests, tokens, underWay }] of this.counted) {
      const isFresh =
        underWay === 0 &&
        requests.isFull(limits.requestsPerMinute ?? 0, now) &&
        tokens.isFull(limits.tokensPerMinute ?? 0, now)
      if (isFresh) this.counted.delete(id)
    }
    this.sweepAt = Math.max(sweptAt, 2 * this.counted.size)
  }
}
