import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { clientNames, clients } from "../../src/connect/clients.ts"
import { clientBaseUrl, type ClientSetup } from "../../src/connect/client-setup.ts"
import {
  claudeCode,
  codexFile,
  codexOss,
  copilot,
  cursor,
  geminiCli,
  goose,
  opencodeFile
} from "../../src/connect/agents.ts"
import { freshSettings } from "../../src/connect/settings-file.ts"
import {
  aider,
  cline,
  continueYaml,
  curl,
  llmYaml,
  n8n,
  openWebui,
  openWebuiOllama,
  zedFile
} from "../../src/connect/settings.ts"
import { plain, rich } from "./offers.ts"

const naming = (id: string, offer: ClientSetup = plain): ClientSetup => ({ ...offer, model: { ...offer.model, id } })

const zed = (setup: ClientSetup): string => freshSettings(zedFile, setup)

const text = (...lines: ReadonlyArray<string>): string => lines.join("\n")

describe("the settings of", () => {
  test("Claude Code are lines of a shell, with the address alone and one model for large and small requests", () => {
    expect(claudeCode(plain)).toBe(
      text(
        "export ANTHROPIC_BASE_URL=http://127.0.0.1:8000",
        "export ANTHROPIC_AUTH_TOKEN=not-needed",
        "export ANTHROPIC_DEFAULT_HAIKU_MODEL=mistral:7b",
        "claude --model mistral:7b"
      )
    )
    expect(claudeCode(rich)).toContain('export ANTHROPIC_AUTH_TOKEN="$NEXUS_KEY"')
    expect(claudeCode(naming("a b"))).toContain("claude --model 'a b'")
  })

  test("Claude Code tell the context of a model that it does not know, and have no answer take more than its share", () => {
    const sizes = (id: string, contextLength: number) =>
      claudeCode({ ...plain, model: { id, contextLength } })
        .split("\n")
        .filter((line) => line.includes("_TOKENS="))
    expect(sizes("qwen3:8b", 40_960)).toEqual([
      "export CLAUDE_CODE_MAX_CONTEXT_TOKENS=40960",
      "export CLAUDE_CODE_MAX_OUTPUT_TOKENS=10240"
    ])
    expect(sizes("glm-5", 131_072)).toEqual(["export CLAUDE_CODE_MAX_CONTEXT_TOKENS=131072"])
    expect(sizes("claude-sonnet-4-6", 200_000)).toEqual([])
  })

  test("Open WebUI are variables", () => {
    expect(openWebui(plain)).toBe(
      text("OPENAI_API_BASE_URL=http://127.0.0.1:8000/v1", "OPENAI_API_KEY=not-needed", "DEFAULT_MODELS=mistral:7b")
    )
    expect(openWebui(rich)).toBe(
      text(
        "OPENAI_API_BASE_URL=https://nexus.example/v1",
        "OPENAI_API_KEY=YOUR_NEXUS_KEY",
        "DEFAULT_MODELS=Qwen/Qwen3-8B",
        "RAG_EMBEDDING_ENGINE=openai",
        "RAG_EMBEDDING_MODEL=nomic-embed-text"
      )
    )
  })

  test("Open WebUI leave out a name that a shell would run, for files of variables know no quotes", () => {
    expect(openWebui({ ...naming("$(touch /tmp/x)"), embedder: "a b-embed" })).toBe(
      text("OPENAI_API_BASE_URL=http://127.0.0.1:8000/v1", "OPENAI_API_KEY=not-needed")
    )
  })

  test("Continue are a config.yaml", () => {
    expect(Bun.YAML.parse(continueYaml(plain))).toEqual({
      name: "Nexus",
      version: "0.0.1",
      schema: "v1",
      models: [
        {
          name: "mistral:7b (Nexus)",
          provider: "openai",
          model: "mistral:7b",
          apiBase: "http://127.0.0.1:8000/v1",
          apiKey: "not-needed",
          roles: ["chat", "edit", "apply"]
        }
      ]
    })
    const provider = { provider: "openai", apiBase: "https://nexus.example/v1", apiKey: "${{ secrets.NEXUS_KEY }}" }
    expect(Bun.YAML.parse(continueYaml(rich))).toMatchObject({
      models: [
        {
          ...provider,
          model: "Qwen/Qwen3-8B",
          capabilities: ["tool_use", "image_input"],
          defaultCompletionOptions: { contextLength: 40_960 }
        },
        { ...provider, model: "nomic-embed-text", roles: ["embed"] }
      ]
    })
  })

  test("Cline are the fields of its form", () => {
    expect(cline(plain)).toBe(
      text(
        "API Provider: OpenAI Compatible",
        "Base URL: http://127.0.0.1:8000/v1",
        "API Key: not-needed",
        "Model ID: mistral:7b"
      )
    )
    expect(cline(rich)).toBe(
      text(
        "API Provider: OpenAI Compatible",
        "Base URL: https://nexus.example/v1",
        "API Key: YOUR_NEXUS_KEY",
        "Model ID: Qwen/Qwen3-8B",
        "Context Window Size: 40960",
        "Supports Images: yes"
      )
    )
  })

  test("Zed are JSON with every model, the chosen one first, and no key", () => {
    const model = (name: string, max_tokens: number, tools: boolean, images: boolean) => ({
      name,
      display_name: `${name} (Nexus)`,
      max_tokens,
      capabilities: { tools, images, parallel_tool_calls: false, prompt_cache_key: false }
    })
    const settings = (api_url: string, available_models: ReadonlyArray<unknown>) => ({
      language_models: { openai_compatible: { nexus: { api_url, available_models } } }
    })
    expect(JSON.parse(zed(plain))).toEqual(settings(plain.baseUrl, [model("mistral:7b", 8192, true, false)]))
    const both = [model("Qwen/Qwen3-8B", 40_960, true, true), model("llama3:70b", 8192, false, false)]
    expect(JSON.parse(zed(rich))).toEqual(settings(rich.baseUrl, both))
  })

  test("aider and curl are shell lines", () => {
    expect(aider(plain)).toBe(
      text(
        "export OPENAI_API_BASE=http://127.0.0.1:8000/v1",
        "export OPENAI_API_KEY=not-needed",
        "aider --model openai/mistral:7b"
      )
    )
    expect(aider(rich)).toBe(
      text(
        "export OPENAI_API_BASE=https://nexus.example/v1",
        'export OPENAI_API_KEY="$NEXUS_KEY"',
        "aider --model openai/Qwen/Qwen3-8B"
      )
    )
    expect(curl(rich)).toBe(
      `curl -s https://nexus.example/v1/chat/completions -H 'Content-Type: application/json' ` +
        `-H "Authorization: Bearer $NEXUS_KEY" ` +
        `-d '{"model":"Qwen/Qwen3-8B","messages":[{"role":"user","content":"Hello"}]}'`
    )
  })
})

