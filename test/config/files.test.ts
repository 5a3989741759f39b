import { afterAll, describe, expect, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Effect, Exit, Option, Redacted } from "effect"
import { ConfigInvalid, readConfig } from "../../src/config/NexusConfig.ts"
import { keyText } from "../../src/cli/keys.ts"
import { newKey } from "../../src/admission/new-key.ts"
import { program } from "../kit/program.ts"
import { sha256 } from "./reading.ts"

const made: Array<string> = []

const directory = (files: Readonly<Record<string, string | Uint8Array>> = {}): string => {
  const path = mkdtempSync(join(tmpdir(), "nexus-config-"))
  made.push(path)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

afterAll(() => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

const nexus = async (cwd: string, args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) => {
  const kept = Object.entries(process.env).filter(([name]) => !/^NEXUS_|_proxy$/i.test(name))
  const child = Bun.spawn([...program, ...args], {
    cwd,
    env: { ...Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""])), NO_COLOR: "1", ...env },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    // A busy machine takes its time, and each test starts some.
    timeout: 110_000
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { code: await child.exited, stdout, stderr }
}

const spawning = (name: string, run: () => Promise<void>): void => test.concurrent(name, run, 120_000)

const good = `[server]\nport = 1\n`

test("a file is refused by the line of what is not in UTF-8, and not for the sign that stands for such bytes", async () => {
  const read = (toml: Buffer) =>
    Effect.runPromise(
      Effect.match(readConfig({ path: Option.some(join(directory({ "a.toml": toml }), "a.toml")), overrides: {} }), {
        onSuccess: ({ file }) => file?.text,
        onFailure: ({ message }) => message.slice(message.indexOf("a.toml"))
      })
    )
  const said = "a.toml:3: it is not in UTF-8, as TOML has to be; save it as UTF-8"
  expect(await read(Buffer.from(`${good}# caf\xe9`, "latin1"))).toBe(said)
  expect(await read(Buffer.from(`${good}# \ufffd`))).toBe(`${good}# \ufffd`)
})

describe("the file that is read is", () => {
  const check = async (files: Readonly<Record<string, string>>, args: ReadonlyArray<string>, env = {}) => {
    const { code, stdout, stderr } = await nexus(directory(files), ["config", "check", ...args], env)
    return { code, said: stdout + stderr }
  }

  spawning("none, when none is named and there is none", async () => {
    expect(await check({}, [])).toEqual({ code: 0, said: "No config file, defaults: no mistakes, 0 backends\n" })
  })

  spawning("nexus.toml of this directory", async () => {
    expect(await check({ "nexus.toml": good }, [])).toEqual({ code: 0, said: "nexus.toml: no mistakes, 0 backends\n" })
  })

  spawning("the one NEXUS_CONFIG names, before nexus.toml", async () => {
    const files = { "nexus.toml": "bad = 1", "other.toml": good }
    const { said } = await check(files, [], { NEXUS_CONFIG: "other.toml" })
    expect(said).toBe("other.toml: no mistakes, 0 backends\n")
  })

  spawning("the one of -c, before both", async () => {
    const files = { "nexus.toml": "bad = 1", "mine.toml": good }
    const { said } = await check(files, ["-c", "mine.toml"], { NEXUS_CONFIG: "gone.toml" })
    expect(said).toBe("mine.toml: no mistakes, 0 backends\n")
  })

  spawning("never one that is named and not there", async () => {
    expect(await check({ "nexus.toml": good }, ["-c", "gone.toml"])).toEqual({
      code: 1,
      said: "error: gone.toml: there is no such file\n"
    })
    expect(await check({ "nexus.toml": good }, [], { NEXUS_CONFIG: "gone.toml" })).toEqual({
      code: 1,
      said: "error: gone.toml (from NEXUS_CONFIG): there is no such file\n"
    })
    expect(await check({ "nexus.toml": good }, ["-c", ""])).toEqual({
      code: 1,
      said: "error: the name of the config file is empty\n"
    })
  })

  spawning("nexus.toml of this directory while NEXUS_CONFIG is empty", async () => {
    const { said } = await check({ "nexus.toml": good }, [], { NEXUS_CONFIG: "" })
    expect(said).toBe("nexus.toml: no mistakes, 0 backends\n")
  })
})

describe("key files", () => {
  const backend = `[[backends]]\nname = "a"\nurl = "http://h"\napi_key_file = "cloud.key"\n`
  const read = (path: string) => Effect.runPromiseExit(readConfig({ path: Option.some(path), overrides: {} }))

  test("are looked for beside the config file", async () => {
    const exit = await read(join(directory({ "n.toml": backend, "cloud.key": "sk-1\n" }), "n.toml"))
    const key = Exit.isSuccess(exit) ? exit.value.loaded.backends[0]?.apiKey : undefined
    expect(key && Redacted.value(key)).toBe("sk-1")
  })

  test("that are not there are told with the place that names them", async () => {
    const path = join(directory({ "n.toml": backend }), "n.toml")
    const exit = await read(path)
    const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
    expect(error).toBeInstanceOf(ConfigInvalid)
    expect(error).toMatchObject({
      path,
      message: `${path}:4: backends[0].api_key_file = "cloud.key": there is no such file`
    })
  })
})

describe("nexus config", () => {
  spawning("init writes a file that check takes, and never over another one unasked", async () => {
    const cwd = directory()
    expect((await nexus(cwd, ["config", "init"])).code).toBe(0)
    expect((await nexus(cwd, ["config", "check"])).stdout).toBe("nexus.toml: no mistakes, 0 backends\n")
    const text = readFileSync(join(cwd, "nexus.toml"), "utf8")
    writeFileSync(join(cwd, "nexus.toml"), "mine")
    const { code, stdout, stderr } = await nexus(cwd, ["config", "init"])
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: nexus.toml is there already; --force writes over it\n"
    })
    expect(readFileSync(join(cwd, "nexus.toml"), "utf8")).toBe("mine")
    expect((await nexus(cwd, ["config", "init", "--force"])).code).toBe(0)
    expect(readFileSync(join(cwd, "nexus.toml"), "utf8")).toBe(text)
    expect((await nexus(cwd, ["config", "init", "-o", "no/where.toml"])).stderr).toBe(
      "error: no/where.toml cannot be written: there is no such directory\n"
    )
    expect(existsSync(join(cwd, "no"))).toBe(false)
  })

  spawning("check fails with all mistakes, a line each, on standard error alone", async () => {
    const cwd = directory({ "nexus.toml": "[server]\nprot = 1\nport = -1" })
    expect(await nexus(cwd, ["config", "check"])).toEqual({
      code: 1,
      stdout: "",
      stderr:
        "error: nexus.toml:2: unknown key server.prot; did you mean server.port?\n" +
        "nexus.toml:3: server.port = -1: expected a whole number from 0 to 65535\n"
    })
  })

  spawning("show tells each value and its origin, and no secret", async () => {
    const cwd = directory({
      "nexus.toml": `[[backends]]\nname = "a"\nurl = "\${WHERE}"\napi_key_env = "CLOUD_KEY"\n${good}`
    })
    const env = { NEXUS_LOG_LEVEL: "warn", CLOUD_KEY: "sk-secret", WHERE: "http://secret.example" }
    const { code, stdout } = await nexus(cwd, ["config", "show"], env)
    expect(code).toBe(0)
    expect(stdout).toMatch(/^server\.port +1 +nexus\.toml$/m)
    expect(stdout).toMatch(/^logging\.level +"warn" +NEXUS_LOG_LEVEL$/m)
    expect(stdout).toMatch(/^server\.host +"127\.0\.0\.1" +default$/m)
    expect(stdout).toMatch(/^backends\[0\]\.url +"\$\{WHERE\}" +nexus\.toml$/m)
    expect(stdout).not.toContain("secret")
    const json = JSON.parse((await nexus(cwd, ["config", "show", "--json"], env)).stdout)
    expect(json.settings).toContainEqual({ key: "server.port", value: 1, origin: "nexus.toml" })
  })

  spawning("schema prints JSON Schema, or the table of the README", async () => {
    const cwd = directory()
    expect(JSON.parse((await nexus(cwd, ["config", "schema"])).stdout).properties.server.type).toBe("object")
    expect((await nexus(cwd, ["config", "schema", "--markdown"])).stdout).toStartWith("| key | type and bounds |")
  })
})

