/**
 * The agents that are run for real: what is installed, how `nexus connect` sets each up, and how it is asked something.
 */
import type { ClientName } from "../../src/connect/clients.ts"
import type { Source } from "./installed.ts"

/** Where an agent runs. */
interface Desk {
  /** The model it is to use. */
  readonly model: string
  /** A Python file with a tool that reads a file, for those that have none. */
  readonly toolFile: string
}

/** An agent as it is run. */
export interface Agent extends Source {
  readonly name: string
  /** By which name `nexus connect` knows it. */
  readonly client: ClientName
  /** `--write` puts it where it belongs, or what is printed goes into a shell, or to a file below the home directory. */
  readonly setUp: "write" | "shell" | "both" | { readonly into: string }
  readonly program: string
  readonly env?: (url: string) => Readonly<Record<string, string>>
  readonly args: (prompt: string, desk: Desk) => ReadonlyArray<string>
  /** Sends no key, so that a gateway with keys is none for it. */
  readonly keyless?: true
  /** Has no tools: it looks for names of files in what is said, and tells what is in them. */
  readonly toolless?: true
}

const copilotArgs: Agent["args"] = (prompt) => ["-p", prompt, "--allow-all-tools", "--no-color"]

const codexArgs = ["exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"]

/** Every agent with its pinned version. */
export const agents: ReadonlyArray<Agent> = [
  {
    name: "claude-code",
    client: "claude-code",
    setUp: "write",
    npm: "@anthropic-ai/claude-code@2.1.332",
    program: "claude",
    // It asks ten times by itself, for longer than anybody waits here.
    env: () => ({ CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1", CLAUDE_CODE_MAX_RETRIES: "2" }),
    args: (prompt) => ["-p", prompt, "--allowedTools", "Read"]
  },
  {
    name: "codex",
    client: "codex",
    setUp: "write",
    npm: "@openai/codex@0.171.0",
    program: "codex",
    args: (prompt) => [...codexArgs, prompt]
  },
  {
    name: "codex --oss",
    client: "codex-oss",
    setUp: "shell",
    npm: "@openai/codex@0.171.0",
    program: "codex",
    args: (prompt, { model }) => [...codexArgs, "--oss", "--local-provider", "ollama", "-m", model, prompt],
    keyless: true
  },
  {
    name: "gemini-cli",
    client: "gemini-cli",
    setUp: "both",
    npm: "@google/gemini-cli@0.61.0",
    program: "gemini",
    args: (prompt, { model }) => ["-m", model, "-p", prompt, "--yolo", "--skip-trust"]
  },
  {
    name: "opencode",
    client: "opencode",
    setUp: "write",
    npm: "opencode-ai@1.18.33",
    program: "opencode",
    args: (prompt) => ["run", prompt]
  },
  {
    name: "qwen-code",
    client: "qwen-code",
    setUp: "write",
    npm: "@qwen-code/qwen-code@0.24.4",
    program: "qwen",
    args: (prompt) => ["-p", prompt, "--yolo"]
  },
  {
    name: "copilot",
    client: "copilot",
    setUp: "shell",
    npm: "@github/copilot@1.0.102",
    program: "copilot",
    args: copilotArgs
  },
  {
    name: "copilot by Responses",
    client: "copilot",
    setUp: "shell",
    npm: "@github/copilot@1.0.102",
    program: "copilot",
    env: () => ({ COPILOT_PROVIDER_WIRE_API: "responses" }),
    args: copilotArgs
  },
  {
    name: "copilot by Messages",
    client: "copilot",
    setUp: "shell",
    npm: "@github/copilot@1.0.102",
    program: "copilot",
    env: (url) => ({ COPILOT_PROVIDER_TYPE: "anthropic", COPILOT_PROVIDER_BASE_URL: url }),
    args: copilotArgs
  },
  {
    name: "continue",
    client: "continue",
    setUp: { into: ".continue/config.yaml" },
    npm: "@continuedev/cli@1.5.47",
    node: "26.10.0",
    program: "cn",
    args: (prompt) => ["-p", prompt, "--auto"]
  },
  {
    name: "cline",
    client: "cline-cli",
    setUp: "shell",
    npm: "cline@3.0.65",
    node: "26.10.0",
    program: "cline",
    args: (prompt) => [prompt]
  },
  {
    name: "aider",
    client: "aider",
    setUp: "shell",
    pip: "aider-chat==0.86.2",
    program: "aider",
    args: (prompt, { model }) => [
      "--model",
      `openai/${model}`,
      "--no-analytics",
      "--yes-always",
      "--no-check-update",
      "--no-show-model-warnings",
      "--message",
      prompt
    ],
    toolless: true
  },
  {
    name: "llm",
    client: "llm",
    setUp: { into: ".config/io.datasette.llm/extra-openai-models.yaml" },
    pip: "llm==0.36",
    program: "llm",
    args: (prompt, { model, toolFile }) => ["-m", `nexus/${model}`, "--functions", toolFile, prompt]
  }
]

/** Python programs that are run as they are printed, with the package that each takes. */
export const programs: ReadonlyArray<readonly [client: ClientName, pip: string]> = [
  ["openai-python", "openai==3.57.0"],
  ["anthropic-sdk", "anthropic==2.14.0"],
  ["google-genai", "google-genai==3.6.1"],
  ["ollama-python", "ollama==0.6.3"],
  ["openai-agents", "openai-agents==0.24.0"],
  ["pydantic-ai", "pydantic-ai-slim[openai]==2.68.0"]
]

/** Open WebUI, with all that it takes along, for its server does not start without. */
export const openWebUi = { pip: "open-webui==0.12.4", program: "open-webui" } as const
