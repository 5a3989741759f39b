import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { LimitCounts, type LimitPass } from "../../src/admission/Limiter.ts"
import { TokenBucket } from "../../src/admission/token-bucket.ts"
import { RateLimited } from "../../src/domain/errors.ts"
import { type LimitUse, nearestLimits, usesUnder } from "../../src/domain/limit-use.ts"
import { type LimitRule, limitRules, limitsOfHolder, type RateLimits } from "../../src/domain/rate-limits.ts"

const rule = (limits: RateLimits, id = "key a"): LimitRule => {
  const [scope, name = ""] = id.split(" ")
  return { id, scope: scope === "owner" ? "owner" : "key", name, of: `the ${id}`, limits }
}

const isIn = (decision: LimitPass | RateLimited): decision is LimitPass => !(decision instanceof RateLimited)

const entered = (counts: LimitCounts, rules: Parameters<LimitCounts["enter"]>[0], tokens = 0, now = 0): LimitPass => {
  const decision = counts.enter(rules, tokens, now, now)
  if (!isIn(decision)) throw decision
  return decision
}

describe("a bucket", () => {
  test("never gives more than it holds and what has come since, whatever is taken and given back (law)", () => {
    const step = fc.record({
      after: fc.nat({ max: 20_000 }),
      amount: fc.integer({ min: 1, max: 200 }),
      back: fc.nat({ max: 500 })
    })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.array(step, { maxLength: 60 }), (limit, steps) => {
        const bucket = new TokenBucket(limit, 0)
        let [now, taken] = [0, 0]
        for (const { after, amount, back } of steps) {
          now += after
          bucket.take(limit, -back, now)
          expect(bucket.left(limit, now).left).toBeLessThanOrEqual(limit)
          if (amount > limit || bucket.waitMs(limit, amount, now) > 0) continue
          bucket.take(limit, amount, now)
          // What is given back can be taken again, and no more than that.
          taken += amount - back
          expect(bucket.left(limit, now).left).toBeGreaterThanOrEqual(0)
        }
        const given = steps.reduce((sum, { back }) => sum + back, 0)
        expect(taken).toBeLessThanOrEqual(limit + (now * limit) / 60_000 + given + 1)
      })
    )
  })

  test("is there again after the wait that it tells, and not before (law)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), fc.integer({ min: 1, max: 10_000 }), (limit, amount) => {
        const bucket = new TokenBucket(limit, 0)
        bucket.take(limit, limit, 0)
        const wait = bucket.waitMs(limit, amount, 0)
        expect(wait).toBeGreaterThan(0)
        expect(bucket.waitMs(limit, amount, wait)).toBeLessThan(1)
        expect(new TokenBucket(limit, 0).waitMs(limit, amount, 0)).toBe(0)
      })
    )
  })
})

