/**
 * How likely tokens were, as OpenAI tells it: with what could have stood in the place of each, be it nothing, and its bytes,
 * where they are known. Servers leave out what they have nothing to say in, and clients refuse an answer that lacks it.
 */
import * as Predicate from "effect/Predicate"

/** A token with all that OpenAI tells of one; the very same where nothing is missing. */
export const wholeToken = (token: unknown): unknown => {
  if (!Predicate.isObject(token) || ("bytes" in token && Array.isArray(token["top_logprobs"]))) return token
  const { bytes = null, top_logprobs: others } = token
  return { ...token, bytes, top_logprobs: others ?? [] }
}
