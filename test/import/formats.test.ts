import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { Result } from "effect"
import { parse } from "smol-toml"
import { convertSettings, formats } from "../../src/config/import/convert.ts"
import { isAt } from "../../src/config/import/format.ts"
import { importFormats } from "../../src/config/import/import-formats.ts"
import { lines, makeShell } from "../kit/shell.ts"
import { checked, fixture, imported } from "./importing.ts"

setDefaultTimeout(120_000)

const failureOf = (text: string, from?: (typeof importFormats)[number]): string =>
  Result.match(convertSettings("c.yaml", text, from), { onFailure: (said) => said, onSuccess: ({ toml }) => toml })

describe("a file that cannot be imported", () => {
  test("fails with the place where its YAML ends", () => {
    expect(failureOf("model_list:\n  - a: [1\n  b: 2\n")).toMatch(/^c\.yaml:\d+:\d+: no valid YAML: /)
    expect(failureOf("a: 1\na: 2\n")).toMatch(/^c\.yaml:2:1: no valid YAML: Map keys must be unique/)
    expect(failureOf("- 1")).toBe("c.yaml:1: expected keys and values")
    expect(failureOf("model_list: *nowhere")).toMatch(/^c\.yaml:1.*nowhere/)
  })

  test("fails with the names there are when nothing tells whose it is", () => {
    expect(failureOf("services: { ollama: { image: ollama } }")).toBe(
      "c.yaml: nothing in it tells whose it is; say --from litellm, --from olla, --from llama-swap, --from bifrost, --from nexus-rust"
    )
    expect(failureOf("[[[", "nexus-rust")).toBe("c.yaml: no valid TOML, or nothing in it")
  })
})

describe("the type of a server", () => {
  const typesIn = (text: string, from: "olla" | "llama-swap") =>
    checked(imported(text, from)).backends.map(({ type }) => type)

  test.each([
    ["llama-server -m m.gguf", "llamacpp"],
    ["vllm serve m", "vllm"],
    ["python -m sglang.launch_server --model-path m", "sglang"],
    ["some-server", "generic"]
  ] as const)("is told from the command `%s` of llama-swap", (command, type) => {
    expect(typesIn(`models: { m: { cmd: "${command}", proxy: "http://127.0.0.1:9000" } }`, "llama-swap")).toEqual([
      type
    ])
  })

  test.each([
    ["lm-studio", "lmstudio"],
    ["llama-cpp", "llamacpp"],
    ["sglang", "sglang"],
    ["openai", "generic"],
    ["lemonade", "generic"]
  ] as const)("is the one that Olla calls %s", (name, type) => {
    const endpoint = `{ url: "http://h:1", name: h, type: ${name} }`
    expect(typesIn(`discovery: { type: static, static: { endpoints: [${endpoint}] } }`, "olla")).toEqual([type])
  })
})

describe("a virtual key of Bifrost's that lists nothing", () => {
  const keysOf = (version: string, configs: string) => {
    const provider = `providers: { openai: { keys: [{ name: one, value: env.ONE, models: ["*"] }] } }`
    const key = `{ name: k, value: env.K, provider_configs: [${configs}] }`
    return checked(imported(`${version}\n${provider}\ngovernance: { virtual_keys: [${key}] }`, "bifrost")).settings.auth
      .keys
  }
  const bare = [
    "",
    "{ provider: openai }",
    `{ provider: openai, allowed_models: ["*"] }`,
    `{ provider: openai, key_ids: ["*"] }`
  ]

  test("may ask for nothing, and is not carried over", () => {
    for (const version of ["", "version: 2"]) for (const configs of bare) expect(keysOf(version, configs)).toEqual([])
    expect(keysOf("", `{ provider: openai, allowed_models: ["*"], key_ids: [one] }`)).toHaveLength(1)
  })

  test("may ask for all in a file of version 1", () => {
    for (const configs of [...bare, "{ provider: openai, allowed_models: [], key_ids: [] }"]) {
      const [key, ...others] = keysOf("version: 1", configs)
      expect([key?.name, key?.models, key?.backends, others]).toEqual(["k", undefined, undefined, []])
    }
  })
})

