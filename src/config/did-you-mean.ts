/**
 * What somebody meant who wrote a value or a key that Nexus has under another name.
 */
import { nearest } from "./nearest.ts"
import type { KeyPath } from "./path.ts"

// Each is spoken to as the type it stands for.
const types: ReadonlyMap<string, string> = new Map(
  Object.entries({
    ollama: "ollama",
    llamacpp: "llamacpp llamaserver llama llamafile koboldcpp ggml gguf",
    vllm: "vllm sglang aphrodite",
    lmstudio: "lmstudio lms",
    openai: "openrouter groq together deepseek mistral azure fireworks perplexity xai cloud",
    generic:
      "tgi tabbyapi localai litellm mlx mlxlm lemonade jan gpt4all ramalama openaicompatible custom other nexus olla"
  }).flatMap(([type, names]) => names.split(" ").map((name) => [name, type] as const))
)

const isType = (path: KeyPath): boolean => path[0] === "backends" && path.at(-1) === "type"

/** The allowed text that was most likely meant. */
export const suggestedValue = (path: KeyPath, value: unknown, allowed: ReadonlyArray<unknown>): string | undefined => {
  if (typeof value !== "string") return undefined
  const texts = allowed.filter((each) => typeof each === "string")
  const known = isType(path) ? types.get(value.toLowerCase().replaceAll(/[^a-z0-9]/g, "")) : undefined
  return known !== undefined && texts.includes(known) ? known : nearest(value.trim(), texts)
}

const secret = /^(api[_-]?key|key|api[_-]?token|token|access[_-]?token|auth|authorization|bearer|secret|password)$/i

/** Where a key is to be named that somebody wrote into the file; undefined when the name is not that of a key. */
export const suggestedPlace = (path: KeyPath): string | undefined => {
  if (!secret.test(String(path.at(-1)))) return undefined
  if (path[0] === "backends" && path.length === 3) {
    return "a key does not stand in this file; api_key_env names the variable that holds it, api_key_file a file"
  }
  return path[0] === "auth"
    ? "a key does not stand in this file; sha256 holds its digest (nexus keys new prints both), env names the variable that holds it"
    : undefined
}
