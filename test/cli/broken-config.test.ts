import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { lines, makeShell } from "../kit/shell.ts"

// Each test starts processes, and a busy machine starts them slowly.
setDefaultTimeout(120_000)

const { close, cwd, nexus, nexusWith, serving } = makeShell()
const upstream = await startUpstream({ models: ["m"] })
afterAll(async () => {
  await close()
  await upstream[Symbol.asyncDispose]()
})

const mistakes = (port: number | string) => `[server]
port = ${port}
prot = 1

[[backends]]
name = "a"
url = "${upstream.url}"
pirority = 1
`

describe("a config with mistakes, while a gateway runs on the one before", async () => {
  writeFileSync(
    join(cwd, "nexus.toml"),
    `[server]\nwatch_config = false\n[discovery]\nenabled = false\n[[backends]]\nname = "a"\nurl = "${upstream.url}"\n`
  )
  const { port } = await serving("-c", "nexus.toml")
  writeFileSync(join(cwd, "nexus.toml"), mistakes(port))

  const commands: ReadonlyArray<ReadonlyArray<string>> = [
    ["health"],
    ["health", "--live"],
    ["status"],
    ["models"],
    ["backends", "list"],
    ["backends", "drain", "a"],
    ["backends", "enable", "a"],
    ["explain", "-m", "m"],
    ["connect", "zed"]
  ]
  for (const command of commands) {
    test(`nexus ${command.join(" ")} asks it all the same, and tells each mistake once`, async () => {
      const { code, stdout, stderr } = await nexus(...command)
      expect({ code, said: stdout !== "" }).toEqual({ code: 0, said: true })
      const warnings = lines(stderr).filter((line) => line.startsWith("warning: "))
      expect(warnings).toHaveLength(2)
      expect(warnings[0]).toStartWith("warning: nexus.toml:3: unknown key server.prot")
      expect(warnings[1]).toContain("unknown key backends[0].pirority")
    })
  }

  test("names are completed, without a word", async () => {
    let models = await nexus("complete", "models", "nexus")
    // Nobody waits for a completion for longer than a second, which a busy machine may take.
    await until(
      async () => models.stdout !== "" || (models = await nexus("complete", "models", "nexus")).stdout !== "",
      "they are completed"
    )
    expect(models).toEqual({ code: 0, stdout: "m\n", stderr: "" })
  })

  test("nexus config reload and config diff fail with what the gateway says", async () => {
    for (const action of ["reload", "diff"]) {
      const { code, stdout, stderr } = await nexus("config", action)
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
      expect(lines(stderr).some((line) => /^error: .*unknown key server\.prot/.test(line))).toBe(true)
    }
  })

  test("no text that is TOML keeps no one from asking at -p", async () => {
    writeFileSync(join(cwd, "torn.toml"), "[server\n")
    const { code, stderr } = await nexus("health", "-c", "torn.toml", "-p", port)
    expect(code).toBe(0)
    expect(lines(stderr)).toHaveLength(1)
    expect(stderr).toStartWith("warning: torn.toml:1:")
  })

  test("a file that is not there is still a failure", async () => {
    const { code, stderr } = await nexus("health", "-c", "nowhere.toml")
    expect({ code, stderr }).toEqual({ code: 1, stderr: "error: nowhere.toml: there is no such file\n" })
  })

  test("config check fails as ever", async () => {
    expect((await nexus("config", "check")).stderr).toStartWith("error: nexus.toml:3: unknown key")
  })
})

test("with such a config and no gateway, nexus models and backends list probe nothing, and say so", async () => {
  writeFileSync(join(cwd, "alone.toml"), mistakes(1))
  for (const command of [["models"], ["backends", "list"]]) {
    const { code, stdout, stderr } = await nexus(...command, "-c", "alone.toml")
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" })
    expect(lines(stderr).at(-1)).toBe(
      "error: No gateway answers at http://127.0.0.1:1: connection refused; nexus serve starts one, -p and -H name another one. The backends themselves are not asked while the config has mistakes"
    )
  }
})

test("where no gateway answers, the flags that name another are told, unless they were used", async () => {
  writeFileSync(join(cwd, "none.toml"), "[server]\nport = 1\n")
  const nobody = "error: No gateway answers at http://127.0.0.1:1: connection refused"
  for (const command of [
    ["status"],
    ["health"],
    ["health", "--live"],
    ["config", "diff"],
    ["backends", "enable", "a"]
  ]) {
    const { stderr } = await nexus(...command, "-c", "none.toml")
    expect(stderr).toBe(`${nobody}; nexus serve starts one, -p and -H name another one\n`)
    expect((await nexus(...command, "-c", "none.toml", "-p", "1")).stderr).toBe(`${nobody}; nexus serve starts one\n`)
  }
})

describe("a gateway that knows only the digest of a key", () => {
  const key = "nx-only-mine"
  const sha256 = createHash("sha256").update(key).digest()

  test("is asked with the key in NEXUS_KEY, before any that the config knows", async () => {
    await using gateway = await startGateway(
      { backends: [backendFor("a", upstream)], auth: { keys: [{ name: "k", sha256: sha256.toString("hex") }] } },
      { backendKeys: new Map(), authKeys: [{ name: "k", digest: new Uint8Array(sha256) }] }
    )
    writeFileSync(
      join(cwd, "keyed.toml"),
      `[server]\nport = ${gateway.port}\n[[auth.keys]]\nname = "k"\nsha256 = "${sha256.toString("hex")}"\n[[auth.keys]]\nname = "old"\nenv = "OLD_KEY"\n`
    )
    const asked = (env: Readonly<Record<string, string>>) =>
      nexusWith({ OLD_KEY: "nx-old", ...env }, "health", "-c", "keyed.toml")
    expect(await asked({ NEXUS_KEY: key })).toMatchObject({ code: 0, stderr: "" })
    const refusal = (why: string) => `error: The gateway at ${gateway.url} refuses: ${why}\n`
    const ofConfig = refusal("the key that this config holds is refused; set NEXUS_KEY to one that it takes")
    const given = refusal("the key in NEXUS_KEY is refused; it is none of those that this gateway takes")
    const none = refusal("it wants a key, and this config holds none; set NEXUS_KEY to one of its keys")
    for (const [env, stderr] of [
      [{}, ofConfig],
      [{ NEXUS_KEY: "" }, ofConfig],
      [{ NEXUS_KEY: "nx-wrong" }, given],
      [{ OLD_KEY: "" }, none]
    ] as const) {
      expect(await asked(env)).toEqual({ code: 1, stdout: "", stderr })
    }
    const torn = await asked({ NEXUS_KEY: "two words" })
    expect(torn.stderr).toBe(
      "error: the environment variable NEXUS_KEY holds spaces or characters that no key can have\n"
    )
  })
})
