import { afterAll, describe, expect, test } from "bun:test"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { makeShell } from "../kit/shell.ts"

const shell = makeShell()
const { cwd, nexus } = shell
const one = await startUpstream({ models: ["m1"] })
const two = await startUpstream({ models: ["m2", "m3"] })
afterAll(async () => {
  await shell.close()
  await one[Symbol.asyncDispose]()
  await two[Symbol.asyncDispose]()
})

const path = join(cwd, "nexus.toml")
const text = (more = "") =>
  `[server]\nwatch_config = false\n\n[discovery]\nenabled = false\n\n[[backends]]\nname = "one"\nurl = "${one.url}"\n${more}`

describe("changes of a running gateway by command", async () => {
  writeFileSync(path, text())
  const { port } = await shell.serving("-c", "nexus.toml")
  const at = ["-p", port]

  test("config diff says what a reload would change, and config reload does it", async () => {
    writeFileSync(path, text(`\n[routing.aliases]\nfast = "m1"\n`))
    const diff = await nexus("config", "diff", ...at)
    expect(diff.code).toBe(0)
    expect(diff.stdout).toBe('Key                   Before  After\nrouting.aliases.fast  -       "m1"\n')
    const reload = await nexus("config", "reload", ...at, "--json")
    expect(JSON.parse(reload.stdout)).toEqual({
      generation: 2,
      changes: [{ key: "routing.aliases.fast", before: null, after: "m1", needs_restart: false }]
    })
    const again = await nexus("config", "diff", ...at)
    expect(again).toMatchObject({ code: 0, stdout: "", stderr: "The running gateway goes by the file as it is.\n" })
  })

  test("config reload of a file with mistakes fails with all of them", async () => {
    const good = readFileSync(path, "utf8")
    writeFileSync(path, good.replace("enabled = ", "enabld = "))
    const reload = await nexus("config", "reload", ...at)
    expect(reload.code).toBe(1)
    expect(reload.stderr).toContain("unknown key discovery.enabld; did you mean discovery.enabled?")
    expect(reload.stdout).toBe("")
    writeFileSync(path, good)
  })

  test("backends add, drain, disable, enable and remove", async () => {
    const added = await nexus("backends", "add", two.url, "--name", "two", "--priority", "7", "--save", ...at)
    expect(added.stdout).toBe("Added two (generic, healthy, 2 models). Written to nexus.toml.\n")
    expect(readFileSync(path, "utf8")).toContain(`name = "two"\nurl = "${two.url}"\ntype = "generic"\npriority = 7\n`)
    const drained = await nexus("backends", "drain", "two", "--wait", "5", ...at)
    expect(drained).toMatchObject({ code: 0 })
    expect(drained.stdout).toStartWith("two gets no new requests, 0 are under way.")
    expect((await nexus("backends", "list", ...at)).stdout).toContain("draining")
    expect((await nexus("backends", "disable", "two", ...at)).stdout).toStartWith("two gets no requests")
    expect((await nexus("health", ...at)).stdout).toMatch(/^- +two +disabled +is disabled by the administrator$/m)
    expect((await nexus("backends", "enable", "two", ...at)).stdout).toBe("two gets requests.\n")
    const removed = await nexus("backends", "remove", "two", "--save", ...at)
    expect(removed.stdout).toBe("Removed two. Written to nexus.toml.\n")
    expect(readFileSync(path, "utf8")).not.toContain("two")
  })

  test("backends add of a server that wants a key says so, and which flag names it", async () => {
    const locked = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("{}", { status: 401 }) })
    try {
      const url = `http://127.0.0.1:${locked.port}`
      const without = await nexus("backends", "add", url, ...at)
      expect(without).toMatchObject({ code: 1, stdout: "" })
      expect(without.stderr).toBe(
        `error: The server at ${url} wants a key: name the variable of the gateway that holds it (--api-key-env, api_key_env)\n`
      )
      const wrong = await nexus("backends", "add", url, "--api-key-env", "HOME", ...at)
      expect(wrong.code).toBe(1)
      expect(wrong.stderr).toBe(
        `error: The server at ${url} refuses the key in HOME; --api-key-env (api_key_env) names another one\n`
      )
    } finally {
      await locked.stop(true)
    }
  })

  test("backends add of a Nexus takes another one by its type alone, and never itself", async () => {
    const other = await shell.serving()
    const add = (url: string, ...more: ReadonlyArray<string>) => nexus("backends", "add", url, ...more, ...at)
    for (const more of [[], ["--type", "generic"]]) {
      const refused = await add(`http://localhost:${port}`, ...more)
      expect(refused).toMatchObject({ code: 1, stdout: "" })
      expect(refused.stderr).toBe(
        `error: This Nexus itself answers at http://localhost:${port}; it cannot be a backend of itself\n`
      )
    }
    const untyped = await add(other.url)
    expect(untyped).toMatchObject({ code: 1, stdout: "" })
    expect(untyped.stderr).toBe(
      `error: A Nexus answers at ${other.url}; to put it behind this one, give its type (--type generic)\n`
    )
    expect((await add(other.url, "--type", "generic")).stdout).toStartWith(`Added generic-${other.port} (generic, `)
    expect((await nexus("backends", "remove", `generic-${other.port}`, ...at)).code).toBe(0)
  })

  test("backends drain fails when a request has not finished in time", async () => {
    const held = Promise.withResolvers<void>()
    one.script(async function* () {
      await held.promise
      yield json({ choices: [] })
    })
    const body = JSON.stringify({ model: "m1", messages: [] })
    const asked = fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: "POST", body })
    await one.call(0)
    const drained = await nexus("backends", "drain", "one", "--wait", "1", ...at)
    expect(drained.code).toBe(1)
    expect(drained.stdout).toStartWith("one gets no new requests, 1 is under way.")
    expect(drained.stderr).toBe("error: 1 request has not finished within 1 s\n")
    held.resolve()
    expect((await asked).status).toBe(200)
  })

  test("what the gateway refuses is told in its words, with exit code 1", async () => {
    const twice = await nexus("backends", "add", two.url, "--name", "one", ...at)
    expect(twice).toMatchObject({ code: 1, stdout: "" })
    expect(twice.stderr).toBe("error: There is a backend 'one' already; remove it first, or choose another name\n")
    const unknown = await nexus("backends", "drain", "nope", ...at)
    expect(unknown).toMatchObject({ code: 1, stderr: "error: No backend 'nope'. There are: one\n" })
  })
})

test("without a gateway the commands say so", async () => {
  const none = await nexus("backends", "add", two.url, "-p", "1")
  expect(none.code).toBe(1)
  expect(none.stderr).toContain("No gateway answers at http://127.0.0.1:1")
})
