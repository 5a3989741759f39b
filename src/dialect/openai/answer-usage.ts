/**
 * What a parsed answer of chat completions, or a chunk of one, says of its tokens, as the hub tells it; and an event of a
 * realtime session.
 */
import * as Predicate from "effect/Predicate"
import type { Usage } from "../../telemetry/meter.ts"
import type { ChatUsage } from "../chat.ts"
import { countIn, fieldsIn, parsedJson } from "../read-json.ts"
import { wholeCompletion, wholePrompt } from "./usage.ts"

type Json = Readonly<Record<PropertyKey, unknown>>

const inDetails = (usage: Json, details: string, name: string): number => {
  const within = usage[details]
  return Predicate.isObject(within) ? countIn(within[name]) : 0
}

const read = "prompt_tokens_details"

// Makers have several names for the same.
const cachedIn = (usage: Json): number =>
  inDetails(usage, read, "cached_tokens") ||
  countIn(usage["cached_tokens"]) ||
  countIn(usage["num_cached_tokens"]) ||
  countIn(usage["prompt_cache_hit_tokens"]) ||
  countIn(usage["cache_read_input_tokens"])

const cachedAnewIn = (usage: Json): number =>
  inDetails(usage, read, "cache_write_tokens") ||
  inDetails(usage, read, "cache_creation_tokens") ||
  countIn(usage["cache_creation_input_tokens"])

/** What it has taken of tokens, in the names of all makers, `choices` being how many answers were asked for; undefined where it does not tell. */
export const chatUsageOf = (
  { service_tier: tier, usage: own, x_groq: groq }: Json,
  choices = 1
): ChatUsage | undefined => {
  const usage = own ?? (Predicate.isObject(groq) ? groq["usage"] : undefined)
  if (!Predicate.isObject(usage)) return undefined
  const prompt = countIn(usage["prompt_tokens"])
  const reasoning = inDetails(usage, "completion_tokens_details", "reasoning_tokens")
  const written = { prompt, completion: countIn(usage["completion_tokens"]), reasoning }
  const sum = countIn(usage["total_tokens"])
  const completion = wholeCompletion(written, sum)
  const { cached, prompt: whole } = wholePrompt({ prompt, cached: cachedIn(usage), completion }, choices, sum)
  return {
    prompt: whole,
    cachedRead: cached,
    cachedWrite: Math.min(cachedAnewIn(usage), whole - cached),
    completion,
    reasoning,
    ...(typeof tier === "string" && tier !== "" ? { tier } : {})
  }
}

// Sound passes by the megabyte: events of other types are not read.
const typeWithin = 256

/**
 * What an event of a realtime session says that one answer took, text and sound together; undefined where it tells nothing of
 * that. By OpenAI's `response.done`: https://platform.openai.com/docs/api-reference/realtime-server-events/response/done
 */
export const sessionUsageOf = (event: string): Usage | undefined => {
  if (!event.slice(0, typeWithin).includes("response.done")) return undefined
  const { response, type } = fieldsIn(parsedJson(event))
  const { usage } = fieldsIn(response)
  if (type !== "response.done" || !Predicate.isObject(usage)) return undefined
  const prompt = countIn(usage["input_tokens"])
  return {
    prompt,
    cached: Math.min(inDetails(usage, "input_token_details", "cached_tokens"), prompt),
    completion: countIn(usage["output_tokens"])
  }
}
