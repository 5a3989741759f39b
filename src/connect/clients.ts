/**
 * The clients whose settings can be printed.
 */
import {
  claudeCode,
  claudeCodeFile,
  clineCli,
  codexFile,
  codexOss,
  copilot,
  crushFile,
  cursor,
  geminiCli,
  geminiFile,
  goose,
  opencodeFile,
  qwenFile
} from "./agents.ts"
import { aiSdk, langchain, langchainJs, openaiJs, openaiPython } from "./code.ts"
import type { ClientSetup } from "./client-setup.ts"
import { anthropicPython, googleGenai, ollamaPython, openaiAgents, pydanticAi } from "./python.ts"
import { freshSettings, type SettingsFile } from "./settings-file.ts"
import { aider, cline, continueYaml, curl, llmYaml, n8n, openWebui, openWebuiOllama, zedFile } from "./settings.ts"

/** A client: what its settings look like, and where they go. */
export interface Client {
  readonly title: string
  readonly format: "env" | "yaml" | "json" | "toml" | "form" | "shell" | "python" | "javascript"
  /** What to do with what is printed. */
  readonly paste: string
  readonly settings: (setup: ClientSetup) => string
  /** The file of its own that can be edited. */
  readonly file?: SettingsFile
  /** What has to be done once that file is written. */
  readonly besides?: string
}

const ofFile = (file: SettingsFile) => ({ file, settings: (setup: ClientSetup) => freshSettings(file, setup) })

/** Every client by the name it has on the command line. */
export const clients = {
  "claude-code": {
    title: "Claude Code",
    format: "shell",
    paste: "Run this in the repository to be worked on, or let --write put it into settings.json of Claude Code",
    settings: claudeCode,
    file: claudeCodeFile
  },
  codex: {
    title: "Codex",
    format: "toml",
    paste: "Put this into ~/.codex/config.toml, its first lines before any [table], or let --write do it",
    ...ofFile(codexFile)
  },
  "codex-oss": {
    title: "Codex with --oss",
    format: "shell",
    paste: "Run this in the repository to be worked on",
    settings: codexOss
  },
  "gemini-cli": {
    title: "Gemini CLI",
    format: "shell",
    paste: "Run this in the repository to be worked on, once --write has told Gemini CLI to sign in by a key",
    settings: geminiCli,
    file: geminiFile,
    besides: "Its address and its key it takes from variables alone: run what `nexus connect gemini-cli` prints as well"
  },
  opencode: {
    title: "opencode",
    format: "json",
    paste: "Put this into ~/.config/opencode/opencode.json, or let --write do it",
    ...ofFile(opencodeFile)
  },
  "qwen-code": {
    title: "Qwen Code",
    format: "json",
    paste: "Put this into ~/.qwen/settings.json, or let --write do it",
    ...ofFile(qwenFile)
  },
  copilot: {
    title: "GitHub Copilot CLI",
    format: "shell",
    paste: "Run this in the repository to be worked on",
    settings: copilot
  },
  crush: {
    title: "Crush",
    format: "json",
    paste: "Put this into ~/.config/crush/crush.json, or let --write do it",
    ...ofFile(crushFile)
  },
  goose: { title: "goose", format: "shell", paste: "Run this in the repository to be worked on", settings: goose },
  aider: { title: "aider", format: "shell", paste: "Run this in the repository to be edited", settings: aider },
  continue: {
    title: "Continue",
    format: "yaml",
    paste: "Put this into ~/.continue/config.yaml; the key, if one is needed, into ~/.continue/.env",
    settings: continueYaml
  },
  cline: {
    title: "Cline",
    format: "form",
    paste: "Put this into the settings of Cline; what follows the Model ID is under Model Configuration",
    settings: cline
  },
  "cline-cli": {
    title: "Cline in a terminal",
    format: "shell",
    paste: "Run this in the repository to be worked on; Cline keeps what the first line says, the key as well",
    settings: clineCli
  },
  zed: {
    title: "Zed",
    format: "json",
    paste:
      "Put this into settings.json of Zed, or let --write do it; the key (or any word) goes into its provider settings or NEXUS_API_KEY",
    ...ofFile(zedFile)
  },
  cursor: {
    title: "Cursor",
    format: "form",
    paste:
      "Put this into Cursor Settings > Models; Cursor's own servers call the address, so that it must be a public one",
    settings: cursor
  },
  "open-webui": {
    title: "Open WebUI",
    format: "env",
    paste: "Set these variables before its first start; in a container, --url is the address it reaches Nexus by",
    settings: openWebui
  },
  "open-webui-ollama": {
    title: "Open WebUI, as to an Ollama",
    format: "env",
    paste: "Set these variables before its first start; in a container, --url is the address it reaches Nexus by",
    settings: openWebuiOllama
  },
  n8n: {
    title: "n8n",
    format: "form",
    paste: "Put this into a credential of n8n, and the model into the node",
    settings: n8n
  },
  llm: {
    title: "llm",
    format: "yaml",
    paste:
      "Put this into extra-openai-models.yaml beside the file that `llm logs path` names; the key, if one is needed, by `llm keys set nexus`",
    settings: llmYaml
  },
  langchain: { title: "LangChain (Python)", format: "python", paste: "Run this with Python", settings: langchain },
  "langchain-js": {
    title: "LangChain (JavaScript)",
    format: "javascript",
    paste: "Run this as an ES module",
    settings: langchainJs
  },
  "ai-sdk": { title: "AI SDK", format: "javascript", paste: "Run this as an ES module", settings: aiSdk },
  "openai-agents": {
    title: "OpenAI Agents SDK (Python)",
    format: "python",
    paste: "Run this with Python",
    settings: openaiAgents
  },
  "pydantic-ai": { title: "Pydantic AI", format: "python", paste: "Run this with Python", settings: pydanticAi },
  "openai-python": {
    title: "openai (Python)",
    format: "python",
    paste: "Run this with Python",
    settings: openaiPython
  },
  "openai-js": {
    title: "openai (JavaScript)",
    format: "javascript",
    paste: "Run this as an ES module",
    settings: openaiJs
  },
  "anthropic-sdk": {
    title: "anthropic (Python)",
    format: "python",
    paste: "Run this with Python",
    settings: anthropicPython
  },
  "google-genai": {
    title: "google-genai (Python)",
    format: "python",
    paste: "Run this with Python",
    settings: googleGenai
  },
  "ollama-python": {
    title: "ollama (Python)",
    format: "python",
    paste: "Run this with Python",
    settings: ollamaPython
  },
  curl: { title: "curl", format: "shell", paste: "Run this in a shell", settings: curl }
} as const satisfies Readonly<Record<string, Client>>

/** Name of a client. */
export type ClientName = keyof typeof clients

/** A client by its name. */
export const clientNamed = (name: ClientName): Client => clients[name]

/** The names, in order. */
export const clientNames = Object.keys(clients) as ReadonlyArray<ClientName> // reason: the keys of the table are its names
