/**
 * Tokens to be revoked, as people say which: by whose they are, by what their issuer calls them, or by one of them.
 */
import { hash } from "node:crypto"
import * as Result from "effect/Result"
import { jsonAt, jsonTextAt, parseBoundedJson } from "../domain/bounded-json.ts"
import { BadRequest } from "../domain/errors.ts"
import { momentFault, momentOf } from "../domain/key-terms.ts"
import { printable } from "../domain/printable.ts"
import type { TokenRevocation } from "../domain/revoked-tokens.ts"
import { isTokenForm, signedPart, type TokenIssuer } from "../domain/token-issuer.ts"

/** What is to be revoked, as it is written. */
export interface WrittenRevocation {
  /** A key as tokens make it, such as `corp:alice`, all of an issuer (`corp:*`), or the issuer itself where a token is named. */
  readonly name?: string | undefined
  readonly token_id?: string | undefined
  readonly token?: string | undefined
  /** A moment, or `now`. */
  readonly issued_before?: string | undefined
}

/** What is known of an issuer where its tokens are revoked. */
export type RevocableIssuer = Pick<TokenIssuer, "issuer" | "name" | "toleranceMs">

// As long as OpenID lets a subject be; ids of tokens are shorter.
const longest = 255

// Clocks may be a little further apart than they should.
const marginMs = 3_600_000

const refused = (param: string, message: string) => Result.fail(new BadRequest({ message, param }))

const idOf = ({ by, issuedBefore, issuer, of }: Omit<TokenRevocation, "id" | "made">): string =>
  hash("sha256", JSON.stringify([issuer, by, of, issuedBefore !== undefined]), "hex").slice(0, 16)

const claimsOf = (token: string): unknown =>
  parseBoundedJson(Buffer.from(token.split(".", 2)[1] ?? "", "base64url").toString())

const momentIn = (text: string | undefined, now: number): number | undefined =>
  text === undefined ? undefined : text === "now" ? now : momentOf(text)

/** The revocation that is meant, or what is wrong with it; `now` in milliseconds since 1970. */
export const revocationOf = (
  { issued_before: before, name, token, token_id: tokenId }: WrittenRevocation,
  issuers: ReadonlyArray<RevocableIssuer>,
  now: number
): Result.Result<TokenRevocation, BadRequest> => {
  const made = (revocation: Omit<TokenRevocation, "id" | "made">) =>
    Result.succeed({ ...revocation, id: idOf(revocation), made: now })
  const known = issuers.length === 0 ? "There are none" : `There are: ${issuers.map((each) => each.name).join(", ")}`
  if (token !== undefined) {
    if (name !== undefined || tokenId !== undefined || before !== undefined)
      return refused("token", "A token is revoked by itself: 'name', 'token_id' and 'issued_before' say nothing of it")
    if (!isTokenForm(token)) return refused("token", "'token' is no signed token (JWT)")
    const claims = claimsOf(token)
    const issuer = issuers.find((each) => each.issuer === jsonTextAt(claims, "iss"))
    if (issuer === undefined)
      return refused("token", `The token is of none of the issuers whose tokens are taken here. ${known}`)
    const end = jsonAt(claims, "exp")
    return made({
      issuer: issuer.issuer,
      by: "digest",
      of: hash("sha256", signedPart(token), "hex"),
      ...(typeof end === "number" ? { until: end * 1000 + issuer.toleranceMs + marginMs } : {})
    })
  }
  if (name === undefined) return refused("name", "It takes a 'name', such as corp:alice, or a 'token'")
  const colon = name.indexOf(":")
  const [whose, subject] = colon < 0 ? [name, undefined] : [name.slice(0, colon), name.slice(colon + 1)]
  const issuer = issuers.find((each) => each.name === whose)
  if (issuer === undefined)
    return refused("name", `There is no issuer '${printable(whose.slice(0, longest))}' ([[auth.issuers]]). ${known}`)
  const fault = before === undefined || before === "now" ? undefined : momentFault(before)
  if (fault !== undefined) return refused("issued_before", `'issued_before' is not what is expected: ${fault}`)
  const issuedBefore = momentIn(before, now)
  const bound = issuedBefore === undefined ? {} : { issuedBefore }
  if (tokenId !== undefined) {
    if (subject !== undefined && subject !== "*")
      return refused("token_id", `The id of a token is its issuer's: 'name' is '${whose}' with it`)
    if (tokenId === "" || tokenId.length > longest)
      return refused("token_id", `'token_id' is not what is expected: 1 to ${longest} characters`)
    return made({ issuer: issuer.issuer, by: "token_id", of: tokenId, ...bound })
  }
  if (subject === undefined || subject === "" || subject.length > longest)
    return refused(
      "name",
      `'name' says whose tokens are meant: ${whose}:SUBJECT, ${whose}:* for those of everybody, or ${whose} with a 'token_id'`
    )
  if (subject !== "*") return made({ issuer: issuer.issuer, by: "subject", of: subject, ...bound })
  if (issuedBefore === undefined)
    return refused(
      "issued_before",
      `Of everybody's tokens those are revoked that were issued before a moment: 'issued_before' says which, such as 'now'. To take none at all, take the issuer out of the settings`
    )
  return made({ issuer: issuer.issuer, by: "everybody", of: "", issuedBefore })
}

/** The same revocation, or one of before that goes further. */
export const furthest = (next: TokenRevocation, before: TokenRevocation | undefined): TokenRevocation =>
  before?.issuedBefore !== undefined && next.issuedBefore !== undefined && before.issuedBefore > next.issuedBefore
    ? { ...next, issuedBefore: before.issuedBefore }
    : next
