/**
 * What is left of limits, in the headers that clients read it from.
 */
import type { AmountLeft, LimitsLeft } from "../domain/rate-limits.ts"
import type { Dialect } from "./Dialect.ts"

const millisecondsOf = (ms: number): string => `${ms}ms`

// Below a second, which is what nearly all are told.
const shortTimes = Array.from({ length: 1001 }, (_, ms) => millisecondsOf(ms))

// As OpenAI writes a time: 12ms, 1.5s, 6m0s.
const duration = (ms: number): string => {
  if (ms < 1000) return shortTimes[Math.ceil(ms)] ?? millisecondsOf(Math.ceil(ms))
  const seconds = Math.ceil(ms / 100) / 10
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${Math.ceil(seconds % 60)}s`
}

type PutLimits = NonNullable<Dialect["limitsLeft"]>

const sizeOf = ({ limit }: AmountLeft): string => String(Math.floor(limit))

/** In OpenAI's headers. */
const openAiLimits: PutLimits = (headers, { requests, tokens }) => {
  // Every answer has them: names that stand where they are put take half as long as names that are looked up.
  if (requests !== undefined) {
    headers["x-ratelimit-limit-requests"] = sizeOf(requests)
    headers["x-ratelimit-remaining-requests"] = String(requests.left)
    headers["x-ratelimit-reset-requests"] = duration(requests.resetMs)
  }
  if (tokens !== undefined) {
    headers["x-ratelimit-limit-tokens"] = sizeOf(tokens)
    headers["x-ratelimit-remaining-tokens"] = String(tokens.left)
    headers["x-ratelimit-reset-tokens"] = duration(tokens.resetMs)
  }
}

const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** In Anthropic's headers. */
export const anthropicLimits: PutLimits = (headers, { at, requests, tokens }) => {
  if (requests !== undefined) {
    headers["anthropic-ratelimit-requests-limit"] = sizeOf(requests)
    headers["anthropic-ratelimit-requests-remaining"] = String(requests.left)
    headers["anthropic-ratelimit-requests-reset"] = moment(at + requests.resetMs)
  }
  if (tokens !== undefined) {
    headers["anthropic-ratelimit-tokens-limit"] = sizeOf(tokens)
    headers["anthropic-ratelimit-tokens-remaining"] = String(tokens.left)
    headers["anthropic-ratelimit-tokens-reset"] = moment(at + tokens.resetMs)
  }
}

/** In those of a dialect. */
export const putLimits = (
  headers: Record<string, string>,
  { limitsLeft = openAiLimits }: Pick<Dialect, "limitsLeft">,
  left: LimitsLeft
): void => limitsLeft(headers, left)
