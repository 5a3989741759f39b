import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"

setDefaultTimeout(120_000)

const { close, cwd, nexus, nexusWith } = makeShell()
afterAll(close)

const digest = new Uint8Array(createHash("sha256").update("k").digest())

describe("nexus health --live and --ready", () => {
  test("need no key, where the whole health does", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway(
      { backends: [backendFor("a", upstream)], auth: { keys: [{ name: "k", sha256: "0".repeat(64) }] } },
      { backendKeys: new Map(), authKeys: [{ name: "k", digest }] }
    )
    const port = String(gateway.port)
    expect(await nexus("health", "--live", "-p", port)).toEqual({ code: 0, stdout: "alive\n", stderr: "" })
    expect(await nexus("health", "--ready", "-p", port)).toEqual({ code: 0, stdout: "ready\n", stderr: "" })
    expect(await nexus("health", "-p", port)).toMatchObject({ code: 1, stdout: "" })
  })

  test("a gateway that cannot route is alive and not ready, and says why", async () => {
    await using gateway = await startGateway({ backends: [{ name: "a", url: "http://127.0.0.1:1" }] })
    const port = String(gateway.port)
    expect(await nexus("health", "--live", "-p", port)).toMatchObject({ code: 0 })
    expect(await nexus("health", "--ready", "-p", port)).toEqual({
      code: 1,
      stdout: "",
      stderr: `error: The gateway at http://127.0.0.1:${port} is not ready: no backend is healthy\n`
    })
  })

  test("no gateway, and another server, are neither", async () => {
    const other = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("ok") })
    for (const port of ["1", String(other.port)]) {
      const { code, stdout, stderr } = await nexus("health", "--live", "-p", port)
      expect([code, stdout]).toEqual([1, ""])
      expect(stderr).toStartWith(`error: No gateway answers at http://127.0.0.1:${port}: `)
    }
    const asJson = await nexus("health", "--live", "--json", "-p", "1")
    expect(JSON.parse(asJson.stdout)).toMatchObject({ status: "unknown" })
    await other.stop(true)
  })

  test("the port of the config is asked", async () => {
    await using gateway = await startGateway({})
    writeFileSync(join(cwd, "nexus.toml"), `[server]\nport = ${gateway.port}\n`)
    expect(await nexus("health", "--live")).toMatchObject({ code: 0, stdout: "alive\n" })
  })

  describe("ask all the same, with a warning, where", async () => {
    const upstream = await startUpstream({ models: ["m"] })
    const gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    afterAll(async () => {
      await gateway[Symbol.asyncDispose]()
      await upstream[Symbol.asyncDispose]()
    })
    const server = `[server]\nport = ${gateway.port}\n`
    const configs: ReadonlyArray<readonly [string, string]> = [
      ["the file is no TOML", `${server}[[backends]\nname = "a\n`],
      ["a key is unknown and a value out of range", `${server}prot = 1\n[routing]\nmax_retries = -1\n`]
    ]
    for (const [what, text] of configs) {
      test(what, async () => {
        writeFileSync(join(cwd, "wrong.toml"), text)
        for (const place of [[], ["-p", String(gateway.port)]]) {
          for (const [flag, said] of [
            ["--live", "alive\n"],
            ["--ready", "ready\n"]
          ] as const) {
            const { code, stdout, stderr } = await nexus("health", flag, "-c", "wrong.toml", ...place)
            expect({ code, stdout, warned: stderr.startsWith("warning: wrong.toml") }).toEqual({
              code: 0,
              stdout: said,
              warned: true
            })
          }
        }
      })
    }

    test("the file is not there, or is a directory", async () => {
      for (const path of ["nowhere.toml", "."]) {
        const asked = await nexus("health", "--live", "-c", path, "-p", String(gateway.port))
        expect(asked).toMatchObject({ code: 0, stdout: "alive\n", stderr: expect.stringContaining("warning: ") })
        const env = { NEXUS_PORT: String(gateway.port) }
        expect(await nexusWith(env, "health", "--ready", "-c", path)).toMatchObject({ code: 0, stdout: "ready\n" })
      }
    })

    test("NEXUS_KEY holds what no key can be", async () => {
      writeFileSync(join(cwd, "good.toml"), server)
      const asked = await nexusWith({ NEXUS_KEY: "two words" }, "health", "--live", "-c", "good.toml")
      expect(asked).toMatchObject({ code: 0, stdout: "alive\n" })
    })
  })
})
