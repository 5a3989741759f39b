/**
 * What the built file does in a directory that is not ours and means no good.
 */
import { mkdtempSync, existsSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { root, type Result, run, start } from "./steps.ts"

const binary = join(root, "dist/nexus")

/** A check by name; it fails by throwing. */
export interface Check {
  readonly name: string
  readonly check: () => Promise<void>
}

const must = (holds: boolean, otherwise: string): void => {
  if (!holds) throw new Error(otherwise)
}

const told = ({ code, stdout, stderr }: Result): string => `exit ${code}\nstdout: ${stdout}\nstderr: ${stderr}`

const until = async (holds: () => boolean, limitMs: number): Promise<boolean> => {
  const end = performance.now() + limitMs
  while (!holds() && performance.now() < end) await Bun.sleep(20)
  return holds()
}

/** The checks in order; they share one gateway. */
export const smoke = (): ReadonlyArray<Check> => {
  const cwd = mkdtempSync(join(tmpdir(), "nexus-smoke-"))
  process.on("exit", () => rmSync(cwd, { recursive: true, force: true }))
  writeFileSync(join(cwd, "bunfig.toml"), 'preload = ["./evil.ts"]\n')
  writeFileSync(join(cwd, "evil.ts"), 'require("node:fs").writeFileSync("evil-ran", "")\n')
  writeFileSync(join(cwd, ".env"), "NEXUS_PORT=1\nNEXUS_HOST=192.0.2.1\n")
  const nexus = (...args: ReadonlyArray<string>) => run(binary, args, { cwd, limitMs: 60_000 })
  const gateway = start(binary, ["serve", "--demo", "--port", "0"], { cwd, limitMs: 120_000 })
  const url = (): string => /listens on (http:\/\/\S+)/.exec(gateway.stdout())?.[1] ?? ""
  const get = (path: string) => fetch(url() + path)
  const chat = async (stream: boolean) => {
    const { data } = (await (await get("/v1/models")).json()) as { data: ReadonlyArray<{ id: string }> } // reason: checked below
    const chatModel = /"model":"([^"]+)"/.exec(gateway.stdout())?.[1]
    must(
      data.some(({ id }) => id === chatModel),
      `the banner names no listed model: ${gateway.stdout()}`
    )
    return fetch(`${url()}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: chatModel, stream, messages: [{ role: "user", content: "Hello" }] })
    })
  }
  const usage = (...args: ReadonlyArray<string>): Check => ({
    name: `nexus ${args.join(" ")} is wrong usage`,
    check: async () => {
      const result = await nexus(...args)
      must(result.code === 2 && result.stdout === "" && result.stderr !== "", told(result))
    }
  })
  return [
    {
      name: "serve --demo starts and says where",
      check: async () => must(await until(() => url() !== "", 60_000), gateway.stdout() + gateway.stderr())
    },
    {
      name: "/health is healthy",
      check: async () => {
        const response = await get("/health")
        must(response.status === 200, `status ${response.status}: ${await response.text()}`)
      }
    },
    {
      name: "a chat request is answered",
      check: async () => {
        const response = await chat(false)
        const text = await response.text()
        must(response.status === 200 && text.includes('"chat.completion"'), `status ${response.status}: ${text}`)
      }
    },
    {
      name: "a chat stream runs to its end",
      check: async () => {
        const text = await (await chat(true)).text()
        must(text.includes("chat.completion.chunk") && text.trimEnd().endsWith("data: [DONE]"), text)
      }
    },
    {
      name: "the curl line of the banner works",
      check: async () => {
        const line = /^ {2}(curl .*)$/m.exec(gateway.stdout())?.[1] ?? ""
        must(line !== "", `no curl line in: ${gateway.stdout()}`)
        if (Bun.which("curl") === null) return
        const result = await run("sh", ["-c", line], { cwd, limitMs: 60_000 })
        must(result.stdout.includes('"chat.completion"'), told(result))
      }
    },
    {
      name: "models, backends and health ask the running gateway",
      check: async () => {
        const at = ["--json", "--port", new URL(url()).port]
        const models = await nexus("models", ...at)
        must(JSON.parse(models.stdout).models.length > 0, told(models))
        const backends = await nexus("backends", "list", ...at)
        must(JSON.parse(backends.stdout).backends.length > 0 && backends.stderr === "", told(backends))
        const health = await nexus("health", ...at)
        must(health.code === 0 && JSON.parse(health.stdout).status === "healthy", told(health))
      }
    },
    {
      name: "health --live, the health check of the image, needs no more than the port",
      check: async () => {
        const result = await nexus("health", "--live", "--port", new URL(url()).port)
        must(result.code === 0 && result.stdout === "alive\n", told(result))
      }
    },
    {
      name: "names are completed from the running gateway",
      check: async () => {
        const ask = () => nexus("complete", "models", "--", "nexus", "explain", "--port", new URL(url()).port)
        let result = await ask()
        // Nobody waits for a completion for longer than a second, which a busy machine may take.
        for (let more = 5; more > 0 && result.stdout === ""; more -= 1) result = await ask()
        must(result.stdout.split("\n").includes("simulated-small"), told(result))
      }
    },
    {
      name: "service print names this file",
      check: async () => {
        const result = await nexus("service", "print", "--manager", "systemd")
        must(result.code === 0 && result.stdout.includes(`ExecStart=${binary} serve\n`), told(result))
      }
    },
    {
      name: "SIGTERM ends it with exit code 0",
      check: async () => {
        gateway.signal("SIGTERM")
        const result = await gateway.done
        must(result.code === 0, told(result))
      }
    },
    {
      name: "health fails when no gateway runs",
      check: async () => {
        const result = await nexus("health", "--port", "1")
        must(result.code === 1 && result.stderr.trim().split("\n").length === 1, told(result))
      }
    },
    {
      name: "config init writes what config check takes",
      check: async () => {
        const init = await nexus("config", "init")
        must(init.code === 0 && existsSync(join(cwd, "nexus.toml")), told(init))
        const again = await nexus("config", "init")
        must(again.code === 1, told(again))
        const checked = await nexus("config", "check")
        must(checked.code === 0, told(checked))
      }
    },
    {
      name: "completions are scripts",
      check: async () => {
        for (const shell of ["bash", "zsh", "fish"]) {
          const result = await nexus("completions", shell)
          must(result.code === 0 && result.stdout.includes("backends"), told(result))
        }
      }
    },
    {
      name: "--version is that of package.json",
      check: async () => {
        const { version } = await Bun.file(join(root, "package.json")).json()
        const result = await nexus("--version")
        must(result.code === 0 && result.stdout.includes(version), told(result))
      }
    },
    usage("serve", "--port", "abc"),
    usage("frobnicate"),
    usage("models", "--nope"),
    usage("completions", "tcsh"),
    {
      name: "nothing of the directory was run or read",
      check: async () => must(!existsSync(join(cwd, "evil-ran")), "bunfig.toml of the directory ran code")
    }
  ]
}
