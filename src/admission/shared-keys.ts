/**
 * The keys in the files of replicas and what is revoked of tokens, kept alike through the shared store: of each name the latest
 * change counts, revocations among them. Each file goes on by itself while the store is away, and what was changed meanwhile is told when it is back.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redis from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { WrittenTerms } from "../domain/key-terms.ts"
import { revokedBy } from "../domain/revoked-tokens.ts"
import { SharedStore } from "../replicas/SharedStore.ts"
import type { KeyNews, KeyStore, RevocationNews } from "./key-store.ts"

const ToldKey = Schema.Struct({
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

const read = Schema.decodeUnknownOption(Schema.fromJsonString(ToldKey))

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

const newsOf = ({ changed, key, name }: typeof ToldKey.Type): KeyNews => ({
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

const ToldRevocation = Schema.Struct({
  id: Schema.String,
  changed: Schema.Finite,
  revocation: Schema.optionalKey(
    Schema.Struct({
      id: Schema.String,
      issuer: Schema.String,
      by: Schema.Literals(revokedBy),
      of: Schema.String,
      issuedBefore: Schema.optionalKey(Schema.Finite),
      made: Schema.Finite,
      until: Schema.optionalKey(Schema.Finite)
    })
  )
})

const readRevocation = Schema.decodeUnknownOption(Schema.fromJsonString(ToldRevocation))

const revocationNewsOf = ({ changed, id, revocation }: typeof ToldRevocation.Type): RevocationNews => ({
  id,
  changed,
  revocation
})

/** Something that is told: its name, when it was changed, and all of it. */
type Told = readonly [name: string, changed: number, text: string]

/** Keeps the latest of each name, and answers all there are. */
const exchangeScript = Redis.script((key: string, news: ReadonlyArray<Told>) => [key, ...news.flat()], {
  numberOfKeys: 1,
  lua: `
for i = 1, #ARGV, 3 do
  local known = redis.call("HGET", KEYS[1], ARGV[i])
  if not known or tonumber(ARGV[i + 1]) > cjson.decode(known).changed then redis.call("HSET", KEYS[1], ARGV[i], ARGV[i + 2]) end
end
return redis.call("HVALS", KEYS[1])`
}).withReturnType<ReadonlyArray<string>>()

const channel = "keys"

// In case that nobody was told.
const againMs = 30_000

/** Keeps a file alike to those of the other replicas, `now` in milliseconds since 1970; gives what tells them of a change. */
export const sharedKeys = Effect.fnUntraced(function* (keys: KeyStore, now: () => number, changed: () => void) {
  const store = yield* SharedStore
  if (!store.isOn) return Effect.void
  let isStale = false
  const ofFile = <A>(use: () => A) => Effect.try({ try: use, catch: String })
  const taken = (merge: () => boolean) =>
    ofFile(() => {
      isStale = merge() || isStale
      if (isStale) changed()
      isStale = false
    })
  const exchangeKeys = Effect.gen(function* () {
    const own = yield* ofFile(() => keys.news().map((each): Told => [each.name, each.changed, toldOf(each)]))
    const all = yield* store.run(exchangeScript)(store.key("keys"), own)
    const news = all.flatMap((text) => Option.toArray(Option.map(read(text), newsOf)))
    yield* taken(() => keys.merge(news))
  })
  const exchangeRevocations = Effect.gen(function* () {
    const place = store.key("revoked-tokens")
    const own = yield* ofFile(() =>
      keys.revocationNews().map((each): Told => [each.id, each.changed, JSON.stringify(each)])
    )
    const all = yield* store.run(exchangeScript)(place, own)
    const news = all.flatMap((text) => Option.toArray(Option.map(readRevocation(text), revocationNewsOf)))
    const ended = news.filter(({ revocation }) => (revocation?.until ?? Infinity) < now())
    if (ended.length > 0) yield* Effect.ignore(store.send("HDEL", place, ...ended.map(({ id }) => id)))
    yield* taken(() => keys.mergeRevocations(news, now()))
  })
  const exchange = Effect.andThen(exchangeKeys, exchangeRevocations).pipe(
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
