import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { version } from "../../src/domain/version.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(30_000)

const main = join(import.meta.dir, "../../src/main.ts")
const cwd = mkdtempSync(join(tmpdir(), "nexus-cli-"))
const running = new Set<Bun.Subprocess>()

afterAll(async () => {
  for (const child of running) child.kill("SIGKILL")
  await Promise.all([...running].map(({ exited }) => exited))
  rmSync(cwd, { recursive: true, force: true })
})

const environment = (): Record<string, string> => {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("NEXUS_"))
  return { ...Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""])), NO_COLOR: "1" }
}

const start = (...args: ReadonlyArray<string>) => {
  const child = Bun.spawn([process.execPath, main, ...args], {
    cwd,
    env: environment(),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 25_000
  })
  running.add(child)
  void child.exited.then(() => running.delete(child))
  return child
}

const nexus = async (...args: ReadonlyArray<string>) => {
  const child = start(...args)
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  return { code: await child.exited, stdout, stderr }
}

/** Starts a gateway on a free port; resolves once its banner is whole. */
const serving = async (...args: ReadonlyArray<string>) => {
  const child = start("serve", "--port", "0", ...args)
  const decoder = new TextDecoder()
  const reader = child.stdout.getReader()
  let text = ""
  while (!/\d+ backends?, /.test(text)) {
    const { value, done } = await reader.read()
    if (done) throw new Error(`no banner: ${text}${await new Response(child.stderr).text()}`)
    text += decoder.decode(value, { stream: true })
  }
  reader.releaseLock()
  const url = /listens on (\S+)/.exec(text)?.[1] ?? ""
  return { child, url, port: new URL(url).port, banner: text }
}

const tomlFor = (file: string, backends: Readonly<Record<string, string>>): string => {
  const entries = Object.entries(backends).map(([name, url]) => `[[backends]]\nname = "${name}"\nurl = "${url}"\n`)
  writeFileSync(join(cwd, file), `[server]\nport = 1\n\n${entries.join("\n")}`)
  return file
}

const lines = (text: string): ReadonlyArray<string> => text.trimEnd().split("\n")

describe("wrong usage", () => {
  const rows: ReadonlyArray<ReadonlyArray<string>> = [
    ["frobnicate"],
    ["serve", "--port", "abc"],
    ["serve", "--port", "99999"],
    ["serve", "--log-level", "loud"],
    ["models", "--nope"],
    ["backends"],
    ["backends", "list", "--status", "fine"],
    ["completions", "tcsh"],
    ["explain"],
    ["explain", "-m", "x", "--request", "y"],
    ["explain", "-m", "x", "--tokens", "-1"],
    ["completions"]
  ]
  for (const row of rows) {
    test(`nexus ${row.join(" ")} exits with 2 and says why on standard error alone`, async () => {
      const { code, stdout, stderr } = await nexus(...row)
      expect(stdout).toBe("")
      expect(stderr).not.toBe("")
      expect(stderr).not.toMatch(/^\s+at /m)
      expect(code).toBe(2)
    })
  }
})

describe("help", () => {
  test("and version go to standard output", async () => {
    expect(await nexus("--version")).toEqual({ code: 0, stdout: `nexus ${version}\n`, stderr: "" })
    for (const args of [[], ["--help"]]) {
      const { code, stdout, stderr } = await nexus(...args)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      for (const name of ["serve", "models", "backends", "health", "explain", "config", "keys", "completions"]) {
        expect(stdout).toContain(`  ${name} `)
      }
    }
  })

  test("lists the flags of serve", async () => {
    const { stdout } = await nexus("serve", "--help")
    for (const flag of ["--config, -c", "--host, -H", "--port, -p", "--log-level, -l", "--no-discovery", "--demo"]) {
      expect(stdout).toContain(flag)
    }
  })
})

describe("completions", () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    test(`for ${shell} know the commands`, async () => {
      const { code, stdout, stderr } = await nexus("completions", shell)
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      for (const name of ["serve", "backends", "completions"]) expect(stdout).toContain(name)
      // How it says it is installed is how it was made.
      expect(stdout).toContain(`#   nexus completions ${shell} >`)
      expect(stdout).not.toContain("nexus --completions")
    })
  }

  test("in bash are valid and complete a subcommand", async () => {
    const { stdout } = await nexus("completions", "bash")
    const probe = `${stdout}
COMP_WORDS=(nexus ba); COMP_CWORD=1
"$(complete -p nexus | sed 's/.*-F \\([^ ]*\\).*/\\1/')" nexus ba nexus
echo "\${COMPREPLY[@]}"`
    const bash = Bun.spawnSync(["bash", "-c", probe])
    expect(bash.stdout.toString().trim()).toBe("backends")
  })
})

describe("nexus explain", () => {
  test("shows who would be asked, in which order, and what one request was decided by", async () => {
    const { child, port, url } = await serving("--demo", "--no-discovery")
    const asked = await nexus("explain", "-m", "simulated-small", "--tools", "--tokens", "100", "--port", port)
    expect({ code: asked.code, stderr: asked.stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(asked.stdout)[0]).toBe("Model:      simulated-small")
    expect(asked.stdout).toMatch(/^1 +simulated-[ab] +simulated-small +capability-match$/m)
    expect(asked.stdout).toMatch(/^2 +simulated-[ab] +simulated-small +capability-match$/m)

    const unknown = await nexus("explain", "-m", "nobody", "--port", port, "--json")
    expect(JSON.parse(unknown.stdout)).toMatchObject({ refusal: { status: 404, code: "model_not_found" } })

    const chat = { model: "simulated-small", messages: [{ role: "user", content: "hello" }] }
    const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(chat) })
    const id = answer.headers.get("x-request-id") ?? ""
    await answer.text()
    const told = await nexus("explain", "--request", id, "--port", port)
    expect(told.code).toBe(0)
    expect(told.stdout).toContain(`Request:     ${id}`)
    expect(told.stdout).toContain(
      `Backend:     ${answer.headers.get("x-nexus-backend") ?? ""}, asked for simulated-small`
    )
    expect(told.stdout).not.toContain("hello")

    const missing = await nexus("explain", "--request", "nobody", "--port", port)
    expect(missing).toEqual({
      code: 1,
      stdout: "",
      stderr: "error: No request 'nobody' among the last 512; its id is in x-request-id\n"
    })
    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
  })

  test("says that it needs a running gateway", async () => {
    const { code, stdout, stderr } = await nexus("explain", "-m", "x", "-c", tomlFor("explain.toml", {}))
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toStartWith("error: No gateway answers at http://127.0.0.1:1")
  })
})

