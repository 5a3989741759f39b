import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { dirname, join } from "node:path"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexusWith } = makeShell()
let upstream: FakeUpstream
let gateway: Gateway

beforeAll(async () => {
  upstream = await startUpstream({ models: [{ id: "mistral:7b", tools: true }] })
  gateway = await startGateway({ backends: [backendFor("one", upstream)] })
})

afterAll(async () => {
  await close()
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

/** Somebody's home directory with one file in it. */
const home = (file: string, text?: string, mode = 0o640) => {
  const folder = mkdtempSync(join(cwd, "home-"))
  const path = join(folder, file)
  if (text !== undefined) {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    chmodSync(path, mode)
  }
  const write = (client: string, ...more: ReadonlyArray<string>) =>
    nexusWith(
      { HOME: folder, XDG_CONFIG_HOME: "", CODEX_HOME: "", CLAUDE_CONFIG_DIR: "" },
      "connect",
      client,
      "--write",
      "--port",
      String(gateway.port),
      ...more
    )
  return {
    folder,
    path,
    write,
    beside: () => readdirSync(dirname(path)).toSorted(),
    text: () => readFileSync(path, "utf8")
  }
}

const mine = `{
  // mine
  "permissions": { "allow": ["Read"] },
  "env": { "ANTHROPIC_API_KEY": "sk-mine" },
  "model": "opus"
}
`

describe("nexus connect --write", () => {
  test("puts the gateway into the settings of Claude Code, keeps all else and the file as it was, and shows no key", async () => {
    const { beside, path, text, write } = home(".claude/settings.json", mine)
    const first = await write("claude-code")
    expect(first).toEqual({
      code: 0,
      stdout: `+ env.ANTHROPIC_BASE_URL: "${gateway.url}"
+ env.ANTHROPIC_DEFAULT_HAIKU_MODEL: "mistral:7b"
+ env.ANTHROPIC_AUTH_TOKEN: "not-needed"
- model: "opus"
+ model: "mistral:7b"
`,
      stderr: `Wrote ${path}; a copy of what it was is ${path}.bak.\n`
    })
    expect(text()).toContain("  // mine\n")
    expect(text()).toContain('"ANTHROPIC_API_KEY": "sk-mine"')
    expect(text()).toContain('"model": "mistral:7b"\n}\n')
    expect(readFileSync(`${path}.bak`, "utf8")).toBe(mine)
    expect([statSync(path).mode & 0o777, statSync(`${path}.bak`).mode & 0o777]).toEqual([0o640, 0o640])

    const written = text()
    expect(await write("claude-code")).toEqual({ code: 0, stdout: "", stderr: `${path} has it all already.\n` })
    expect([text(), beside()]).toEqual([written, ["settings.json", "settings.json.bak"]])

    const again = await write("claude-code", "--url", "https://far.example", "--json")
    expect(JSON.parse(again.stdout)).toEqual({
      client: "claude-code",
      file: path,
      backup: `${path}.bak1`,
      changed: ["env.ANTHROPIC_BASE_URL"]
    })
    expect(readFileSync(`${path}.bak`, "utf8")).toBe(mine)
    expect(readFileSync(`${path}.bak1`, "utf8")).toBe(written)
  })

  test("makes a file that is not there, for its owner alone", async () => {
    const { beside, path, text, write } = home(".codex/config.toml")
    const { code, stderr } = await write("codex")
    expect([code, stderr]).toEqual([0, `Wrote ${path}.\n`])
    expect(lines(text())).toContain(`base_url = "${gateway.url}/v1"`)
    expect([beside(), statSync(path).mode & 0o777]).toEqual([["config.toml"], 0o600])
  })

  test("refuses a file that does not parse, and changes nothing", async () => {
    for (const [client, file, broken, why] of [
      ["claude-code", ".claude/settings.json", '{\n  "env": {\n', "line 3 is no valid JSON"],
      ["codex", ".codex/config.toml", "model = \n", "line 1 is no valid TOML"],
      ["opencode", ".config/opencode/opencode.json", '{"provider": []}', "provider holds no object"]
    ] as const) {
      const { beside, path, text, write } = home(file, broken)
      expect(await write(client)).toEqual({
        code: 1,
        stdout: "",
        stderr: `error: ${path}: ${why}. Nothing was written\n`
      })
      expect([text(), beside().length]).toEqual([broken, 1])
    }
  })

  test("edits the settings of opencode that opencode reads last", async () => {
    const own = '{\n  // mine\n  "model": "anthropic/claude-opus-4-6"\n}\n'
    const { beside, path, text, write } = home(".config/opencode/opencode.jsonc", own)
    writeFileSync(join(dirname(path), "opencode.json"), "{}\n")
    const { code, stderr } = await write("opencode")
    expect([code, stderr]).toEqual([0, `Wrote ${path}; a copy of what it was is ${path}.bak.\n`])
    expect(text()).toContain('  // mine\n  "model": "nexus/mistral:7b"')
    expect(beside()).toEqual(["opencode.json", "opencode.jsonc", "opencode.jsonc.bak"])
    expect(readFileSync(join(dirname(path), "opencode.json"), "utf8")).toBe("{}\n")
  })

  test("says so where the file cannot be read or its folder cannot be made, and leaves what is there", async () => {
    const folder = home(".codex/config.toml/kept")
    mkdirSync(dirname(folder.path), { recursive: true })
    const file = home(".codex", "mine\n")
    for (const [path, { write }] of [
      [dirname(folder.path), folder],
      [join(file.path, "config.toml"), file]
    ] as const) {
      expect(await write("codex")).toEqual({
        code: 1,
        stdout: "",
        stderr: `error: ${path}: the system refuses to have it read or written. Nothing was written\n`
      })
    }
    expect([file.text(), folder.beside()]).toEqual(["mine\n", []])
  })

  test("leaves a link a link, and writes where it leads", async () => {
    const { folder, path, write } = home(".claude/settings.json")
    const kept = join(folder, "dotfiles.json")
    writeFileSync(kept, "{}\n")
    mkdirSync(dirname(path))
    symlinkSync(kept, path)
    expect((await write("claude-code")).stderr).toBe(`Wrote ${kept}; a copy of what it was is ${kept}.bak.\n`)
    expect(readFileSync(path, "utf8")).toBe(readFileSync(kept, "utf8"))
    expect(JSON.parse(readFileSync(kept, "utf8"))["model"]).toBe("mistral:7b")
  })

  test("says which clients it is for, and wants a model", async () => {
    const { write } = home("nothing")
    const curl = await write("curl")
    expect([curl.code, curl.stderr]).toEqual([
      1,
      expect.stringContaining("--write is for claude-code, codex, gemini-cli")
    ])
    const nowhere = await nexusWith({ HOME: cwd }, "connect", "codex", "--write", "--port", "1")
    expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining("No model to name")])
  })

  test("of a gateway with keys names the variable, and writes no key", async () => {
    const digest = createHash("sha256").update("nx-secret").digest()
    await using locked = await startGateway(
      { backends: [backendFor("one", upstream)] },
      { backendKeys: new Map(), authKeys: [{ name: "laptop", digest }] }
    )
    const { text, folder } = home(".codex/config.toml", "")
    const { code, stdout, stderr } = await nexusWith(
      { HOME: folder, CODEX_HOME: "", NEXUS_KEY: "nx-secret" },
      "connect",
      "codex",
      "--write",
      "--port",
      String(locked.port)
    )
    expect({ code, said: stderr }).toEqual({
      code: 0,
      said: expect.stringContaining("The key is taken from NEXUS_KEY")
    })
    expect(text()).toContain('env_key = "NEXUS_KEY"')
    expect(text() + stdout + stderr).not.toContain("nx-secret")
  })
})
