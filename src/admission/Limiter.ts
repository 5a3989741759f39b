/**
 * Limits on requests, tokens and what is under way at a time: asked before a request goes on, and told how much it took when it
 * has ended.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { RateLimited } from "../domain/errors.ts"
import { type LimitUse, nearestLimits, usesOf } from "../domain/limit-use.ts"
import { type AmountLeft, type LimitRule, type LimitsLeft, type RateLimits } from "../domain/rate-limits.ts"
import { amountLeft, TokenBucket } from "./token-bucket.ts"

/** A request that was let in under limits. */
export interface LimitPass {
  readonly left: LimitsLeft
  /** It has ended at that monotonic millisecond, and took so many tokens; the first time counts. */
  readonly end: (tokens: number, now: number) => void
}

/** What becomes of a request. */
export type LimitDecision = LimitPass | RateLimited

/** Reads the time that people are told, in milliseconds since 1970. */
export const wallClock = Effect.map(Clock.Clock, (clock) => () => clock.currentTimeMillisUnsafe())

/** Whether somebody else is asked first; a refusal can be run as an effect too, and is none of these. */
export const isDeciding = (
  decision: LimitDecision | Effect.Effect<LimitDecision>
): decision is Effect.Effect<LimitDecision> => !("end" in decision) && !(decision instanceof RateLimited)

/** The limits. */
export class Limiter extends Context.Service<
  Limiter,
  {
    /** Lets a request in that is likely to take so many tokens, under all of its rules or none; at once where nobody else counts. */
    readonly enter: (rules: ReadonlyArray<LimitRule>, tokens: number) => LimitDecision | Effect.Effect<LimitDecision>
    /** What this process counts as taken, of those who are nearest to their limits; its siblings count the rest. */
    readonly counted: () => ReadonlyArray<LimitUse>
    /** What is taken under these rules by the requests of everybody; undefined where {@link counted} of all siblings says it. */
    readonly takenByAll: (rules: ReadonlyArray<LimitRule>) => Effect.Effect<ReadonlyArray<LimitUse> | undefined>
  }
>()("nexus/admission/Limiter") {
  /** Counts for this process alone, one of so many that share the limits. */
  static readonly layer = (processes = 1) =>
    Layer.effect(
      Limiter,
      Effect.map(wallClock, (wallNow) => {
        const counts = new LimitCounts(processes)
        return Limiter.of({
          enter: (rules, tokens) => counts.enter(rules, tokens, performance.now(), wallNow()),
          counted: () => counts.uses(performance.now()),
          takenByAll: () => Effect.undefined
        })
      })
    )
}

/** What speaks against a request under one rule; times in milliseconds. */
export interface Objection {
  readonly waitForRequests: number
  readonly waitForTokens: number
  readonly isFull: boolean
}

/** What is left of a rule, below 0 where it is owed, and of which larger limit it is then. */
export interface Level {
  readonly requests: number
  readonly tokens: number
  readonly requestsOwedOf?: number
  readonly tokensOwedOf?: number
}

const refusalUnder = (
  { of }: LimitRule,
  { maxConcurrent = 0, requestsPerMinute = 0, tokensPerMinute = 0 }: RateLimits,
  { isFull, waitForRequests, waitForTokens }: Objection,
  tokens: number,
  left: LimitsLeft
): RateLimited | undefined => {
  const refused = (what: string, waitMs: number) => {
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
    const message = `Rate limit reached for ${of}: ${what}. Please try again in ${retryAfterSeconds}s`
    return new RateLimited({ message, retryAfterSeconds, left })
  }
  if (waitForTokens > 0 && waitForTokens >= waitForRequests)
    return refused(`${Math.floor(tokensPerMinute)} tokens per minute, ${tokens} are asked for`, waitForTokens)
  if (waitForRequests > 0) return refused(`${Math.floor(requestsPerMinute)} requests per minute`, waitForRequests)
  return isFull ? refused(`${maxConcurrent} requests at a time`, 0) : undefined
}

