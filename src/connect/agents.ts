/**
 * Settings files of agents that work in a terminal or an editor, and shell lines that start them.
 */
import { type Table, valueAt } from "../config/path.ts"
import { printable } from "../domain/printable.ts"
import { joinLines, keyPlaceholder, keyVariable, noKey, rootUrl, shellWord, type ClientSetup } from "./client-setup.ts"
import type { Entry, SettingsFile } from "./settings-file.ts"
import type { ClientModel } from "./suitable-models.ts"

const all = ({ model, others }: ClientSetup): ReadonlyArray<ClientModel> => [model, ...others]

const set = (path: string, value: unknown): Entry => ({ path: path.split("."), value })

const keyInShell = (setup: ClientSetup): string => (setup.keyNeeded ? `"$${keyVariable}"` : noKey)

/** The longest answer that Claude Code asks for by itself. */
const longestOfClaudeCode = 32_000

const smallModel = "ANTHROPIC_DEFAULT_HAIKU_MODEL"
const contextOfClaudeCode = "CLAUDE_CODE_MAX_CONTEXT_TOKENS"
const answerOfClaudeCode = "CLAUDE_CODE_MAX_OUTPUT_TOKENS"

/** What Claude Code is to be told of a model that it does not know: it takes a context of a million tokens for granted. */
const claudeCodeSizes = ({ contextLength, id }: ClientModel): Readonly<Record<string, string>> => {
  // It knows Anthropic's own by their names, and heeds nothing else for these.
  if (contextLength === undefined || /claude/i.test(id)) return {}
  const answer = Math.ceil(contextLength / 4)
  return {
    [contextOfClaudeCode]: String(contextLength),
    ...(answer < longestOfClaudeCode ? { [answerOfClaudeCode]: String(answer) } : {})
  }
}

// Those of the model before are taken out, and none that somebody wrote.
const sizesInFile = (model: ClientModel): ReadonlyArray<Entry> => {
  const sizes = claudeCodeSizes(model)
  const isOwn = (was: unknown): boolean => {
    const before = valueAt(was, ["env", smallModel])
    return before === undefined || before === model.id
  }
  return [contextOfClaudeCode, answerOfClaudeCode].map((name) => ({
    path: ["env", name],
    value: sizes[name],
    stays: (was) => sizes[name] === undefined && isOwn(was)
  }))
}

/** settings.json of Claude Code: its small requests, titles among them, go to the same model. */
export const claudeCodeFile: SettingsFile = {
  variable: { name: "CLAUDE_CONFIG_DIR", below: ["settings.json"] },
  home: [".claude", "settings.json"],
  syntax: "json",
  entries: (setup) => [
    set("env.ANTHROPIC_BASE_URL", rootUrl(setup)),
    set(`env.${smallModel}`, setup.model.id),
    ...sizesInFile(setup.model),
    // A token goes before a helper, so that an old one has to be taken away; an empty one counts as none.
    set("env.ANTHROPIC_AUTH_TOKEN", setup.keyNeeded ? "" : noKey),
    ...(setup.keyNeeded ? [set("apiKeyHelper", `printf %s "$${keyVariable}"`)] : []),
    set("model", setup.model.id)
  ]
}

// Where nobody tells it, that of the model before is taken out, and not what somebody wrote of this one.
const codexContext = ({ contextLength, id }: ClientModel): Entry => ({
  ...set("model_context_window", contextLength),
  stays: (was) =>
    contextLength === undefined && valueAt(was, ["model"]) === id && valueAt(was, ["model_provider"]) === "nexus"
})

/** config.toml of Codex. */
export const codexFile: SettingsFile = {
  variable: { name: "CODEX_HOME", below: ["config.toml"] },
  home: [".codex", "config.toml"],
  syntax: "toml",
  entries: (setup) => [
    set("model", setup.model.id),
    set("model_provider", "nexus"),
    codexContext(setup.model),
    set("model_providers.nexus.name", "Nexus"),
    set("model_providers.nexus.base_url", setup.baseUrl),
    set("model_providers.nexus.wire_api", "responses"),
    // Codex does not start without a variable that is named.
    set("model_providers.nexus.env_key", setup.keyNeeded ? keyVariable : undefined)
  ]
}

// Agents ask for an answer of at most so many tokens where they must be told a number.
const longestAnswer = 8192

const limitsOf = ({ contextLength }: ClientModel): object =>
  contextLength === undefined
    ? {}
    : { limit: { context: contextLength, output: Math.min(longestAnswer, Math.ceil(contextLength / 4)) } }

/** opencode.json of opencode; it lists every model, for opencode does not ask. */
export const opencodeFile: SettingsFile = {
  variable: { name: "XDG_CONFIG_HOME", below: ["opencode", "opencode.json"] },
  home: [".config", "opencode", "opencode.json"],
  alias: "opencode.jsonc",
  syntax: "json",
  entries: (setup) => [
    set("provider.nexus.npm", "@ai-sdk/openai-compatible"),
    set("provider.nexus.name", "Nexus"),
    set("provider.nexus.options.baseURL", setup.baseUrl),
    set("provider.nexus.options.apiKey", setup.keyNeeded ? `{env:${keyVariable}}` : noKey),
    ...all(setup).map((model) => ({
      path: ["provider", "nexus", "models", model.id],
      isOurs: () => true,
      value: {
        name: model.id,
        ...(model.tools === undefined ? {} : { tool_call: model.tools }),
        ...(model.vision === undefined ? {} : { attachment: model.vision }),
        ...limitsOf(model)
      }
    })),
    set("model", `nexus/${setup.model.id}`),
    set("small_model", `nexus/${setup.model.id}`)
  ]
}

