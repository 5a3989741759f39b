/**
 * The issuers whose tokens are taken for keys: their public keys, which outlast them for a while, and the tokens that were found
 * good. An issuer is asked by schedule, and by strangers once in a while at most, however many there are.
 */
import { hash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { jsonAt, parseBoundedJson } from "../domain/bounded-json.ts"
import { type GatewayError, IssuerUnavailable, Unauthorized } from "../domain/errors.ts"
import type { Grant } from "../domain/grant.ts"
import { monotonicMs } from "../domain/monotonic.ts"
import { noneRevoked, type RevokedTokens, type TokenFacts } from "../domain/revoked-tokens.ts"
import { type IssuedTokens, signedPart, type TokenIssuer, type TokenRefusal } from "../domain/token-issuer.ts"
import { Transport } from "../upstream/Transport.ts"
import { fetchKeys } from "./fetch-keys.ts"
import type { KeySet, Verified } from "./key-set.ts"
import { type Claims, tokenFacts, tokenGrant } from "./token-grant.ts"

/** Time between two questions that tokens give rise to, and between two tries while an issuer is away, in milliseconds. */
const soonestMs = 10_000

const leastLookMs = 100

/** Good tokens that are remembered, the last ones. */
const mostTokens = 10_000

// Of one request.
const mostChecked = 4

/** An issuer, and what it has told. Times in monotonic milliseconds. */
interface Known {
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

/** A token that was found good, until when in milliseconds since 1970, and by which keys. */
interface GoodToken {
  readonly grant: Grant
  readonly until: number
  readonly of: Known
  readonly version: number
  readonly facts: TokenFacts
  /** The revocations that it was held against last, and whether it is among them. */
  heldAgainst: RevokedTokens
  isRevoked: boolean
}

const soonest = ({ refreshMs }: TokenIssuer): number => Math.min(soonestMs, refreshMs)

const unauthorized = (message: string, isGuess: boolean): TokenRefusal => ({
  refused: new Unauthorized({ message }),
  isGuess
})

const idOf = (token: string): string => hash("sha256", token, "hex")

const revokedRefusal = ({ name }: TokenIssuer): TokenRefusal =>
  unauthorized(`The token of issuer '${name}' has been revoked`, false)

const issuerOf = (token: string): unknown => {
  const [, claims = ""] = token.split(".", 2)
  return jsonAt(parseBoundedJson(Buffer.from(claims, "base64url").toString()), "iss")
}

const isSame = (a: TokenIssuer, b: TokenIssuer): boolean => {
  const place = ({ issuer, jwks, jwksUrl, tls }: TokenIssuer) => JSON.stringify([issuer, jwks, jwksUrl, tls?.ca])
  return place(a) === place(b)
}

// Its functions are of use to those alone who have issuers.
const verifying = Effect.promise(() => import("./key-set.ts"))

/** Tells whether tokens of issuers are good. */
export class Issuers extends Context.Service<
  Issuers,
  {
    /** Undefined while there is no issuer. */
    readonly tokens: () => IssuedTokens | undefined
    /** What a token lets do, whatever was known of it before; fails with why it lets nobody in. */
    readonly explain: (token: string) => Effect.Effect<Grant, GatewayError>
    /** What a token of this name would, such as `corp:alice`, if it said this; undefined where no issuer gives such names. */
    readonly imagined: (name: string, claims: Claims) => Result.Result<Grant, GatewayError> | undefined
  }
>()("nexus/issuer/Issuers") {
  /** Those of the settings of the moment; the same list while nothing of it changes. */
  static readonly layer = (
    configured: () => ReadonlyArray<TokenIssuer>,
    /** The same while nothing of it changes. */
    revoked: () => RevokedTokens = () => noneRevoked
  ) => Layer.effect(Issuers, makeIssuers(configured, revoked))
}

const makeIssuers = Effect.fnUntraced(function* (
  configured: () => ReadonlyArray<TokenIssuer>,
  revoked: () => RevokedTokens
) {
  const transport = yield* Transport
  const clock = yield* Clock.Clock
  const run = Effect.runPromiseWith(yield* Effect.context<never>())
  const some = Latch.makeUnsafe(false)
  const good = new Map<string, GoodToken>()
  const underWay = new Map<string, Promise<Grant | TokenRefusal>>()
  let of: ReadonlyArray<TokenIssuer> | undefined
  let byIssuer: ReadonlyMap<unknown, Known> = new Map()

  // What a token lets do follows from the settings: those that were good are looked at anew.
  const issuers = (): ReadonlyMap<unknown, Known> => {
    const all = configured()
    if (all === of) return byIssuer
    of = all
    good.clear()
    const before = byIssuer
    byIssuer = new Map(
      all.map((issuer): readonly [string, Known] => {
        const known = before.get(issuer.issuer)
        const fresh: Known = {
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

  const said = (of: Known, words: string, reason?: string) =>
    Effect.annotateLogs(reason === undefined ? Effect.logInfo(words) : Effect.logWarning(words), {
      issuer: of.issuer.name,
      ...(reason === undefined ? {} : { reason })
    })

  const failed = (known: Known, reason: string) => {
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

  const took = Effect.fnUntraced(function* (known: Known, text: string) {
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

  const refreshed = Effect.fnUntraced(function* (known: Known) {
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
  const askedFor = (known: Known): Effect.Effect<void> => {
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
  const dueAt = ({ fault, issuer, keys, triedAt }: Known): number => {
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

  const unavailable = ({ issuer }: Known): TokenRefusal => ({
    refused: new IssuerUnavailable({
      // Why stands in the log: strangers learn no address.
      message: `Tokens of issuer '${issuer.name}' cannot be checked now: it has told no keys yet, or not for too long`,
      retryAfterSeconds: Math.ceil(soonest(issuer) / 1000)
    }),
    isGuess: false
  })

  /** What a token that is good lets do, unless it was revoked. */
  const granted = (token: GoodToken): Grant | TokenRefusal => {
    const all = revoked()
    if (token.heldAgainst !== all) {
      token.heldAgainst = all
      token.isRevoked = all.has(token.facts)
    }
    return token.isRevoked ? revokedRefusal(token.of.issuer) : token.grant
  }

  const remember = (id: string, token: GoodToken): void => {
    // The settings may be others by now.
    if (issuers().get(token.of.issuer.issuer) !== token.of) return
    const [oldest] = good.keys()
    if (good.size >= mostTokens && oldest !== undefined) good.delete(oldest)
    good.set(id, token)
  }

  const checked = Effect.fnUntraced(function* (token: string, id: string) {
    const { verifyToken } = yield* verifying
    const known = issuers().get(issuerOf(token))
    if (known === undefined)
      return unauthorized("The token is of none of the issuers whose tokens are taken here", true)
    const verify = (keys: KeySet): Effect.Effect<Verified> =>
      Effect.promise(() => verifyToken(token, known.issuer, keys, clock.currentTimeMillisUnsafe()))
    if (known.keys === undefined) yield* askedFor(known)
    let { keys, version } = known
    if (keys === undefined) return unavailable(known)
    let verified = yield* verify(keys)
    if (verified._tag === "Bad" && verified.by === "key") {
      yield* askedFor(known)
      if (known.version !== version && known.keys !== undefined) {
        ;({ keys, version } = known)
        verified = yield* verify(known.keys)
      }
    }
    if (verified._tag === "Bad") {
      return unauthorized(`The token of issuer '${known.issuer.name}' ${verified.told}`, verified.by !== "claims")
    }
    const { claims, until } = verified
    const grant = tokenGrant(known.issuer, claims)
    if (Result.isFailure(grant)) return { refused: grant.failure, isGuess: false }
    const good: GoodToken = {
      grant: grant.success,
      until,
      of: known,
      version,
      facts: tokenFacts(known.issuer, claims, idOf(signedPart(token))),
      heldAgainst: noneRevoked,
      isRevoked: false
    }
    remember(id, good)
    return granted(good)
  })

  const told = (check: Effect.Effect<Grant | TokenRefusal>) =>
    Effect.catchDefect(check, (defect) =>
      Effect.as(
        Effect.logError("a token could not be checked", defect),
        unauthorized("The token cannot be checked", true)
      )
    )

  const tokens: IssuedTokens = {
    known: (token, now) => {
      const id = idOf(token)
      const found = good.get(id)
      if (found === undefined) return undefined
      const { of: known, until, version } = found
      if (now < until && known.version === version) return granted(found)
      good.delete(id)
      return undefined
    },
    check: async (given) => {
      const found = new Map<string, Grant | TokenRefusal>()
      for (const token of new Set(given.slice(0, mostChecked))) {
        const id = idOf(token)
        // Requests that come at once with the same token have it checked once.
        const check = underWay.get(id) ?? run(told(checked(token, id))).finally(() => underWay.delete(id))
        underWay.set(id, check)
        found.set(token, await check)
      }
      return (token) => found.get(token)
    }
  }

  return Issuers.of({
    tokens: () => (issuers().size === 0 ? undefined : tokens),
    explain: (token) =>
      Effect.flatMap(told(checked(token, idOf(token))), (found) =>
        "refused" in found ? Effect.fail(found.refused) : Effect.succeed(found)
      ),
    imagined: (name, claims) => {
      const colon = name.indexOf(":")
      const known = [...issuers().values()].find(({ issuer }) => issuer.name === name.slice(0, colon))
      if (known === undefined) return undefined
      const { issuer } = known
      const says = {
        iat: clock.currentTimeMillisUnsafe() / 1000,
        ...claims,
        [issuer.claims.name]: name.slice(colon + 1)
      }
      return revoked().has(tokenFacts(issuer, says, ""))
        ? Result.fail(revokedRefusal(issuer).refused)
        : tokenGrant(issuer, says)
    }
  })
})
