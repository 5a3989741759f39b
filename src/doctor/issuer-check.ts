/**
 * Whether the issuers of tokens tell their keys, and go by the same time.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { TokenIssuer } from "../domain/token-issuer.ts"
import { discoveryUrl, fetchKeys } from "../issuer/fetch-keys.ts"
import { Transport } from "../upstream/Transport.ts"
import { error, type Finding, ok, warning } from "./finding.ts"

/** What an issuer is, in few words. */
export const issuerAbout = ({ issuer }: TokenIssuer): string => `issuer of tokens, ${issuer}`

// Between the wish to be exact and the second that a date has.
const leastSkewMs = 2000

const fixOf = ({ jwks, jwksUrl }: TokenIssuer): string => {
  if (jwks !== undefined) return "jwks_file = the file with its keys, as its jwks_uri gives them"
  return jwksUrl === undefined
    ? "issuer = its name as it says it itself, or jwks_url = the address of its keys, or jwks_file = a file with them"
    : "jwks_url = the address of its keys"
}

const skew = (issuer: TokenIssuer, date: number, now: number): ReadonlyArray<Finding> => {
  const off = date - now
  if (Number.isNaN(date) || Math.abs(off) <= Math.max(issuer.toleranceMs, leastSkewMs)) return []
  const words = `its clock is ${Math.round(Math.abs(off) / 1000)} s ${off > 0 ? "ahead of" : "behind"} this one, more than clock_tolerance_seconds`
  return [warning("clock", words, "timedatectl set-ntp true")]
}

/** Looks at one issuer. */
export const checkIssuer = Effect.fnUntraced(function* (issuer: TokenIssuer) {
  const transport = yield* Transport
  const { keySetOf } = yield* Effect.promise(() => import("../issuer/key-set.ts"))
  const got = yield* Effect.result(
    issuer.jwks === undefined
      ? fetchKeys(transport, issuer)
      : Effect.succeed({ text: issuer.jwks, url: "jwks_file", date: Number.NaN })
  )
  if (Result.isFailure(got)) return [error("keys", got.failure, fixOf(issuer))]
  const { date, text, url } = got.success
  const keys = keySetOf(text)
  if (typeof keys === "string") return [error("keys", `${url}: ${keys}`, fixOf(issuer))]
  const ids = keys.ids.length === 0 ? "" : ` (${keys.ids.slice(0, 5).join(", ")}${keys.ids.length > 5 ? ", …" : ""})`
  const from = issuer.jwks === undefined && issuer.jwksUrl === undefined ? `, told at ${discoveryUrl(issuer)}` : ""
  return [ok("keys", `${keys.size} from ${url}${from}${ids}`), ...skew(issuer, date, yield* Clock.currentTimeMillis)]
})
