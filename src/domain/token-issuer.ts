/**
 * Issuers of tokens (OIDC): what is gone by of each, and how admission asks whether a token is good.
 */
import type { GatewayError } from "./errors.ts"
import type { Grant, KeyTerms } from "./grant.ts"
import type { Tls } from "./server.ts"

/** What a token lets do whatever its claims say beside. */
export type TokenTerms = Omit<KeyTerms, "name" | "networks" | "notBefore" | "expires">

/** Claims by their names, each with globs of which one has to be what it holds. */
export type WantedClaims = Readonly<Record<string, ReadonlyArray<string>>>

/** Who has certain claims, and what those may do. */
interface TokenRole {
  readonly name: string
  readonly claims: WantedClaims
  /** In place of what all tokens of the issuer may do. */
  readonly terms: TokenTerms
}

/** An issuer whose tokens are taken for keys. */
export interface TokenIssuer {
  /** What it is called in names of keys, as in `corp:alice`. */
  readonly name: string
  /** As `iss` of its tokens says it. */
  readonly issuer: string
  readonly audience: ReadonlyArray<string>
  /** Where its public keys are; where both are absent the issuer is asked for it. */
  readonly jwksUrl?: string
  /** Its public keys themselves, a JWKS in JSON. */
  readonly jwks?: string
  readonly tls?: Tls
  readonly algorithms: ReadonlyArray<string>
  /** How far the clocks of both may be apart, in milliseconds. */
  readonly toleranceMs: number
  /** How often its public keys are got anew, and for how long those it gave last count while it is away; in milliseconds. */
  readonly refreshMs: number
  readonly keptMs: number
  /** Names of claims. */
  readonly claims: {
    readonly name: string
    readonly owner?: string
    readonly models?: string
    readonly labels: Readonly<Record<string, string>>
  }
  readonly required: WantedClaims
  readonly terms: TokenTerms
  /** The first whose claims a token has counts. */
  readonly roles: ReadonlyArray<TokenRole>
}

/** Why a token lets nobody in. */
export interface TokenRefusal {
  readonly refused: GatewayError
  /** Whether it may be somebody's guess: no issuer has signed it. */
  readonly isGuess: boolean
}

/** What is known of a token without asking anybody, `now` in milliseconds since 1970; undefined where it would have to be checked. */
export type KnownToken = (token: string, now: number) => Grant | TokenRefusal | undefined

/** The tokens of all issuers. */
export interface IssuedTokens {
  readonly known: KnownToken
  /** Checks tokens; resolves with what is known then, and never rejects. */
  readonly check: (tokens: ReadonlyArray<string>) => Promise<KnownToken>
}

const tokenForm = /^[\w-]{4,}\.[\w-]+\.[\w-]*$/

/** Whether a text has the form of a signed token, a JWT: three parts in base64url, the first of which is JSON. */
export const isTokenForm = (text: string): boolean => text.startsWith("ey") && tokenForm.test(text)

/** What of a token is signed: all but its signature, which may be written in more than one way. */
export const signedPart = (token: string): string => token.slice(0, token.lastIndexOf("."))
