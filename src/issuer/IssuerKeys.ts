/**
 * The public keys of issuers, which outlast them for a while. An issuer is asked by schedule, and because of tokens that nobody knows
 * once in a while at most, however many there are.
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { monotonicMs } from "../domain/monotonic.ts"
import type { TokenIssuer } from "../domain/token-issuer.ts"
import { Transport } from "../upstream/Transport.ts"
import { fetchKeys } from "./fetch-keys.ts"
import type { KeySet } from "./key-set.ts"

/** Time between two questions that tokens give rise to, and between two tries while an issuer is away, in milliseconds. */
const soonestMs = 10_000

// The schedule is looked at no more often than that, in milliseconds.
const leastLookMs = 100

/** An issuer, and what it has told. Times in monotonic milliseconds. */
export interface KnownIssuer {
  readonly issuer: TokenIssuer
  readonly lock: Semaphore.Semaphore
  keys: KeySet | undefined
  /** The text that they came as. */
  text: string
  /** Another number whenever they have changed. */
  version: number
  gotAt: number
  triedAt: number
  /** When a token last had it asked. */
  askedAt: number
  /** Why it was not to be had the last time. */
  fault: string | undefined
}

/** The least time between two questions to an issuer, in milliseconds. */
export const soonest = ({ refreshMs }: TokenIssuer): number => Math.min(soonestMs, refreshMs)

const isSame = (a: TokenIssuer, b: TokenIssuer): boolean => {
  const place = ({ issuer, jwks, jwksUrl, tls }: TokenIssuer) => JSON.stringify([issuer, jwks, jwksUrl, tls?.ca])
  return place(a) === place(b)
}

/** The functions that check signatures, loaded for those alone who have issuers. */
export const verifying = Effect.promise(() => import("./key-set.ts"))

/**
 * Looks after the keys of the issuers that are `configured`, the same list while nothing of it changes, as long as the scope lasts;
 * `changed` is called when it is another one. `issuers` has them by their identifiers, `askFor` asks one whose keys a token needs.
 */
export const makeIssuerKeys = Effect.fnUntraced(function* (
  configured: () => ReadonlyArray<TokenIssuer>,
  changed: () => void
) {
  const transport = yield* Transport
  const some = Latch.makeUnsafe(false)
  let of: ReadonlyArray<TokenIssuer> | undefined
  let byIssuer: ReadonlyMap<unknown, KnownIssuer> = new Map()

  // Of the settings of now; what is known of one that has stayed the same is kept.
  const issuers = (): ReadonlyMap<unknown, KnownIssuer> => {
    const all = configured()
    if (all === of) return byIssuer
    of = all
    changed()
    const before = byIssuer
    byIssuer = new Map(
      all.map((issuer): readonly [string, KnownIssuer] => {
        const known = before.get(issuer.issuer)
        const fresh: KnownIssuer = {
          issuer,
          lock: Semaphore.makeUnsafe(1),
          keys: undefined,
          text: "",
          version: 0,
          gotAt: -Infinity,
          triedAt: -Infinity,
          askedAt: -Infinity,
          fault: undefined
        }
        return [issuer.issuer, known !== undefined && isSame(known.issuer, issuer) ? { ...known, issuer } : fresh]
      })
    )
    if (all.length > 0) some.openUnsafe()
    return byIssuer
  }

  const said = (of: KnownIssuer, words: string, reason?: string) =>
    Effect.annotateLogs(reason === undefined ? Effect.logInfo(words) : Effect.logWarning(words), {
      issuer: of.issuer.name,
      ...(reason === undefined ? {} : { reason })
    })

  const failed = (known: KnownIssuer, reason: string) => {
    const isNews = known.fault === undefined
    known.fault = reason
    return isNews
      ? said(
          known,
          known.keys === undefined ? "no keys of an issuer" : "no new keys of an issuer, the last ones count",
          reason
        )
      : Effect.void
  }

  const took = Effect.fnUntraced(function* (known: KnownIssuer, text: string) {
    const { keySetOf } = yield* verifying
    const keys = text === known.text && known.keys !== undefined ? known.keys : keySetOf(text)
    if (typeof keys === "string") return yield* failed(known, keys)
    known.gotAt = yield* monotonicMs
    if (known.fault !== undefined) yield* said(known, "keys of an issuer are there again")
    known.fault = undefined
    if (keys === known.keys) return
    known.keys = keys
    known.text = text
    known.version += 1
  })

  const refreshed = Effect.fnUntraced(function* (known: KnownIssuer) {
    const { jwks } = known.issuer
    known.triedAt = yield* monotonicMs
    if (jwks !== undefined) return yield* took(known, jwks)
    const fetched = yield* Effect.result(fetchKeys(transport, known.issuer))
    if (Result.isSuccess(fetched)) return yield* took(known, fetched.success.text)
    yield* failed(known, fetched.failure)
    const now = yield* monotonicMs
    if (known.keys === undefined || now - known.gotAt < known.issuer.keptMs) return
    known.keys = undefined
    known.version += 1
    yield* said(known, "keys of an issuer are too old to count any longer", fetched.failure)
  })

  // Whoever comes while it is asked waits for that answer.
  const askFor = (known: KnownIssuer): Effect.Effect<void> => {
    const { version } = known
    return known.lock.withPermits(1)(
      Effect.gen(function* () {
        const now = yield* monotonicMs
        const isStill = known.version === version && (known.issuer.jwks === undefined || known.keys === undefined)
        if (!isStill || now - known.askedAt < soonest(known.issuer)) return
        known.askedAt = now
        yield* refreshed(known)
      })
    )
  }

  // When its keys are to be got anew.
  const dueAt = ({ fault, issuer, keys, triedAt }: KnownIssuer): number => {
    if (issuer.jwks !== undefined && keys !== undefined) return Infinity
    return triedAt + (fault === undefined && keys !== undefined ? issuer.refreshMs : soonest(issuer))
  }

  const look = Effect.gen(function* () {
    yield* some.await
    const now = yield* monotonicMs
    const due = [...issuers().values()].filter((known) => dueAt(known) <= now)
    yield* Effect.forEach(due, (known) => known.lock.withPermits(1)(refreshed(known)), {
      concurrency: "unbounded",
      discard: true
    })
    const all = [...issuers().values()]
    if (all.length === 0) return some.closeUnsafe()
    const next = Math.min(...all.map(dueAt)) - (yield* monotonicMs)
    yield* Effect.sleep(Math.min(Math.max(next, leastLookMs), soonestMs))
  })
  issuers()
  // A defect of ours is no reason to ask never again.
  const looking = Effect.catchDefect(look, (defect) =>
    Effect.andThen(Effect.logError("the keys of issuers could not be looked after", defect), Effect.sleep(soonestMs))
  )
  yield* looking.pipe(Effect.forever, Effect.forkScoped)

  return { issuers, askFor }
})
