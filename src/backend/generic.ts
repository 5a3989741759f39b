/**
 * Any other server that speaks like OpenAI's.
 */
import { openAiLike } from "./openai-like.ts"
import type { Kind } from "./Kind.ts"

/** A server of which no more is known. */
export const generic: Kind = {
  ...openAiLike,
  label: "any other",
  alsoCalled:
    "tgi tabbyapi localai litellm mlx mlxlm lemonade jan gpt4all ramalama openaicompatible custom other nexus olla".split(
      " "
    )
}
