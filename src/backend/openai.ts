/**
 * OpenAI itself, and the clouds that speak as it does.
 */
import { openAiLike } from "./openai-like.ts"
import { speaking, trusted, type Speaking } from "./speech.ts"
import type { Kind } from "./Kind.ts"

const speaks: Speaking = speaking("openai", {
  responses: {
    ...trusted,
    ofOriginal: true,
    before: {
      level: "distrusted",
      why: "services differ in how much of it they have",
      source: "their documentation",
      shownBy: { method: "GET", path: "/v1/responses" }
    }
  }
})

/** A cloud. */
export const openai: Kind = {
  ...openAiLike,
  label: "OpenAI",
  alsoCalled: "groq together deepseek mistral fireworks perplexity xai cloud".split(" "),
  locality: "cloud",
  keepsFiles: true,
  speaks,
  // Google's own endpoint of chat completions may be set up as one.
  isStrict: ({ url }) => !/(?:^|\.)googleapis\.com$/.test(new URL(url).hostname),
  isOriginal: ({ url }) => /(?:^|\.)(?:openai|azure)\.com$/.test(new URL(url).hostname)
}
