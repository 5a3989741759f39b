/**
 * Any other server that speaks like OpenAI's.
 */
import { openAiLike } from "./openai-like.ts"
import { speaking, untried } from "./speech.ts"
import type { Kind } from "./Kind.ts"

const unknown = "its type, which tells nothing of it"

/** A server of which no more is known. */
export const generic: Kind = {
  ...openAiLike,
  speaks: speaking("openai", {
    responses: untried(unknown, "/v1/responses"),
    anthropic: untried(unknown, "/v1/messages"),
    ollama: untried(unknown, "/api/chat")
  }),
  label: "any other",
  alsoCalled:
    "tgi tabbyapi localai litellm mlx mlxlm lemonade jan gpt4all ramalama openaicompatible custom other nexus olla".split(
      " "
    )
}
