/**
 * Every kind of server that Nexus knows how to ask about its models.
 */

/** Their names in settings. */
export const backendTypes = ["ollama", "vllm", "llamacpp", "lmstudio", "exo", "openai", "generic"] as const

/** One of {@link backendTypes}. */
export type BackendType = (typeof backendTypes)[number]
