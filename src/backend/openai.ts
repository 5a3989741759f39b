/**
 * OpenAI itself, and the clouds that speak as it does.
 */
import { openAiLike } from "./openai-like.ts"
import type { Kind } from "./Kind.ts"

/** A cloud. */
export const openai: Kind = {
  ...openAiLike,
  label: "OpenAI",
  alsoCalled: "openrouter groq together deepseek mistral azure fireworks perplexity xai cloud".split(" "),
  locality: "cloud",
  isOriginal: ({ url }) => /(?:^|\.)(?:openai|azure)\.com$/.test(new URL(url).hostname)
}
