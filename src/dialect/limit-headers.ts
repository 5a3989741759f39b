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

/** What one limit is told in: its size, what is left of it, and when all of it is there again. */
type Names = readonly [limit: string, remaining: string, reset: string]

type NamesOfAll = Readonly<Record<"requests" | "tokens", Names>>

// Every answer has them: nothing is put together for it that is the same each time.
const put = (headers: Record<string, string>, names: Names, { left, limit }: AmountLeft, reset: string): void => {
  headers[names[0]] = String(Math.floor(limit))
  headers[names[1]] = String(left)
  headers[names[2]] = reset
}

const openAi: NamesOfAll = {
  requests: ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"],
  tokens: ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"]
}

/** In OpenAI's headers. */
const openAiLimits: PutLimits = (headers, { requests, tokens }) => {
  if (requests !== undefined) put(headers, openAi.requests, requests, duration(requests.resetMs))
  if (tokens !== undefined) put(headers, openAi.tokens, tokens, duration(tokens.resetMs))
}

const anthropic: NamesOfAll = {
  requests: [
    "anthropic-ratelimit-requests-limit",
    "anthropic-ratelimit-requests-remaining",
    "anthropic-ratelimit-requests-reset"
  ],
  tokens: [
    "anthropic-ratelimit-tokens-limit",
    "anthropic-ratelimit-tokens-remaining",
    "anthropic-ratelimit-tokens-reset"
  ]
}

const moment = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`

/** In Anthropic's headers. */
export const anthropicLimits: PutLimits = (headers, { at, requests, tokens }) => {
  if (requests !== undefined) put(headers, anthropic.requests, requests, moment(at + requests.resetMs))
  if (tokens !== undefined) put(headers, anthropic.tokens, tokens, moment(at + tokens.resetMs))
}

/** In those of a dialect. */
export const putLimits = (
  headers: Record<string, string>,
  { limitsLeft = openAiLimits }: Pick<Dialect, "limitsLeft">,
  left: LimitsLeft
): void => limitsLeft(headers, left)