/** settings.json of Qwen Code. */
export const qwenFile: SettingsFile = {
  variable: undefined,
  home: [".qwen", "settings.json"],
  syntax: "json",
  entries: (setup) => [
    ...all(setup).map(({ id, contextLength }) => ({
      path: ["modelProviders", "openai"],
      itemBy: "id",
      isOurs: ({ baseUrl }: Table) => baseUrl === setup.baseUrl,
      value: {
        id,
        name: `${id} (Nexus)`,
        baseUrl: setup.baseUrl,
        envKey: keyVariable,
        ...(contextLength === undefined ? {} : { generationConfig: { contextWindowSize: contextLength } })
      }
    })),
    // It asks for the variable even where nothing asks for a key; one of the shell goes before this.
    ...(setup.keyNeeded ? [] : [set(`env.${keyVariable}`, noKey)]),
    set("security.auth.selectedType", "openai"),
    set("model.name", setup.model.id)
  ]
}

/** crush.json of Crush; it lists every model, and must be told a context. */
export const crushFile: SettingsFile = {
  variable: { name: "XDG_CONFIG_HOME", below: ["crush", "crush.json"] },
  home: [".config", "crush", "crush.json"],
  syntax: "json",
  entries: (setup) => [
    set("providers.nexus.name", "Nexus"),
    set("providers.nexus.type", "openai-compat"),
    set("providers.nexus.base_url", setup.baseUrl),
    set("providers.nexus.api_key", setup.keyNeeded ? `$${keyVariable}` : noKey),
    ...all(setup).map(({ contextLength: told, id, vision, contextLength = longestAnswer }) => ({
      path: ["providers", "nexus", "models"],
      itemBy: "id",
      isOurs: () => true,
      guessed: told === undefined ? ["context_window", "default_max_tokens"] : [],
      value: {
        id,
        name: id,
        context_window: contextLength,
        default_max_tokens: Math.min(longestAnswer, Math.ceil(contextLength / 4)),
        ...(vision === undefined ? {} : { supports_attachments: vision })
      }
    })),
    ...["large", "small"].map((size) => ({
      path: ["models", size],
      isOurs: ({ model, provider }: Table) => model === setup.model.id && provider === "nexus",
      value: { model: setup.model.id, provider: "nexus" }
    }))
  ]
}

/** Shell lines that start Claude Code. */
export const claudeCode = (setup: ClientSetup): string => {
  const model = shellWord(setup.model.id)
  return joinLines(
    `export ANTHROPIC_BASE_URL=${shellWord(rootUrl(setup))}`,
    `export ANTHROPIC_AUTH_TOKEN=${keyInShell(setup)}`,
    `export ${smallModel}=${model}`,
    ...Object.entries(claudeCodeSizes(setup.model)).map(([name, value]) => `export ${name}=${value}`),
    `claude --model ${model}`
  )
}

/** Shell lines that start Codex as if an Ollama answered it. */
export const codexOss = (setup: ClientSetup): string =>
  joinLines(
    `export CODEX_OSS_BASE_URL=${shellWord(setup.baseUrl)}`,
    `codex --oss --local-provider ollama -m ${shellWord(setup.model.id)}`
  )

/** settings.json of Gemini CLI: without this choice it takes an address of one's own for a way to sign in that it then refuses. */
export const geminiFile: SettingsFile = {
  variable: undefined,
  home: [".gemini", "settings.json"],
  syntax: "json",
  entries: ({ model }) => [set("security.auth.selectedType", "gemini-api-key"), set("model.name", model.id)]
}

/** Shell lines that start Gemini CLI. */
export const geminiCli = (setup: ClientSetup): string =>
  joinLines(
    `export GOOGLE_GEMINI_BASE_URL=${shellWord(rootUrl(setup))}`,
    `export GEMINI_API_KEY=${keyInShell(setup)}`,
    `gemini -m ${shellWord(setup.model.id)}`
  )

/** Shell lines that start the Copilot CLI; offline, it asks nobody but the gateway. */
export const copilot = (setup: ClientSetup): string => {
  const { contextLength } = setup.model
  return joinLines(
    `export COPILOT_PROVIDER_BASE_URL=${shellWord(setup.baseUrl)}`,
    setup.keyNeeded ? `export COPILOT_PROVIDER_API_KEY="$${keyVariable}"` : undefined,
    `export COPILOT_MODEL=${shellWord(setup.model.id)}`,
    contextLength === undefined
      ? undefined
      : `export COPILOT_PROVIDER_MAX_PROMPT_TOKENS=${contextLength - Math.min(longestAnswer, Math.ceil(contextLength / 4))}`,
    "export COPILOT_OFFLINE=true",
    "copilot"
  )
}

/** Shell lines that start goose. */
export const goose = (setup: ClientSetup): string =>
  joinLines(
    "export GOOSE_PROVIDER=openai",
    `export GOOSE_MODEL=${shellWord(setup.model.id)}`,
    `export OPENAI_HOST=${shellWord(rootUrl(setup))}`,
    `export OPENAI_API_KEY=${keyInShell(setup)}`,
    "goose session"
  )

/** Shell lines that tell Cline in a terminal, once, and start it. */
export const clineCli = (setup: ClientSetup): string =>
  joinLines(
    `cline auth -p openai-compatible -b ${shellWord(setup.baseUrl)} -k ${keyInShell(setup)} -m ${shellWord(setup.model.id)}`,
    "cline"
  )

/** What is put into the form of Cursor. */
export const cursor = (setup: ClientSetup): string =>
  joinLines(
    `Override OpenAI Base URL: ${printable(setup.baseUrl)}`,
    `OpenAI API Key: ${keyPlaceholder(setup)}`,
    ...all(setup).map(({ id }) => `Add model: ${printable(id)}`)
  )
