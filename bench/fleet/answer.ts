/**
 * What a simulated model says. A request's `seed` tells: how long the answer is, whether it ends with a call of a tool, and
 * which text it has; a gateway has no reason to read it.
 */
import type { ChatBody } from "./prompt.ts"
import { prose } from "./prose.ts"

const lengths = 8192

/** The `seed` that gives such an answer. */
export const seedOf = (variety: number, tokens: number, calls: boolean): number =>
  (variety % 100_000) * lengths * 2 + (calls ? lengths : 0) + Math.min(tokens, lengths - 1)

/** An answer as it will be once it is whole. */
export interface Answer {
  readonly text: string
  readonly tokens: number
  /** The arguments of its call. */
  readonly call: string | undefined
}

const callTokens = 24

/** The answer to a request. */
export const answerTo = ({ seed = 100, tools }: ChatBody): Answer => {
  const tokens = Math.max(1, seed % lengths)
  const calls = tools !== undefined && Math.floor(seed / lengths) % 2 === 1
  const called = calls ? Math.min(callTokens, tokens - 1) : 0
  return {
    text: prose(seed, tokens - called),
    tokens,
    call: calls ? JSON.stringify({ path: prose(seed + 1, called).trim() }) : undefined
  }
}

/** The answer as the model wrote it, which is not what a template makes of its call later. */
export const asWritten = ({ call, text }: Answer): string =>
  call === undefined ? text : `${text}\n<tool_call> ${call}`
