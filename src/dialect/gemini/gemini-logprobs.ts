/**
 * How likely tokens were, as Google's answers tell it, from and to what the hub has of OpenAI's.
 */
import * as Predicate from "effect/Predicate"
import { objectsIn } from "../read-json.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const encoder = new TextEncoder()

/** A token, and the logarithm of how likely it was. */
interface LikelyToken {
  readonly token: string
  readonly logProbability: number
}

/** The tokens of an answer, each with those that could have stood in its place. */
export interface LogprobsResult {
  readonly chosenCandidates: ReadonlyArray<LikelyToken>
  readonly topCandidates?: ReadonlyArray<{ readonly candidates: ReadonlyArray<LikelyToken> }>
}

const tokenOf = ({ logprob, token }: Json): LikelyToken => ({
  token: typeof token === "string" ? token : "",
  logProbability: typeof logprob === "number" ? logprob : 0
})

/** Tokens of the hub as Google tells of them. */
export const likelyTokens = (logprobs: ReadonlyArray<unknown>): LogprobsResult => {
  const all = objectsIn(logprobs)
  const tops = all.map((each) => ({ candidates: objectsIn(each["top_logprobs"]).map(tokenOf) }))
  return {
    ...(tops.some(({ candidates }) => candidates.length > 0) ? { topCandidates: tops } : {}),
    chosenCandidates: all.map(tokenOf)
  }
}

/** Their mean, which is told beside a whole answer. */
export const meanOf = ({ chosenCandidates: all }: LogprobsResult): number =>
  all.reduce((sum, { logProbability }) => sum + logProbability, 0) / Math.max(1, all.length)

const openAiToken = ({ logProbability, token }: Json) => {
  const text = typeof token === "string" ? token : ""
  return {
    token: text,
    logprob: typeof logProbability === "number" ? logProbability : 0,
    bytes: [...encoder.encode(text)]
  }
}

/** What a candidate of Google's tells of its tokens, as the hub has it; undefined where it tells nothing. */
export const likelyTokensIn = (result: unknown): ReadonlyArray<unknown> | undefined => {
  if (!Predicate.isObject(result)) return undefined
  const chosen = objectsIn(result["chosenCandidates"])
  const tops = Array.isArray(result["topCandidates"]) ? result["topCandidates"] : []
  if (chosen.length === 0) return undefined
  return chosen.map((each, at) => {
    const top: unknown = tops[at]
    const others = Predicate.isObject(top) ? objectsIn(top["candidates"]).map(openAiToken) : []
    return Object.assign(openAiToken(each), { top_logprobs: others })
  })
}
