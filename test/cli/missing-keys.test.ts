import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { ask } from "../kit/rawClient.ts"
import { makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, nexusWith, serving, servingWith } = makeShell()
afterAll(close)

const cloud = `[[backends]]
name = "cloud"
url = "http://127.0.0.1:9"
type = "openai"
api_key_env = "NO_SUCH_CLOUD_KEY"
`

/** A config of a backend that runs and one whose key is not set, and its name. */
const withLocal = (file: string, url: string, more = cloud, port = 0): string => {
  writeFileSync(
    join(cwd, file),
    `[server]\nport = ${port}\n[discovery]\nenabled = false\n[[backends]]\nname = "local"\nurl = "${url}"\n${more}`
  )
  return file
}

describe("a key variable that is not set", () => {
  test("takes out its own backend and nothing else, and is told of loudly", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const { port, banner } = await serving("-c", withLocal("one.toml", upstream.url))
    const reason = "NO_SUCH_CLOUD_KEY is not set"
    expect(banner).toContain(
      `Warning: one.toml:12: backend cloud gets no requests: ${reason}; set it before nexus serve, or name a file with api_key_file\n`
    )
    expect(banner).toMatch(new RegExp(`cloud +http://127.0.0.1:9 +openai +config_error: ${reason}`))
    const answer = await ask(Number(port), "POST", "/v1/chat/completions", `{"model":"m","messages":[]}`)
    expect(answer.status).toBe(200)
    const health = await ask(Number(port), "GET", "/health")
    expect(health.status).toBe(200)
    expect(health.json()).toMatchObject({
      status: "degraded",
      details: [{ status: "healthy" }, { name: "cloud", status: "config_error", reason }]
    })
    const listed = await nexus("backends", "list", "-p", port)
    expect(listed.stdout).toMatch(new RegExp(`cloud .*config_error .*${reason}`))
    expect((await ask(Number(port), "GET", "/readyz")).status).toBe(200)
  })

  test("is the same when it is empty, and when all workers are told", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const file = withLocal("empty.toml", upstream.url)
    const { port, banner } = await servingWith({ NO_SUCH_CLOUD_KEY: "" }, "-c", file, "--workers", "2")
    expect(banner).toContain("backend cloud gets no requests: NO_SUCH_CLOUD_KEY is empty")
    const answer = await ask(Number(port), "POST", "/v1/chat/completions", `{"model":"m","messages":[]}`)
    expect(answer.status).toBe(200)
  })

  test("is an error for serve --strict and for config check", async () => {
    const file = withLocal("strict.toml", "http://127.0.0.1:9/a")
    const told = `strict.toml:12: backends[1].api_key_env = "NO_SUCH_CLOUD_KEY": this environment variable is not set`
    for (const command of [
      ["serve", "--strict"],
      ["config", "check"]
    ]) {
      expect(await nexus(...command, "-c", file)).toEqual({ code: 1, stdout: "", stderr: `error: ${told}\n` })
    }
  })

  test("still keeps a gateway from starting that would let nobody in", async () => {
    const keys = `[[auth.keys]]\nname = "laptop"\nenv = "NO_SUCH_CLIENT_KEY"\n`
    const { code, stderr } = await nexus("serve", "-c", withLocal("clients.toml", "http://127.0.0.1:9/a", keys))
    expect(code).toBe(1)
    expect(stderr).toContain(`auth.keys[0].env = "NO_SUCH_CLIENT_KEY": this environment variable is not set`)
  })
})

describe("from a shell without the variables of the gateway", () => {
  const strange = `[[auth.keys]]
name = "laptop"
env = "NO_SUCH_CLIENT_KEY"
${cloud}[[backends]]
name = "files"
url = "http://127.0.0.1:9/f"
api_key_file = "no-such.key"
[[backends]]
name = "far"
url = "http://\${NO_SUCH_HOST}:8000"
`

  test("the commands ask the gateway that runs, without a word about them", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    writeFileSync(join(cwd, "no-such.key"), "sk-file")
    const file = withLocal("far.toml", upstream.url, strange)
    const env = { NO_SUCH_CLIENT_KEY: "nx-client", NO_SUCH_CLOUD_KEY: "sk-cloud", NO_SUCH_HOST: "127.0.0.1" }
    const { port } = await servingWith(env, "-c", file)
    for (const command of [
      ["status"],
      ["health", "--live"],
      ["models"],
      ["backends", "list"],
      ["explain", "-m", "m"]
    ]) {
      const { code, stderr } = await nexusWith({ NEXUS_KEY: "nx-client" }, ...command, "-c", file, "-p", port)
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: "" })
    }
    const shown = await nexus("config", "show", "-c", file)
    expect(shown.code).toBe(0)
    expect(shown.stderr).toContain("warning: backend far is left out here: NO_SUCH_HOST is not set")
  })

  test("the commands ask the backends themselves while no gateway runs", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const file = withLocal("alone.toml", upstream.url, strange, 1)
    const { code, stdout } = await nexus("backends", "list", "-c", file)
    expect(code).toBe(0)
    expect(stdout).toMatch(/local .*healthy/)
    expect(stdout).toMatch(/cloud .*config_error .*NO_SUCH_CLOUD_KEY is not set/)
  })
})
