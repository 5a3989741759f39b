/**
 * The limits of replicas in the shared store: all of a request in one script, and many requests in one, by the store's own clock.
 * Each rule has a bucket for requests and one for tokens, and where they are bounded the requests under way as leases, which run out
 * by themselves where nobody renews them.
 */
import * as Redis from "effect/persistence/Redis"
import { type LimitUse, usesOf } from "../domain/limit-use.ts"
import type { LimitRule, RateLimits } from "../domain/rate-limits.ts"
import type { Level, Objection } from "./Limiter.ts"

/** How long a lease lasts that nobody renews, in milliseconds: the places of a replica that was killed come back then. */
export const leaseMs = 6000

/** What is asked for under one rule beside the request: that this process has so much for requests to come, as parts. */
export interface WantedAhead {
  /** Of the limit, and of what is left of it. */
  readonly ofLimit: number
  readonly ofLeft: number
  /** What it has already. */
  readonly requests: number
  readonly tokens: number
  readonly places: number
}

/** A request that wants to be let in, or none where only something for requests to come is asked for. */
export interface Entering {
  readonly id: string
  readonly rules: ReadonlyArray<LimitRule>
  readonly isOne: boolean
  readonly tokens: number
  /** For each rule; undefined where nothing is wanted for requests to come. */
  readonly ahead: ReadonlyArray<WantedAhead | undefined>
}

/** What the store knows of one rule, with what speaks against a request; times in milliseconds. */
interface RuleAnswer extends Objection, Level {
  /** What was taken for requests to come. */
  readonly ahead: { readonly requests: number; readonly tokens: number; readonly places: number }
}

/** What the store says to a request. */
export interface EnterAnswer {
  readonly isIn: boolean
  readonly rules: ReadonlyArray<RuleAnswer>
}

const none = -1

const bounds = ({ maxConcurrent = none, requestsPerMinute = none, tokensPerMinute = none }: RateLimits) => [
  requestsPerMinute,
  tokensPerMinute,
  maxConcurrent
]

type KeyOf = (name: string) => string

const keysOf = (key: KeyOf, rules: ReadonlyArray<LimitRule>): ReadonlyArray<string> =>
  rules.flatMap(({ id }) => [key(`limit ${id}`), key(`held ${id}`)])

const twoKeysEach = (_: KeyOf, all: ReadonlyArray<{ readonly rules: ReadonlyArray<LimitRule> }>): number =>
  all.reduce((sum, { rules }) => sum + 2 * rules.length, 0)

// Filled evenly, and never above its rim; `save` keeps it until it would be full again. A bucket remembers the limit that it was
// counted under: of another one as much has been taken, and what is owed of a larger one comes back as fast as it would have.
const buckets = `
local t = redis.call("TIME")
local now = t[1] * 1000 + t[2] / 1000
local function level(limit, l, before, owed, passed)
  if limit < 0 then return 0, 0 end
  if not l then return limit, 0 end
  before = before or limit
  local owing = 0
  if owed > before and l < 0 then owing = math.min(passed, -l * 60000 / owed) end
  l = math.min(before, l + (owing * owed + (passed - owing) * before) / 60000) + limit - before
  if limit < before then owed = math.max(owed, before) end
  return l, l < 0 and owed or 0
end
local function filled(key, rpm, tpm)
  local b = redis.call("HMGET", key, "at", "r", "R", "ro", "t", "T", "to")
  for i = 1, 7 do b[i] = tonumber(b[i]) end
  local passed = math.max(0, now - (b[1] or now))
  local r, ro = level(rpm, b[2], b[3], b[4] or 0, passed)
  local k, ko = level(tpm, b[5], b[6], b[7] or 0, passed)
  return r, k, ro, ko
end
local function comesIn(limit, missing, l, owed)
  local o = owed > limit and math.max(0, math.min(missing, -l)) or 0
  return (o > 0 and o * 60000 / owed or 0) + (missing - o) * 60000 / limit
end
local function save(key, rpm, tpm, r, k, ro, ko)
  local missing = 0
  local set = {"HSET", key, "at", string.format("%.3f", now)}
  local function put(name, limit, l, owed)
    if limit <= 0 then return end
    missing = math.max(missing, comesIn(limit, limit - l, l, owed))
    for _, each in ipairs({name, string.format("%.6f", l), string.upper(name), limit, name .. "o", owed}) do set[#set + 1] = each end
  end
  put("r", rpm, r, ro)
  put("t", tpm, k, ko)
  redis.call(unpack(set))
  redis.call("PEXPIRE", key, math.ceil(missing) + 60000)
end
`

