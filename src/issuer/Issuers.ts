/**
 * Whether tokens of issuers are good, and what they let do; those that were found good are remembered until they end, the keys of
 * their issuer change, or the settings do.
 */
import { hash } from "node:crypto"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { jsonAt, parseBoundedJson } from "../domain/bounded-json.ts"
import { type GatewayError, IssuerUnavailable, Unauthorized } from "../domain/errors.ts"
import type { Grant } from "../domain/grant.ts"
import { noneRevoked, type RevokedTokens, type TokenFacts } from "../domain/revoked-tokens.ts"
import { type IssuedTokens, signedPart, type TokenIssuer, type TokenRefusal } from "../domain/token-issuer.ts"
import { type KnownIssuer, makeIssuerKeys, soonest, verifying } from "./IssuerKeys.ts"
import type { KeySet, Verified } from "./key-set.ts"
import { type Claims, tokenFacts, tokenGrant } from "./token-grant.ts"

/** Good tokens that are remembered, the last ones. */
const mostTokens = 10_000

// Of one request.
const mostChecked = 4

/** A token that was found good, until when in milliseconds since 1970, and by which keys. */
interface GoodToken {
  readonly grant: Grant
  readonly until: number
  readonly of: KnownIssuer
  readonly version: number
  readonly facts: TokenFacts
  /** The revocations that it was held against last, and whether it is among them. */
  heldAgainst: RevokedTokens
  isRevoked: boolean
}

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
  const clock = yield* Clock.Clock
  const run = Effect.runPromiseWith(yield* Effect.context<never>())
  const good = new Map<string, GoodToken>()
  const underWay = new Map<string, Promise<Grant | TokenRefusal>>()
  // What a token lets do follows from the settings: those that were good are looked at anew when these have changed.
  const { askFor, issuers } = yield* makeIssuerKeys(configured, () => good.clear())

  const unavailable = ({ issuer }: KnownIssuer): TokenRefusal => ({
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
    if (known.keys === undefined) yield* askFor(known)
    let { keys, version } = known
    if (keys === undefined) return unavailable(known)
    let verified = yield* verify(keys)
    if (verified._tag === "Bad" && verified.by === "key") {
      yield* askFor(known)
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
