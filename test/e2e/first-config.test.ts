import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { type FakeUpstream, startUpstream, startWhereFound } from "../kit/FakeUpstream.ts"
import { startProcess, until } from "../kit/gateway.ts"
import { onTerminal } from "../kit/terminal.ts"
import { makeShell } from "../kit/shell.ts"

setDefaultTimeout(120_000)

/** What discovery finds: a server on a well-known port of this machine. */
let found: FakeUpstream
let cloud: FakeUpstream
beforeAll(async () => {
  found = await startWhereFound({ models: ["local"], type: "ollama" })
  cloud = await startUpstream({ models: ["far"] })
})
afterAll(async () => {
  await found[Symbol.asyncDispose]()
  await cloud[Symbol.asyncDispose]()
})

const originsOf = async (url: string) => {
  const { backends } = (await (await fetch(`${url}/nexus/backends`)).json()) as {
    backends: ReadonlyArray<{ name: string; origin: string; url: string }>
  } // reason: the list is ours
  return new Map(backends.map(({ name, origin }) => [name, origin]))
}

/** A start waits for the first look around, but not for ever. */
const discovered = async (url: string): Promise<string> => {
  const name = `ollama-${found.port}`
  while ((await originsOf(url)).get(name) !== "discovered") await Bun.sleep(20)
  return name
}

const served = async (url: string): Promise<ReadonlyArray<string>> => {
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: ReadonlyArray<{ id: string }> } // reason: the list is ours
  return data.map(({ id }) => id)
}

/** Each test has a gateway without any config file. */
const withoutFile = async (...args: ReadonlyArray<string>) => {
  const shell = makeShell()
  const gateway = await shell.serving(...args)
  const name = await discovered(gateway.url)
  return { ...gateway, ...shell, name, file: join(shell.cwd, "nexus.toml") }
}

describe.concurrent("a gateway without a config file that has found a server", () => {
  for (const args of [[], ["--workers", "2"]]) {
    test(`writes its first file for \`backends add --save\`, and loses nothing ${args.join(" ")}`, async () => {
      const { nexus, port, url, close, name, file } = await withoutFile(...args)
      const add = await nexus("backends", "add", cloud.url, "--save", "--yes", "-p", port, "--name", "cloud")
      expect(add).toMatchObject({ code: 0, stderr: "" })
      expect(add.stdout).toContain(`Written to ${file}`)
      expect(add.stdout).toContain("goes by this one from now on")
      const text = readFileSync(file, "utf8")
      expect(text).toContain("[[backends]]")
      expect(text).toContain("enabled = false")
      // Each worker is told in a moment of its own.
      let origins = await originsOf(url)
      while (!origins.has("cloud")) origins = await originsOf(url)
      expect([origins.get("cloud"), origins.get(name)]).toEqual(["config", "discovered"])
      let models = await served(url)
      while (!["far", "local"].every((model) => models.includes(model))) models = await served(url)
      // From now on it is a file like any other: it is watched, and edited with its comments kept.
      const again = await nexus("backends", "add", `http://127.0.0.1:${found.port}`, "--save", "-p", port)
      expect(again).toMatchObject({ code: 0, stderr: "" })
      expect(again.stdout).toContain("found by itself before")
      while (origins.get(name) !== "config") origins = await originsOf(url)
      expect(readFileSync(file, "utf8").startsWith(text.trimEnd())).toBe(true)
      writeFileSync(file, `${readFileSync(file, "utf8")}\n[routing.aliases]\nnear = "local"\n`)
      const aliased = async () =>
        (await fetch(`${url}/v1/chat/completions`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "near", messages: [{ role: "user", content: "hi" }] })
        }).then((answer) => answer.status)) === 200
      while (!(await aliased())) await Bun.sleep(50)
      await close()
    })
  }

  test("is left as it is by a script that has not agreed, which is told what would change and how to agree", async () => {
    const { nexus, port, url, close, name, file } = await withoutFile()
    const { code, stdout, stderr } = await nexus("backends", "add", cloud.url, "--save", "-p", port)
    expect([code, stdout]).toEqual([1, ""])
    for (const words of [
      "without a config file",
      "nexus.toml",
      `Discovery stays on: ${name}`,
      "will still be there",
      "--yes"
    ]) {
      expect(stderr).toContain(words)
    }
    expect(existsSync(file)).toBe(false)
    expect([...(await originsOf(url)).keys()]).not.toContain("cloud")
    await close()
  })

  for (const [key, code] of [
    ["n", 1],
    ["y", 0]
  ] as const) {
    test(`asks on a terminal before it writes its first file, and ${key} is an answer`, async () => {
      const { port, close, file } = await withoutFile()
      const terminal = onTerminal({ columns: 120, rows: 30 }, "backends", "add", cloud.url, "--save", "-p", port)
      await until(() => terminal.output().includes("Go on?"), "it asks")
      expect(terminal.output()).toContain("without a config file")
      terminal.type(key)
      expect(await terminal.exited).toBe(code)
      expect(existsSync(file)).toBe(code === 0)
      await terminal.close()
      await close()
    })
  }

  test("keeps it when a hand-written file with the first [[backends]] is taken over", async () => {
    const { nexus, port, url, close, name, file } = await withoutFile()
    writeFileSync(file, `[[backends]]\nname = "cloud"\nurl = "${cloud.url}"\n`)
    expect((await nexus("config", "reload", "-p", port)).code).toBe(0)
    const origins = await originsOf(url)
    expect([origins.get("cloud"), origins.get(name)]).toEqual(["config", "discovered"])
    await close()
  })
})

test("a found server is taken into the file under a name of one's own, and is not there twice", async () => {
  await using gateway = await startProcess({ discovery: { enabled: true } })
  await discovered(gateway.url)
  const shell = makeShell()
  const url = `http://localhost:${found.port}`
  const args = ["--save", "--name", "mine", "-p", String(gateway.port)]
  expect((await shell.nexus("backends", "add", url, ...args)).stdout).toContain(`before, as ollama-${found.port}`)
  while ((await originsOf(gateway.url)).has(`ollama-${found.port}`)) await Bun.sleep(20)
  expect((await originsOf(gateway.url)).get("mine")).toBe("config")
  await shell.close()
})

test("what switching discovery off takes away is told in the log", async () => {
  await using gateway = await startProcess({ discovery: { enabled: true }, logging: { level: "warn", format: "json" } })
  await discovered(gateway.url)
  gateway.rewrite({ discovery: { enabled: false }, logging: { level: "warn", format: "json" } })
  await until(() => gateway.output().includes("discovery is off now, what it found is removed"), "it is told")
  expect(gateway.output()).toContain(`ollama-${found.port}`)
})

test("a directory that cannot be written to is told of, and nothing is changed", async () => {
  const { port, url, cwd, close } = await withoutFile()
  // A directory that is gone is to everybody what one without rights is to all but root.
  rmSync(cwd, { recursive: true })
  const elsewhere = makeShell()
  const run = await elsewhere.nexus("backends", "add", cloud.url, "--save", "--yes", "-p", port)
  expect([run.code, run.stderr]).toEqual([1, expect.stringContaining("nexus.toml cannot be written")])
  expect([...(await originsOf(url)).values()]).not.toContain("config")
  await elsewhere.close()
  await close()
})
