/**
 * What thoughts are signed with: a signature means something to the one alone who has made it, and Nexus makes some that
 * mean nothing to anybody.
 */

import * as Predicate from "effect/Predicate"
import { parsedJson } from "./read-json.ts"

/** The signature of thoughts that nobody has signed. */
export const unsigned = "nexus.unsigned"

const callMark = "nexus2."

/** What a call is signed with, in place of a signature of thoughts: clients of Anthropic's keep no other. */
export const sealedCall = (signature: string): string =>
  `${callMark}${Buffer.from(signature, "utf8").toString("base64url")}`

/** What the call is signed with that follows thoughts signed so; undefined where they are signed by themselves. */
export const unsealedCall = (seal: string): string | undefined =>
  seal.startsWith(callMark) ? Buffer.from(seal.slice(callMark.length), "base64url").toString("utf8") : undefined

const detailMark = "nexus3."

/** What OpenRouter tells of hidden thoughts, for the next turn, in place of a signature. */
export const sealedDetail = (detail: Readonly<Record<PropertyKey, unknown>>): string =>
  `${detailMark}${Buffer.from(JSON.stringify(detail), "utf8").toString("base64url")}`

/** What OpenRouter is to be told again; undefined where a signature holds nothing of its. */
export const unsealedDetail = (seal: string): Readonly<Record<PropertyKey, unknown>> | undefined => {
  if (!seal.startsWith(detailMark)) return undefined
  const detail = parsedJson(Buffer.from(seal.slice(detailMark.length), "base64url").toString("utf8"))
  return Predicate.isObject(detail) ? detail : undefined
}

const hiddenMark = "nexus4."

/** Thoughts that Anthropic keeps hidden, for the next turn, in place of a signature. */
export const sealedHidden = (data: string): string => hiddenMark + Buffer.from(data, "utf8").toString("base64url")

/** The hidden thoughts that Anthropic is to be told again; undefined where a signature holds none. */
export const unsealedHidden = (seal: string): string | undefined =>
  seal.startsWith(hiddenMark) ? Buffer.from(seal.slice(hiddenMark.length), "base64url").toString("utf8") : undefined

const blockMark = "nexus5."

/** What Anthropic has signed thoughts with that LiteLLM has told of: it takes it back in the form that it tells it in. */
export const sealedBlock = (signature: string): string =>
  blockMark + Buffer.from(signature, "utf8").toString("base64url")

/** The signature that LiteLLM has told; undefined where another one has, or none. */
export const unsealedBlock = (seal: string): string | undefined =>
  seal.startsWith(blockMark) ? Buffer.from(seal.slice(blockMark.length), "base64url").toString("utf8") : undefined

/** Whether a signature is one of Nexus's own. */
export const isSealed = (signature: string): boolean => /^nexus\d*\./.test(signature)

/** Whether thoughts are signed with something that Anthropic wants back. */
export const isForAnthropic = (signature: string | undefined): signature is string =>
  signature !== undefined &&
  (!isSealed(signature) || signature.startsWith(hiddenMark) || signature.startsWith(blockMark))
