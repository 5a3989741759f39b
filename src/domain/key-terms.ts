/**
 * What is said of a key, as people write it in the config file, in commands and in requests.
 */
import * as IpNetwork from "effect/net/IpNetwork"
import * as Result from "effect/Result"
import type { KeyTerms } from "./grant.ts"
import type { RateLimits } from "./rate-limits.ts"
import type { PriorityClass } from "./request.ts"

/** Limits as they are written. */
export interface WrittenLimits {
  readonly requests_per_minute?: number | undefined
  readonly tokens_per_minute?: number | undefined
  readonly max_concurrent?: number | undefined
}

/** Terms as they are written: moments as text. */
export interface WrittenTerms extends WrittenLimits {
  readonly name: string
  readonly owner?: string | undefined
  readonly labels?: Readonly<Record<string, string>> | undefined
  readonly models?: ReadonlyArray<string> | undefined
  readonly backends?: ReadonlyArray<string> | undefined
  readonly networks?: ReadonlyArray<string> | undefined
  readonly zones?: ReadonlyArray<string> | undefined
  readonly not_before?: string | undefined
  readonly expires?: string | undefined
  readonly priority?: PriorityClass | undefined
  readonly admin?: boolean | undefined
  readonly metrics?: boolean | undefined
}

/** Limits as they are written, as they are gone by; undefined where there are none. */
export const rateLimitsOf = ({
  max_concurrent: maxConcurrent,
  requests_per_minute: requestsPerMinute,
  tokens_per_minute: tokensPerMinute
}: WrittenLimits): RateLimits | undefined => {
  const limits = {
    ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
    ...(tokensPerMinute === undefined ? {} : { tokensPerMinute }),
    ...(maxConcurrent === undefined ? {} : { maxConcurrent })
  }
  return Object.keys(limits).length === 0 ? undefined : limits
}

/** A day alone, which begins at midnight in UTC, or with a time, in UTC where no zone is told. */
const written = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)(Z|[+-]\d{2}:\d{2})?)?$/i

/** A moment in milliseconds since 1970; not a number where it is none. */
export const momentOf = (text: string): number => {
  const [, day, time = "00:00", zone = "Z"] = written.exec(text.trim()) ?? []
  if (day === undefined) return Number.NaN
  const moment = Date.parse(`${day}T${time}${zone.toUpperCase()}`)
  // Engines take the 30th of February for a day of March.
  const [, , date] = day.split("-").map(Number)
  return new Date(Date.parse(`${day}T00:00Z`)).getUTCDate() === date ? moment : Number.NaN
}

/** What is wrong with a moment; undefined when nothing is. */
export const momentFault = (text: string): string | undefined =>
  Number.isNaN(momentOf(text))
    ? "expected a day such as 2027-01-31, or a moment such as 2027-01-31T18:00:00Z"
    : undefined

/** When a key begins and ends, as it is written. */
interface WrittenSpan {
  readonly expires?: string | undefined
  readonly not_before?: string | undefined
}

/** What is wrong with when a key begins and ends that is made at a moment, and with which of both; undefined when nothing is. */
export const spanFault = (
  { expires, not_before: begins }: WrittenSpan,
  now: number
): { readonly param: keyof WrittenSpan; readonly reason: string } | undefined => {
  for (const [param, moment] of [["expires", expires] as const, ["not_before", begins] as const]) {
    const reason = moment === undefined ? undefined : momentFault(moment)
    if (reason !== undefined) return { param, reason }
  }
  if (expires === undefined) return undefined
  const ends = momentOf(expires)
  if (ends <= now) return { param: "expires", reason: "expected a moment to come, and this one has passed" }
  return begins !== undefined && ends <= momentOf(begins)
    ? { param: "expires", reason: "it ends before it begins (not_before)" }
    : undefined
}

/** Why a network is none; undefined when it is one. */
export const rangeFault = (text: string): string | undefined =>
  Result.isSuccess(IpNetwork.fromString(text))
    ? undefined
    : "expected a network such as 10.0.0.0/8 or fd00::/8, one address as 10.1.2.3/32; the digits behind its length must be 0"

/** Terms that have been checked, as they are gone by. */
export const termsOf = (written: WrittenTerms): KeyTerms => {
  const { admin, backends, expires, labels, metrics, models, name, networks, not_before, owner, priority, zones } =
    written
  const limits = rateLimitsOf(written)
  return {
    name,
    ...(limits === undefined ? {} : { limits }),
    ...(owner === undefined ? {} : { owner }),
    ...(labels === undefined ? {} : { labels }),
    ...(models === undefined ? {} : { models }),
    ...(backends === undefined ? {} : { backends }),
    ...(networks === undefined ? {} : { networks }),
    ...(zones === undefined ? {} : { zones }),
    ...(not_before === undefined ? {} : { notBefore: momentOf(not_before) }),
    ...(expires === undefined ? {} : { expires: momentOf(expires) }),
    ...(admin === undefined ? {} : { admin }),
    ...(metrics === undefined ? {} : { metrics }),
    ...(priority === undefined ? {} : { priority })
  }
}

const secretBytes = 32

/** The key that texts are sealed with in a text, in hexadecimal or in base64; undefined where it is none of 32 bytes. */
export const secretIn = (text: string): Uint8Array | undefined => {
  const isHex = /^[0-9a-f]{64}$/i.test(text)
  const bytes = Buffer.from(text, isHex ? "hex" : /[-_]/.test(text) ? "base64url" : "base64")
  return bytes.byteLength === secretBytes && (isHex || /^[A-Za-z0-9+/_-]{43}=?$/.test(text)) ? bytes : undefined
}