describe("a model of LiteLLM's", () => {
  const of = (model: string) => imported(`model_list: [{model_name: a, litellm_params: {model: ${model}}}]`)

  test.each([
    ["gemini/gemini-2.5-flash", "gemini", "https://generativelanguage.googleapis.com", "GEMINI_API_KEY"],
    ["anthropic/claude-sonnet-4-5", "anthropic", "https://api.anthropic.com", "ANTHROPIC_API_KEY"],
    ["dall-e-3", "openai", "https://api.openai.com", "OPENAI_API_KEY"],
    ["moonshot/kimi-k2", "openai", "https://api.moonshot.ai", "MOONSHOT_API_KEY"]
  ] as const)("%s is called where its provider is", (model, type, url, key) => {
    const result = of(model)
    expect(result.left).toEqual([])
    expect(checked(result).backends).toMatchObject([{ type, url }])
    expect(result.toml).toContain(`api_key_env = "${key}"`)
  })

  test.each([
    ["bedrock/anthropic.claude-3", "keys of an AWS account are not taken: a backend of type bedrock takes"],
    ["vertex_ai/gemini-2.5-pro", "service accounts are not taken: a backend of type vertex takes"],
    ["sagemaker/x", "Nexus does not know how to call 'sagemaker'"]
  ])("%s is left out, with what could be done", (model, why) => {
    expect(of(model).left[0]).toStartWith(`config.yaml:1: model_list[0]: ${why}`)
  })
})

test("a request's line in the log is asked for where the other gateway wrote one", () => {
  const model = "models: { m: { cmd: 'llama-server --port ${PORT}', ttl: 5 } }"
  expect(checked(imported(`logRequests: true\n${model}`)).settings.logging.access_log).toBe(true)
  const servers = "discovery: { static: { endpoints: [{ url: 'http://h:1', name: h, type: ollama }] } }"
  expect(checked(imported(`server: { request_logging: true }\n${servers}`)).settings.logging.access_log).toBe(true)
})

test("a section of which some is carried over is told of by its keys, not as none that Nexus has", () => {
  const swap = imported("models: { m: { cmd: 'llama-server --port ${PORT}', ttl: 5 } }")
  expect(swap.left.map((line) => line.split(": ")[1])).toEqual(["models.m.cmd", "models.m.ttl"])
  const lite = imported("model_list: []\nlitellm_settings: { drop_params: true }")
  expect(lite.left[1]).toStartWith("config.yaml:2: litellm_settings.drop_params: requests are forwarded")
})

describe("names of LiteLLM", () => {
  const deployment = (name: string, model: string) =>
    `{model_name: ${name}, litellm_params: {model: ${model}, api_base: "http://h:1/v1"}}`

  test("that stand for each other's models are not followed from one to the next", () => {
    const result = imported(`model_list: [${deployment("a", "openai/b")}, ${deployment("b", "openai/c")}]`)
    expect([...checked(result).routing.aliases]).toEqual([["b", "c"]])
    expect(result.left).toEqual(["config.yaml:1: model_list[0].model_name: 'b' is itself a name for 'c' in this file"])
  })

  test("of several models stand for the first, and the others stand in for it", () => {
    const result = imported(`model_list: [${deployment("a", "openai/b")}, ${deployment("a", "openai/c")}]`)
    const { routing, backends } = checked(result)
    expect([...routing.aliases]).toEqual([["a", "b"]])
    expect([...routing.fallbacks]).toEqual([["b", ["c"]]])
    expect(backends.map(({ models }) => models.map(({ id }) => id))).toEqual([["b", "c"]])
  })

  test("that are the model's own need no alias, and fallbacks name models", () => {
    const list = `model_list: [${deployment("b", "openai/b")}, ${deployment("big", "openai/c")}]`
    const result = imported(`${list}\nrouter_settings: {fallbacks: [{big: [b]}, {b: [b]}]}`)
    expect([...checked(result).routing.fallbacks]).toEqual([["c", ["b"]]])
    expect(result.left).toEqual(["config.yaml:2: router_settings.fallbacks[1].b: a model is no fallback of its own"])
  })
})

describe("settings of YAML", () => {
  test("may be written with anchors and merges", () => {
    const text =
      "x: &base {api_base: http://h:1/v1}\nmodel_list:\n- model_name: a\n  litellm_params: {<<: *base, model: openai/a}\n"
    expect(checked(imported(text)).backends.map(({ url }) => url)).toEqual(["http://h:1"])
  })

  test("may hold what would be a variable here, and stands for itself", () => {
    const result = imported("model_list: [{model_name: a, litellm_params: {model: 'ollama/${b}'}}]")
    expect(result.toml).toContain('a = "$${b}"')
    expect(checked(result).routing.aliases.get("a")).toBe("${b}")
  })

  test("may be JSON", () => {
    const text = JSON.stringify({ model_aliases: { a: ["b"] } })
    expect(imported(text).toml).toContain('[routing.aliases]\na = "b"')
  })
})

