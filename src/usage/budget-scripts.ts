/**
 * The accounts of budgets in the shared store. Each ledger has its own sum in an account, so that it can be told again after the
 * store has forgotten it; each process holds one amount of it, which is free again by itself where nobody renews it.
 */
import * as Redis from "effect/persistence/Redis"

/** How long it is held that nobody renews, in milliseconds. */
export const holdMs = 6000

/** An account as a process tells of it; money in billionths of a dollar. */
export interface AccountStatement {
  readonly id: string
  /** What may be spent; undefined where there is no end to it. */
  readonly hard: number | undefined
  /** When it ends, in milliseconds since 1970. */
  readonly ends: number
  /** What the ledger has spent of it in all. */
  readonly spent: number
  /** What is reserved for requests that are under way. */
  readonly reserved: number
  /** What those need who wait to be let in. */
  readonly needed: number
  /** What it is of use to hold for requests to come: this part of what is left, where it is as much as `least`. */
  readonly part: number
  readonly least: number
}

/** What the store says to it. */
interface Said {
  /** What all ledgers have spent. */
  readonly total: number
  /** What other processes hold. */
  readonly others: number
  /** What this one holds from now on. */
  readonly held: number
}

type KeyOf = (name: string) => string

// What is told late of a period that is over does no harm.
const keptMs = 86_400_000

const figuresEach = 7

/**
 * Tells what a ledger has spent, which counts where the store knows of less, and holds what is under way, what is needed as far as
 * there is room, and something for requests to come. It says how things stand, and not what changes: it may be told again, or get lost.
 */
export const stateScript = Redis.script(
  (key: KeyOf, holder: string, ledger: string, statements: ReadonlyArray<AccountStatement>) => [
    ...statements.flatMap(({ id }) => [key(`budget ${id}`), key(`budget holders ${id}`)]),
    holder,
    ledger,
    ...statements.flatMap(({ ends, hard, least, needed, part, reserved, spent }) => [
      hard ?? -1,
      ends + keptMs,
      spent,
      reserved,
      needed,
      part,
      least
    ])
  ],
  {
    numberOfKeys: (_, __, ___, statements) => 2 * statements.length,
    lua: `
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local own, out = "held " .. ARGV[1], {}
local function free(account, field)
  local was = tonumber(redis.call("HGET", account, field)) or 0
  redis.call("HDEL", account, field)
  redis.call("HINCRBY", account, "held", -was)
end
for i = 1, #KEYS / 2 do
  local account, holders, at = KEYS[2 * i - 1], KEYS[2 * i], 2 + ${figuresEach} * (i - 1)
  local hard, ends, spent, reserved, needed, part, least = unpack(ARGV, at + 1, at + ${figuresEach})
  hard, reserved = tonumber(hard), tonumber(reserved)
  for _, gone in ipairs(redis.call("ZRANGEBYSCORE", holders, "-inf", now)) do
    redis.call("ZREM", holders, gone)
    free(account, "held " .. gone)
  end
  local known = redis.call("HMGET", account, ARGV[2], "total", "held", own)
  local total, all, was = tonumber(known[2]) or 0, tonumber(known[3]) or 0, tonumber(known[4]) or 0
  local missing = tonumber(spent) - (tonumber(known[1]) or 0)
  if missing > 0 then
    redis.call("HINCRBY", account, ARGV[2], missing)
    total = redis.call("HINCRBY", account, "total", missing)
  end
  local held = reserved + tonumber(needed)
  if hard >= 0 then
    local left = math.max(0, hard - total - (all - was) - reserved)
    held = reserved + math.min(tonumber(needed), left)
    local more = math.floor((left - tonumber(needed)) * tonumber(part))
    if more > 0 and more >= tonumber(least) then held = held + more end
  end
  if held > 0 then
    redis.call("ZADD", holders, now + ${holdMs}, ARGV[1])
    if held ~= was then
      redis.call("HSET", account, own, held)
      redis.call("HINCRBY", account, "held", held - was)
    end
  elseif was > 0 then
    redis.call("ZREM", holders, ARGV[1])
    free(account, own)
  end
  redis.call("PEXPIREAT", account, ends)
  redis.call("PEXPIREAT", holders, ends)
  out[3 * i - 2], out[3 * i - 1], out[3 * i] = total, all - was, held
end
return out`
  }
).withReturnType<ReadonlyArray<number>>()

/** The answer of {@link stateScript} to the statement at this place. */
export const saidOf = (answer: ReadonlyArray<number>, place: number): Said => ({
  total: answer[3 * place] ?? 0,
  others: answer[3 * place + 1] ?? 0,
  held: answer[3 * place + 2] ?? 0
})
