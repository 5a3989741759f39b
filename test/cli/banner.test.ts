import { describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { startProcess, until } from "../kit/gateway.ts"
import { banner, bannerLine, curlLine, type BannerFacts } from "../../src/cli/banner.ts"
import type { BackendEntry } from "../../src/api/backend-entry.ts"

const backend = (name: string, extra: Partial<BackendEntry> = {}): BackendEntry => ({
  name,
  url: `http://127.0.0.1:1/${name}`,
  type: "ollama",
  origin: "config",
  priority: 50,
  mode: "enabled",
  status: "healthy",
  reason: "",
  models: [{ id: `${name}:7b`, capabilities: {} }],
  latency_ms: null,
  in_flight: 0,
  cooling_ms: 0,
  circuits: [],
  ...extra
})

const started = (extra: Partial<BannerFacts> = {}): BannerFacts => ({
  version: "1.2.3",
  url: "http://127.0.0.1:8000",
  configPath: undefined,
  keysNeeded: false,
  discovering: false,
  backends: [],
  warnings: [],
  ...extra
})

describe("the start banner", () => {
  test("without config and backends says what happens next", () => {
    expect(banner(started({ discovering: true }))).toBe(
      [
        "Nexus 1.2.3 listens on http://127.0.0.1:8000",
        "Config: no config file, defaults",
        "",
        "0 backends, 0 models",
        "  none yet; looking at the well-known ports of this machine (Ollama, LM Studio, llama.cpp, vLLM, SGLang, exo)"
      ].join("\n")
    )
    expect(banner(started())).toContain("nexus serve --demo")
  })

  test("counts a model that two Ollamas list in different spellings as one", () => {
    const models = (id: string) => ({ models: [{ id, capabilities: {} }] })
    const text = banner(started({ backends: [backend("a", models("llama3:latest")), backend("b", models("Llama3"))] }))
    expect(text).toContain("2 backends, 1 model\n")
  })

  test("lists backends, their models, warnings and a curl line", () => {
    const down = backend("down", { status: "unhealthy", reason: "connection refused", models: [] })
    const text = banner(
      started({ configPath: "nexus.toml", backends: [backend("a"), down], warnings: ["open to the network"] })
    )
    expect(text).toContain("Config: nexus.toml\nWarning: open to the network\n")
    expect(text).toContain("2 backends, 1 model\n")
    expect(text).toContain("unhealthy: connection refused")
    expect(text).toEndWith(
      `  curl -s http://127.0.0.1:8000/v1/chat/completions -H 'Content-Type: application/json' -d ` +
        `'{"model":"a:7b","messages":[{"role":"user","content":"Hello"}]}'`
    )
  })

  test("labels simulated backends, and says that their answers are made up", () => {
    const text = banner(started({ backends: [backend("demo", { origin: "simulated" })] }))
    expect(text).toContain("SIMULATED")
    expect(text).toContain("made up")
  })

  test("as a line of a JSON log says the same", () => {
    expect(JSON.parse(bannerLine(started({ backends: [backend("a")] }), 0))).toMatchObject({
      time: "1970-01-01T00:00:00.000Z",
      message: "listening",
      url: "http://127.0.0.1:8000",
      config: null,
      backends: 1,
      models: 1,
      simulated: false,
      try: expect.stringContaining("curl")
    })
  })

  test("shows nothing that could steer a terminal", () => {
    const models = [{ id: "evil\u001b[2J\u202e", capabilities: {} }]
    // oxlint-disable-next-line no-control-regex -- reason: control characters are what this is about
    expect(banner(started({ backends: [backend("a", { models })] }))).not.toMatch(/[\u0000-\u0009\u001b\u202e]/)
  })
})

describe("the curl line", () => {
  test("asks a model that chats, of a backend that is healthy", () => {
    const embedder = backend("e", { models: [{ id: "embed", capabilities: { embeddings: true } }] })
    const down = backend("down", { status: "unhealthy" })
    expect(curlLine(started({ backends: [embedder, down] }))).toBeUndefined()
    expect(curlLine(started({ backends: [embedder, down, backend("a")] }))).toContain('"model":"a:7b"')
  })

  test("sends a key when one is needed", () => {
    expect(curlLine(started({ backends: [backend("a")], keysNeeded: true }))).toContain("Authorization: Bearer")
  })

  test("sends a key where keys stand in a file of their own, be there none yet", async () => {
    const folder = mkdtempSync(join(tmpdir(), "nexus-banner-"))
    try {
      await using gateway = await startProcess({ auth: { store: join(folder, "keys.sqlite") } }, ["--demo"])
      await until(() => gateway.output().includes("curl -s"), "the curl line")
      expect(gateway.output()).toContain("Authorization: Bearer $NEXUS_KEY")
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }, 120_000)

  test("survives a model name with quotes in a shell", () => {
    const name = `it's "quoted" $HOME \`id\``
    const line = curlLine(started({ backends: [backend("a", { models: [{ id: name, capabilities: {} }] })] })) ?? ""
    const { stdout } = Bun.spawnSync(["sh", "-c", line.replace(/^curl /, "printf '%s\\n' ")])
    const body = stdout.toString().trimEnd().split("\n").at(-1) ?? ""
    expect(JSON.parse(body).model).toBe(name)
  })
})
