import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { version } from "../../src/domain/version.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, nexus, serving, tomlFor } = makeShell()
afterAll(close)

describe("wrong usage", () => {
  const rows: ReadonlyArray<ReadonlyArray<string>> = [
    ["frobnicate"],
    ["serve", "--port", "abc"],
    ["serve", "--port", "99999"],
    ["serve", "--log-level", "loud"],
    ["models", "--nope"],
    ["aliases", "gpt-4"],
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
      for (const name of [
        "serve",
        "models",
        "aliases",
        "backends",
        "health",
        "explain",
        "doctor",
        "connect",
        "config",
        "keys",
        "completions"
      ]) {
        expect(stdout).toContain(`  ${name} `)
      }
    }
  })

  test("says in a sentence what a flag or command is likely to have been meant as", async () => {
    const { code, stderr } = await nexus("status", "--wtach")
    expect(code).toBe(2)
    expect(stderr).toContain("error: Unrecognized flag: --wtach in command nexus status; did you mean --watch?\n")
    expect((await nexus("serve", "--port", "127.0.0.1:8700")).stderr).toContain("Expected a number\n")
    expect((await nexus("modles")).stderr).toContain('"nexus"; did you mean models?\n')
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
COMP_WORDS=(nexus ba); COMP_CWORD=1; COMP_LINE='nexus ba'
"$(complete -p nexus | sed 's/.*-F \\([^ ]*\\).*/\\1/')" nexus ba nexus
echo "\${COMPREPLY[@]}"`
    const bash = Bun.spawnSync(["bash", "-c", probe])
    expect(bash.stdout.toString().trim()).toBe("backends")
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
    expect(heading.split(/ {2,}/)).toEqual(["Name", "URL", "Type", "Zone", "Status", "Models", "Latency", "Reason"])
    expect(rows[0]).toMatch(/^up +http:\/\/127\.0\.0\.1:\d+ +generic +local +healthy +1 +\d+ ms$/)
    expect(rows[1]).toMatch(/^down +http:\/\/127\.0\.0\.1:1 +generic +local +unhealthy +0 +- +connection refused$/)
    expect(code).toBe(0)
  })

  test("backends list --dialects shows which APIs they are asked in, and why not in others", async () => {
    const { stdout } = await nexus("backends", "list", "--dialects", "-c", file)
    expect(stdout).toMatch(/Name +API +Asked +Why not natively +Known by/)
    expect(stdout).toMatch(/openai +natively/)
    expect(stdout).toMatch(/anthropic +translated +\S/)
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
