/**
 * The keys that count at this moment: those of the settings, and those of the store, which change while the gateway runs; and
 * which tokens of issuers count no more.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { BadRequest, Conflict } from "../domain/errors.ts"
import type { AuthKey } from "../domain/grant.ts"
import { rangeFault, spanFault, termsOf, type WrittenTerms } from "../domain/key-terms.ts"
import { printable } from "../domain/printable.ts"
import { noneRevoked, RevokedTokens, type TokenRevocation } from "../domain/revoked-tokens.ts"
import { type MadeKey, newKey } from "./new-key.ts"
import { KeyRing } from "./key-ring.ts"
import type { KeyStore, StoredKey } from "./key-store.ts"
import type { RevocableIssuer, WrittenRevocation } from "./token-revocations.ts"

/** A key as it is told of: nothing of it is said by which it could be used. */
export interface ListedKey {
  readonly key: Pick<AuthKey, Exclude<keyof AuthKey, "digest" | "previous">>
  readonly from: "config" | "store"
  /** When it was made, in milliseconds since 1970, where that is known. */
  readonly made: number | undefined
  /** Until when the one before it counts. */
  readonly previousUntil: number | undefined
}

/** Why a key was not made or changed. */
type NotChanged = BadRequest | Conflict

/** What is wrong with terms, and where; undefined when nothing is. */
const termsFault = (
  written: WrittenTerms,
  now: number
): { readonly param: string; readonly reason: string } | undefined => {
  const { admin, backends, metrics, models, name, networks = [] } = written
  const fault = (param: string, reason: string | undefined) => (reason === undefined ? undefined : { param, reason })
  const plain = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$/.test(name)
    ? undefined
    : "expected 1 to 64 letters, digits, dots, dashes, underscores or @, starting with a letter or digit"
  const alone =
    metrics === true && (admin === true || models !== undefined || backends !== undefined)
      ? "a key with it is for /metrics alone, and has neither admin nor models nor backends"
      : undefined
  return (
    fault("name", plain) ??
    spanFault(written, now) ??
    fault(
      "networks",
      networks.map(rangeFault).find((each) => each !== undefined)
    ) ??
    fault("metrics", alone)
  )
}

/** The keys of clients, wherever they stand. */
export class ClientKeys extends Context.Service<
  ClientKeys,
  {
    /** Those of this moment; a plain read for the request path. */
    readonly ring: () => KeyRing
    readonly list: () => ReadonlyArray<ListedKey>
    /** Whether there is a store, in which keys are made and changed. */
    readonly isStored: boolean
    /** Makes a key, and keeps its digest; it is never to be had again. */
    readonly add: (written: WrittenTerms) => Effect.Effect<MadeKey, NotChanged>
    /** Revokes a key, or all tokens of a name that an issuer gives, such as `corp:alice`. */
    readonly revoke: (name: string) => Effect.Effect<void, NotChanged>
    /** Makes another key in the place of one, which counts for so long. */
    readonly rotate: (name: string, overlapMs: number) => Effect.Effect<MadeKey, NotChanged>
    /** The tokens of issuers that count no more; a plain read for the request path, and the same one while nothing changes. */
    readonly revokedTokens: () => RevokedTokens
    readonly revocations: () => ReadonlyArray<TokenRevocation>
    /** Has tokens of issuers count no more. */
    readonly revokeTokens: (written: WrittenRevocation) => Effect.Effect<TokenRevocation, NotChanged>
    /** Has tokens count again, by the id of their revocation; gives that. */
    readonly lift: (id: string) => Effect.Effect<TokenRevocation, NotChanged>
    /** What the settings call the issuers whose tokens are taken. */
    readonly issuers: () => ReadonlyArray<string>
    /** What the settings call an issuer; what it calls itself where they do not. */
    readonly issuerName: (issuer: string) => string
  }
