/**
 * The clients whose settings can be printed.
 */
import { aiSdk, langchain, langchainJs, openaiJs, openaiPython } from "./code.ts"
import type { ClientSetup } from "./client-setup.ts"
import { aider, claudeCode, cline, continueYaml, curl, openWebui, zed } from "./settings.ts"

/** A client: what its settings look like, and where they go. */
interface Client {
  readonly title: string
  readonly format: "env" | "yaml" | "json" | "form" | "shell" | "python" | "javascript"
  /** What to do with what is printed. */
  readonly paste: string
  readonly settings: (setup: ClientSetup) => string
}

/** Every client by the name it has on the command line. */
export const clients = {
  "open-webui": {
    title: "Open WebUI",
    format: "env",
    paste: "Set these variables before its first start; in a container, --url is the address it reaches Nexus by",
    settings: openWebui
  },
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
  zed: {
    title: "Zed",
    format: "json",
    paste: "Put this into settings.json of Zed, and the key (or any word) into its provider settings or NEXUS_API_KEY",
    settings: zed
  },
  aider: { title: "aider", format: "shell", paste: "Run this in the repository to be edited", settings: aider },
  "claude-code": {
    title: "Claude Code",
    format: "shell",
    paste: "Run this in the repository to be worked on",
    settings: claudeCode
  },
  langchain: { title: "LangChain (Python)", format: "python", paste: "Run this with Python", settings: langchain },
  "langchain-js": {
    title: "LangChain (JavaScript)",
    format: "javascript",
    paste: "Run this as an ES module",
    settings: langchainJs
  },
  "ai-sdk": { title: "AI SDK", format: "javascript", paste: "Run this as an ES module", settings: aiSdk },
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
  curl: { title: "curl", format: "shell", paste: "Run this in a shell", settings: curl }
} as const satisfies Readonly<Record<string, Client>>

/** Name of a client. */
export type ClientName = keyof typeof clients

/** The names, in order. */
export const clientNames = Object.keys(clients) as ReadonlyArray<ClientName> // reason: the keys of the table are its names
