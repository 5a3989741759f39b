/**
 * The endpoints whose prompts are looked at, by their paths below `/v1`.
 */
import type { OperationFacts } from "../../domain/request.ts"

/** Their names. */
export const endpoints = ["chat/completions", "completions", "embeddings", "fim/completions"] as const

/** One of {@link endpoints}. */
export type Endpoint = (typeof endpoints)[number]

const factsOf = (name: Endpoint, text: string): OperationFacts => ({
  name,
  fields: { text, vision: "messages", tools: "tools", json_mode: "response_format", embeddings: "model" }
})

/** What routing and records know of each. */
export const endpointFacts: Readonly<Record<Endpoint, OperationFacts>> = {
  "chat/completions": factsOf("chat/completions", "messages"),
  completions: factsOf("completions", "prompt"),
  embeddings: factsOf("embeddings", "input"),
  // Mistral's: what stands between a prompt and a suffix.
  "fim/completions": factsOf("fim/completions", "prompt")
}
