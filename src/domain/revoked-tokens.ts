/**
 * Tokens of issuers that count no more although they have not ended.
 */

/** What of a token it can be revoked by. */
export interface TokenFacts {
  readonly issuer: string
  /** Whose it is: by the name that it counts under, and as its issuer says it (`sub`). */
  readonly subjects: ReadonlyArray<string>
  /** What its issuer calls it (`jti`). */
  readonly id: string | undefined
  /** When it was issued, in milliseconds since 1970; undefined where it does not say. */
  readonly issuedAt: number | undefined
  /** The SHA-256 digest of what of it is signed: a signature may be written in more than one way. */
  readonly digest: string
}

/** What revoked tokens have in common beside their issuer. */
export const revokedBy = ["everybody", "subject", "token_id", "digest"] as const

/** Tokens that were revoked; times in milliseconds since 1970. */
export interface TokenRevocation {
  readonly id: string
  /** As `iss` says it. */
  readonly issuer: string
  readonly by: (typeof revokedBy)[number]
  /** What they have there; empty for everybody. */
  readonly of: string
  /** Those alone that were issued before it; all, and those to come, when absent. */
  readonly issuedBefore?: number
  readonly made: number
  /** When all of them have ended; absent where that is not known. */
  readonly until?: number
}

const placeOf = (issuer: string, by: TokenRevocation["by"], of: string): string => `${by}\n${issuer}\n${of}`

/** All that is revoked; never changed, another takes its place. */
export class RevokedTokens {
  private readonly byPlace: ReadonlyMap<string, ReadonlyArray<TokenRevocation>>

  constructor(all: ReadonlyArray<TokenRevocation>) {
    this.byPlace = Map.groupBy(all, ({ by, issuer, of }) => placeOf(issuer, by, of))
  }

  /** Whether a token is among them. */
  has({ digest, id, issuedAt, issuer, subjects }: TokenFacts): boolean {
    if (this.byPlace.size === 0) return false
    const isIn = (by: TokenRevocation["by"], of: string): boolean =>
      this.byPlace
        .get(placeOf(issuer, by, of))
        ?.some(
          ({ issuedBefore }) => issuedBefore === undefined || issuedAt === undefined || issuedAt < issuedBefore
        ) === true
    return (
      isIn("everybody", "") ||
      isIn("digest", digest) ||
      (id !== undefined && isIn("token_id", id)) ||
      subjects.some((subject) => isIn("subject", subject))
    )
  }
}

/** Nothing is revoked. */
export const noneRevoked = new RevokedTokens([])
