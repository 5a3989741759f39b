import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus } = makeShell()
afterAll(close)

const keyed = (key: string) => ({
  backendKeys: new Map(),
  authKeys: [{ name: "laptop", digest: createHash("sha256").update(key).digest() }]
})

describe("nexus connect", () => {
  test("alone lists the clients", async () => {
    const { code, stdout, stderr } = await nexus("connect")
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const [heading = "", ...rows] = lines(stdout)
    expect(heading.split(/ {2,}/)).toEqual(["Client", "For", "Prints", "--write"])
    const named = rows.map((row) => row.split(" ")[0])
    for (const client of ["claude-code", "codex", "gemini-cli", "open-webui-ollama", "zed", "curl"]) {
      expect(named).toContain(client)
    }
    expect(rows.find((row) => row.startsWith("codex "))).toMatch(/toml +~\/.codex\/config.toml$/)
    const json = JSON.parse((await nexus("connect", "--json")).stdout)
    expect(json.clients).toContainEqual({ client: "zed", title: "Zed", format: "json" })
    expect((await nexus("connect", "emacs")).stderr).toContain('Expected: "claude-code"')
  })

  test("prints settings with a model that calls tools, and says apart where they go", async () => {
    await using upstream = await startUpstream({
      type: "ollama",
      models: [
        { id: "a-first", context: 4096 },
        { id: "mistral:7b", context: 8192, tools: true },
        { id: "nomic-embed-text", embeddings: true }
      ]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type: "ollama" })] })
    const { code, stdout, stderr } = await nexus("connect", "open-webui", "--port", String(gateway.port))
    expect({ code, lines: lines(stdout) }).toEqual({
      code: 0,
      lines: [
        `OPENAI_API_BASE_URL=${gateway.url}/v1`,
        "OPENAI_API_KEY=not-needed",
        "DEFAULT_MODELS=mistral:7b",
        "RAG_EMBEDDING_ENGINE=openai",
        "RAG_EMBEDDING_MODEL=nomic-embed-text"
      ]
    })
    expect(stderr).toContain("before its first start")

    const json = await nexus("connect", "zed", "--json", "-m", "a-first", "--port", String(gateway.port))
    expect({ stderr: json.stderr, said: JSON.parse(json.stdout) }).toEqual({
      stderr: "",
      said: {
        client: "zed",
        base_url: `${gateway.url}/v1`,
        key: { needed: false, variable: "NEXUS_KEY" },
        model: "a-first",
        embedding_model: "nomic-embed-text",
        format: "json",
        settings: expect.stringContaining('"name": "a-first"')
      }
    })

    const wrong = await nexus("connect", "zed", "-m", "mistral:8b", "--port", String(gateway.port))
    expect(wrong).toEqual({ code: 1, stdout: "", stderr: "error: No model 'mistral:8b': did you mean mistral:7b?\n" })
  })

  test("takes an alias of the gateway, and another address", async () => {
    await using upstream = await startUpstream({ models: ["llama3:70b"] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { aliases: { "gpt-4": "llama3:70b" } }
    })
    const far = "http://host.docker.internal:8000/v1/"
    const port = String(gateway.port)
    const { stdout } = await nexus("connect", "aider", "--port", port, "-m", "gpt-4", "--url", far)
    expect(lines(stdout)).toEqual([
      "export OPENAI_API_BASE=http://host.docker.internal:8000/v1",
      "export OPENAI_API_KEY=not-needed",
      "aider --model openai/gpt-4"
    ])
    const { code, stderr } = await nexus("connect", "aider", "--url", "localhost:8000")
    expect([code, stderr]).toEqual([2, expect.stringContaining("begins with http:// or https://")])
  })

  test("without a running gateway says so, and puts words in place of what it cannot know", async () => {
    const { code, stdout, stderr } = await nexus("connect", "aider", "--port", "1")
    expect({ code, lines: lines(stdout) }).toEqual({
      code: 0,
      lines: [
        "export OPENAI_API_BASE=http://127.0.0.1:1/v1",
        "export OPENAI_API_KEY=not-needed",
        "aider --model openai/MODEL"
      ]
    })
    expect(lines(stderr).slice(0, 2)).toEqual([
      "No gateway answers at http://127.0.0.1:1: connection refused; nexus serve starts one. Its models are not known.",
      "Put the name of a model in place of MODEL."
    ])
    expect((await nexus("connect", "aider", "--port", "1", "-m", "qwen3")).stdout).toContain("openai/qwen3\n")
  })

  test("of a gateway with keys names the variable, whether this config holds the key or not, and never the key", async () => {
    await using upstream = await startUpstream({ models: ["mistral:7b"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] }, keyed("nx-secret"))
    const without = await nexus("connect", "curl", "--port", String(gateway.port))
    expect(without.stdout).toContain(`-H "Authorization: Bearer $NEXUS_KEY"`)
    expect(without.stdout).toContain('"model":"MODEL"')
    expect(without.stderr).toContain("it wants a key, and this config holds none")

    writeFileSync(join(cwd, "kept.toml"), `[server]\nport = 1\n[auth]\nstore = "keys.sqlite"\n`)
    expect((await nexus("connect", "curl", "-c", "kept.toml")).stdout).toContain("Authorization: Bearer")

    const auth = `[[auth.keys]]\nname = "laptop"\nenv = "LAPTOP_KEY"\n`
    writeFileSync(join(cwd, "auth.toml"), `[server]\nport = ${gateway.port}\n${auth}`)
    process.env["LAPTOP_KEY"] = "nx-secret"
    try {
      for (const client of ["curl", "open-webui", "continue", "cline", "langchain", "ai-sdk"]) {
        const { stdout, stderr } = await nexus("connect", client, "-c", "auth.toml")
        expect(stdout).toContain("mistral:7b")
        expect(stdout).toMatch(/NEXUS_KEY/)
        expect(stdout + stderr).not.toContain("nx-secret")
      }
    } finally {
      delete process.env["LAPTOP_KEY"]
    }
  })
})