// The longest wait: before it is over another try is of no use.
const longest = (one: RateLimited | undefined, other: RateLimited | undefined): RateLimited | undefined =>
  one === undefined || (other !== undefined && other.retryAfterSeconds > one.retryAfterSeconds) ? other : one

/** Why a request is not let in under rules that others have looked at, each with what speaks against it; undefined when it is. */
export const refusalBy = (
  rules: ReadonlyArray<LimitRule>,
  objections: ReadonlyArray<Objection>,
  tokens: number,
  left: LimitsLeft
): RateLimited | undefined =>
  rules.reduce<RateLimited | undefined>((refusal, rule, at) => {
    const objection = objections[at]
    return objection === undefined
      ? refusal
      : longest(refusal, refusalUnder(rule, rule.limits, objection, tokens, left))
  }, undefined)

interface Counted {
  rule: LimitRule
  limits: RateLimits
  readonly requests: TokenBucket
  readonly tokens: TokenBucket
  underWay: number
}

// Whether they are counted under these very rules, and by one process.
const isOf = (all: ReadonlyArray<Counted>, rules: ReadonlyArray<LimitRule>): boolean => {
  for (let at = 0; at < all.length; at += 1) {
    const { limits, rule } = all[at] ?? {}
    if (rule !== rules[at] || limits !== rule?.limits) return false
  }
  return true
}

// Those that are counted before some are looked for of which nothing need be known.
const sweptAt = 1000

// Of so many at most it is told what they have taken.
const mostUses = 200

/** That of which the smaller part is left. */
export const least = (a: AmountLeft | undefined, b: AmountLeft): AmountLeft =>
  a === undefined || b.left / b.limit < a.left / a.limit ? b : a

class Held implements LimitPass, LimitsLeft {
  readonly at: number
  requests: AmountLeft | undefined
  tokens: AmountLeft | undefined
  private readonly all: ReadonlyArray<Counted>
  private readonly reserved: number
  private isOver = false

  /** What is left is put in afterwards. */
  constructor(all: ReadonlyArray<Counted>, reserved: number, at: number) {
    this.all = all
    this.reserved = reserved
    this.at = at
    this.requests = undefined
    this.tokens = undefined
  }

  // It is made for each request: another object for this would be dearer than what it holds.
  get left(): LimitsLeft {
    return this
  }

  end(used: number, now: number): void {
    if (this.isOver) return
    this.isOver = true
    for (const counts of this.all) {
      const { tokensPerMinute } = counts.limits
      if (tokensPerMinute !== undefined) counts.tokens.take(tokensPerMinute, used - this.reserved, now)
      counts.underWay -= 1
    }
  }
}

/** The counts of a process; monotonic milliseconds, `wall` since 1970. */
export class LimitCounts {
  private readonly counted = new Map<string, Counted>()
  // Those of rules that come together again and again.
  private together = new WeakMap<ReadonlyArray<LimitRule>, ReadonlyArray<Counted>>()
  // Those of the rules of the last request, which are often those of the next.
  private lastRules: ReadonlyArray<LimitRule> | undefined
  private last: ReadonlyArray<Counted> = []
  private readonly processes: () => number
  private sweepAt = sweptAt

  /** `processes` says how many share the limits; it may change. */
  constructor(processes: number | (() => number) = 1) {
    this.processes = typeof processes === "number" ? () => processes : processes
  }

  /** How many are counted. */
  get size(): number {
    return this.counted.size
  }

  enter(rules: ReadonlyArray<LimitRule>, tokens: number, now: number, wall: number): LimitDecision {
    this.sweep(now)
    const all = this.countsOfAll(rules, now)
    const refusal = this.isOpposed(all, tokens, now) ? this.refusal(all, tokens, now, wall) : undefined
    if (refusal !== undefined) return refusal
    const held = new Held(all, tokens, wall)
    for (const counts of all) {
      const { requestsPerMinute, tokensPerMinute } = counts.limits
      if (requestsPerMinute !== undefined) {
        counts.requests.take(requestsPerMinute, 1, now)
        held.requests = least(held.requests, counts.requests.left(requestsPerMinute, now))
      }
      if (tokensPerMinute !== undefined) {
        counts.tokens.take(tokensPerMinute, tokens, now)
        held.tokens = least(held.tokens, counts.tokens.left(tokensPerMinute, now))
      }
      counts.underWay += 1
    }
    return held
  }

