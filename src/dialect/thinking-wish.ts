/**
 * How much a model is to think, where that is told in tokens, or in one of the words that makers have for it beside
 * `reasoning_effort`.
 */
import * as Predicate from "effect/Predicate"

type Fields = Readonly<Record<string, unknown>>

/** The word for so many tokens of thought. */
export const effortOfTokens = (tokens: number): string =>
  tokens < 2000 ? "minimal" : tokens < 5000 ? "low" : tokens < 10_000 ? "medium" : "high"

const inTokens = (tokens: unknown): string | undefined =>
  typeof tokens !== "number" ? undefined : tokens > 0 ? effortOfTokens(tokens) : "none"

/** What OpenRouter takes: a word, tokens, or whether. */
export const effortOfReasoning = ({ effort, enabled, max_tokens: tokens }: Fields): string | undefined => {
  if (typeof effort === "string" && effort !== "") return effort
  return enabled === false ? "none" : inTokens(tokens)
}

// As Anthropic and Z.ai have it.
const inThinking = ({ thinking }: Fields): string | undefined => {
  if (!Predicate.isObject(thinking)) return undefined
  const { budget_tokens: tokens, type } = thinking
  return type === "disabled" ? "none" : type === "enabled" ? inTokens(tokens) : undefined
}

// As Qwen has it, and templates of models, which know no degrees.
const switchesOf = ({ chat_template_kwargs: template, enable_thinking: enabled }: Fields): ReadonlyArray<unknown> => {
  const { enable_thinking: one, thinking: other, ...more } = Predicate.isObject(template) ? template : {}
  return Object.keys(more).length > 0 ? [enabled] : [enabled, one, other]
}

/** What is asked in the words of others. */
export const effortOfOthers = (json: Fields): string | undefined =>
  inThinking(json) ??
  (switchesOf(json).includes(false)
    ? "none"
    : json["enable_thinking"] === true
      ? inTokens(json["thinking_budget"])
      : undefined)

/** The fields in which a request asks for that, where it does. */
export const otherWords = (json: Fields): ReadonlyArray<string> => {
  if ((json["reasoning_effort"] ?? "") !== "" || effortOfOthers(json) === undefined) return []
  if (inThinking(json) !== undefined) return ["thinking"]
  return ["enable_thinking", "thinking_budget", ...(switchesOf(json).length > 1 ? ["chat_template_kwargs"] : [])]
}
