/**
 * Settings of applications: files, variables and forms.
 */
import { printable } from "../domain/printable.ts"
import type { SettingsFile } from "./settings-file.ts"
import type { ClientModel } from "./suitable-models.ts"
import {
  isPlainWord,
  keyOrPlaceholder,
  keyVariable,
  keyPlaceholder,
  joinLines,
  quotedLiteral,
  rootUrl,
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

/** Variables of Open WebUI that connect it as to an Ollama; its form takes a key, and no variable does. */
export const openWebuiOllama = (setup: ClientSetup): string =>
  joinLines(
    "ENABLE_OLLAMA_API=true",
    `OLLAMA_BASE_URL=${printable(rootUrl(setup))}`,
    isPlainWord(setup.model.id) ? `DEFAULT_MODELS=${setup.model.id}` : undefined
  )

/** What is put into a credential of n8n and the node that uses it. */
export const n8n = (setup: ClientSetup): string =>
  joinLines(
    "Credential: OpenAI",
    `Base URL: ${printable(setup.baseUrl)}`,
    `API Key: ${keyPlaceholder(setup)}`,
    "Node: OpenAI Chat Model",
    `Model (by ID): ${printable(setup.model.id)}`
  )

/** extra-openai-models.yaml of llm. */
export const llmYaml = (setup: ClientSetup): string =>
  joinLines(
    ...[setup.model, ...setup.others].flatMap(({ id, tools, vision }) => [
      `- model_id: ${quotedLiteral(`nexus/${id}`)}`,
      `  model_name: ${quotedLiteral(id)}`,
      `  api_base: ${quotedLiteral(setup.baseUrl)}`,
      setup.keyNeeded ? "  api_key_name: nexus" : undefined,
      tools === false ? undefined : "  supports_tools: true",
      vision === true ? "  vision: true" : undefined
    ])
  )

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

const zedPath = ["language_models", "openai_compatible", "nexus"]

/** settings.json of Zed; it lists every model, for Zed does not ask. */
export const zedFile: SettingsFile = {
  variable: { name: "XDG_CONFIG_HOME", below: ["zed", "settings.json"] },
  home: [".config", "zed", "settings.json"],
  syntax: "json",
  entries: ({ baseUrl, model, others }) => [
    { path: [...zedPath, "api_url"], value: baseUrl },
    ...[model, ...others].map((each) => ({
      path: [...zedPath, "available_models"],
      itemBy: "name",
      isOurs: () => true,
      guessed: [
        ...(each.contextLength === undefined ? ["max_tokens"] : []),
        ...(each.tools === undefined && each.vision === undefined ? ["capabilities"] : [])
      ],
      value: zedModel(each)
    }))
  ]
}

/** Shell lines that start aider. */
export const aider = (setup: ClientSetup): string =>
  joinLines(
    `export OPENAI_API_BASE=${shellWord(setup.baseUrl)}`,
    `export OPENAI_API_KEY=${setup.keyNeeded ? `"$${keyVariable}"` : keyPlaceholder(setup)}`,
    `aider --model ${shellWord(`openai/${setup.model.id}`)}`
  )

/** A shell line that asks something. */
export const curl = ({ baseUrl, keyNeeded, model }: ClientSetup): string => {
  const body = JSON.stringify({ model: model.id, messages: [{ role: "user", content: "Hello" }] })
  const key = keyNeeded ? ` -H "Authorization: Bearer $${keyVariable}"` : ""
  const url = shellWord(`${baseUrl}/chat/completions`)
  return `curl -s ${url} -H 'Content-Type: application/json'${key} -d ${shellWord(printable(body))}`
}
