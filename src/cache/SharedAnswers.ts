/**
 * Answers that all replicas give again, kept in the store that they share: under a name and sealed with a key that are both made of
 * the request, so that nobody learns an answer there without knowing what it is the answer to. A request waits for the store
 * 5 ms at most, and nothing waits while one is kept.
 */
import { hash } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schema from "effect/Schema"
import { sealOf } from "../capture/sealing.ts"
import { Conflict } from "../domain/errors.ts"
import { StorePatience } from "../replicas/patience.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import { AnswerCache, type CacheStanding, type KeptAnswer, sizeOf } from "./AnswerCache.ts"

// A larger one would keep the store from what others ask of it.
const mostBytes = 1_048_576

// Answers on their way at a time; what comes beyond is not kept.
const mostUnderWay = 100

// So many are dropped at a time.
const mostCleared = 500

/** A script that can drop an answer: of its keys the first has the names by when they end, the second their sizes and, under "", the sum. */
const dropping = (lua: string): string => `
local function drop(name)
  local size = tonumber(redis.call("HGET", KEYS[2], name) or 0)
  redis.call("DEL", KEYS[3] .. name)
  redis.call("HDEL", KEYS[2], name)
  redis.call("ZREM", KEYS[1], name)
  if size > 0 then redis.call("HINCRBY", KEYS[2], "", -size) end
  return size
end
${lua}`

const keepScript = Redis.script(
  (keys: ReadonlyArray<string>, name: string, answer: string, keptMs: number, size: number, most: number) => [
    ...keys,
    name,
    answer,
    keptMs,
    size,
    most
  ],
  {
    numberOfKeys: 3,
    lua: dropping(`
local t = redis.call("TIME")
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, name in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, 100)) do drop(name) end
drop(ARGV[1])
redis.call("SET", KEYS[3] .. ARGV[1], ARGV[2], "PX", ARGV[3])
redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
redis.call("HSET", KEYS[2], ARGV[1], ARGV[4])
local sum = redis.call("HINCRBY", KEYS[2], "", ARGV[4])
while sum > tonumber(ARGV[5]) do
  local first = redis.call("ZRANGE", KEYS[1], 0, 0)[1]
  if not first then break end
  sum = sum - drop(first)
end
return 1`)
  }
).withReturnType<number>()

const findScript = Redis.script((key: string) => [key], {
  numberOfKeys: 1,
  lua: `return { redis.call("GET", KEYS[1]) or "", redis.call("PTTL", KEYS[1]) }`
}).withReturnType<readonly [string, number]>()

const standingScript = Redis.script((keys: ReadonlyArray<string>) => [...keys], {
  numberOfKeys: 3,
  lua: `return { redis.call("ZCARD", KEYS[1]), tonumber(redis.call("HGET", KEYS[2], "") or 0) }`
}).withReturnType<readonly [number, number]>()

const clearScript = Redis.script((keys: ReadonlyArray<string>) => [...keys], {
  numberOfKeys: 3,
  lua: dropping(`
local names = redis.call("ZRANGE", KEYS[1], 0, ${mostCleared - 1})
local bytes = 0
for _, name in ipairs(names) do bytes = bytes + drop(name) end
return { #names, bytes }`)
}).withReturnType<readonly [number, number]>()

const Head = Schema.Struct({ type: Schema.String, keptMs: Schema.Finite })

const readHead = Schema.decodeUnknownOption(Schema.fromJsonString(Head))

const place = "answer"

const newline = 10

const digest = (what: string, key: string): Buffer => hash("sha256", `${what}\n${key}`, "buffer")

const packed = async (key: string, { body, keptAt, type, until }: KeptAnswer): Promise<string> => {
  const head = JSON.stringify({ type, keptMs: Math.ceil(until - keptAt) })
  const sealed = await sealOf(digest("seal", key)).close(Buffer.concat([Buffer.from(`${head}\n`), body]), place)
  return Buffer.from(sealed).toString("base64")
}

const unpacked = async (key: string, text: string, leftMs: number, now: number): Promise<KeptAnswer | undefined> => {
  const opened = await sealOf(digest("seal", key)).open(Buffer.from(text, "base64"), place)
  if (opened === undefined) return undefined
  const end = opened.indexOf(newline)
  const head = readHead(Buffer.from(opened.subarray(0, end)).toString())
  return Option.getOrUndefined(
    Option.map(head, ({ keptMs, type }) => ({
      body: new Uint8Array(opened.subarray(end + 1)),
      type,
      keptAt: now - Math.max(0, keptMs - leftMs),
      until: now + leftMs
    }))
  )
}

const away = () =>
  new Conflict({
    message: "The answers that are kept stand in the store that replicas share, and that does not answer now"
  })

/** Kept in the shared store, so many bytes of all replicas together; those that end first go first. */
export const sharedAnswers = (mostOfAll: () => number) =>
  Layer.effect(
    AnswerCache,
    Effect.gen(function* () {
      const store = yield* SharedStore
      const { requestMs } = yield* StorePatience
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      const prefix = store.key("answer:")
      const keys = [store.key("answers"), store.key("answer-sizes"), prefix]
      const nameOf = (key: string): string => digest("name", key).toString("base64url")
      let underWay = 0
      const figures = ([entries, bytes]: readonly [number, number]): CacheStanding => ({ entries, bytes })
      const cleared = (before: CacheStanding): Effect.Effect<CacheStanding, Conflict> =>
        Effect.flatMap(Effect.mapError(store.run(clearScript)(keys), away), ([entries, bytes]) => {
          const all = { entries: before.entries + entries, bytes: before.bytes + bytes }
          return entries < mostCleared ? Effect.succeed(all) : cleared(all)
        })
      return AnswerCache.of({
        isShared: true,
        find: (key, now) => {
          if (store.isAway()) return Effect.undefined
          return store
            .run(findScript)(prefix + nameOf(key))
            .pipe(
              Effect.timeoutOption(requestMs),
              Effect.flatMap((found) => {
                const [text, leftMs] = Option.getOrElse(found, () => ["", 0] as const)
                return text === "" || leftMs <= 0
                  ? Effect.undefined
                  : Effect.promise(() => unpacked(key, text, leftMs, now))
              }),
              Effect.orElseSucceed(() => undefined)
            )
        },
        keep: (key, answer) => {
          const most = mostOfAll()
          const size = sizeOf(answer)
          if (store.isAway() || underWay >= mostUnderWay || size > Math.min(most, mostBytes)) return
          underWay += 1
          fork(
            Effect.promise(() => packed(key, answer)).pipe(
              Effect.flatMap((text) =>
                store.run(keepScript)(keys, nameOf(key), text, Math.ceil(answer.until - answer.keptAt), size, most)
              ),
              Effect.ignore,
              Effect.ensuring(Effect.sync(() => (underWay -= 1)))
            )
          )
        },
        clear: Effect.suspend(() => cleared({ entries: 0, bytes: 0 })),
        standing: Effect.suspend(() =>
          Effect.mapBoth(store.run(standingScript)(keys), { onFailure: away, onSuccess: figures })
        )
      })
    })
  )