>()("nexus/admission/ClientKeys") {
  /** The keys of the settings of the moment. */
  static readonly layer = (configured: () => ReadonlyArray<AuthKey>) =>
    Layer.effect(ClientKeys, makeKeys(configured, undefined))

  /** The same, and those of a file, where one is named; `issuers` are those whose tokens are taken beside them. */
  static readonly layerWith = (
    configured: () => ReadonlyArray<AuthKey>,
    path: string | undefined,
    issuers: () => ReadonlyArray<RevocableIssuer>
  ) =>
    Layer.effect(
      ClientKeys,
      Effect.flatMap(path === undefined ? Effect.undefined : opened(path), (store) =>
        makeKeys(configured, store, issuers)
      )
    )
}

const authKeyOf = ({ digest, previous, written }: StoredKey): AuthKey => ({
  ...termsOf(written),
  digest,
  ...(previous === undefined ? {} : { previous })
})

const opened = (path: string) =>
  Effect.acquireRelease(
    Effect.flatMap(
      Effect.promise(() => import("./key-store.ts")),
      ({ KeyStore }) => Effect.try({ try: () => new KeyStore(path), catch: (thrown) => unopened(path, thrown) })
    ),
    (store) => Effect.sync(() => store.close())
  )

// How soon it is seen what other processes change.
const lookMs = 1000

const noStore = new Conflict({
  message:
    "Keys stand in the config file alone: give them a file of their own (auth.store) to make and change them here"
})

const noPlace = new Conflict({
  message:
    "What is revoked of tokens is kept in the file of keys: say where that stands (auth.store) to revoke any here"
})

const wordsOf = (thrown: unknown): string => (thrown instanceof Error ? thrown.message : String(thrown))

/** The file of keys cannot be used. */
class KeysUnavailable extends Data.TaggedError("KeysUnavailable")<{ readonly message: string }> {}

const unopened = (path: string, thrown: unknown) =>
  new KeysUnavailable({ message: `The file of keys ${path} (auth.store) cannot be used: ${wordsOf(thrown)}` })

// Somebody else is writing, or there is no room.
const unwritten = (thrown: unknown) =>
  new Conflict({
    message: `The file of keys could not be written: ${wordsOf(thrown)}`
  })

const tries = { times: 20, schedule: Schedule.spaced("50 millis") }