describe("the settings of agents", () => {
  test("that go into a shell name the address as each wants it, and the key by its variable", () => {
    expect(geminiCli(rich)).toBe(
      text(
        "export GOOGLE_GEMINI_BASE_URL=https://nexus.example",
        'export GEMINI_API_KEY="$NEXUS_KEY"',
        "gemini -m Qwen/Qwen3-8B"
      )
    )
    expect(copilot(rich)).toBe(
      text(
        "export COPILOT_PROVIDER_BASE_URL=https://nexus.example/v1",
        'export COPILOT_PROVIDER_API_KEY="$NEXUS_KEY"',
        "export COPILOT_MODEL=Qwen/Qwen3-8B",
        "export COPILOT_PROVIDER_MAX_PROMPT_TOKENS=32768",
        "export COPILOT_OFFLINE=true",
        "copilot"
      )
    )
    expect(copilot(plain)).not.toMatch(/API_KEY|TOKENS/)
    expect(codexOss(plain)).toBe(
      text("export CODEX_OSS_BASE_URL=http://127.0.0.1:8000/v1", "codex --oss --local-provider ollama -m mistral:7b")
    )
    expect(goose(plain)).toContain("export OPENAI_HOST=http://127.0.0.1:8000\n")
  })

  test("that go into a file are what a new file would hold", () => {
    expect(freshSettings(codexFile, plain)).toBe(
      text(
        'model = "mistral:7b"',
        'model_provider = "nexus"',
        "",
        "[model_providers.nexus]",
        'name = "Nexus"',
        'base_url = "http://127.0.0.1:8000/v1"',
        'wire_api = "responses"'
      )
    )
    expect(JSON.parse(freshSettings(opencodeFile, rich))).toMatchObject({
      model: "nexus/Qwen/Qwen3-8B",
      provider: {
        nexus: {
          models: {
            "Qwen/Qwen3-8B": { tool_call: true, attachment: true, limit: { context: 40_960, output: 8192 } },
            "llama3:70b": { tool_call: false, limit: { context: 8192, output: 2048 } }
          }
        }
      }
    })
  })

  test("that go into forms and files of variables say what goes where", () => {
    expect(cursor(rich)).toBe(
      text(
        "Override OpenAI Base URL: https://nexus.example/v1",
        "OpenAI API Key: YOUR_NEXUS_KEY",
        "Add model: Qwen/Qwen3-8B",
        "Add model: llama3:70b"
      )
    )
    expect(n8n(plain)).toContain("Base URL: http://127.0.0.1:8000/v1\n")
    expect(openWebuiOllama(plain)).toBe(
      text("ENABLE_OLLAMA_API=true", "OLLAMA_BASE_URL=http://127.0.0.1:8000", "DEFAULT_MODELS=mistral:7b")
    )
    expect(Bun.YAML.parse(llmYaml(rich))).toEqual([
      {
        model_id: "nexus/Qwen/Qwen3-8B",
        model_name: "Qwen/Qwen3-8B",
        api_base: "https://nexus.example/v1",
        api_key_name: "nexus",
        supports_tools: true,
        vision: true
      },
      {
        model_id: "nexus/llama3:70b",
        model_name: "llama3:70b",
        api_base: "https://nexus.example/v1",
        api_key_name: "nexus"
      }
    ])
  })
})

