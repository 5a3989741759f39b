/**
 * Settings of applications: files, variables and forms.
 */
import { printable } from "../domain/printable.ts"
import type { ClientModel } from "./suitable-models.ts"
import {
  isPlainWord,
  keyOrPlaceholder,
  keyVariable,
  keyPlaceholder,
  joinLines,
  quotedLiteral,
  type ClientSetup,
  shellWord
} from "./client-setup.ts"

/** Variables of Open WebUI; files of variables know no quotes, so that a name that needs some is left out. */
export const openWebui = (setup: ClientSetup): string => {
  const embedder = setup.embedder !== undefined && isPlainWord(setup.embedder) ? setup.embedder : undefined
  return joinLines(
    `OPENAI_API_BASE_URL=${printable(setup.baseUrl)}`,
    `OPENAI_API_KEY=${keyPlaceholder(setup)}`,
    isPlainWord(setup.model.id) ? `DEFAULT_MODELS=${setup.model.id}` : undefined,
    embedder === undefined ? undefined : "RAG_EMBEDDING_ENGINE=openai",
    embedder === undefined ? undefined : `RAG_EMBEDDING_MODEL=${embedder}`
  )
}

const continueModel = (setup: ClientSetup, id: string, roles: string): ReadonlyArray<string> => [
  `  - name: ${quotedLiteral(`${id} (Nexus)`)}`,
  "    provider: openai",
  `    model: ${quotedLiteral(id)}`,
  `    apiBase: ${quotedLiteral(setup.baseUrl)}`,
  `    apiKey: ${keyOrPlaceholder(setup, `\${{ secrets.${keyVariable} }}`)}`,
  `    roles: [${roles}]`
]

const abilities = ({ tools, vision }: ClientModel): ReadonlyArray<string> => [
  ...(tools === true ? ["tool_use"] : []),
  ...(vision === true ? ["image_input"] : [])
]

/** config.yaml of Continue. */
export const continueYaml = (setup: ClientSetup): string => {
  const { model, embedder } = setup
  const able = abilities(model)
  return joinLines(
    "name: Nexus",
    "version: 0.0.1",
    "schema: v1",
    "models:",
    ...continueModel(setup, model.id, "chat, edit, apply"),
    able.length === 0 ? undefined : `    capabilities: [${able.join(", ")}]`,
    model.contextLength === undefined ? undefined : "    defaultCompletionOptions:",
    model.contextLength === undefined ? undefined : `      contextLength: ${model.contextLength}`,
    ...(embedder === undefined ? [] : continueModel(setup, embedder, "embed"))
  )
}

/** What is put into the form of Cline. */
export const cline = (setup: ClientSetup): string =>
  joinLines(
    "API Provider: OpenAI Compatible",
    `Base URL: ${printable(setup.baseUrl)}`,
    `API Key: ${keyPlaceholder(setup)}`,
    `Model ID: ${printable(setup.model.id)}`,
    setup.model.contextLength === undefined ? undefined : `Context Window Size: ${setup.model.contextLength}`,
    setup.model.vision === undefined ? undefined : `Supports Images: ${setup.model.vision ? "yes" : "no"}`
  )

/** The context Zed is told where nobody knows it: it must be told one. */
const cautiousContext = 8192

const zedModel = ({ id, contextLength, tools, vision }: ClientModel) => ({
  name: id,
  display_name: `${id} (Nexus)`,
  max_tokens: contextLength ?? cautiousContext,
  capabilities: { tools: tools ?? true, images: vision ?? false, parallel_tool_calls: false, prompt_cache_key: false }
})

/** settings.json of Zed; it lists every model, for Zed does not ask. */
export const zed = ({ baseUrl, model, others }: ClientSetup): string => {
  const provider = { api_url: baseUrl, available_models: [model, ...others].map(zedModel) }
  const settings = { language_models: { openai_compatible: { nexus: provider } } }
  return JSON.stringify(settings, null, 2).split("\n").map(printable).join("\n")
}

/** Shell lines that start aider. */
export const aider = (setup: ClientSetup): string =>
  joinLines(
    `export OPENAI_API_BASE=${shellWord(setup.baseUrl)}`,
    `export OPENAI_API_KEY=${setup.keyNeeded ? `"$${keyVariable}"` : keyPlaceholder(setup)}`,
    `aider --model ${shellWord(`openai/${setup.model.id}`)}`
  )

/** Shell lines that start Claude Code; its small requests, titles among them, go to the same model. */
export const claudeCode = (setup: ClientSetup): string => {
  const model = shellWord(setup.model.id)
  return joinLines(
    // It adds /v1 itself.
    `export ANTHROPIC_BASE_URL=${shellWord(setup.baseUrl.replace(/\/v1$/, ""))}`,
    `export ANTHROPIC_AUTH_TOKEN=${setup.keyNeeded ? `"$${keyVariable}"` : keyPlaceholder(setup)}`,
    `export ANTHROPIC_DEFAULT_HAIKU_MODEL=${model}`,
    `claude --model ${model}`
  )
}

/** A shell line that asks something. */
export const curl = ({ baseUrl, keyNeeded, model }: ClientSetup): string => {
  const body = JSON.stringify({ model: model.id, messages: [{ role: "user", content: "Hello" }] })
  const key = keyNeeded ? ` -H "Authorization: Bearer $${keyVariable}"` : ""
  const url = shellWord(`${baseUrl}/chat/completions`)
  return `curl -s ${url} -H 'Content-Type: application/json'${key} -d ${shellWord(printable(body))}`
}
