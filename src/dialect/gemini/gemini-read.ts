/**
 * What is read of Google's answers, whoever asks: their error, their end and what they took.
 */
import * as Predicate from "effect/Predicate"
import type { AnswerFault } from "../Dialect.ts"
import { BadAnswer, ErrorStatus } from "../../domain/upstream-errors.ts"
import { delayIn } from "../../domain/retry-after.ts"
import type { Usage } from "../../telemetry/meter.ts"
import { countIn } from "../read-json.ts"
import { tierOfGoogle } from "./gemini-tiers.ts"

/** The error that a value tells of, which may be the first of a list. */
export const errorIn = (json: unknown): Readonly<Record<PropertyKey, unknown>> | undefined => {
  const value: unknown = Array.isArray(json) ? json[0] : json
  const error = Predicate.isObject(value) ? value["error"] : undefined
  if (Predicate.isObject(error)) return error
  // Proxies have words alone for it.
  return typeof error === "string" && error !== "" ? { message: error } : undefined
}

/** The candidates of an answer. */
export const candidatesOf = (json: unknown): ReadonlyArray<Readonly<Record<PropertyKey, unknown>>> => {
  const all = Predicate.isObject(json) ? json["candidates"] : undefined
  return Array.isArray(all) ? all.filter(Predicate.isObject) : []
}

const feedbackOf = (json: unknown, name: string): string => {
  const feedback = Predicate.isObject(json) ? json["promptFeedback"] : undefined
  const told = Predicate.isObject(feedback) ? feedback[name] : undefined
  return typeof told === "string" ? told : ""
}

/** Why a prompt was refused; empty when it was not. */
export const blockOf = (json: unknown): string => feedbackOf(json, "blockReason")

/** The same in words, where there are any. */
export const wordsOfBlock = (json: unknown): string => feedbackOf(json, "blockReasonMessage")

/** Why a candidate ended; empty when it has not. */
export const finishOf = ({ finishReason: reason }: Readonly<Record<PropertyKey, unknown>>): string =>
  typeof reason === "string" && reason !== "FINISH_REASON_UNSPECIFIED" ? reason : ""

/** The tokens that an answer tells of. */
export const geminiUsage = (json: unknown): (Usage & { readonly reasoning: number }) | undefined => {
  const usage = Predicate.isObject(json) ? json["usageMetadata"] : undefined
  if (!Predicate.isObject(usage)) return undefined
  const prompt = countIn(usage["promptTokenCount"]) + countIn(usage["toolUsePromptTokenCount"])
  const reasoning = countIn(usage["thoughtsTokenCount"])
  const said = usage["candidatesTokenCount"]
  const rest = Math.max(0, countIn(usage["totalTokenCount"]) - prompt - reasoning)
  const completion = (said === undefined ? rest : countIn(said)) + reasoning
  return { prompt, cached: Math.min(prompt, countIn(usage["cachedContentTokenCount"])), completion, reasoning }
}

/** By which of its services an answer was given, in OpenAI's word. */
export const geminiTier = (json: unknown): string | undefined => {
  const usage = Predicate.isObject(json) ? json["usageMetadata"] : undefined
  return Predicate.isObject(usage) ? tierOfGoogle(usage["serviceTier"]) : undefined
}

/** What stands under a good status in place of an answer. */
export const faultIn = (json: unknown, body: Uint8Array, otherwise: string): AnswerFault => {
  const code = errorIn(json)?.["code"]
  if (typeof code === "number" && code >= 400 && code < 600) {
    const retryAfterMs = delayIn(JSON.stringify(json))
    return new ErrorStatus({ status: code, contentType: "application/json", body, retryAfterMs, underGood: true })
  }
  return new BadAnswer({ reason: errorIn(json) === undefined ? otherwise : "an error in place of an answer", body })
}