/** What the places of requests to come are called that were taken with an id. */
export const sparePlaces = (id: string, count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, at) => `${id}.${at + 1}`)

const figuresEach = 8

/** Lets each of these requests in under all of its rules, or takes nothing of any. */
export const enterScript = Redis.script(
  (key: KeyOf, all: ReadonlyArray<Entering>) => [
    ...all.flatMap(({ rules }) => keysOf(key, rules)),
    ...all.flatMap(({ ahead, id, isOne, rules, tokens }) => [
      rules.length,
      id,
      isOne ? 1 : 0,
      tokens,
      ...rules.flatMap(({ limits }, at) => {
        const { ofLeft = 0, ofLimit = 0, places = 0, requests = 0, tokens: has = 0 } = ahead[at] ?? {}
        return [...bounds(limits), ofLimit, ofLeft, requests, has, places]
      })
    ])
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${buckets}
local out, k0, a = {}, 0, 0
while a < #ARGV do
  local rules, id, one, tokens = tonumber(ARGV[a + 1]), ARGV[a + 2], tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  a = a + 4
  local isIn, all = 1, {}
  for i = 1, rules do
    local limit, held, at = KEYS[k0 + 2 * i - 1], KEYS[k0 + 2 * i], a + ${figuresEach} * (i - 1)
    local rpm, tpm, most = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    local r, k, ro, ko = filled(limit, rpm, tpm)
    local busy = 0
    if most > 0 then
      redis.call("ZREMRANGEBYSCORE", held, "-inf", now)
      busy = redis.call("ZCARD", held)
    end
    local waitR, waitT, full = 0, 0, 0
    if one == 1 then
      if rpm > 0 and r < 1 - 1e-6 then waitR = comesIn(rpm, 1 - r, r, ro) end
      local lacking = math.min(tokens, tpm) - k
      if tpm > 0 and lacking > 1e-6 then waitT = comesIn(tpm, lacking, k, ko) end
      if most > 0 and busy >= most then full = 1 end
      if waitR > 0 or waitT > 0 or full == 1 then isIn = 0 end
    end
    all[i] = {limit, held, at, rpm, tpm, most, r, k, ro, ko, waitR, waitT, full, busy}
  end
  out[#out + 1] = isIn
  for i = 1, rules do
    local limit, held, at, rpm, tpm, most, r, k, ro, ko, waitR, waitT, full, busy = unpack(all[i])
    local moreR, moreT, moreP = 0, 0, 0
    if isIn == 1 then
      r, k = r - one, k - one * tokens
      local ofLimit, ofLeft = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
      if ofLimit > 0 then
        if rpm > 0 then moreR = math.floor(math.min(rpm * ofLimit - tonumber(ARGV[at + 6]), r * ofLeft)) end
        if tpm > 0 then moreT = math.floor(math.min(tpm * ofLimit - tonumber(ARGV[at + 7]), k * ofLeft)) end
        if most > 0 then moreP = math.floor(math.min(most * ofLimit - tonumber(ARGV[at + 8]), (most - busy - one) * ofLeft)) end
        if (rpm > 0 and moreR < 1) or (tpm > 0 and moreT < math.max(1, tokens)) or (most > 0 and moreP < 0) then
          moreR, moreT, moreP = 0, 0, 0
        end
      end
      r, k = r - moreR, k - moreT
      if one == 1 or moreR > 0 or moreT > 0 then save(limit, rpm, tpm, r, k, ro, ko) end
      if most > 0 then
        if one == 1 then redis.call("ZADD", held, now + ${leaseMs}, id) end
        for p = 1, moreP do redis.call("ZADD", held, now + ${leaseMs}, id .. "." .. p) end
        redis.call("PEXPIRE", held, ${2 * leaseMs})
      end
    end
    local left = {math.floor(r * 1000), math.floor(k * 1000), math.ceil(ro), math.ceil(ko)}
    for _, each in ipairs({math.ceil(waitR), math.ceil(waitT), full, left[1], left[2], left[3], left[4], moreR, moreT, moreP}) do
      out[#out + 1] = each
    end
  end
  k0, a = k0 + 2 * rules, a + ${figuresEach} * rules
end
return out`
  }
).withReturnType<ReadonlyArray<number>>()

/** The answers of {@link enterScript} to these. */
export const enterAnswersOf = (
  all: ReadonlyArray<Entering>,
  said: ReadonlyArray<number>
): ReadonlyArray<EnterAnswer> => {
  let at = 0
  const next = (): number => said[at++] ?? 0
  return all.map(({ rules }) => ({
    isIn: next() === 1,
    rules: rules.map(() => ({
      waitForRequests: next(),
      waitForTokens: next(),
      isFull: next() === 1,
      requests: next() / 1000,
      tokens: next() / 1000,
      requestsOwedOf: next(),
      tokensOwedOf: next(),
      ahead: { requests: next(), tokens: next(), places: next() }
    }))
  }))
}

/** Whether a request is known to have been let in by the store: it was, it was not, or nobody knows, and the store looks. */
export type LetIn = "yes" | "no" | "unknown"

/** What a request has come to: it counts for so many requests and tokens, and had reserved so many if it was let in. */
export interface Settled {
  readonly id: string
  readonly rules: ReadonlyArray<LimitRule>
  readonly letIn: LetIn
  readonly requests: number
  readonly reserved: number
  readonly used: number
}

/** Ends each of these requests: its leases go, and what it took in the end is what its buckets have lost. */
export const settleScript = Redis.script(
  (key: KeyOf, all: ReadonlyArray<Settled>) => [
    ...all.flatMap(({ rules }) => keysOf(key, rules)),
    ...all.flatMap(({ id, letIn, requests, reserved, rules, used }) => [
      rules.length,
      id,
      letIn,
      requests,
      reserved,
      used,
      ...rules.flatMap(({ limits }) => bounds(limits).slice(0, 2))
    ])
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${buckets}
local k0, a = 0, 0
while a < #ARGV do
  local rules, id, letIn = tonumber(ARGV[a + 1]), ARGV[a + 2], ARGV[a + 3]
  local requests, reserved, tokens = tonumber(ARGV[a + 4]), tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6])
  a = a + 6
  local isIn = letIn == "yes"
  if id ~= "" then
    for i = 1, rules do
      if redis.call("ZREM", KEYS[k0 + 2 * i], id) == 1 and letIn == "unknown" then isIn = true end
    end
  end
  if isIn then requests = requests - 1; tokens = tokens - reserved end
  if requests ~= 0 or tokens ~= 0 then
    for i = 1, rules do
      local rpm, tpm = tonumber(ARGV[a + 2 * i - 1]), tonumber(ARGV[a + 2 * i])
      local r, k, ro, ko = filled(KEYS[k0 + 2 * i - 1], rpm, tpm)
      save(KEYS[k0 + 2 * i - 1], rpm, tpm, math.min(rpm, r - requests), math.min(tpm, k - tokens), ro, ko)
    end
  end
  k0, a = k0 + 2 * rules, a + 2 * rules
end`
  }
)

/** What is taken under each of these rules: requests and tokens of a minute that have not come back yet, and places. */
export const takenScript = Redis.script(
  (key: KeyOf, rules: ReadonlyArray<LimitRule>) => [
    ...keysOf(key, rules),
    ...rules.flatMap(({ limits }) => bounds(limits))
  ],
  {
    numberOfKeys: (_: KeyOf, rules: ReadonlyArray<LimitRule>) => 2 * rules.length,
    lua: `${buckets}
local out = {}
for i = 1, #KEYS / 2 do
  local rpm, tpm, most = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
  local r, k = filled(KEYS[2 * i - 1], rpm, tpm)
  local busy = 0
  if most > 0 then busy = redis.call("ZCOUNT", KEYS[2 * i], string.format("(%.3f", now), "+inf") end
  out[#out + 1] = rpm > 0 and math.ceil((rpm - r) * 1000) or 0
  out[#out + 1] = tpm > 0 and math.ceil((tpm - k) * 1000) or 0
  out[#out + 1] = busy
end
return out`
  }
).withReturnType<ReadonlyArray<number>>()

/** The answers of {@link takenScript} to these. */
export const usesIn = (rules: ReadonlyArray<LimitRule>, said: ReadonlyArray<number>): ReadonlyArray<LimitUse> =>
  rules.flatMap((rule, at) => {
    const [requests = 0, tokens = 0, busy = 0] = said.slice(3 * at, 3 * at + 3)
    return usesOf(rule, requests / 1000, tokens / 1000, busy)
  })

/** Renews the leases of a rule. */
export const renewScript = Redis.script(
  (key: KeyOf, rule: string, ids: ReadonlyArray<string>) => [key(`held ${rule}`), ...ids],
  {
    numberOfKeys: 1,
    lua: `
local t = redis.call("TIME")
local ends = t[1] * 1000 + t[2] / 1000 + ${leaseMs}
for _, id in ipairs(ARGV) do redis.call("ZADD", KEYS[1], ends, id) end
redis.call("PEXPIRE", KEYS[1], ${2 * leaseMs})`
  }
)