describe("whatever a model is called", () => {
  const name = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom('"', "'", "\\", "\n", "\u001b[2J", "\u202e", "${{ secrets.X }}", ": #", "- a", "$(id)", "`id`")
  )

  test("the settings that a program reads give its name back (law)", () => {
    fc.assert(
      fc.property(name, (id) => {
        const yaml = Bun.YAML.parse(continueYaml(naming(id)))
        expect(yaml).toMatchObject({ models: [{ model: id }] })
        expect(JSON.parse(zed(naming(id)))).toMatchObject({
          language_models: { openai_compatible: { nexus: { available_models: [{ name: id }] } } }
        })
      })
    )
  })

  test("nothing that is printed steers a terminal or takes another line (law)", () => {
    fc.assert(
      fc.property(name, (id) => {
        for (const name of clientNames) {
          const { settings } = clients[name]
          const shown = settings(naming(id))
          expect(shown).not.toMatch(/[^\P{Cc}\n]|\u202e/u)
          expect(shown.split("\n").length).toBeLessThanOrEqual(settings(plain).split("\n").length)
        }
      })
    )
  })

  test("a shell takes it for one word and runs none of it", async () => {
    for (const id of ["it's", "a b", "$(id)", "`id`", "a;id", "!x", '"', "*"]) {
      const lines = aider(naming(id)).replace("aider --model ", "printf %s ")
      const shell = Bun.spawn(["sh", "-c", lines], { stdout: "pipe" })
      expect(await new Response(shell.stdout).text()).toBe(`openai/${id}`)
    }
  })
})

test("a base URL has one /v1 at its end, however it is given", () => {
  for (const url of ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/"]) {
    expect(clientBaseUrl(url)).toBe("http://a:1/v1")
  }
  expect(clientBaseUrl("https://a/llm/")).toBe("https://a/llm/v1")
})
