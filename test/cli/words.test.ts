import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { withScheme } from "../../src/cli/backends/backend-changes.ts"
import { version } from "../../src/domain/version.ts"
import { holderOf, listenersIn } from "../../src/remote/port-holder.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, onto, serving } = makeShell()
afterAll(close)

const onLinux = process.platform === "linux"

describe("a port that is taken", () => {
  test.if(onLinux)("is told of with the program that holds it, and with another one", async () => {
    using server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("hello") })
    const port = server.port ?? 0
    const { code, stdout, stderr } = await nexus("serve", "--no-discovery", "--port", String(port))
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(stderr).toMatch(
      new RegExp(
        `^error: Cannot listen on 127\\.0\\.0\\.1 port ${port}: the port is in use by .+ \\(process ${process.pid}\\); --port ${port + 1} takes another one, --port 0 any that is free\n$`
      )
    )
  })

  test("by a Nexus is told of as such", async () => {
    const { port } = await serving("--no-discovery")
    const { stderr } = await nexus("serve", "--no-discovery", "--port", port)
    expect(stderr).toContain("the port is in use: a Nexus runs there already")
    expect(stderr).toContain(`; nexus status asks it, --port ${Number(port) + 1} starts another one`)
  })

  test("is known by its sockets, on IPv4 and IPv6, while they listen", () => {
    const row = (local: string, state: string, inode: number) =>
      `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0 100`
    const table = [
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
      row("0100007F:1F40", "0A", 11),
      row("00000000000000000000000001000000:1F40", "0A", 12),
      row("0100007F:1F40", "01", 13),
      row("0100007F:1F41", "0A", 14),
      row("0100007F:1F40", "0A", 0)
    ].join("\n")
    expect(listenersIn(table, 8000)).toEqual(["11", "12"])
    expect(listenersIn("", 8000)).toEqual([])
  })

  test("by nobody is nobody's", async () => {
    expect(await Effect.runPromise(holderOf(1))).toBeUndefined()
  })
})

describe("what people type first works:", () => {
  test("nexus version and nexus help", async () => {
    expect(await nexus("version")).toEqual({ code: 0, stdout: `nexus ${version}\n`, stderr: "" })
    const help = await nexus("help")
    expect(help.code).toBe(0)
    expect(help.stdout).toContain("SUBCOMMANDS")
    expect((await nexus("help", "serve")).stdout).toBe((await nexus("serve", "--help")).stdout)
  })

  test("nexus init, for nexus config init", async () => {
    expect((await nexus("init", "-o", "made.toml")).stderr).toBe("")
    expect(readFileSync(join(cwd, "made.toml"), "utf8")).toStartWith("# nexus.toml")
    expect((await nexus("init", "--help")).stdout).toBe((await nexus("config", "init", "--help")).stdout)
    expect((await nexus("help", "init")).stdout).toBe((await nexus("config", "init", "--help")).stdout)
  })

  test("nexus explain MODEL, for nexus explain --model MODEL", async () => {
    const { port } = await serving("--demo", "--no-discovery")
    const { code, stdout, stderr } = await nexus("explain", "simulated-large", "--port", port)
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(stdout)[0]).toBe("Model:      simulated-large")
    const twice = await nexus("explain", "simulated-large", "-m", "simulated-small", "--port", port)
    expect({ code: twice.code, stderr: twice.stderr }).toEqual({
      code: 2,
      stderr: "error: Give one of MODEL, --request ID and --replay\n"
    })
  })

  test("nexus backends add gpu-box:11434", () => {
    const rows = {
      "gpu-box:11434": "http://gpu-box:11434",
      "gpu-box": "http://gpu-box",
      "localhost:8000/v1": "http://localhost:8000/v1",
      "10.0.0.5:1234": "http://10.0.0.5:1234",
      "[::1]:11434": "http://[::1]:11434",
      "box.local": "http://box.local",
      "llm.example.com:8000": "http://llm.example.com:8000",
      "api.openai.com": "https://api.openai.com",
      "api.openai.com/v1": "https://api.openai.com/v1",
      "llm.example.com:443": "https://llm.example.com:443",
      "https://a.example": "https://a.example",
      "http://a.example": "http://a.example"
    }
    for (const [typed, url] of Object.entries(rows)) expect([typed, withScheme(typed)]).toEqual([typed, url])
  })
})

describe("a wrong use is told in a sentence:", () => {
  test("a negative wait", async () => {
    for (const wait of [["--wait", "-1"], ["--wait=-1"]]) {
      const { code, stderr } = await nexus("backends", "drain", "a", ...wait)
      expect(code).toBe(2)
      expect(stderr).toContain("Expected 0 or more seconds, got -1")
    }
  })

  test("both probes at once", async () => {
    const { code, stderr } = await nexus("health", "--live", "--ready")
    expect({ code, stderr }).toEqual({ code: 2, stderr: "error: Give either --live or --ready\n" })
  })

  test("a directory in place of the config file", async () => {
    mkdirSync(join(cwd, "etc"), { recursive: true })
    for (const command of [["config", "check"], ["serve"]]) {
      const { code, stderr } = await nexus(...command, "-c", "etc")
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: "error: etc: it is a directory, not a file; -c takes a file, such as etc/nexus.toml\n"
      })
    }
  })
})

describe("what cannot be written to standard output", () => {
  test.if(onLinux)("is a failure, with its reason", async () => {
    for (const command of [["config", "schema"], ["version"], ["help"]]) {
      const { code, stderr } = await onto("/dev/full", ...command)
      expect({ command, code, said: lines(stderr) }).toEqual({
        command,
        code: 1,
        said: ["error: standard output cannot be written: no space left"]
      })
    }
  })
})
