import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { setupFile } from "../../src/cli/setup/setup-file.ts"
import { loadedFrom } from "../config/reading.ts"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream, startWhereFound } from "../kit/FakeUpstream.ts"
import { until } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"
import { onTerminal } from "../kit/terminal.ts"

setDefaultTimeout(120_000)

const shell = makeShell()
/** On a well-known port of this machine, and on a port that nobody looks at by himself. */
let near: FakeUpstream
let far: FakeUpstream
beforeAll(async () => {
  near = await startWhereFound({ models: [{ id: "near-model", tools: true }], type: "ollama" })
  far = await startUpstream({ models: ["far-model"], type: "vllm" })
})
afterAll(async () => {
  await near[Symbol.asyncDispose]()
  await far[Symbol.asyncDispose]()
  await shell.close()
})

/** A new directory to set up in; files are named by their paths. */
let made = 0
const place = (): string => {
  made += 1
  const path = join(shell.cwd, `place-${made}`)
  mkdirSync(path)
  return join(path, "nexus.toml")
}

describe("nexus setup without a terminal", () => {
  test("finds servers, writes a commented file that is right, tries it with one request and says what to do next", async () => {
    const file = place()
    const before = near.calls().length + far.calls().length
    const { code, stdout, stderr } = await shell.nexus("setup", "--host", `127.0.0.1:${far.port}`, "-o", file)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    for (const words of [near.url, far.url, `Wrote ${file}`, "to say hello", "answered after", "Hello there"]) {
      expect(stdout).toContain(words)
    }
    expect(stdout).toMatch(/nexus serve -c .*nexus\.toml/)
    expect(stdout).toContain("nexus connect")
    expect(stdout).toMatch(/curl -s http:\/\/127\.0\.0\.1:80\d\d\/v1\/chat\/completions/)
    expect(near.calls().length + far.calls().length).toBe(before + 1)
    const text = readFileSync(file, "utf8")
    expect(text.split("\n").filter((line) => line.startsWith("#")).length).toBeGreaterThan(5)
    const { backends, discovery, settings, warnings } = loadedFrom(text)
    expect(backends.map(({ url, type }) => [url, type])).toContainEqual([near.url, "ollama"])
    expect(backends.map(({ url, type }) => [url, type])).toContainEqual([far.url, "vllm"])
    expect([discovery, settings.discovery.hosts, warnings]).toEqual([true, [`127.0.0.1:${far.port}`], []])
  })

  test("leaves a file that is there alone, unless --force is given", async () => {
    const file = place()
    writeFileSync(file, "# mine\n")
    const refused = await shell.nexus("setup", "--yes", "-o", file)
    expect(refused).toEqual({
      code: 1,
      stdout: "",
      stderr: `error: ${file} is there already; --force writes over it\n`
    })
    expect(readFileSync(file, "utf8")).toBe("# mine\n")
    expect((await shell.nexus("setup", "--yes", "--no-check", "--force", "-o", file)).code).toBe(0)
    expect(readFileSync(file, "utf8")).toContain(near.url)
  })

  test("takes the key of a cloud from its variable, by name alone: the key is in no file and on no screen", async () => {
    const [file, env] = [place(), { OPENAI_API_KEY: "sk-very-secret", MY_GROQ: "gsk-very-secret" }]
    const args = ["setup", "--no-check", "--cloud", "openai", "--cloud", "groq=MY_GROQ", "-o", file]
    const { code, stdout, stderr } = await shell.nexusWith(env, ...args)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    const text = readFileSync(file, "utf8")
    expect(`${stdout}${text}`).not.toContain("very-secret")
    expect(loadedFrom(text, { env }).settings.backends).toContainEqual(
      expect.objectContaining({ name: "groq", url: "https://api.groq.com/openai/v1", api_key_env: "MY_GROQ" })
    )
  })

  for (const [what, args, said, exit] of [
    ["a cloud nobody knows", ["--cloud", "opnai"], "did you mean openai?", 2],
    ["a key in the place of a variable", ["--cloud", "openai=sk-secret-1"], "not the key itself", 2],
    ["a variable that is not set", ["--cloud", "openai=NO_SUCH_KEY"], "NO_SUCH_KEY is not set", 1],
    ["a network in the place of a host", ["--host", "10.0.0.0/24"], "name each host", 2],
    ["a directory that is not there", ["--no-check", "-o", "no/such/place.toml"], "no such directory", 1]
  ] as const) {
    test(`refuses ${what}, and says what would be right`, async () => {
      const { code, stderr } = await shell.nexus(
        "setup",
        "--yes",
        ...(args.includes("-o" as never) ? [] : ["-o", place()]),
        ...args
      )
      expect([code, stderr]).toEqual([exit, expect.stringContaining(said)])
      expect(stderr).not.toContain("sk-secret-1")
    })
  }

  test("names a machine on which nothing answers", async () => {
    const { stdout } = await shell.nexus("setup", "--no-check", "--host", "127.0.0.1:1", "-o", place())
    expect(stdout).toContain("No LLM server answers at 127.0.0.1:1.")
  })

  test("says when the request fails, in the server's words, and keeps the file", async () => {
    const file = place()
    await using broken = await startUpstream({
      models: [{ id: "a-broken-model", tools: true, context: 1_000_000 }],
      // It tells of tools, as an Ollama of this machine may, and so is asked before that.
      type: "ollama",
      script: () => [json({ error: { message: "no such tokenizer" } }, 400)]
    })
    near.models([])
    const { code, stderr } = await shell.nexus("setup", "--host", `127.0.0.1:${broken.port}`, "-o", file)
    near.models([{ id: "near-model", tools: true }])
    expect([code, existsSync(file)]).toEqual([1, true])
    expect(stderr).toContain("no such tokenizer")
    expect(stderr).toContain("nexus doctor -c")
  })
})