  /** Takes over what somebody who counts for all has left of each rule; of that, this process has its share. */
  follow(rules: ReadonlyArray<LimitRule>, levels: ReadonlyArray<Level>, now: number, at: number): LimitsLeft {
    this.sweep(now)
    const processes = this.processes()
    let requests: AmountLeft | undefined
    let tokens: AmountLeft | undefined
    for (const [place, rule] of rules.entries()) {
      const level = levels[place]
      if (level === undefined) continue
      const { requestsPerMinute, tokensPerMinute } = rule.limits
      const counts = this.countsOf(rule, now)
      const { requestsOwedOf = 0, tokensOwedOf = 0 } = level
      if (requestsPerMinute !== undefined) {
        counts.requests.set(level.requests / processes, now, requestsOwedOf / processes)
        requests = least(requests, amountLeft(requestsPerMinute, level.requests, requestsOwedOf))
      }
      if (tokensPerMinute !== undefined) {
        counts.tokens.set(level.tokens / processes, now, tokensOwedOf / processes)
        tokens = least(tokens, amountLeft(tokensPerMinute, level.tokens, tokensOwedOf))
      }
    }
    return { at, requests, tokens }
  }

  /** Counts a request among those under way that somebody else has let in. */
  hold(rules: ReadonlyArray<LimitRule>, tokens: number, left: LimitsLeft, now: number): LimitPass {
    const all = this.countsOfAll(rules, now)
    const held = new Held(all, tokens, left.at)
    held.requests = left.requests
    held.tokens = left.tokens
    for (const counts of all) counts.underWay += 1
    return held
  }

  /** What was taken of those who are nearest to their limits; who has all that is his is left out. */
  uses(now: number): ReadonlyArray<LimitUse> {
    const all: Array<{ readonly counts: Counted; readonly taken: readonly [number, number]; readonly share: number }> =
      []
    for (const counts of this.counted.values()) {
      const { limits, requests, tokens, underWay } = counts
      const { maxConcurrent = Infinity, requestsPerMinute, tokensPerMinute } = limits
      const ofRequests = requestsPerMinute === undefined ? 0 : requests.missing(requestsPerMinute, now)
      const ofTokens = tokensPerMinute === undefined ? 0 : tokens.missing(tokensPerMinute, now)
      if (underWay <= 0 && ofRequests <= 0 && ofTokens <= 0) continue
      const share = Math.max(
        ofRequests / (requestsPerMinute ?? Infinity),
        ofTokens / (tokensPerMinute ?? Infinity),
        underWay / maxConcurrent
      )
      all.push({ counts, taken: [ofRequests, ofTokens], share })
    }
    // There may be thousands of whom nothing is told.
    const nearest = all.toSorted((a, b) => b.share - a.share).slice(0, mostUses)
    const uses = nearest.flatMap(({ counts: { limits, rule, underWay }, taken }) =>
      usesOf(rule, ...taken, underWay, limits)
    )
    return nearestLimits(uses, mostUses)
  }

  /** The rules that there are counts of. */
  rules(): ReadonlyArray<LimitRule> {
    return Array.from(this.counted.values(), ({ rule }) => rule)
  }

