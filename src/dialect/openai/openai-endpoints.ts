/**
 * The endpoints of OpenAI's that are forwarded, by their paths below `/v1`.
 */
import type { OperationFacts } from "../../domain/request.ts"

/** Their names. */
export const endpoints = ["chat/completions", "completions", "embeddings"] as const

/** One of {@link endpoints}. */
export type Endpoint = (typeof endpoints)[number]

/** What routing and records know of each. */
export const asked: Readonly<Record<Endpoint, OperationFacts>> = {
  "chat/completions": { name: "chat/completions", textField: "messages" },
  completions: { name: "completions", textField: "prompt" },
  embeddings: { name: "embeddings", textField: "input" }
}
