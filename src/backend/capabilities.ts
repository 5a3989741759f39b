/**
 * What a model's name and its server's kind tell about its abilities, used only where the server itself says nothing.
 * The length of a context is never taken from a name.
 */
import { type BackendType, kindNamed } from "./all.ts"
import type { Capabilities, Model } from "../domain/server.ts"
import { isEmbeddingModel, looksLikeChatModel } from "../domain/model-purpose.ts"
import { abilities, type Ability } from "../domain/request.ts"

/** One row of the table: names that match have these abilities; for each ability the first matching row counts. */
interface NameRule {
  /** Matched against the name in lower case. */
  readonly pattern: RegExp
  readonly says: Capabilities
}

/** What is taken of a model whose name can only mean that it makes embeddings. */
const embedder: Capabilities = { vision: false, tools: false, json_mode: false, embeddings: true }

/** The table of names, in order; it says what models can do, and never what they cannot. */
const nameRules: ReadonlyArray<NameRule> = [
  // Hosted models that take images.
  {
    pattern: /gpt-(4o|4\.1|4\.5|4-turbo|5)|(^|\/)(o1(?!-mini|-preview)|o3(?!-mini)|o4)|claude-|gemini-/,
    says: { vision: true, tools: true, json_mode: true }
  },
  // Hosted text models.
  {
    pattern: /gpt-(3\.5-turbo(?!-instruct)|4)|(^|\/)o[1-9]/,
    says: { tools: true, json_mode: true }
  },
  // Open models that take images.
  {
    pattern:
      /vision|llava|moondream|pixtral|minicpm-[vo]|internvl|cogvlm|smolvlm|molmo|multimodal|[-\d.]vl\b|-vl-|llama-?4|gemma-?3(?!n)(?![-:](1b|270m))|mistral-small-?3\.[1-9]/,
    says: { vision: true }
  },
  // Open models trained to call tools.
  {
    pattern:
      /gpt-oss|llama-?(3\.[1-9]|4)|qwen-?(2\.5|3)|qwq|mi[sx]tral|ministral|devstral|magistral|command-[ra]|hermes-[2-9]|granite-?[3-9]|deepseek-(chat|v[3-9]|r1)|glm-?[4-9]|kimi-k|firefunction|functionary|nemotron/,
    says: { tools: true }
  }
]

/**
 * What a name says; longer names than any model has are not looked at. Models for speech, images and the like share the
 * names of those to chat with, and nothing is taken from theirs.
 */
export const capabilitiesFromName = (id: string): Capabilities => {
  if (isEmbeddingModel(id)) return embedder
  if (!looksLikeChatModel(id)) return {}
  const name = id.slice(0, 512).toLowerCase()
  const rules = nameRules.filter((rule) => rule.pattern.test(name))
  const found: { -readonly [A in Ability]?: boolean } = {}
  for (const ability of abilities) {
    const said = rules.find((rule) => rule.says[ability] !== undefined)?.says[ability]
    if (said !== undefined) found[ability] = said
  }
  return found
}

/** The model with its open abilities filled from the table; what the server said stays. */
export const withCapabilities = (model: Model, type: BackendType): Model => {
  const named = capabilitiesFromName(model.id)
  const grammar: Capabilities = kindNamed(type).jsonByGrammar ? { json_mode: true } : {}
  return { ...model, capabilities: { ...grammar, ...named, ...model.capabilities } }
}