describe("without a running gateway", () => {
  const backend = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: (request) =>
      new URL(request.url).pathname === "/v1/models"
        ? Response.json({ object: "list", data: [{ id: "tiny", object: "model" }] })
        : new Response(null, { status: 404 })
  })
  afterAll(() => backend.stop(true))
  const file = tomlFor("probed.toml", { up: `http://127.0.0.1:${backend.port}`, down: "http://127.0.0.1:1" })

  test("models asks the backends itself and says so, with only JSON on standard output", async () => {
    const { code, stdout, stderr } = await nexus("models", "--json", "-c", file)
    expect(JSON.parse(stdout)).toEqual({ models: [{ id: "tiny", backends: ["up"], context_length: null }] })
    expect(lines(stderr)).toEqual([expect.stringContaining("No gateway answers at http://127.0.0.1:1")])
    expect(code).toBe(0)
  })

  test("models of an unknown backend fail with the names there are", async () => {
    const { code, stdout, stderr } = await nexus("models", "-b", "nope", "-c", file)
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toContain("error: There is no backend 'nope'. Backends: up, down")
  })

  test("backends list shows state, models and reason", async () => {
    const { code, stdout } = await nexus("backends", "list", "-c", file)
    const [heading = "", ...rows] = lines(stdout)
    expect(heading.split(/ {2,}/)).toEqual(["Name", "URL", "Type", "Status", "Models", "Latency", "Reason"])
    expect(rows[0]).toMatch(/^up +http:\/\/127\.0\.0\.1:\d+ +generic +healthy +1 +\d+ ms$/)
    expect(rows[1]).toMatch(/^down +http:\/\/127\.0\.0\.1:1 +generic +unhealthy +0 +- +connection refused$/)
    expect(code).toBe(0)
  })

  test("backends list --status keeps to that state", async () => {
    const { stdout } = await nexus("backends", "list", "--status", "unhealthy", "--json", "-c", file)
    expect(JSON.parse(stdout).backends).toMatchObject([{ name: "down", status: "unhealthy", avg_latency_ms: null }])
  })

  test("health fails in one line", async () => {
    const { code, stdout, stderr } = await nexus("health", "-c", file)
    expect({ code, stdout, lines: lines(stderr).length }).toEqual({ code: 1, stdout: "", lines: 1 })
  })

  test("a config file that does not exist is an error of one line", async () => {
    for (const command of [["serve"], ["models"], ["health"]]) {
      const { code, stdout, stderr } = await nexus(...command, "-c", "missing.toml")
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(stderr).toContain("missing.toml")
      expect(stderr).not.toMatch(/^\s+at /m)
    }
  })
})

describe("nexus serve", () => {
  test("with --demo can be asked by the other commands, and ends with 0 at SIGTERM", async () => {
    const { child, url, port, banner } = await serving("--demo", "--no-discovery")
    expect(banner).toContain("SIMULATED")
    expect((await fetch(`${url}/readyz`)).status).toBe(200)

    const models = await nexus("models", "--json", "--port", port)
    expect(models.stderr).toBe("")
    expect(JSON.parse(models.stdout).models.length).toBeGreaterThan(0)

    const health = await nexus("health", "--json", "--port", port)
    expect(JSON.parse(health.stdout)).toMatchObject({ status: "healthy", version, backends: { unhealthy: 0 } })
    expect(health.code).toBe(0)

    const shown = await nexus("backends", "list", "--port", port)
    expect(shown.stdout).toContain("(simulated)")

    const taken = await nexus("serve", "--port", port)
    expect({ code: taken.code, stdout: taken.stdout }).toEqual({ code: 1, stdout: "" })
    expect(taken.stderr).toContain(`port ${port}: the port is in use`)

    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
  })

  test("for an https backend runs with Bun's ceiling of fetches lifted, in the process it was started as", async () => {
    const { child } = await serving("-c", tomlFor("https.toml", { cloud: "https://127.0.0.1:1" }))
    const environ = `/proc/${child.pid}/environ`
    if (existsSync(environ)) {
      expect(readFileSync(environ, "latin1").split("\0")).toContain("BUN_CONFIG_MAX_HTTP_REQUESTS=65535")
    }
    child.kill("SIGINT")
    expect(await child.exited).toBe(0)
  })

  test("without a healthy backend makes health fail", async () => {
    const file = tomlFor("down.toml", { down: "http://127.0.0.1:1" })
    const { child, port } = await serving("-c", file)
    const { code, stdout, stderr } = await nexus("health", "--port", port)
    expect(code).toBe(1)
    expect(stdout).toMatch(/^Status: +unhealthy$/m)
    expect(stdout).toMatch(/^✗ +down +unhealthy +connection refused$/m)
    expect(lines(stderr)).toEqual([`error: The gateway at http://127.0.0.1:${port} is unhealthy`])
    child.kill("SIGTERM")
    expect(await child.exited).toBe(0)
  })
})