  private shareOf({ maxConcurrent, requestsPerMinute, tokensPerMinute }: RateLimits): RateLimits {
    const processes = this.processes()
    return {
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute: requestsPerMinute / processes }),
      ...(tokensPerMinute === undefined ? {} : { tokensPerMinute: tokensPerMinute / processes }),
      ...(maxConcurrent === undefined ? {} : { maxConcurrent: Math.ceil(maxConcurrent / processes) })
    }
  }

  private countsOfAll(rules: ReadonlyArray<LimitRule>, now: number): ReadonlyArray<Counted> {
    const known = rules === this.lastRules ? this.last : this.together.get(rules)
    if (known === undefined || this.processes() !== 1 || !isOf(known, rules)) return this.findAll(rules, now)
    this.lastRules = rules
    this.last = known
    return known
  }

  private findAll(rules: ReadonlyArray<LimitRule>, now: number): ReadonlyArray<Counted> {
    const all = rules.map((rule) => this.countsOf(rule, now))
    this.together.set(rules, all)
    this.lastRules = undefined
    return all
  }

  private countsOf(rule: LimitRule, now: number): Counted {
    const { id, limits: whole } = rule
    const limits = this.processes() === 1 ? whole : this.shareOf(whole)
    const known = this.counted.get(id)
    if (known !== undefined) {
      this.follows(known, rule, now)
      known.limits = limits
      return known
    }
    const made = {
      rule,
      limits,
      requests: new TokenBucket(limits.requestsPerMinute ?? 0, now),
      tokens: new TokenBucket(limits.tokensPerMinute ?? 0, now),
      underWay: 0
    }
    this.counted.set(id, made)
    return made
  }

  // Who is given more has it at once, and who is given less has taken what he has taken.
  private follows(counts: Counted, rule: LimitRule, now: number): void {
    const { limits: before } = counts.rule
    const { limits } = rule
    counts.rule = rule
    if (before === limits) return
    const processes = this.processes()
    counts.requests.resize(before.requestsPerMinute, limits.requestsPerMinute, processes, now)
    counts.tokens.resize(before.tokensPerMinute, limits.tokensPerMinute, processes, now)
  }

  private isOpposed(all: ReadonlyArray<Counted>, tokens: number, now: number): boolean {
    for (const counts of all) if (this.objection(counts, tokens, now) !== undefined) return true
    return false
  }

  private refusal(all: ReadonlyArray<Counted>, tokens: number, now: number, wall: number): RateLimited | undefined {
    const left = this.leftOf(all, now, wall)
    let refusal: RateLimited | undefined
    for (const counts of all) {
      const objection = this.objection(counts, tokens, now)
      if (objection === undefined) continue
      refusal = longest(refusal, refusalUnder(counts.rule, counts.limits, objection, tokens, left))
    }
    return refusal
  }

  // What speaks against a request; most have nothing against them, and nothing is made for them.
  private objection(
    { limits, requests, tokens: held, underWay }: Counted,
    tokens: number,
    now: number
  ): Objection | undefined {
    const { maxConcurrent, requestsPerMinute, tokensPerMinute } = limits
    const waitForRequests = requestsPerMinute === undefined ? 0 : requests.waitMs(requestsPerMinute, 1, now)
    const waitForTokens = tokensPerMinute === undefined ? 0 : held.waitMs(tokensPerMinute, tokens, now)
    const isFull = maxConcurrent !== undefined && underWay >= maxConcurrent
    return isFull || waitForRequests > 0 || waitForTokens > 0 ? { waitForRequests, waitForTokens, isFull } : undefined
  }

  private leftOf(all: ReadonlyArray<Counted>, now: number, at: number): LimitsLeft {
    let requests: AmountLeft | undefined
    let tokens: AmountLeft | undefined
    for (const counts of all) {
      const { requestsPerMinute, tokensPerMinute } = counts.limits
      if (requestsPerMinute !== undefined) requests = least(requests, counts.requests.left(requestsPerMinute, now))
      if (tokensPerMinute !== undefined) tokens = least(tokens, counts.tokens.left(tokensPerMinute, now))
    }
    return { at, requests, tokens }
  }

  // Of whoever is not under way and has all that is his, a new count knows as much.
  private sweep(now: number): void {
    if (this.counted.size < this.sweepAt) return
    for (const [id, { limits, requests, tokens, underWay }] of this.counted) {
      const isFresh =
        underWay === 0 &&
        requests.isFull(limits.requestsPerMinute ?? 0, now) &&
        tokens.isFull(limits.tokensPerMinute ?? 0, now)
      if (isFresh) this.counted.delete(id)
    }
    this.together = new WeakMap()
    this.lastRules = undefined
    this.sweepAt = Math.max(sweptAt, 2 * this.counted.size)
  }
}