describe("nexus setup on a terminal", () => {
  test("asks for machines, clouds and keys; a key is not shown, and is in a file of its owner's alone", async () => {
    const file = place()
    const terminal = onTerminal({ columns: 140, rows: 40 }, "setup", "--no-check", "-o", file)
    const asked = (words: string) => until(() => terminal.output().includes(words), words)
    await asked("Other machines")
    terminal.type(`127.0.0.1:${far.port}\r`)
    await asked("Clouds to use")
    expect(terminal.output()).toContain(far.url)
    terminal.type("openia\r")
    await asked("did you mean openai?")
    terminal.type(`${"\u007f".repeat("openia".length)}groq\r`)
    await asked("Key of groq")
    terminal.type("sk-typed-secret\r")
    await asked("Write ")
    terminal.type("y")
    expect(await terminal.exited).toBe(0)
    expect(terminal.output()).not.toContain("secret")
    const [, key = ""] = /Wrote (\S+\.key)/.exec(terminal.output()) ?? []
    expect(readFileSync(key, "utf8")).toBe("sk-typed-secret\n")
    expect(statSync(key).mode & 0o777).toBe(0o600)
    const text = readFileSync(file, "utf8")
    expect(text).not.toContain("secret")
    expect(text).toMatch(/api_key_file = "\w+\.key"/)
    await terminal.close()
  })

  test("changes nothing when it is left by Ctrl-C, or told not to write", async () => {
    for (const [keys, code] of [
      ["\u0003", 130],
      ["\r", 1]
    ] as const) {
      const file = place()
      const terminal = onTerminal({ columns: 140, rows: 40 }, "setup", "-o", file)
      await until(() => terminal.output().includes("Other machines"), "it asks")
      terminal.type(keys)
      if (code === 1) {
        await until(() => terminal.output().includes("Clouds to use"), "it goes on")
        terminal.type("\r")
        await until(() => terminal.output().includes("Write "), "it asks for leave")
        terminal.type("n")
      }
      expect(await terminal.exited).toBe(code)
      expect(existsSync(file)).toBe(false)
      await terminal.close()
    }
  })
})

const word = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,20}$/)
const servers = fc.uniqueArray(
  fc.record({
    name: word,
    url: fc.nat(60_000).map((port) => `http://10.0.0.1:${port + 1}`),
    type: fc.constantFrom("ollama", "vllm", "llamacpp", "lmstudio", "exo", "generic"),
    models: fc.array(fc.string({ unit: "binary", maxLength: 30 }), { maxLength: 5 })
  }),
  { selector: ({ name }) => name, comparator: (a, b) => a.toLowerCase() === b.toLowerCase() }
)

test("whatever was found and however models are called, the file is valid and holds just that", () =>
  fc.assert(
    fc.property(servers, fc.integer({ min: 1, max: 65_535 }), (found, port) => {
      fc.pre(new Set(found.map(({ url }) => url)).size === found.length)
      const cloud = {
        name: "the-cloud.of",
        type: "openai",
        url: "https://api.openai.com/v1",
        key: { variable: "SOME_KEY" }
      }
      const text = setupFile({ port, hosts: ["gpu-box", "[fd00::1]:9000"], servers: found, clouds: [cloud] })
      const { settings, warnings } = loadedFrom(text, { env: { SOME_KEY: "sk-x" } })
      expect(settings.backends.map(({ name, url }) => [name, url])).toEqual(
        [...found, cloud].map(({ name, url }) => [name, url])
      )
      expect([settings.server.port, warnings]).toEqual([port, []])
    })
  ))