describe("the nexus.toml of the Rust Nexus", () => {
  const old = readFileSync(join(import.meta.dir, "../config/fixtures/rust-nexus.toml"), "utf8")

  test("comes out in today's words, without the keys that differ, and with these named", () => {
    const result = imported(old, undefined, "nexus.toml")
    expect(result.kind).toBe("nexus-rust")
    const tree = parse(result.toml)
    expect(tree).toMatchObject({ logging: { level: "info", format: "text" }, server: { port: 8000 } })
    expect(tree).not.toHaveProperty("fleet")
    expect(result.left).toContainEqual(expect.stringMatching(/^nexus\.toml:\d+: fleet: \[fleet\] has no effect here/))
    expect(imported(result.toml, "nexus-rust").left).toEqual([])
  })

  test("leaves out what is refused, and says so", () => {
    const result = imported(
      `${old}[[backends]]\nname = "g"\nurl = "https://g.example"\ntype = "google"\n[[traffic_policies]]\nprivacy_constraint = "x"\n`
    )
    expect(result.left.filter((line) => line.includes("traffic_policies"))).toHaveLength(1)
    expect(result.toml).toContain('type = "gemini"')
  })
})

describe("the tables of what is carried over", () => {
  test("have no row that another row before it hides", () => {
    for (const kind of importFormats) {
      const hidden = formats[kind].unsupported.filter(({ key }, at) => {
        const path = key.split(".").flatMap((part) => (part.endsWith("[]") ? [part.slice(0, -2), 0] : [part]))
        return formats[kind].unsupported.slice(0, at).some((earlier) => isAt(path, earlier.key))
      })
      expect(hidden).toEqual([])
    }
  })
})

test("YAML is read by nothing that is loaded before an import is asked for", () => {
  const scanner = new Bun.Transpiler({ loader: "ts" })
  const reached = new Set<string>()
  const visit = (file: string): void => {
    if (reached.has(file) || !file.endsWith(".ts")) return
    reached.add(file)
    for (const { kind, path } of scanner.scanImports(readFileSync(file, "utf8"))) {
      if (kind === "import-statement" && path.startsWith(".")) visit(join(dirname(file), path))
    }
  }
  visit(join(import.meta.dir, "../../src/main.ts"))
  expect([...reached].filter((file) => file.endsWith("src/cli/run.ts"))).toHaveLength(1)
  expect([...reached].filter((file) => /src\/import\/(document|convert)\.ts$/.test(file))).toEqual([])
})

describe("nexus config import", () => {
  const shell = makeShell()
  afterAll(shell.close)
  const here = (name: string): string => {
    writeFileSync(join(shell.cwd, name), fixture(name))
    return name
  }

  test("prints the settings alone on standard output, and the list on standard error", async () => {
    const { code, stdout, stderr } = await shell.nexus("config", "import", here("olla.yaml"))
    expect(code).toBe(0)
    const result = imported(fixture("olla.yaml"), undefined, "olla.yaml")
    expect(stdout).toBe(result.toml)
    expect(lines(stderr)).toEqual([
      ...result.left,
      ...result.todo,
      `${result.left.length} settings are not carried over, or not as they were.`
    ])
  })

  test("writes a file that config check takes, never over another one unasked", async () => {
    const file = here("llama-swap.yaml")
    const write = (...more: ReadonlyArray<string>) => shell.nexus("config", "import", file, "-o", "made.toml", ...more)
    expect(await write()).toMatchObject({ code: 0, stdout: "" })
    const again = await write()
    expect(again.code).toBe(1)
    expect(again.stderr).toBe("error: made.toml is there already; --force writes over it\n")
    expect((await write("--force")).code).toBe(0)
    expect(readFileSync(join(shell.cwd, "made.toml"), "utf8")).toBe(imported(fixture(file), undefined, file).toml)
    const wanted = await shell.nexus("config", "check", "-c", "made.toml")
    expect(wanted.stderr).toContain('env = "LLAMA_SWAP_KEY_1": this environment variable is not set')
  })

  test("fails in one line on what it cannot read, and with 2 on a kind it does not know", async () => {
    const gone = await shell.nexus("config", "import", "gone.yaml")
    expect(gone).toEqual({ code: 1, stdout: "", stderr: "error: gone.yaml: there is no such file\n" })
    expect((await shell.nexus("config", "import", here("olla.yaml"), "--from", "caddy")).code).toBe(2)
    expect((await shell.nexus("config", "import")).code).toBe(2)
  })
})
