import { afterAll, describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"

const one = await startUpstream({ models: ["m1"] })
const ollama = await startUpstream({ models: ["m2"], type: "ollama" })
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  await ollama[Symbol.asyncDispose]()
})

const call = async ({ url }: Process, method: string, path: string, body?: unknown) => {
  const answer = await fetch(`${url}${path}`, {
    method,
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) })
  })
  return { status: answer.status, body: JSON.parse(await answer.text()) }
}

const ask = (gateway: Process, model: string) =>
  call(gateway, "POST", "/v1/chat/completions", { model, messages: [] }).then(({ status }) => status)

/** Asks until a status comes: workers are told within moments. */
const comes = async (gateway: Process, model: string, wanted: number): Promise<void> => {
  await until(async () => (await ask(gateway, model)) === wanted, `${model} is answered with ${wanted}`)
}

const backends = [backendFor("one", one)]

describe.each([
  ["alone", []],
  ["two workers", ["--workers", "2"]]
] as const)("a running gateway (%s)", (_, args) => {
  test("takes a backend by its address alone, and lets it go again", async () => {
    await using gateway = await startProcess({ backends }, args)
    const added = await call(gateway, "POST", "/admin/v1/backends", { url: `${ollama.url}/v1` })
    expect(added).toMatchObject({
      status: 200,
      body: { name: `ollama-${ollama.port}`, type: "ollama", status: "healthy", models: 1, saved: null }
    })
    await comes(gateway, "m2", 200)
    const removed = await call(gateway, "DELETE", `/admin/v1/backends/ollama-${ollama.port}`)
    expect(removed.status).toBe(200)
    await comes(gateway, "m2", 503)
  })

  test("gives a disabled backend nothing, and a draining one nothing new", async () => {
    await using gateway = await startProcess({ backends }, args)
    for (const action of ["disable", "drain"]) {
      expect((await call(gateway, "POST", `/admin/v1/backends/one/${action}`)).status).toBe(200)
      await comes(gateway, "m1", 503)
      expect((await call(gateway, "POST", "/admin/v1/backends/one/enable")).body).toMatchObject({ mode: "enabled" })
      await comes(gateway, "m1", 200)
    }
  })

  test("brings back what was removed without --save when its config is read anew, and says so before", async () => {
    await using gateway = await startProcess({ backends }, args)
    expect((await call(gateway, "DELETE", "/admin/v1/backends/one")).body.note).toStartWith("It comes back")
    await comes(gateway, "m1", 503)
    const changes = [{ key: "backends.one.url", before: null, after: one.url, needs_restart: false }]
    expect((await call(gateway, "GET", "/admin/v1/config/diff")).body).toEqual({ generation: 1, changes })
    expect((await call(gateway, "POST", "/admin/v1/config/reload")).body).toEqual({ generation: 2, changes })
    await comes(gateway, "m1", 200)
    expect((await call(gateway, "GET", "/admin/v1/config/diff")).body.changes).toEqual([])
  })

  test("writes a backend to its file and takes it out again, comments and all else as they were", async () => {
    await using gateway = await startProcess({ backends }, args)
    const text = `# mine\n[server]\nport = 0\n\n[[backends]] # first\nname = "one"\nurl = "${one.url}"\n\n# last words\n[routing.aliases]\nfast = "m1"\n`
    gateway.rewrite(text)
    expect((await call(gateway, "POST", "/admin/v1/config/reload")).status).toBe(200)
    const added = await call(gateway, "POST", "/admin/v1/backends", {
      url: ollama.url,
      name: "two",
      priority: 3,
      save: true
    })
    expect(added).toMatchObject({ status: 200, body: { name: "two", status: "healthy", saved: gateway.config } })
    const written = readFileSync(gateway.config, "utf8")
    expect(written).toContain(`[[backends]]\nname = "two"\nurl = "${ollama.url}"\ntype = "ollama"\npriority = 3\n`)
    expect(written.replace(/\[\[backends\]\]\nname = "two"[^[#]*/, "")).toBe(text)
    await comes(gateway, "m2", 200)
    expect((await call(gateway, "DELETE", "/admin/v1/backends/two?save=true")).body.saved).toBe(gateway.config)
    expect(readFileSync(gateway.config, "utf8")).toBe(text)
  })
})

describe.each([
  ["alone", []],
  ["two workers", ["--workers", "2"]]
] as const)("changes at the same time (%s)", (_, args) => {
  const names = Array.from({ length: 10 }, (_, each) => `b${each}`)
  const adding = (gateway: Process, save: boolean, given: (each: number) => object) =>
    names.map((_, each) =>
      call(gateway, "POST", "/admin/v1/backends", {
        url: `http://127.0.0.1:${each + 1}`,
        type: "vllm",
        save,
        ...given(each)
      })
    )
  const named = (gateway: Process) =>
    [...readFileSync(gateway.config, "utf8").matchAll(/^name = "(.*)"$/gm)].map(([, name]) => name).sort()

  test("all end up in the file, reloads in between or not", async () => {
    await using gateway = await startProcess({}, args)
    gateway.rewrite(`[server]\nport = 0\n\n[[backends]]\nname = "one"\nurl = "${one.url}"\n`)
    expect((await call(gateway, "POST", "/admin/v1/config/reload")).status).toBe(200)
    const reloads = () => names.map(() => call(gateway, "POST", "/admin/v1/config/reload"))
    const added = await Promise.all([...adding(gateway, true, (each) => ({ name: `b${each}` })), ...reloads()])
    expect(added.filter(({ status }) => status !== 200)).toEqual([])
    expect(named(gateway)).toEqual([...names, "one"].sort())
    const removed = await Promise.all([
      ...names.map((name) => call(gateway, "DELETE", `/admin/v1/backends/${name}?save=true`)),
      ...reloads()
    ])
    expect(removed.filter(({ status }) => status !== 200)).toEqual([])
    expect(named(gateway)).toEqual(["one"])
  }, 120_000)

  test("give one name and one server to one backend alone, saved or not", async () => {
    await using gateway = await startProcess({}, args)
    gateway.rewrite(`[server]\nport = 0\n\n[[backends]]\nname = "one"\nurl = "${one.url}"\n`)
    expect((await call(gateway, "POST", "/admin/v1/config/reload")).status).toBe(200)
    for (const save of [false, true]) {
      const sameName = await Promise.all(
        adding(gateway, save, (each) => ({ name: `n${save}`, url: `http://127.0.0.1:${each + (save ? 31 : 1)}` }))
      )
      const sameServer = await Promise.all(
        adding(gateway, save, (each) => ({ name: `s${save}${each}`, url: `http://127.0.0.1:${save ? 21 : 22}` }))
      )
      for (const answers of [sameName, sameServer]) {
        expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(409)])
      }
    }
  }, 120_000)
})

describe("what cannot be changed is refused in OpenAI's shape:", async () => {
  const gateway = await startProcess({ backends })
  afterAll(() => gateway[Symbol.asyncDispose]())
  const refusals: ReadonlyArray<readonly [string, string, string, unknown, number, string]> = [
    [
      "a name that is taken",
      "POST",
      "/admin/v1/backends",
      { url: ollama.url, name: "one" },
      409,
      "There is a backend 'one' already"
    ],
    [
      "a server that is there by another name of this machine",
      "POST",
      "/admin/v1/backends",
      { url: `http://localhost:${one.port}/v1/`, type: "vllm", name: "again" },
      409,
      "'one' is the same server with the same key already"
    ],
    [
      "an address without a scheme",
      "POST",
      "/admin/v1/backends",
      { url: "h:1" },
      400,
      "expected a URL that begins with http"
    ],
    [
      "an address where nothing answers",
      "POST",
      "/admin/v1/backends",
      { url: "http://127.0.0.1:1" },
      400,
      "No LLM server"
    ],
    ["a bad name", "POST", "/admin/v1/backends", { url: ollama.url, name: "a b" }, 400, "expected 1 to 64 letters"],
    [
      "a variable that is not set",
      "POST",
      "/admin/v1/backends",
      { url: ollama.url, api_key_env: "NO_SUCH" },
      400,
      "not set"
    ],
    [
      "a backend that is not there",
      "DELETE",
      "/admin/v1/backends/nope",
      undefined,
      404,
      "No backend 'nope'. There are: one"
    ],
    ["draining one that is not there", "POST", "/admin/v1/backends/nope/drain", undefined, 404, "No backend 'nope'"],
    ["a body that is no JSON", "POST", "/admin/v1/backends", "{", 400, "Expected a valid JSON body"],
    ["a body without a url", "POST", "/admin/v1/backends", {}, 400, "url"],
    ["an unknown action", "POST", "/admin/v1/backends/one/explode", undefined, 400, "action"],
    ["a wrong method", "PUT", "/admin/v1/backends/one", undefined, 405, "use DELETE"]
  ]
  for (const [what, method, path, body, status, words] of refusals) {
    test(what, async () => {
      const answer = await call(gateway, method, path, body)
      expect(answer.status).toBe(status)
      expect(answer.body.error.message).toContain(words)
      expect(Object.keys(answer.body.error).sort()).toEqual(["code", "message", "param", "type"])
    })
  }

  test("a file with mistakes of its own is not written to", async () => {
    const broken = `[[backends]]\nname = "one"\nurl = "${one.url}"\n[routing]\nstrategy = "smrt"\n`
    await using other = await startProcess({ backends, server: { watch_config: false } })
    other.rewrite(broken)
    const answer = await call(other, "POST", "/admin/v1/backends", { url: ollama.url, save: true })
    expect(answer.status).toBe(422)
    expect(answer.body.error.message).toContain("smrt")
    expect(readFileSync(other.config, "utf8")).toBe(broken)
  })
})

test("a backend that is removed or disabled finishes what it has been given", async () => {
  const gate = Promise.withResolvers<void>()
  await using slow = await startUpstream({
    models: ["slow"],
    script: async function* (request) {
      await gate.promise
      yield* good(["the end"])(request)
    }
  })
  await using gateway = await startProcess({ backends: [backendFor("slow", slow)] })
  const first = ask(gateway, "slow")
  await until(() => slow.busy() === 1, "a request under way")
  const drained = await call(gateway, "POST", "/admin/v1/backends/slow/drain")
  expect(drained.body).toMatchObject({ mode: "draining", in_flight: 1 })
  expect(await ask(gateway, "slow")).toBe(503)
  expect((await call(gateway, "DELETE", "/admin/v1/backends/slow")).status).toBe(200)
  gate.resolve()
  expect(await first).toBe(200)
})
