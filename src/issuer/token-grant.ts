/**
 * From the claims of a token that is good to what it lets do.
 */
import * as Result from "effect/Result"
import { Forbidden, type GatewayError, Unauthorized } from "../domain/errors.ts"
import { matchesAny } from "../domain/glob.ts"
import { type Grant, grantOf } from "../domain/grant.ts"
import { printable } from "../domain/printable.ts"
import type { TokenFacts } from "../domain/revoked-tokens.ts"
import type { TokenIssuer, TokenTerms, WantedClaims } from "../domain/token-issuer.ts"

/** The claims of a token. */
export type Claims = Readonly<Record<string, unknown>>

const isTable = (value: unknown): value is Claims =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/**
 * What a claim holds: of its whole name, which may have dots, or else of one inside of another, as `realm_access.roles`.
 * The longest beginning that is there counts.
 */
const claimAt = (claims: Claims, name: string): unknown => {
  if (Object.hasOwn(claims, name)) return claims[name]
  for (let dot = name.lastIndexOf("."); dot > 0; dot = name.lastIndexOf(".", dot - 1)) {
    const outer = name.slice(0, dot)
    const inner = Object.hasOwn(claims, outer) ? claims[outer] : undefined
    if (isTable(inner)) return claimAt(inner, name.slice(dot + 1))
  }
  return undefined
}

// What OAuth writes as one text with blanks in between.
const isScope = (name: string): boolean => name === "scope" || name === "scp"

const textOf = (value: unknown): ReadonlyArray<string> =>
  typeof value === "string" ? [value] : typeof value === "number" || typeof value === "boolean" ? [String(value)] : []

/** The texts that a claim holds: one, or those of a list. */
const textsAt = (claims: Claims, name: string): ReadonlyArray<string> => {
  const value = claimAt(claims, name)
  if (typeof value === "string" && isScope(name)) return value.split(" ").filter((each) => each !== "")
  return Array.isArray(value) ? value.flatMap(textOf) : textOf(value)
}

/** The first claim that does not hold what is wanted of it; undefined when all do. */
const lackedClaim = (claims: Claims, wanted: WantedClaims): string | undefined =>
  Object.entries(wanted).find(([name, globs]) => !textsAt(claims, name).some((text) => matchesAny(globs, text)))?.[0]

// As long as OpenID lets a subject be.
const longestName = 255

const nameIn = (claims: Claims, claim: string): string | undefined => {
  const [name = ""] = textsAt(claims, claim)
  return name === "" || name.length > longestName ? undefined : printable(name)
}

const shortText = (text: string): string => printable(text.slice(0, longestName))

const mostModels = 200

/** Globs of models that a claim holds: a list, or a text with blanks or commas in between. */
const modelsIn = (claims: Claims, claim: string): ReadonlyArray<string> =>
  textsAt(claims, claim)
    .flatMap((text) => text.split(/[\s,]+/))
    .filter((text) => text !== "")
    .slice(0, mostModels)

const labelsIn = (claims: Claims, labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(labels).flatMap(([label, claim]) => {
      const texts = textsAt(claims, claim)
      return texts.length === 0 ? [] : [[label, shortText(texts.join(","))]]
    })
  )

const numberIn = (claims: Claims, claim: string): number | undefined => {
  const value = claims[claim]
  return typeof value === "number" && Number.isFinite(value) ? value : undefined
}

/** What of a token it can be revoked by; `digest` is that of what of it is signed. */
export const tokenFacts = (
  { claims: { name: nameClaim }, issuer }: TokenIssuer,
  claims: Claims,
  digest: string
): TokenFacts => {
  const { jti, sub } = claims
  const names = [nameIn(claims, nameClaim), typeof sub === "string" ? sub : undefined]
  const issuedAt = numberIn(claims, "iat")
  return {
    issuer,
    subjects: [...new Set(names.flatMap((name) => name ?? []))],
    id: typeof jti === "string" ? jti : undefined,
    issuedAt: issuedAt === undefined ? undefined : issuedAt * 1000,
    digest
  }
}

/** What a token with these claims lets do, or why it lets nobody in. */
export const tokenGrant = (issuer: TokenIssuer, claims: Claims): Result.Result<Grant, GatewayError> => {
  const whose = `The token of issuer '${issuer.name}'`
  const forbidden = (message: string) => Result.fail(new Forbidden({ message }))
  const { labels, models: modelsClaim, name: nameClaim, owner: ownerClaim } = issuer.claims
  const name = nameIn(claims, nameClaim)
  if (name === undefined) {
    const message = `${whose} does not say whose it is: its claim '${nameClaim}' is no name`
    return Result.fail(new Unauthorized({ message }))
  }
  const lacked = lackedClaim(claims, issuer.required)
  if (lacked !== undefined)
    return forbidden(`${whose} lets nobody in: its claim '${lacked}' does not hold what it has to`)
  const role = issuer.roles.find((each) => lackedClaim(claims, each.claims) === undefined)
  const terms: TokenTerms = { ...issuer.terms, ...role?.terms }
  const models = modelsClaim === undefined ? [] : modelsIn(claims, modelsClaim)
  const asks = terms.admin !== true && terms.metrics !== true
  if (modelsClaim !== undefined && models.length === 0 && terms.models === undefined && asks) {
    return forbidden(`${whose} names no model that it may use (claim '${modelsClaim}')`)
  }
  const owner = ownerClaim === undefined ? undefined : nameIn(claims, ownerClaim)
  const told = { ...terms.labels, ...labelsIn(claims, labels) }
  return Result.succeed(
    grantOf({
      ...terms,
      name: `${issuer.name}:${name}`,
      ...(owner === undefined ? {} : { owner }),
      ...(Object.keys(told).length === 0 ? {} : { labels: told }),
      ...(models.length === 0 ? {} : { models })
    })
  )
}
