/**
 * The accounts of budgets in the shared store. Each ledger has its own sum in an account, so that it can be told again after the
 * store has forgotten it; what is reserved is held by leases, which run out by themselves where nobody renews them.
 */
import * as Redis from "effect/persistence/Redis"

/** How long what is reserved is held that nobody renews, in milliseconds. */
export const holdMs = 6000

/** An account as the store knows it. */
export interface StoreAccount {
  readonly id: string
  /** Billionths of a dollar that may be spent; undefined where there is no end to it. */
  readonly hard: number | undefined
  /** When it ends, in milliseconds since 1970. */
  readonly ends: number
}

type KeyOf = (name: string) => string
type Accounts = ReadonlyArray<StoreAccount>

const keysOf = (key: KeyOf, accounts: Accounts): ReadonlyArray<string> =>
  accounts.flatMap(({ id }) => [key(`budget ${id}`), key(`budget held ${id}`)])

const twoKeysEach = (_: KeyOf, accounts: Accounts): number => 2 * accounts.length

// What is told late of a period that is over does no harm.
const keptMs = 86_400_000

const endsOf = (accounts: Accounts): ReadonlyArray<number> => accounts.map(({ ends }) => ends + keptMs)

// `given` gives what was held too long back.
const common = `
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function given(account, held)
  for _, each in ipairs(redis.call("ZRANGEBYSCORE", held, "-inf", now)) do
    redis.call("ZREM", held, each)
    redis.call("HINCRBY", account, "held", -tonumber(string.match(each, "%d+$")))
  end
end
local function standing(account)
  local both = redis.call("HMGET", account, "total", "held")
  return tonumber(both[1]) or 0, tonumber(both[2]) or 0
end
local function tell(account, ledger, sum, ends)
  local missing = tonumber(sum) - (tonumber(redis.call("HGET", account, ledger)) or 0)
  if missing <= 0 then return end
  redis.call("HINCRBY", account, ledger, missing)
  redis.call("HINCRBY", account, "total", missing)
  redis.call("PEXPIREAT", account, ends)
end
local function hold(account, held, id, nanos)
  if redis.call("ZADD", held, now + ${holdMs}, id .. ":" .. nanos) == 1 then redis.call("HINCRBY", account, "held", nanos) end
  redis.call("PEXPIRE", held, ${2 * holdMs})
end
`

/** Reserves in all accounts or in none, after it has been told what a ledger has spent in all; the first number of the answer is 0, or which of them has no room. */
export const reserveScript = Redis.script(
  (key: KeyOf, accounts: Accounts, id: string, nanos: number, ledger: string, sums: ReadonlyArray<number>) => [
    ...keysOf(key, accounts),
    id,
    nanos,
    ...accounts.map(({ hard }) => hard ?? -1),
    ...endsOf(accounts),
    ledger,
    ...sums
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${common}
local n = #KEYS / 2
local nanos = tonumber(ARGV[2])
local full, out = 0, {0}
for i = 1, n do
  given(KEYS[2 * i - 1], KEYS[2 * i])
  tell(KEYS[2 * i - 1], ARGV[3 + 2 * n], ARGV[3 + 2 * n + i], ARGV[2 + n + i])
  local total, held = standing(KEYS[2 * i - 1])
  local hard = tonumber(ARGV[2 + i])
  if full == 0 and hard >= 0 and total + held + nanos > hard then full = i end
  out[2 * i], out[2 * i + 1] = total, held
end
if full == 0 then
  for i = 1, n do
    hold(KEYS[2 * i - 1], KEYS[2 * i], ARGV[1], ARGV[2])
    redis.call("PEXPIREAT", KEYS[2 * i - 1], ARGV[2 + n + i])
    out[2 * i + 1] = out[2 * i + 1] + nanos
  end
end
out[1] = full
return out`
  }
).withReturnType<ReadonlyArray<number>>()

/** Gives back what was reserved. */
export const releaseScript = Redis.script(
  (key: KeyOf, accounts: Accounts, id: string, nanos: number) => [...keysOf(key, accounts), id, nanos],
  {
    numberOfKeys: twoKeysEach,
    lua: `
for i = 1, #KEYS / 2 do
  if redis.call("ZREM", KEYS[2 * i], ARGV[1] .. ":" .. ARGV[2]) == 1 then
    redis.call("HINCRBY", KEYS[2 * i - 1], "held", -tonumber(ARGV[2]))
  end
end`
  }
)

/** Holds on to what is reserved. */
export const keepScript = Redis.script(
  (key: KeyOf, accounts: Accounts, id: string, nanos: number) => [...keysOf(key, accounts), id, nanos],
  {
    numberOfKeys: twoKeysEach,
    lua: `${common}
for i = 1, #KEYS / 2 do hold(KEYS[2 * i - 1], KEYS[2 * i], ARGV[1], ARGV[2]) end`
  }
)

/** Tells what a ledger has spent in all, which counts where the store knows of less; answers what is spent and held of each account. */
export const restateScript = Redis.script(
  (key: KeyOf, accounts: Accounts, ledger: string, sums: ReadonlyArray<number>) => [
    ...keysOf(key, accounts),
    ledger,
    ...sums,
    ...endsOf(accounts)
  ],
  {
    numberOfKeys: twoKeysEach,
    lua: `${common}
local n, out = #KEYS / 2, {}
for i = 1, n do
  local account = KEYS[2 * i - 1]
  given(account, KEYS[2 * i])
  tell(account, ARGV[1], ARGV[1 + i], ARGV[1 + n + i])
  out[2 * i - 1], out[2 * i] = standing(account)
end
return out`
  }
).withReturnType<ReadonlyArray<number>>()
