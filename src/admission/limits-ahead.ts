/**
 * What a process has taken of shared limits for requests to come: so little that limits hold, and so much that few have to ask.
 */
import type { AmountLeft, LimitRule, LimitsLeft } from "../domain/rate-limits.ts"
import { least } from "./Limiter.ts"
import { type EnterAnswer, type Entering, sparePlaces, type WantedAhead } from "./limit-scripts.ts"
import { TokenBucket } from "./token-bucket.ts"

// What all processes together take of a limit, and of what is left of it.
const ofLimit = 0.005
const ofLeft = 0.1

// What is not used for so long is given back.
const unusedMs = 1000

/** What was taken of one rule. */
interface Taken {
  rule: LimitRule
  requests: number
  tokens: number
  /** Places among those at a time, and those of them that no request has. */
  readonly places: Set<string>
  readonly free: Array<string>
  usedAt: number
  isAsked: boolean
  /** Below these it is little. */
  lowRequests: number
  lowTokens: number
  /** What is left for all, as far as this process knows. */
  readonly leftRequests: TokenBucket
  readonly leftTokens: TokenBucket
}

/** A place among those at a time that a request has. */
interface Place {
  readonly taken: Taken
  readonly id: string
}

/** What is given back of a rule. */
interface Unused {
  readonly rule: LimitRule
  readonly requests: number
  readonly tokens: number
  readonly places: ReadonlyArray<string>
}

const noPlaces: ReadonlyArray<Place> = []

const isSame = ({ limits: a }: LimitRule, { limits: b }: LimitRule): boolean =>
  a === b ||
  (a.requestsPerMinute === b.requestsPerMinute &&
    a.tokensPerMinute === b.tokensPerMinute &&
    a.maxConcurrent === b.maxConcurrent)

/** What was taken of all rules; monotonic milliseconds. */
export class Ahead {
  private readonly taken = new Map<string, Taken>()
  private readonly processes: () => number

  constructor(processes: () => number) {
    this.processes = processes
  }

  /** Takes a request of it, and says what is left then and which places it has; undefined where it is not enough. */
  take(
    rules: ReadonlyArray<LimitRule>,
    tokens: number,
    now: number,
    wallNow: () => number
  ): { readonly left: LimitsLeft; readonly places: ReadonlyArray<Place> } | undefined {
    for (const rule of rules) if (!this.isEnough(rule, tokens)) return undefined
    let requests: AmountLeft | undefined
    let ofTokens: AmountLeft | undefined
    let places: Array<Place> | undefined
    for (const { id, limits } of rules) {
      const taken = this.taken.get(id)
      if (taken === undefined) continue
      taken.usedAt = now
      const { maxConcurrent, requestsPerMinute, tokensPerMinute } = limits
      const place = maxConcurrent === undefined ? undefined : taken.free.pop()
      if (place !== undefined) {
        places ??= []
        places.push({ taken, id: place })
      }
      if (requestsPerMinute !== undefined) {
        taken.requests -= 1
        taken.leftRequests.take(requestsPerMinute, 1, now)
        requests = least(requests, taken.leftRequests.left(requestsPerMinute, now))
      }
      if (tokensPerMinute !== undefined) {
        taken.tokens -= tokens
        taken.leftTokens.take(tokensPerMinute, tokens, now)
        ofTokens = least(ofTokens, taken.leftTokens.left(tokensPerMinute, now))
      }
    }
    return { left: { at: wallNow(), requests, tokens: ofTokens }, places: places ?? noPlaces }
  }

  private isEnough(rule: LimitRule, tokens: number): boolean {
    const { limits } = rule
    const taken = this.taken.get(rule.id)
    return (
      taken !== undefined &&
      isSame(taken.rule, rule) &&
      (limits.requestsPerMinute === undefined || taken.requests >= 1) &&
      (limits.tokensPerMinute === undefined || taken.tokens >= tokens) &&
      (limits.maxConcurrent === undefined || taken.free.length > 0)
    )
  }

