/**
 * Public keys of an issuer, and the check of its tokens against them.
 */
import { createLocalJWKSet, errors, type JWK, jwtVerify } from "jose"
import { jsonAt, jsonTextAt, parseBoundedJson } from "../domain/bounded-json.ts"
import type { TokenIssuer } from "../domain/token-issuer.ts"
import type { Claims } from "./token-grant.ts"

/** The keys that an issuer signs with now. */
export interface KeySet {
  readonly keyFor: ReturnType<typeof createLocalJWKSet>
  /** The ids of those that are of use, in the order in which they came; without those that have none. */
  readonly ids: ReadonlyArray<string>
  readonly size: number
}

// An issuer has a handful; whoever sends more wants something else.
const mostKeys = 100

// What is public of a key, by its kind: that of a private one which somebody publishes is not taken.
const publicParts: Readonly<Record<string, ReadonlyArray<string>>> = {
  RSA: ["n", "e"],
  EC: ["crv", "x", "y"],
  OKP: ["crv", "x"]
}

const publicKey = (key: unknown): ReadonlyArray<JWK> => {
  const kind = jsonTextAt(key, "kty") ?? ""
  const parts = Object.hasOwn(publicParts, kind) ? publicParts[kind] : undefined
  if (
    parts === undefined ||
    jsonTextAt(key, "use") === "enc" ||
    jsonTextAt(key, "alg")?.startsWith("RSA-OAEP") === true
  )
    return []
  // A key of the one curve goes by two names, and its header by either.
  const names = ["kid", "use", ...(kind === "OKP" ? [] : ["alg"]), ...parts]
  const told = names.flatMap((name) => {
    const value = jsonTextAt(key, name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return parts.every((part) => jsonTextAt(key, part) !== undefined) ? [{ kty: kind, ...Object.fromEntries(told) }] : []
}

/** The keys that a text holds, a JWKS in JSON; why there are none, in words for a person. */
export const keySetOf = (text: string): KeySet | string => {
  const all = jsonAt(parseBoundedJson(text), "keys")
  if (!Array.isArray(all)) return "it is no set of keys (JWKS)"
  const keys = all.slice(0, mostKeys).flatMap(publicKey)
  if (keys.length === 0) return "it holds no public key to check signatures with (RSA, EC or OKP)"
  const ids = keys.flatMap(({ kid }) => (kid === undefined ? [] : [kid]))
  return { keyFor: createLocalJWKSet({ keys }), ids, size: keys.length }
}

/** What the check of a token comes to; `told` is what is wrong with it, in words that follow "The token". */
export type Verified =
  | { readonly _tag: "Good"; readonly claims: Claims; readonly until: number }
  | { readonly _tag: "Bad"; readonly told: string; readonly by: "claims" | "form" | "key" }

const signed = (told: string): Verified => ({ _tag: "Bad", told, by: "claims" })
const malformed = (told: string): Verified => ({ _tag: "Bad", told, by: "form" })
// What another set of keys could change.
const unsigned = (told: string): Verified => ({ _tag: "Bad", told, by: "key" })
const notSigned = unsigned("has a signature that is not its issuer's")

const claimFault = ({ claim, reason }: errors.JWTClaimValidationFailed): Verified => {
  if (claim === "exp" && reason === "missing") return signed("does not say when it ends (exp)")
  if (claim === "nbf" && reason === "check_failed") return signed("is not valid yet (nbf)")
  if (claim === "aud") return signed("is for somebody else: its audience (aud) is none of those that are taken here")
  return signed(`is not good: its claim '${claim}' is not what it has to be`)
}

// Words for what the library says; whatever else it throws, the token cannot be relied on.
const faultOf = (thrown: unknown): Verified => {
  if (thrown instanceof errors.JWTExpired) return signed("has expired")
  if (thrown instanceof errors.JWTClaimValidationFailed) return claimFault(thrown)
  if (thrown instanceof errors.JOSEAlgNotAllowed)
    return malformed("is signed in a way that is not taken from its issuer (algorithms)")
  if (thrown instanceof errors.JWKSNoMatchingKey)
    return unsigned("is signed with a key that its issuer does not publish")
  if (thrown instanceof errors.JWSSignatureVerificationFailed) return notSigned
  if (thrown instanceof errors.JWSInvalid || thrown instanceof errors.JWTInvalid) return malformed("is not well formed")
  return malformed("cannot be checked with the keys of its issuer")
}

/** Checks the signature and the claims of a token at a time in milliseconds since 1970. */
export const verifyToken = async (
  token: string,
  { algorithms, audience, issuer, toleranceMs }: TokenIssuer,
  { keyFor }: KeySet,
  now: number
): Promise<Verified> => {
  const options = {
    algorithms: [...algorithms],
    audience: [...audience],
    issuer,
    clockTolerance: toleranceMs / 1000,
    requiredClaims: ["exp"],
    currentDate: new Date(now)
  }
  const claimsOf = async (key: Parameters<typeof jwtVerify>[1] | KeySet["keyFor"]): Promise<Verified> => {
    const { payload } =
      typeof key === "function" ? await jwtVerify(token, key, options) : await jwtVerify(token, key, options)
    return { _tag: "Good", claims: payload, until: (payload.exp ?? 0) * 1000 + toleranceMs }
  }
  try {
    return await claimsOf(keyFor)
  } catch (thrown) {
    if (!(thrown instanceof errors.JWKSMultipleMatchingKeys)) return faultOf(thrown)
    // It names none of several: the one that fits is looked for.
    for await (const key of thrown) {
      try {
        return await claimsOf(key)
      } catch (fault) {
        if (!(fault instanceof errors.JWSSignatureVerificationFailed)) return faultOf(fault)
      }
    }
    return notSigned
  }
}