const makeKeys = Effect.fnUntraced(function* (
  configured: () => ReadonlyArray<AuthKey>,
  store: KeyStore | undefined,
  issuers: () => ReadonlyArray<RevocableIssuer> = () => []
) {
  const clock = yield* Clock.Clock
  let of: ReadonlyArray<AuthKey> | undefined
  let stored: ReadonlyArray<StoredKey> = store?.list() ?? []
  let ring = new KeyRing([])
  let version = store?.version
  let revocations: ReadonlyArray<TokenRevocation> = []
  let revoked = noneRevoked

  const refreshTokens = (from: KeyStore): void => {
    revocations = from.revocationNews().flatMap(({ revocation }) => revocation ?? [])
    revoked = revocations.length === 0 ? noneRevoked : new RevokedTokens(revocations)
  }
  if (store !== undefined) refreshTokens(store)

  const refresh = (): void => {
    if (store === undefined) return
    version = store.version
    stored = store.list()
    refreshTokens(store)
    of = undefined
  }

  // What is changed here counts here at once, and there as soon as it is told.
  const tell =
    store === undefined
      ? Effect.void
      : yield* (yield* Effect.promise(() => import("./shared-keys.ts"))).sharedKeys(
          store,
          () => clock.currentTimeMillisUnsafe(),
          refresh
        )

  if (store !== undefined) {
    const looked = Effect.try({ try: () => store.version !== version, catch: unwritten }).pipe(
      Effect.flatMap((isOther) => (isOther ? Effect.andThen(Effect.sync(refresh), tell) : Effect.void))
    )
    yield* Effect.forkScoped(
      Effect.repeat(
        Effect.catch(looked, ({ message }) => Effect.logWarning(message)),
        Schedule.spaced(lookMs)
      )
    )
  }

  const isConfigured = (name: string): boolean => configured().some((key) => key.name === name)

  const changed = <A>(change: (into: KeyStore) => A, without = noStore): Effect.Effect<A, Conflict> =>
    store === undefined
      ? Effect.fail(without)
      : Effect.try({ try: () => change(store), catch: unwritten }).pipe(
          Effect.retry(tries),
          Effect.tap(() => Effect.sync(refresh)),
          Effect.tap(() => tell)
        )

  const found = (name: string, isThere: boolean): Effect.Effect<void, NotChanged> => {
    if (isThere) return Effect.void
    return Effect.fail(
      isConfigured(name)
        ? new Conflict({ message: `The key '${name}' stands in the config file, and is changed there` })
        : new BadRequest({ message: `There is no key '${name.slice(0, 100)}'`, param: "name" })
    )
  }

  const logged = (what: string, name: string) => Effect.annotateLogs(Effect.logInfo(what), { key: name })
  const loggedTokens = (what: string, { by, id, issuer }: TokenRevocation) =>
    Effect.annotateLogs(Effect.logInfo(what), { issuer, by, id })

  const revokeTokens = Effect.fnUntraced(function* (written: WrittenRevocation) {
    if (store === undefined) return yield* noPlace
    const { furthest, revocationOf } = yield* Effect.promise(() => import("./token-revocations.ts"))
    const now = clock.currentTimeMillisUnsafe()
    const meant = revocationOf(written, issuers(), now)
    if (Result.isFailure(meant)) return yield* meant.failure
    const { success: next } = meant
    const revocation = yield* changed(
      (into) => into.revokeTokens(next.id, (before) => furthest(next, before), now),
      noPlace
    )
    yield* loggedTokens("tokens revoked", revocation)
    return revocation
  })

  return ClientKeys.of({
    isStored: store !== undefined,
    ring: () => {
      const keys = configured()
      if (keys !== of) {
        of = keys
        const names = new Set(keys.map(({ name }) => name))
        const others = stored.map(authKeyOf).filter(({ name }) => !names.has(name))
        ring = new KeyRing([...keys, ...others], store !== undefined || issuers().length > 0)
      }
      return ring
    },
    list: () => [
      ...configured().map((each) => {
        const { digest: _, previous, ...key } = each
        return { key, from: "config" as const, made: undefined, previousUntil: previous?.until }
      }),
      ...stored.map(({ made, previous, written }) => ({
        key: termsOf(written),
        from: "store" as const,
        made,
        previousUntil: previous?.until
      }))
    ],
    add: Effect.fnUntraced(function* (written) {
      const fault = termsFault(written, clock.currentTimeMillisUnsafe())
      if (fault !== undefined) {
        const message = `'${fault.param}' is not what is expected: ${fault.reason}`
        return yield* new BadRequest({ message, param: fault.param })
      }
      const made = newKey()
      const isNew = yield* changed(
        (into) => !isConfigured(written.name) && into.add(written, made.digest, clock.currentTimeMillisUnsafe())
      )
      if (!isNew) return yield* new Conflict({ message: `There is a key '${written.name}' already` })
      yield* logged("key made", written.name)
      return made
    }),
    revokedTokens: () => revoked,
    revocations: () => revocations,
    issuers: () => issuers().map(({ name }) => name),
    issuerName: (issuer) => issuers().find((each) => each.issuer === issuer)?.name ?? issuer,
    revokeTokens,
    lift: Effect.fnUntraced(function* (id) {
      const before = yield* changed((into) => into.lift(id, clock.currentTimeMillisUnsafe()), noPlace)
      if (before === undefined) {
        const message = `Nothing is revoked under the id '${printable(id.slice(0, 100))}'`
        return yield* new BadRequest({ message, param: "id" })
      }
      yield* loggedTokens("revocation of tokens lifted", before)
      return before
    }),
    revoke: Effect.fnUntraced(function* (name) {
      // Names of keys that are kept have no colon.
      if (name.includes(":") && !isConfigured(name)) return void (yield* revokeTokens({ name }))
      yield* found(name, yield* changed((into) => into.revoke(name, clock.currentTimeMillisUnsafe())))
      yield* logged("key revoked", name)
    }),
    rotate: Effect.fnUntraced(function* (name, overlapMs) {
      const made = newKey()
      const now = clock.currentTimeMillisUnsafe()
      yield* found(name, yield* changed((into) => into.rotate(name, made.digest, now + overlapMs, now)))
      yield* logged("key rotated", name)
      return made
    })
  })
})