  /** Keeps the places of a request that has ended for those to come; gives those that are too many. */
  leave(places: ReadonlyArray<Place>): ReadonlyArray<Unused> {
    const gone: Array<Unused> = []
    for (const { id, taken } of places) {
      const { free, places: all, rule } = taken
      if (this.taken.get(rule.id) === taken && all.size <= this.mostPlaces(rule)) {
        free.push(id)
        continue
      }
      all.delete(id)
      gone.push({ rule, requests: 0, tokens: 0, places: [id] })
    }
    return gone
  }

  /** All places that this process has, by the rule that they are of. */
  places(): ReadonlyArray<readonly [rule: string, ids: ReadonlyArray<string>]> {
    return [...this.taken].flatMap(([rule, { places }]) => (places.size === 0 ? [] : [[rule, [...places]] as const]))
  }

  private mostPlaces({ limits: { maxConcurrent = 0 } }: LimitRule): number {
    return Math.floor((maxConcurrent * ofLimit) / this.processes())
  }

  /** Whether there is so little of one of them that it is time to ask for more. */
  isLow(rules: ReadonlyArray<LimitRule>, tokens: number): boolean {
    for (const { id, limits } of rules) {
      const taken = this.taken.get(id)
      if (taken === undefined || taken.isAsked) continue
      if (limits.requestsPerMinute !== undefined && taken.requests <= taken.lowRequests) return true
      if (limits.tokensPerMinute !== undefined && taken.tokens <= taken.lowTokens + tokens) return true
    }
    return false
  }

  /** What is asked of the store for a request, or for more of what it takes; who is asked already is not asked for twice. */
  entering(id: string, rules: ReadonlyArray<LimitRule>, tokens: number, isOne: boolean): Entering {
    const processes = this.processes()
    // What one rule gives is of no use where another one has to be asked.
    const isOfUse = rules.every((rule) => rule.limits.maxConcurrent === undefined || this.mostPlaces(rule) > 0)
    const ahead = rules.map((rule): WantedAhead | undefined => {
      const taken = this.takenOf(rule)
      if (!isOfUse || taken.isAsked) return undefined
      taken.isAsked = true
      const { places, requests, tokens: has } = taken
      return { ofLimit: ofLimit / processes, ofLeft: ofLeft / processes, requests, tokens: has, places: places.size }
    })
    return { id, rules, isOne, tokens, ahead }
  }

  /** What the store has given of it; undefined where it has not answered. */
  heard({ ahead, id, rules }: Entering, answer: EnterAnswer | undefined, now: number): void {
    for (const [at, rule] of rules.entries()) {
      const taken = this.taken.get(rule.id)
      if (taken === undefined || ahead[at] === undefined) continue
      taken.isAsked = false
      const said = answer?.rules[at]
      if (said === undefined) continue
      taken.usedAt = now
      taken.requests += said.ahead.requests
      taken.tokens += said.ahead.tokens
      for (const place of sparePlaces(id, said.ahead.places)) {
        taken.places.add(place)
        taken.free.push(place)
      }
      taken.lowRequests = taken.requests / 4
      taken.lowTokens = taken.tokens / 4
      taken.leftRequests.set(said.requests + taken.requests, now)
      taken.leftTokens.set(said.tokens + taken.tokens, now)
    }
  }

  /** All that has not been used for a while, which is forgotten here. */
  unused(now: number): ReadonlyArray<Unused> {
    const gone: Array<Unused> = []
    for (const [id, taken] of this.taken) {
      const { free, isAsked, places, requests, rule, tokens, usedAt } = taken
      if (isAsked || now - usedAt < unusedMs) continue
      if (requests !== 0 || tokens !== 0 || free.length > 0) gone.push({ rule, requests, tokens, places: [...free] })
      taken.requests = 0
      taken.tokens = 0
      for (const each of free) places.delete(each)
      free.length = 0
      if (places.size === 0) this.taken.delete(id)
    }
    return gone
  }

  private takenOf(rule: LimitRule): Taken {
    const known = this.taken.get(rule.id)
    if (known !== undefined) {
      known.rule = rule
      return known
    }
    const made = {
      rule,
      requests: 0,
      tokens: 0,
      places: new Set<string>(),
      free: [],
      usedAt: performance.now(),
      isAsked: false,
      lowRequests: 0,
      lowTokens: 0,
      leftRequests: new TokenBucket(0, 0),
      leftTokens: new TokenBucket(0, 0)
    }
    this.taken.set(rule.id, made)
    return made
  }
}