describe("nexus keys new", () => {
  test("makes another key each time, and its digest", () => {
    const keys = Array.from({ length: 100 }, newKey)
    expect(new Set(keys.map(({ key }) => key)).size).toBe(100)
    for (const { key, digest } of keys) {
      expect(key).toMatch(/^nx-[A-Za-z0-9_-]{43}$/)
      expect(digest).toEqual(sha256(key))
    }
  })

  spawning("prints the key, its digest, and settings that take it", async () => {
    const { code, stdout } = await nexus(directory(), ["keys", "new", "lap top"])
    const key = /^Key: +(nx-\S+)$/m.exec(stdout)?.[1] ?? ""
    const digest = Buffer.from(sha256(key)).toString("hex")
    expect(stdout).toBe(`${keyText({ name: "lap top" }, { key, sha256: digest })}\n`)
    const cwd = directory({ "nexus.toml": stdout.slice(stdout.indexOf("[[auth.keys]]")) })
    expect((await nexus(cwd, ["config", "check"])).code).toBe(0)
    expect(code).toBe(0)
  })

  spawning("makes none that has ended already, or ends before it begins, and says what is wrong", async () => {
    const made = (...times: ReadonlyArray<string>) => nexus(directory(), ["keys", "new", "ci", ...times])
    const over = await made("--expires", "2020-01-01")
    expect([over.code, over.stdout, over.stderr]).toEqual([
      1,
      "",
      expect.stringContaining("--expires 2020-01-01: expected a moment to come, and this one has passed")
    ])
    const turned = await made("--not-before", "2999-02-02", "--expires", "2999-02-01")
    expect([turned.code, turned.stderr]).toEqual([
      1,
      expect.stringContaining("--expires 2999-02-01: it ends before it begins (not_before)")
    ])
    const odd = await made("--not-before", "soon")
    expect([odd.code, odd.stderr]).toEqual([1, expect.stringContaining("--not-before soon: expected a day such as")])
    expect((await made("--expires", "2999-02-01")).code).toBe(0)
  })
})

describe("nexus keys list", () => {
  spawning("tells the zones of a key that may not have its requests answered anywhere", async () => {
    const one = (name: string, more: string) =>
      `[[auth.keys]]\nname = "${name}"\nkey = "sk-${name.repeat(20)}"\n${more}`
    const cwd = directory({ "nexus.toml": `${one("home", 'zones = ["local"]\n')}${one("any", "")}` })
    const { stdout } = await nexus(cwd, ["keys", "list"])
    expect(stdout).toMatch(/^home +- +all +all +local +- +- +config$/m)
    expect(stdout).toMatch(/^any +- +all +all +all +- +- +config$/m)
  })
})
