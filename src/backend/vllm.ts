/**
 * vLLM: its list tells how long a prompt may be, and answers while the engine is dead; `/health` does not.
 */
import { healthAndModels, openAiLike, statelessProber } from "./openai-like.ts"
import type { Kind } from "./Kind.ts"

/** vLLM, and what answers like it. */
export const vllm: Kind = {
  ...openAiLike,
  label: "vLLM",
  alsoCalled: ["aphrodite"],
  ports: [8000],
  command: /\bvllm\b/i,
  fingerprint: { owner: "vllm" },
  jsonByGrammar: true,
  prober: statelessProber(healthAndModels),
  advice: { start: "vllm serve MODEL", load: () => "vllm serve MODEL" }
}
