import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { until } from "../kit/gateway.ts"
import { fromSource } from "../kit/program.ts"
import { makeShell } from "../kit/shell.ts"

// Bun itself would read the file; of the built file the checks see to it.
// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, nexusWith, servingWith } = makeShell(fromSource)
const [bun, ...script] = fromSource
afterAll(close)

// Where the system does not tell what a process was started with, Bun's word is all there is.
const tells = existsSync("/proc/self/environ")

describe.if(tells)("a .env file of the directory", () => {
  for (const name of [".env", ".env.local", ".env.development"]) {
    test(`is not read: ${name}`, async () => {
      writeFileSync(join(cwd, name), "NEXUS_PORT=4711\nexport NEXUS_HOST=localhost\nNEXUS_PROT=1\n")
      const { code, stdout, stderr } = await nexus("config", "show")
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
      expect(stdout).toMatch(/server\.port +8000 +default/)
      expect(stdout).toMatch(/server\.host +"127\.0\.0\.1" +default/)
    })
  }

  test("hides nothing that the environment itself has", async () => {
    const { stdout } = await nexusWith({ NEXUS_PORT: "4712" }, "config", "show")
    expect(stdout).toMatch(/server\.port +4712 +NEXUS_PORT/)
  })

  test("is read when it is named to Bun", async () => {
    writeFileSync(join(cwd, "mine.env"), "NEXUS_PORT=4713\n")
    const child = Bun.spawn([bun, "--env-file=mine.env", ...script, "config", "show"], { cwd, stdout: "pipe" })
    expect(await new Response(child.stdout).text()).toMatch(/server\.port +4713 +NEXUS_PORT/)
  })

  test("holds no key: its backend is told of as one whose key is not set", async () => {
    writeFileSync(join(cwd, ".env"), "HIDDEN_CLOUD_KEY=sk-1\n")
    writeFileSync(
      join(cwd, "cloud.toml"),
      `[[backends]]\nname = "cloud"\nurl = "http://127.0.0.1:9"\napi_key_env = "HIDDEN_CLOUD_KEY"\n`
    )
    const { code, stderr } = await nexus("config", "check", "-c", "cloud.toml")
    expect(code).toBe(1)
    expect(stderr).toContain("this environment variable is not set")
  })
})

test("a key with $ in it arrives as written, from a variable and from a file", async () => {
  const key = "sk-$HOME$$x${PATH}\\$1$(id)"
  await using one = await startUpstream({ models: ["m"] })
  await using two = await startUpstream({ models: ["m"] })
  writeFileSync(join(cwd, "two.key"), `${key}\n`)
  writeFileSync(
    join(cwd, "dollar.toml"),
    `[discovery]\nenabled = false\n[[backends]]\nname = "one"\nurl = "${one.url}"\napi_key_env = "DOLLAR_KEY"\n` +
      `[[backends]]\nname = "two"\nurl = "${two.url}"\napi_key_file = "two.key"\n`
  )
  await servingWith({ DOLLAR_KEY: key }, "-c", "dollar.toml")
  for (const { server } of [one, two]) {
    await until(() => server.requests.length > 0, "a probe came")
    expect(server.requests[0]?.header("authorization")).toBe(`Bearer ${key}`)
  }
})
