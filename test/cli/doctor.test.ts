import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { version } from "../../src/domain/version.ts"
import { makeShell } from "../kit/shell.ts"
import { onTerminal } from "../kit/terminal.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, nexusWith, serving, servingWith, start, tomlFor } = makeShell()
afterAll(close)

// The limiter is of util-linux.
const canLimit = process.platform === "linux" && Bun.which("prlimit") !== null

const listing = () =>
  Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: ({ url }) =>
      new URL(url).pathname === "/v1/models"
        ? Response.json({ object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] })
        : new Response(null, { status: 404 })
  })

describe("nexus doctor shows", () => {
  test("each result as it comes", async () => {
    const answer = Promise.withResolvers<undefined>()
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: async () => {
        await answer.promise
        return new Response(null, { status: 500 })
      }
    })
    writeFileSync(
      join(cwd, "slow.toml"),
      `[server]\nport = 0\n[discovery]\nenabled = false\n[[backends]]\nname = "b"\nurl = "http://127.0.0.1:${String(server.port)}"\n`
    )
    const child = start("doctor", "-c", "slow.toml", "--no-inference")
    const reader = child.stdout.getReader()
    const decoder = new TextDecoder()
    let text = ""
    while (!text.includes("takes connections")) {
      const { value, done } = await reader.read()
      if (done) throw new Error(text)
      text += decoder.decode(value, { stream: true })
    }
    expect(text).toMatch(/^gateway \(nexus [^]*\n\nb \(generic, [^]*✓ connect/)
    answer.resolve(undefined)
    expect(await child.exited).toBe(1)
  })

  test("colours on a terminal, and red for errors alone", async () => {
    using server = listing()
    writeFileSync(
      join(cwd, "colour.toml"),
      `[server]\nport = 0\n[discovery]\nenabled = false\n[[backends]]\nname = "b"\nurl = "http://127.0.0.1:${String(server.port)}"\n` +
        `[[backends.models]]\nid = "n"\n[[backends]]\nname = "gone"\nurl = "http://127.0.0.1:1"\n`
    )
    const terminal = onTerminal({ columns: 200, rows: 50 }, "doctor", "-c", join(cwd, "colour.toml"), "--no-inference")
    expect(await terminal.exited).toBe(1)
    const red = terminal
      .output()
      .split("\n")
      .filter((line) => line.includes("\u001b[31m"))
    expect(red.map((line) => Bun.stripANSI(line).trim().slice(0, 9))).toEqual(["✗ connect"])
    expect(terminal.output()).toContain("\u001b[32m✓")
    await terminal.close()
    const { stdout } = await nexus("doctor", "-c", "colour.toml", "--no-inference")
    expect(Bun.stripANSI(stdout)).toBe(stdout)
  })

  test("what is to be done about a variable that is not set, unless the gateway that runs has it", async () => {
    using server = listing()
    writeFileSync(
      join(cwd, "shell.toml"),
      `[discovery]\nenabled = false\n[[auth.keys]]\nname = "laptop"\nenv = "NO_SUCH_CLIENT_KEY"\n[[backends]]\nname = "b"\nurl = "http://127.0.0.1:${String(server.port)}"\napi_key_env = "NO_SUCH_CLOUD_KEY"\n`
    )
    const alone = await nexus("doctor", "-c", "shell.toml", "--no-inference", "-p", "0")
    expect(alone.code).toBe(1)
    expect(alone.stdout).toMatch(
      /! config +shell\.toml:5: the key laptop of clients is not known here: NO_SUCH_CLIENT_KEY/
    )
    expect(alone.stdout).toMatch(
      /✗ key +NO_SUCH_CLOUD_KEY is not set in this shell\n +→ export NO_SUCH_CLOUD_KEY=… here, and before nexus serve/
    )
    const keys = { NO_SUCH_CLIENT_KEY: "nx-1", NO_SUCH_CLOUD_KEY: "sk-1" }
    const { port } = await servingWith(keys, "-c", "shell.toml")
    const beside = await nexusWith({ NEXUS_KEY: "nx-1" }, "doctor", "-c", "shell.toml", "--no-inference", "-p", port)
    expect(beside.stdout).toMatch(/i key +NO_SUCH_CLOUD_KEY is not set in this shell, so nothing more is asked/)
    expect(beside.code).toBe(3)
  })

  test.skipIf(!canLimit)("how many files the gateway that runs may open, and not how many it may itself", async () => {
    using server = listing()
    writeFileSync(
      join(cwd, "files.toml"),
      `[discovery]\nenabled = false\n[[backends]]\nname = "b"\nurl = "http://127.0.0.1:${String(server.port)}"\n`
    )
    const limit = async (pid: number, files: number) =>
      expect(await Bun.spawn(["prlimit", "--pid", String(pid), `--nofile=${files}:`]).exited).toBe(0)
    for (const more of [[], ["--workers", "2"]]) {
      const { child, port } = await servingWith({}, "-c", "files.toml", ...more)
      const workers = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ")
      for (const pid of [child.pid, ...workers.filter((each) => each !== "").map(Number)]) await limit(pid, 1234)
      const { stdout } = await nexus("doctor", "-c", "files.toml", "--no-inference", "-p", port)
      expect(stdout).toMatch(/! open files +only 1234 files may be open, two for each request under way/)
      child.kill("SIGTERM")
      await child.exited
    }
  })

  test("addresses and names as they are, though a key without meaning stands for none", async () => {
    using server = listing()
    writeFileSync(join(cwd, "plain.key"), "ollama")
    chmodSync(join(cwd, "plain.key"), 0o600)
    writeFileSync(
      join(cwd, "plain.toml"),
      `[server]\nport = 0\n[discovery]\nenabled = false\n[[backends]]\nname = "my-ollama"\nurl = "http://127.0.0.1:${String(server.port)}"\napi_key_file = "plain.key"\n`
    )
    const { stdout } = await nexus("doctor", "-c", "plain.toml", "--no-inference")
    expect(stdout).toContain("my-ollama (generic, ")
  })
})