describe("limits", () => {
  test("let as many requests in as they say in a minute, and then as they come free", () => {
    const counts = new LimitCounts()
    const rules = [rule({ requestsPerMinute: 60 })]
    const taken = (now: number) =>
      Array.from({ length: 200 }, () => isIn(counts.enter(rules, 0, now, now))).filter(Boolean).length
    expect([taken(0), taken(500), taken(1000), taken(11_000), taken(600_000)]).toEqual([60, 0, 1, 10, 60])
  })

  test("reserve the tokens that are likely, and settle by those that were taken", () => {
    const counts = new LimitCounts()
    const rules = [rule({ tokensPerMinute: 1000 })]
    const first = entered(counts, rules, 800)
    expect(counts.enter(rules, 800, 0, 0)).toBeInstanceOf(RateLimited)
    first.end(100, 0)
    first.end(100, 0)
    expect(entered(counts, rules, 800).left.tokens?.left).toBeLessThanOrEqual(101)
    const over = counts.enter(rules, 800, 0, 0)
    expect(over).toMatchObject({ retryAfterSeconds: 42 })
  })

  test("of which one is reached take nothing of the others", () => {
    const counts = new LimitCounts()
    const tight = rule({ requestsPerMinute: 1 }, "owner o")
    const wide = rule({ requestsPerMinute: 100 })
    entered(counts, [wide, tight])
    for (let time = 0; time < 50; time += 1) expect(counts.enter([wide, tight], 0, 0, 0)).toBeInstanceOf(RateLimited)
    expect(entered(counts, [wide]).left.requests?.left).toBe(98)
  })

  test("let as many in at a time as they say, and another one when one has ended", () => {
    const counts = new LimitCounts()
    const rules = [rule({ maxConcurrent: 2 })]
    const [one] = [entered(counts, rules), entered(counts, rules)]
    expect(counts.enter(rules, 0, 0, 0)).toBeInstanceOf(RateLimited)
    one?.end(0, 0)
    entered(counts, rules)
    expect(counts.enter(rules, 0, 0, 0)).toBeInstanceOf(RateLimited)
  })

  test("are shared by processes, and forgotten of those who have all that is theirs", () => {
    const counts = new LimitCounts(4)
    const rules = [rule({ requestsPerMinute: 40 })]
    const taken = Array.from({ length: 40 }, () => isIn(counts.enter(rules, 0, 0, 0))).filter(Boolean).length
    expect(taken).toBe(10)
    for (let at = 0; at < 5000; at += 1) {
      const now = at * 100_000
      entered(counts, [rule({ requestsPerMinute: 10 }, `key ${at}`)], 0, now).end(0, now)
    }
    expect(counts.size).toBeLessThan(1100)
  })

  test("are forgotten of those who have all that is theirs where somebody else counts as well", () => {
    const counts = new LimitCounts()
    for (let at = 0; at < 5000; at += 1) {
      const now = at * 100_000
      const rules = [rule({ requestsPerMinute: 10 }, `key ${at}`)]
      const left = counts.follow(rules, [{ requests: 9, tokens: 0 }], now, now)
      counts.hold(rules, 0, left, now).end(0, now)
    }
    expect(counts.size).toBeLessThan(1100)
  })

  test("tell how near they are: what has not come back yet, and what is under way", () => {
    const counts = new LimitCounts()
    const tight = rule({ requestsPerMinute: 60, maxConcurrent: 2 }, "key tight")
    const wide = rule({ tokensPerMinute: 1000 }, "owner wide")
    const pass = entered(counts, [tight, wide], 100)
    const told = (now: number) => counts.uses(now).map(({ name, quota, taken }) => [name, quota, taken])
    expect(told(0)).toEqual([
      ["tight", "requests_per_minute", 1],
      ["tight", "max_concurrent", 1],
      ["wide", "tokens_per_minute", 100]
    ])
    pass.end(700, 0)
    expect(told(0)).toEqual([
      ["wide", "tokens_per_minute", 700],
      ["tight", "requests_per_minute", 1],
      ["tight", "max_concurrent", 0]
    ])
    expect(told(30_000)).toEqual([["wide", "tokens_per_minute", 200]])
    expect(told(60_000)).toEqual([])
  })

  test("of a part of them say of the whole what is taken of that part, where more is refused", () => {
    const counts = new LimitCounts(4)
    const rules = [rule({ requestsPerMinute: 40, maxConcurrent: 4 })]
    for (let time = 0; time < 5; time += 1) entered(counts, rules).end(0, 0)
    expect(counts.uses(0)).toEqual([
      { scope: "key", name: "a", quota: "requests_per_minute", allowed: 40, taken: 20 },
      { scope: "key", name: "a", quota: "max_concurrent", allowed: 4, taken: 0 }
    ])
  })

  test("are told of those who are nearest, where more have taken something than are told of", () => {
    const counts = new LimitCounts()
    for (let at = 1; at <= 300; at += 1) entered(counts, [rule({ tokensPerMinute: 1000 }, `key k${at}`)], at).end(at, 0)
    const told = counts.uses(0)
    expect(told.map(({ taken }) => taken)).toEqual(Array.from({ length: 200 }, (_, at) => 300 - at))
    expect(told[0]?.name).toBe("k300")
  })

  test("that are told of before they are set do not begin empty", () => {
    const counts = new LimitCounts()
    entered(counts, [rule({ maxConcurrent: 5 })])
    counts.uses(1000)
    expect(entered(counts, [rule({ requestsPerMinute: 60, maxConcurrent: 5 })], 0, 60_000).left.requests?.left).toBe(59)
  })

  test("that are raised let more in at once, and lowered count what was taken", () => {
    const of = (requestsPerMinute: number) => [rule({ requestsPerMinute, tokensPerMinute: 100 })]
    for (const processes of [1, 2]) {
      const counts = new LimitCounts(processes)
      const left = (allowed: number, now: number) => entered(counts, of(allowed), 0, now).left.requests?.left
      expect(left(20 * processes, 0)).toBe(19)
      expect(left(50 * processes, 0)).toBe(48)
      expect(left(10 * processes, 0)).toBe(7)
      for (let time = 0; time < 7; time += 1) entered(counts, of(10 * processes))
      expect(counts.enter(of(10 * processes), 0, 0, 0)).toBeInstanceOf(RateLimited)
      expect(counts.enter(of(5 * processes), 0, 0, 0)).toBeInstanceOf(RateLimited)
      expect(left(12 * processes, 0)).toBe(1)
    }
  })

  test("that are lowered a lot keep nobody waiting for longer than what was taken would have, whichever is asked under between", () => {
    const of = (requestsPerMinute: number) => [rule({ requestsPerMinute })]
    for (const processes of [1, 2]) {
      const counts = new LimitCounts(processes)
      const [large, small] = [6000 * processes, 6 * processes]
      for (let time = 0; time < 3000; time += 1) entered(counts, of(large))
      expect(counts.enter(of(small), 0, 0, 0)).toMatchObject({ retryAfterSeconds: 40 })
      expect(counts.enter(of(small), 0, 39_000, 0)).toBeInstanceOf(RateLimited)
      const { left } = entered(counts, of(small), 0, 40_000)
      expect(left.requests?.left).toBe(0)
      expect(left.requests?.resetMs).toBeWithin(59_000, 60_001)
      // Whoever has keys under either limit gets no more by asking with both.
      const other = new LimitCounts(processes)
      for (let time = 0; time < 6000; time += 1) entered(other, of(large))
      expect(other.enter(of(small), 0, 0, 0)).toBeInstanceOf(RateLimited)
      expect(other.enter(of(large), 0, 0, 0)).toBeInstanceOf(RateLimited)
    }
  })

  test("are told as they are now, however they were when somebody last came under them", () => {
    const use = (name: string, allowed: number, scope: LimitUse["scope"] = "key"): LimitUse => ({
      scope,
      name,
      quota: "requests_per_minute",
      allowed,
      taken: 3
    })
    const settings = {
      keys: { requestsPerMinute: 50 },
      owners: [{ name: "o*", limits: { requestsPerMinute: 7 } }],
      models: [{ name: "m*", limits: { tokensPerMinute: 9 } }]
    }
    const keys = new Map([
      ["own", { name: "own", limits: { requestsPerMinute: 10 } }],
      ["plain", { name: "plain" }]
    ])
    const told = usesUnder(
      [
        use("own", 5),
        use("plain", 5),
        use("token", 5),
        use("one", 5, "owner"),
        use("two", 5, "owner"),
        use("m", 5, "model")
      ],
      (holder) => limitsOfHolder(settings, holder, (name) => keys.get(name))
    )
    expect(told).toEqual([use("own", 10), use("plain", 50), use("token", 5), use("one", 7, "owner")])
  })

  test("are told of those who are nearest to theirs, each once and as near as it is", () => {
    const use = (name: string, taken: number, allowed = 10): LimitUse => ({
      scope: "model",
      name,
      quota: "requests_per_minute",
      allowed,
      taken
    })
    expect(nearestLimits([use("a", 1), use("b", 9), use("c", 5), use("a", 8, 80), use("a", 6)], 2)).toEqual([
      use("b", 9),
      use("a", 6)
    ])
  })

  test("are those of the key, else of all keys, beside those of its owner and of the model", () => {
    const settings = {
      keys: { requestsPerMinute: 5, maxConcurrent: 3 },
      owners: [{ name: "s*", limits: { tokensPerMinute: 7 } }],
      models: [{ name: "big-*", limits: { maxConcurrent: 1 } }]
    }
    const rules = limitRules(settings, {
      grant: { name: "a", owner: "search", limits: { requestsPerMinute: 9 } },
      model: "big-one"
    })
    expect(rules.map(({ id, limits }) => [id, limits])).toEqual([
      ["key a", { requestsPerMinute: 9, maxConcurrent: 3 }],
      ["owner search", { tokensPerMinute: 7 }],
      ["model big-* big-one", { maxConcurrent: 1 }]
    ])
    expect(limitRules(settings, { grant: undefined, model: "small" })).toEqual([])
  })
})
