/**
 * Gateways as clients are told of them.
 */
import type { Offer } from "../../src/connect/offer.ts"

/** One without keys, with one model. */
export const plain: Offer = {
  baseUrl: "http://127.0.0.1:8000/v1",
  keyNeeded: false,
  model: { id: "mistral:7b" },
  others: [],
  embedder: undefined
}

/** One with keys, several models, and all that can be known of them. */
export const rich: Offer = {
  baseUrl: "https://nexus.example/v1",
  keyNeeded: true,
  model: { id: "Qwen/Qwen3-8B", contextLength: 40_960, tools: true, vision: true },
  others: [{ id: "llama3:70b", contextLength: 8192, tools: false }],
  embedder: "nomic-embed-text"
}