describe("nexus doctor", () => {
  test("exits with 1 when it finds errors, says what mends them, and writes a report without secrets", async () => {
    const key = "sk-very-secret"
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: () => Response.json({ error: { message: `Incorrect key ${key}` } }, { status: 500 })
    })
    writeFileSync(join(cwd, "key"), key)
    chmodSync(join(cwd, "key"), 0o644)
    writeFileSync(
      join(cwd, "doctor.toml"),
      `[server]
port = 0

[discovery]
enabled = false

[[backends]]
name = "locked"
url = "http://127.0.0.1:${String(server.port)}"
api_key_file = "key"
`
    )
    const { code, stdout, stderr } = await nexus("doctor", "-c", "doctor.toml", "--bundle", "report.json")
    expect(stderr).toContain("error: 1 error, 1 warning")
    expect(stdout).toContain("answered with status 500")
    expect(stdout).toMatch(/! key file +key may be read by other users of this machine\n +→ chmod 600 key/)
    expect(code).toBe(1)
    const report = readFileSync(join(cwd, "report.json"), "utf8")
    expect(JSON.parse(report)).toMatchObject({ version, sections: [{ name: "gateway" }, { name: "locked" }] })
    for (const text of [stdout, stderr, report]) {
      expect(text).not.toContain(key)
    }
  })

  test("exits with 0 when all is well and with 3 when there are warnings alone, and prints JSON", async () => {
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ url }) =>
        new URL(url).pathname === "/v1/models"
          ? Response.json({ object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] })
          : new Response(null, { status: 404 })
    })
    const entry = `[server]\nport = 0\n\n[[backends]]\nname = "b"\nurl = "http://127.0.0.1:${String(server.port)}"\n`
    writeFileSync(join(cwd, "well.toml"), entry)
    writeFileSync(join(cwd, "wrong.toml"), `${entry}[[backends.models]]\nid = "n"\n`)
    const well = await nexus("doctor", "-c", "well.toml", "--no-inference", "--json")
    expect({ code: well.code, stderr: well.stderr }).toEqual({ code: 0, stderr: "" })
    expect(JSON.parse(well.stdout)).toMatchObject({ errors: 0, warnings: 0 })
    const wrong = await nexus("doctor", "-c", "wrong.toml", "--no-inference", "--json")
    expect(wrong.code).toBe(3)
    expect(wrong.stderr).toBe("0 errors, 1 warning\n")
    expect(JSON.parse(wrong.stdout)).toMatchObject({ errors: 0, warnings: 1 })
  })

  test("finds the mistakes of a config that no gateway starts with", async () => {
    writeFileSync(join(cwd, "broken.toml"), '[server]\nprot = 1\n[[backends]]\nname = "b"\nurl = "x"\n')
    const { code, stdout } = await nexus("doctor", "-c", "broken.toml", "--no-inference")
    expect(code).toBe(1)
    expect(stdout).toContain("broken.toml:2: unknown key server.prot; did you mean server.port?")
    expect(stdout).toContain("broken.toml:5: backends[0].url")
  })

  test("does not count the backends of a config without any, and says what to do", async () => {
    const file = "none.toml"
    writeFileSync(join(cwd, file), "[server]\nport = 0\n[discovery]\nenabled = false\n")
    const { code, stdout } = await nexus("doctor", "-c", file, "--no-inference")
    expect(code).toBe(1)
    expect(stdout).toMatch(/✓ config +none\.toml\n/)
    expect(stdout).toMatch(/✗ backends +there is none in the config.*\n +→ nexus setup, or nexus config init/)
  })

  test("finds no fault with a config without backends while a gateway runs that has some all the same", async () => {
    const { port } = await serving("--demo", "--no-discovery")
    writeFileSync(join(cwd, "demo.toml"), `[server]\nport = ${port}\n[discovery]\nenabled = false\n`)
    const { code, stdout } = await nexus("doctor", "-c", "demo.toml", "--no-inference")
    expect(stdout).toMatch(
      /backends +there is none in the config; the gateway that runs has simulated-a, simulated-b\n/
    )
    expect(code).toBe(0)
  })

  test("warns of aliases and fallbacks that lead to a model nobody serves", async () => {
    using server = Bun.serve({
      port: 0,
      hostname: "127.0.0.1",
      fetch: ({ url }) =>
        new URL(url).pathname === "/v1/models"
          ? Response.json({ object: "list", data: [{ id: "small", object: "model", owned_by: "x" }] })
          : new Response(null, { status: 404 })
    })
    writeFileSync(
      join(cwd, "names.toml"),
      `[server]
port = 0
[discovery]
enabled = false
[routing.aliases]
q = "nopes"
r = "big"
good = "small"
[routing.fallbacks]
big = ["smal", "small"]
[[backends]]
name = "b"
url = "http://127.0.0.1:${String(server.port)}"
`
    )
    const { code, stdout } = await nexus("doctor", "-c", "names.toml", "--no-inference")
    expect(code).toBe(3)
    const routing = stdout.split("\n\n").at(-1)
    expect(routing).toStartWith("routing (aliases and fallbacks)")
    expect(routing).toMatch(/! names +routing\.aliases\.q leads to nopes, which no backend serves\n +→ one of small/)
    expect(routing).toMatch(
      /! names +routing\.fallbacks\.big\[0\] leads to smal, which no backend serves\n +→ did you mean small\?/
    )
    expect(stdout.match(/! names/g)).toHaveLength(2)
  })

  test("says when another program has the port", async () => {
    using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("another") })
    const taken = String(server.port)
    const { stdout } = await nexus("doctor", "--no-inference", "--port", taken, "-c", tomlFor("port.toml", {}))
    expect(stdout).toMatch(
      new RegExp(`✗ port +(another program|.+ \\(process ${process.pid}\\)) listens at http://127.0.0.1:${taken}`)
    )
  })
})
