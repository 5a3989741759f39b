/**
 * The providers of LiteLLM that can be called as they are.
 */
import type { BackendType } from "../../backend/all.ts"

/** One provider. */
export interface Provider {
  /** The prefix of its models, without the slash. */
  readonly name: string
  readonly type: BackendType
  /** Where it is when the settings do not say so. */
  readonly url?: string
  /** The variable LiteLLM takes its key from then. */
  readonly key?: string
}

/** All that can be carried over. */
export const providers: ReadonlyArray<Provider> = [
  { name: "openai", type: "openai", url: "https://api.openai.com/v1", key: "OPENAI_API_KEY" },
  { name: "text-completion-openai", type: "openai", url: "https://api.openai.com/v1", key: "OPENAI_API_KEY" },
  { name: "ollama", type: "ollama", url: "http://localhost:11434" },
  { name: "ollama_chat", type: "ollama", url: "http://localhost:11434" },
  { name: "hosted_vllm", type: "vllm" },
  { name: "lm_studio", type: "lmstudio" },
  { name: "llamafile", type: "llamacpp", url: "http://127.0.0.1:8080/v1" },
  { name: "openai_like", type: "generic" },
  { name: "custom_openai", type: "generic" },
  { name: "litellm_proxy", type: "generic" },
  { name: "xinference", type: "generic", url: "http://127.0.0.1:9997/v1" },
  { name: "groq", type: "openai", url: "https://api.groq.com/openai/v1", key: "GROQ_API_KEY" },
  { name: "openrouter", type: "openrouter", url: "https://openrouter.ai/api/v1", key: "OPENROUTER_API_KEY" },
  { name: "anthropic", type: "anthropic", url: "https://api.anthropic.com", key: "ANTHROPIC_API_KEY" },
  { name: "gemini", type: "gemini", url: "https://generativelanguage.googleapis.com", key: "GEMINI_API_KEY" },
  { name: "azure", type: "azure" },
  { name: "mistral", type: "openai", url: "https://api.mistral.ai/v1", key: "MISTRAL_API_KEY" },
  { name: "deepseek", type: "openai", url: "https://api.deepseek.com/v1", key: "DEEPSEEK_API_KEY" },
  { name: "together_ai", type: "openai", url: "https://api.together.xyz/v1", key: "TOGETHER_API_KEY" },
  { name: "fireworks_ai", type: "openai", url: "https://api.fireworks.ai/inference/v1", key: "FIREWORKS_API_KEY" },
  { name: "xai", type: "openai", url: "https://api.x.ai/v1", key: "XAI_API_KEY" },
  { name: "cerebras", type: "openai", url: "https://api.cerebras.ai/v1", key: "CEREBRAS_API_KEY" },
  { name: "nvidia_nim", type: "openai", url: "https://integrate.api.nvidia.com/v1", key: "NVIDIA_NIM_API_KEY" },
  { name: "sambanova", type: "openai", url: "https://api.sambanova.ai/v1", key: "SAMBANOVA_API_KEY" },
  { name: "moonshot", type: "openai", url: "https://api.moonshot.ai/v1", key: "MOONSHOT_API_KEY" },
  {
    name: "dashscope",
    type: "openai",
    url: "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    key: "DASHSCOPE_API_KEY"
  }
]

const isOpenAi =
  /^(gpt-|chatgpt-|o[1-9](-|$)|text-embedding-|dall-e-|whisper-|tts-|(omni|text)-moderation-|davinci|babbage)/

/** Providers that are called with other keys than their settings name, and what these are. */
export const otherKeys: ReadonlyMap<string, string> = new Map([
  ["bedrock", "keys of an AWS account are not taken: a backend of type bedrock takes an API key of Bedrock's"],
  ["vertex_ai", "service accounts are not taken: a backend of type vertex takes a token, or an API key"]
])

// Names that need no prefix.
const plainly = (text: string): string | undefined =>
  isOpenAi.test(text) || text === "*" ? "openai" : text.startsWith("claude-") ? "anthropic" : undefined

const byName = new Map(providers.map((provider) => [provider.name, provider]))

// An address of one's own with a prefix of OpenAI's is LiteLLM's way to say: some server that speaks like it.
const other: Provider = { name: "openai", type: "generic" }

/** The provider and the model of a LiteLLM model string; words when there is none that can be called. */
export const providerOf = (
  text: string,
  custom: string | undefined,
  hasAddress: boolean
): { readonly provider: Provider; readonly model: string } | string => {
  const slash = text.indexOf("/")
  const isPlain = slash === -1 && custom === undefined
  const prefix = custom ?? (slash === -1 ? "" : text.slice(0, slash))
  const provider = byName.get((isPlain ? plainly(text) : undefined) ?? prefix)
  if (provider === undefined) {
    return prefix === ""
      ? "which provider it is of cannot be told from its name"
      : (otherKeys.get(prefix) ?? `Nexus does not know how to call '${prefix}'`)
  }
  const model = text.startsWith(`${prefix}/`) ? text.slice(prefix.length + 1) : text
  return { provider: provider.name.endsWith("openai") && hasAddress ? other : provider, model }
}
