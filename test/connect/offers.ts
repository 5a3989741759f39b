/**
 * Gateways as clients are told of them.
 */
import type { ClientSetup } from "../../src/connect/client-setup.ts"

/** One without keys, with one model. */
export const plain: ClientSetup = {
  baseUrl: "http://127.0.0.1:8000/v1",
  keyNeeded: false,
  model: { id: "mistral:7b" },
  others: [],
  embedder: undefined
}

/** One with keys, several models, and all that can be known of them. */
export const rich: ClientSetup = {
  baseUrl: "https://nexus.example/v1",
  keyNeeded: true,
  model: { id: "Qwen/Qwen3-8B", contextLength: 40_960, tools: true, vision: true },
  others: [{ id: "llama3:70b", contextLength: 8192, tools: false }],
  embedder: "nomic-embed-text"
}
