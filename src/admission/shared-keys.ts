/**
 * The keys in the files of replicas, kept alike through the shared store: of each name the latest change counts, revocations among
 * them. Each file goes on by itself while the store is away, and what was changed meanwhile is told when it is back.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { WrittenTerms } from "../domain/key-terms.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import type { KeyNews, KeyStore } from "./key-store.ts"

const Told = Schema.Struct({
  name: Schema.String,
  changed: Schema.Finite,
  key: Schema.NullOr(
    Schema.Struct({
      written: Schema.Record(Schema.String, Schema.Unknown),
      digest: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/u)),
      made: Schema.Finite,
      previous: Schema.NullOr(
        Schema.Struct({ digest: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/u)), until: Schema.Finite })
      )
    })
  )
})

const read = Schema.decodeUnknownOption(Schema.fromJsonString(Told))

const hex = (digest: Uint8Array): string => Buffer.from(digest).toString("hex")
const bytes = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"))

const toldOf = ({ changed, key, name }: KeyNews): string =>
  JSON.stringify({
    name,
    changed,
    key:
      key === undefined
        ? null
        : {
            written: key.written,
            digest: hex(key.digest),
            made: key.made,
            previous: key.previous === undefined ? null : { ...key.previous, digest: hex(key.previous.digest) }
          }
  })

const newsOf = ({ changed, key, name }: typeof Told.Type): KeyNews => ({
  name,
  changed,
  key:
    key === null
      ? undefined
      : {
          written: { ...key.written, name } as WrittenTerms, // reason: it has been checked where the key was made
          digest: bytes(key.digest),
          made: key.made,
          previous: key.previous === null ? undefined : { ...key.previous, digest: bytes(key.previous.digest) }
        }
})

/** Keeps the latest of each name, and answers all there are. */
const exchangeScript = Redis.script(
  (key: string, news: ReadonlyArray<KeyNews>) => [
    key,
    ...news.flatMap((each) => [each.name, each.changed, toldOf(each)])
  ],
  {
    numberOfKeys: 1,
    lua: `
for i = 1, #ARGV, 3 do
  local known = redis.call("HGET", KEYS[1], ARGV[i])
  if not known or tonumber(ARGV[i + 1]) > cjson.decode(known).changed then redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 2]) end
end
return redis.call("HVALS", KEYS[1])`
  }
).withReturnType<ReadonlyArray<string>>()

const channel = "keys"

// In case that nobody was told.
const againMs = 30_000

/** Keeps a file alike to those of the other replicas; gives what tells them of a change. */
export const sharedKeys = Effect.fnUntraced(function* (keys: KeyStore, changed: () => void) {
  const store = yield* SharedStore
  if (!store.isOn) return Effect.void
  let isStale = false
  const ofFile = <A>(use: () => A) => Effect.try({ try: use, catch: String })
  const exchange = Effect.gen(function* () {
    const own = yield* ofFile(() => keys.news())
    const all = yield* store.run(exchangeScript)(store.key("keys"), own)
    const news = all.flatMap((text) => Option.toArray(Option.map(read(text), newsOf)))
    yield* ofFile(() => {
      isStale = keys.merge(news) || isStale
      if (isStale) changed()
      isStale = false
    })
  }).pipe(
    // A file that is written by somebody else now.
    Effect.retry({ times: 5, schedule: Schedule.spaced("50 millis"), while: () => !store.isAway() }),
    Effect.ignore
  )
  const tell = Effect.andThen(exchange, Effect.ignore(store.publish(channel, "")))
  // Who was told of something, or begins to listen, tells nobody of it again.
  yield* Effect.forkScoped(
    Stream.runForEach(Stream.merge(store.messages(channel), Stream.tick(againMs)), () => exchange)
  )
  yield* Effect.forkScoped(Stream.runForEach(store.returns, () => tell))
  return tell
})
