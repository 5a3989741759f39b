/**
 * What is left of limits, in the headers that clients read it from.
 */
import type { AmountLeft, LimitsLeft } from "../domain/rate-limits.ts"
import type { Dialect } from "./Dialect.ts"

// As OpenAI writes a time: 12ms, 1.5s, 6m0s.
const duration = (ms: number): string => {
  if (ms < 1000) return `${Math.ceil(ms)}ms`
  const seconds = Math.ceil(ms / 100) / 10
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${Math.ceil(seconds % 60)}s`
}

const openAi = (what: string, { left, limit, resetMs }: AmountLeft): Record<string, string> => ({
  [`x-ratelimit-limit-${what}`]: String(Math.floor(limit)),
  [`x-ratelimit-remaining-${what}`]: String(left),
  [`x-ratelimit-reset-${what}`]: duration(resetMs)
})

/** In OpenAI's headers. */
const openAiLimits = ({ requests, tokens }: LimitsLeft): Record<string, string> => ({
  ...(requests === undefined ? {} : openAi("requests", requests)),
  ...(tokens === undefined ? {} : openAi("tokens", tokens))
})

const anthropic = (what: string, { left, limit, resetMs }: AmountLeft, at: number): Record<string, string> => ({
  [`anthropic-ratelimit-${what}-limit`]: String(Math.floor(limit)),
  [`anthropic-ratelimit-${what}-remaining`]: String(left),
  [`anthropic-ratelimit-${what}-reset`]: `${new Date(at + resetMs).toISOString().slice(0, 19)}Z`
})

/** In Anthropic's headers. */
export const anthropicLimits = ({ at, requests, tokens }: LimitsLeft): Record<string, string> => ({
  ...(requests === undefined ? {} : anthropic("requests", requests, at)),
  ...(tokens === undefined ? {} : anthropic("tokens", tokens, at))
})

/** In those of a dialect. */
export const limitHeaders = ({ limitsLeft = openAiLimits }: Pick<Dialect, "limitsLeft">, left: LimitsLeft) =>
  limitsLeft(left)
