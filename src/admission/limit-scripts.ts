/**
 * The limits of replicas in the shared store: all of a request in one script, by the store's own clock. Each rule has a bucket for
 * requests and one for tokens, and where they are bounded the requests under way as leases, which run out by themselves where nobody renews them.
 */
import * as Redis from "effect/persistence/Redis"
import type { LimitRule, RateLimits } from "../domain/rate-limits.ts"

/** How long a lease lasts that nobody renews, in milliseconds: the places of a replica that was killed come back then. */
export const leaseMs = 6000

/** What the store knows of one rule, with what speaks against a request; times in milliseconds. */
interface RuleAnswer {
  readonly waitForRequests: number
  readonly waitForTokens: number
  readonly isFull: boolean
  readonly requests: number
  readonly tokens: number
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

const twoKeysEach = (_: KeyOf, rules: ReadonlyArray<LimitRule>): number => 2 * rules.length

// Filled evenly, and never above its rim; `save` keeps it until it would be full again.
const buckets = `
local t = redis.call("TIME")
local now = t[1] * 1000 + t[2] / 1000
local function filled(key, rpm, tpm)
  local b = redis.call("HMGET", key, "r", "t", "at")
  local passed = math.max(0, now - (tonumber(b[3]) or now))
  local r = math.min(rpm, (tonumber(b[1]) or rpm) + passed * rpm / 60000)
  local k = math.min(tpm, (tonumber(b[2]) or tpm) + passed * tpm / 60000)
  if rpm < 0 then r = 0 end
  if tpm < 0 then k = 0 end
  return r, k
end
local function save(key, rpm, tpm, r, k)
  local missing = 0
  if rpm > 0 then missing = math.max(missing, (rpm - r) / rpm) end
  if tpm > 0 then missing = math.max(missing, (tpm - k) / tpm) end
  local set = {"HSET", key, "at", string.format("%.3f", now)}
  if rpm > 0 then set[#set + 1] = "r"; set[#set + 1] = string.format("%.6f", r) end
  if tpm > 0 then set[#set + 1] = "t"; set[#set + 1] = string.format("%.6f", k) end
  redis.call(unpack(set))
  redis.call("PEXPIRE", key, math.ceil(missing * 60000) + 60000)
end
`

/** Lets a request in under all of its rules, or none. */
export const enterScript = Redis.script(
  (key: KeyOf, rules: ReadonlyArray<LimitRule>, id: string, tokens: number) => [
    ...keysOf(key, rules),
    id,
    tokens,
    ...rules.flatMap(({ limits }) => bounds(limits))
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${buckets}
local tokens = tonumber(ARGV[2])
local isIn, out, all = 1, {0}, {}
for i = 1, #KEYS / 2 do
  local rpm, tpm, most = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1]), tonumber(ARGV[3 * i + 2])
  local r, k = filled(KEYS[2 * i - 1], rpm, tpm)
  if most > 0 then redis.call("ZREMRANGEBYSCORE", KEYS[2 * i], "-inf", now) end
  local waitR, waitT, full = 0, 0, 0
  if rpm > 0 and r < 1 - 1e-6 then waitR = (1 - r) * 60000 / rpm end
  if tpm > 0 and math.min(tokens, tpm) - k > 1e-6 then waitT = (math.min(tokens, tpm) - k) * 60000 / tpm end
  if most > 0 and redis.call("ZCARD", KEYS[2 * i]) >= most then full = 1 end
  if waitR > 0 or waitT > 0 or full == 1 then isIn = 0 end
  all[i] = {rpm, tpm, r, k, math.ceil(waitR), math.ceil(waitT), full, most}
end
for i = 1, #all do
  local rpm, tpm, r, k, waitR, waitT, full, most = unpack(all[i])
  if isIn == 1 then
    r, k = r - 1, k - tokens
    save(KEYS[2 * i - 1], rpm, tpm, r, k)
    if most > 0 then
      redis.call("ZADD", KEYS[2 * i], now + ${leaseMs}, ARGV[1])
      redis.call("PEXPIRE", KEYS[2 * i], ${2 * leaseMs})
    end
  end
  for _, each in ipairs({waitR, waitT, full, math.floor(r * 1000), math.floor(k * 1000)}) do out[#out + 1] = each end
end
out[1] = isIn
return out`
  }
).withReturnType<ReadonlyArray<number>>()

const figures = 5

/** The answer of {@link enterScript}. */
export const enterAnswerOf = (said: ReadonlyArray<number>): EnterAnswer => ({
  isIn: said[0] === 1,
  rules: Array.from({ length: (said.length - 1) / figures }, (_, at) => {
    const of = (place: number): number => said[1 + at * figures + place] ?? 0
    return {
      waitForRequests: of(0),
      waitForTokens: of(1),
      isFull: of(2) === 1,
      requests: of(3) / 1000,
      tokens: of(4) / 1000
    }
  })
})

/** Whether a request is known to have been let in by the store: it was, it was not, or nobody knows, and the store looks. */
export type LetIn = "yes" | "no" | "unknown"

/** What a request has come to: it counts for so many requests and tokens, and had reserved so many if it was let in. */
export interface Settled {
  readonly id: string
  readonly letIn: LetIn
  readonly requests: number
  readonly reserved: number
  readonly used: number
}

/** Ends a request: its leases go, and what it took in the end is what its buckets have lost. */
export const settleScript = Redis.script(
  (key: KeyOf, rules: ReadonlyArray<LimitRule>, { id, letIn, requests, reserved, used }: Settled) => [
    ...keysOf(key, rules),
    id,
    letIn,
    requests,
    reserved,
    used,
    ...rules.flatMap(({ limits }) => bounds(limits).slice(0, 2))
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${buckets}
local isIn = ARGV[2] == "yes"
for i = 1, #KEYS / 2 do
  if redis.call("ZREM", KEYS[2 * i], ARGV[1]) == 1 and ARGV[2] == "unknown" then isIn = true end
end
local requests, tokens = tonumber(ARGV[3]), tonumber(ARGV[5])
if isIn then requests = requests - 1; tokens = tokens - tonumber(ARGV[4]) end
if requests == 0 and tokens == 0 then return end
for i = 1, #KEYS / 2 do
  local rpm, tpm = tonumber(ARGV[4 + 2 * i]), tonumber(ARGV[5 + 2 * i])
  local r, k = filled(KEYS[2 * i - 1], rpm, tpm)
  save(KEYS[2 * i - 1], rpm, tpm, math.min(rpm, r - requests), math.min(tpm, k - tokens))
end`
  }
)

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
