import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { fromSource } from "../kit/program.ts"
import type { Seen } from "../kit/rawServer.ts"
import { makeShell } from "../kit/shell.ts"
import { toyAnswers } from "../kit/toy-kind.ts"

const key = "toy-secret-1234"

/** A toy box; with a key it shows nothing to who has not got it. */
const box = (id: string, isLocked: boolean) => {
  const answers = toyAnswers([{ id, context: 4321 }])
  const isRefused = (request: Seen) => isLocked && request.header("x-toy-key") !== key
  const refusal = [json({ error: "locked" }, 401)]
  return startUpstream({
    models: [],
    script: (request) => (isRefused(request) ? refusal : good(["Hello from ", id])(request)),
    probe: (request) => {
      const told = answers[request.target]
      return isRefused(request) ? refusal : [told === undefined ? json({ error: "no toy" }, 404) : json(told)]
    }
  })
}

const shell = makeShell(fromSource)
let locked: FakeUpstream
let open: FakeUpstream
let env: Record<string, string>
let gateway: Awaited<ReturnType<typeof shell.servingWith>>

const settings = (url: string) => `[server]
port = 0
[[backends]]
name = "chest"
url = "${url}"
type = "toy"
api_key_env = "TOY_KEY"
`

beforeAll(async () => {
  locked = await box("wooden-horse", true)
  open = await box("tin-soldier", false)
  env = {
    TOY_PORT: String(open.port),
    TOY_KEY: key,
    BUN_OPTIONS: `--preload=${join(import.meta.dir, "../kit/with-toy-kind.ts")}`
  }
  writeFileSync(join(shell.cwd, "toys.toml"), settings(locked.url))
  gateway = await shell.servingWith(env, "-c", "toys.toml")
})

afterAll(async () => {
  await shell.close()
  await locked[Symbol.asyncDispose]()
  await open[Symbol.asyncDispose]()
})

const backends = async () => {
  const { backends: all } = (await (await fetch(`${gateway.url}/nexus/backends`)).json()) as {
    readonly backends: ReadonlyArray<Record<string, unknown>>
  } // reason: checked by what is expected of it
  return new Map(all.map((each) => [each["name"], each]))
}

const chat = (model: string) =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }] })
  })

describe("a kind of server that has a file and a line", () => {
  test("is asked for its models in its own words, with its key in a header of its own", async () => {
    expect((await backends()).get("chest")).toMatchObject({
      type: "toy",
      status: "healthy",
      models: [{ id: "wooden-horse", context_length: 4321 }]
    })
  })

  test("is looked for at its port, and told by what it answers", async () => {
    const name = `toy-${open.port}`
    const end = performance.now() + 60_000
    while (!(await backends()).has(name) && performance.now() < end) await Bun.sleep(20)
    expect((await backends()).get(name)).toMatchObject({ type: "toy", models: [{ id: "tin-soldier" }] })
  })

  test("is called where its endpoints are, by any spelling that it takes", async () => {
    const answer = await chat("wooden_horse")
    expect([answer.status, answer.headers.get("x-nexus-backend")]).toEqual([200, "chest"])
    expect(await answer.text()).toContain("Hello from wooden-horse")
    const call = locked.lastCall()
    expect([call.target, call.header("x-toy-key"), call.header("authorization")]).toEqual([
      "/toy/say/chat/completions",
      key,
      undefined
    ])
    expect(JSON.parse(call.text)).toMatchObject({ model: "wooden-horse" })
  })

  test("is known to the doctor, who says how to start one that is not there", async () => {
    const well = await shell.nexusWith(env, "doctor", "-c", "toys.toml", "--no-inference")
    expect(well.stdout).toMatch(/type +toy\n/)
    writeFileSync(join(shell.cwd, "gone.toml"), settings("http://127.0.0.1:1"))
    const gone = await shell.nexusWith(env, "doctor", "-c", "gone.toml", "--no-inference")
    expect(gone.stdout).toContain("→ toybox open")
  })

  test("is in the reference of the settings, and meant by who calls it otherwise", async () => {
    const { stdout } = await shell.nexusWith(env, "config", "schema", "--markdown")
    expect(stdout).toContain('"generic" \\| "toy"')
    writeFileSync(join(shell.cwd, "bad.toml"), settings(locked.url).replace('"toy"', '"Toy-Box"'))
    const { stderr, stdout: told } = await shell.nexusWith(env, "config", "check", "-c", "bad.toml")
    expect(stderr + told).toContain('did you mean "toy"?')
  })
})
