import { afterAll, describe, expect, test } from "bun:test"
import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { chatEvents, chunk, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream, streamed, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type Process, startProcess, until } from "../kit/gateway.ts"
import { makeShell } from "../kit/shell.ts"

interface Config {
  readonly generation: number
  readonly needs_restart: ReadonlyArray<string>
  readonly failure: { readonly message: string } | null
}

const one = await startUpstream({ models: ["m1"] })
const two = await startUpstream({ models: ["m2"] })
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  await two[Symbol.asyncDispose]()
})

const health = async ({
  url
}: Process): Promise<{ readonly config: Config; readonly details: ReadonlyArray<{ readonly name: string }> }> =>
  JSON.parse(await (await fetch(`${url}/health`)).text())

const configOf = async (gateway: Process): Promise<Config> => (await health(gateway)).config

/** Looks again and again until the config stands as it should. */
const configWhen = async (gateway: Process, stands: (config: Config) => boolean, what: string): Promise<Config> => {
  const end = performance.now() + 100_000
  while (performance.now() < end) {
    const config = await configOf(gateway)
    if (stands(config)) return config
    await Bun.sleep(10)
  }
  throw new Error(`not within 100 s: ${what}\n${gateway.output()}`)
}

const generation = (gateway: Process, wanted: number): Promise<Config> =>
  configWhen(gateway, (config) => config.generation >= wanted, `generation ${wanted}`)

const refusal = async (gateway: Process): Promise<string> => {
  const { failure } = await configWhen(gateway, (config) => config.failure !== null, "a refused config")
  return failure?.message ?? ""
}

const ask = async ({ url }: Process, model: string) => {
  const body = JSON.stringify({ model, messages: [] })
  const answer = await fetch(`${url}/v1/chat/completions`, { method: "POST", body })
  await answer.text()
  return answer.status
}

const backends = [backendFor("one", one)]

describe.each([
  ["alone", []],
  ["two workers", ["--workers", "2"]]
] as const)("a gateway (%s)", (_, args) => {
  test.concurrent("takes over its file when it changes, and the models of new backends can be asked for at once", async () => {
    await using gateway = await startProcess({ backends }, args)
    expect(await ask(gateway, "m2")).toBe(404)
    gateway.rewrite({ backends: [...backends, backendFor("two", two)], routing: { aliases: { fast: "m2" } } })
    await generation(gateway, 2)
    // The other worker is told within moments.
    await until(async () => (await ask(gateway, "fast")) === 200, "it can be asked for")
    // Nor need the one that is asked next be the one that answered.
    const names = async () => (await health(gateway)).details.map(({ name }) => name)
    let told = await names()
    await until(async () => told.length > 1 || (told = await names()).length > 1, "both are told of")
    expect(told).toEqual(["one", "two"])
  })

  test.concurrent("takes it over on SIGHUP as well, and says what waits for the next start", async () => {
    const logging = { level: "info", format: "json" }
    await using gateway = await startProcess({ backends, logging, server: { watch_config: false } }, args)
    gateway.rewrite({ backends, logging, server: { port: 1, watch_config: false }, routing: { max_retries: 0 } })
    gateway.signal("SIGHUP")
    expect((await generation(gateway, 2)).needs_restart).toEqual(["server.port"])
    expect(await ask(gateway, "m1")).toBe(200)
    gateway.signal("SIGHUP")
    await until(() => gateway.output().includes("config read anew, nothing has changed"), "the log says so")
  })

  test.concurrent("keeps its config when the file has mistakes, says why, and recovers with the file", async () => {
    await using gateway = await startProcess({ backends, logging: { level: "info", format: "json" } }, args)
    gateway.rewrite(`[routing]\nstrategy = "smrt"\n`)
    expect(await refusal(gateway)).toContain(`nexus.toml:2: routing.strategy = "smrt"`)
    await until(
      () => gateway.output().includes("config not taken over, the last one stays in force"),
      "the log says so"
    )
    expect(await ask(gateway, "m1")).toBe(200)
    expect((await configOf(gateway)).generation).toBe(1)
    gateway.rewrite({ backends, routing: { max_retries: 1 } })
    expect((await generation(gateway, 2)).failure).toBeNull()
  })
})

test.concurrent("a syntax error is told without the lines of the file, which may hold a secret", async () => {
  await using gateway = await startProcess({ backends })
  // Lines are numbered in the excerpt, and padded where the numbers get longer.
  gateway.rewrite(`${"# words\n".repeat(7)}a = "sk-secret-above"\nb = "sk-secret-of-mine\nc = "sk-secret-below"\n`)
  const said = await refusal(gateway)
  expect(said).toContain("nexus.toml:9")
  expect(said).not.toContain("sk-secret")
  expect(gateway.output()).not.toContain("sk-secret")
})

test("200 streams that are under way when the config changes all come to their end, backends removed or not", async () => {
  const count = 200
  const gate = Promise.withResolvers<void>()
  let waiting = 0
  await using slow = await startUpstream({
    models: ["slow"],
    script: async function* (request) {
      if (!wantsStream(request)) return yield* good()(request)
      const events = [...chatEvents("slow", ["one ", "two ", "three"])]
      yield streamHead()
      yield chunk(events.slice(0, 2).join(""))
      waiting += 1
      await gate.promise
      for (const event of events.slice(2)) yield chunk(event)
      yield lastChunk
    }
  })
  await using gateway = await startProcess({ backends: [backendFor("slow", slow), ...backends] })
  const streams = Array.from({ length: count }, async () => {
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      body: JSON.stringify({ model: "slow", messages: [], stream: true })
    })
    return answer.text()
  })
  await until(() => waiting === count, "all streams under way")
  gateway.rewrite({ backends, server: { max_concurrent_requests: 5, idle_timeout_seconds: 60 } })
  await generation(gateway, 2)
  expect((await health(gateway)).details.map(({ name }) => name)).toEqual(["one"])
  gate.resolve()
  const texts = await Promise.all(streams)
  expect(texts.filter((text) => text.includes("three") && text.endsWith("data: [DONE]\n\n")).length).toBe(count)
}, 120_000)

test.concurrent("a backend the change does not touch keeps its connection, its counters and its probes", async () => {
  await using calm = await startUpstream({
    models: ["m1"],
    script: (request) => (wantsStream(request) ? streamed(chatEvents("m1", ["a"])) : good()(request))
  })
  await using gateway = await startProcess({ backends: [backendFor("calm", calm)] })
  expect(await ask(gateway, "m1")).toBe(200)
  const probes = calm.probes().length
  gateway.rewrite({ backends: [backendFor("calm", calm)], routing: { max_retries: 0 } })
  await generation(gateway, 2)
  const [listed] = JSON.parse(await (await fetch(`${gateway.url}/nexus/backends`)).text()).backends
  expect(listed.status).toBe("healthy")
  expect(listed.latency_ms).toBeGreaterThan(0)
  expect(calm.probes().length).toBe(probes)
  expect(readFileSync(gateway.config, "utf8")).toContain("max_retries")
})

test.concurrent("a file that would let everybody in at the address the gateway is bound to is refused, whatever host it names", async () => {
  await using gateway = await startProcess(
    { backends, server: { host: "0.0.0.0" }, auth: { keys: [{ name: "one", env: "GATEWAY_KEY_OF_TEST" }] } },
    [],
    { GATEWAY_KEY_OF_TEST: "key" }
  )
  gateway.rewrite({ backends })
  const reload = () =>
    fetch(`http://127.0.0.1:${gateway.port}/admin/v1/config/reload`, {
      method: "POST",
      headers: { authorization: "Bearer key" }
    })
  const answer = await reload()
  expect(answer.status).toBe(422)
  expect(await answer.text()).toContain("an address beyond this machine needs keys")
  expect((await fetch(`http://127.0.0.1:${gateway.port}/v1/models`)).status).toBe(401)
})

test.concurrent("when the search for servers is switched off by a reload, what it found is forgotten", async () => {
  await using found = await startUpstream({ models: ["m9"], type: "ollama" })
  const hosts = [`127.0.0.1:${found.port}`]
  await using gateway = await startProcess({ discovery: { enabled: true, hosts } })
  const there = async () => (await health(gateway)).details.some(({ name }) => name.includes(String(found.port)))
  while (!(await there())) await Bun.sleep(20)
  gateway.rewrite({ discovery: { enabled: false } })
  await generation(gateway, 2)
  while (await there()) await Bun.sleep(20)
})

test.concurrent("workers do not get back what was removed by command when the config is told to them again", async () => {
  await using gateway = await startProcess({ backends: [...backends, backendFor("two", two)] }, ["--workers", "2"])
  expect((await fetch(`${gateway.url}/admin/v1/backends/two`, { method: "DELETE" })).status).toBe(200)
  gateway.rewrite({ backends: [...backends, backendFor("two", two)], routing: { max_retries: 0 } })
  await generation(gateway, 1)
  const all = async () => (await health(gateway)).details.map(({ name }) => name)
  gateway.rewrite({ backends, routing: { max_retries: 1 } })
  await generation(gateway, 2)
  // Whichever worker is asked.
  for (let times = 0; times < 40; times += 1) {
    if ((await all()).includes("two")) await Bun.sleep(25)
  }
  for (let times = 0; times < 20; times += 1) expect(await all()).toEqual(["one"])
})

describe("a gateway whose file is lost keeps its config, and says why:", () => {
  const lost = "there is no such file; the last config stays in force"

  test.concurrent("by watch, SIGHUP and command, of a file that was named", async () => {
    const settings = { backends, logging: { level: "warn", format: "json" } }
    await using gateway = await startProcess(settings)
    rmSync(gateway.config)
    expect(await refusal(gateway)).toBe(`${gateway.config}: ${lost}`)
    const answer = await fetch(`${gateway.url}/admin/v1/config/reload`, { method: "POST" })
    expect(await answer.text()).toContain(lost)
    expect(answer.ok).toBe(false)
    gateway.signal("SIGHUP")
    await until(() => gateway.output().split(lost).length > 3, "the signal is refused as well")
    expect((await configOf(gateway)).generation).toBe(1)
    expect(await ask(gateway, "m1")).toBe(200)
    gateway.rewrite(settings)
    expect((await configWhen(gateway, ({ failure }) => failure === null, "the file is back")).generation).toBe(1)
  })

  test.concurrent("a file emptied by others is not taken over, one that is said to be right is", async () => {
    await using gateway = await startProcess({ backends })
    gateway.rewrite("# nothing\n \n")
    expect(await refusal(gateway)).toBe(`${gateway.config}: is empty; the last config stays in force`)
    expect(await ask(gateway, "m1")).toBe(200)
    const answer = await fetch(`${gateway.url}/admin/v1/config/reload`, { method: "POST" })
    expect(answer.status).toBe(200)
    expect((await configOf(gateway)).failure).toBeNull()
    expect((await health(gateway)).details).toEqual([])
  })
})

describe("nexus.toml of the directory,", () => {
  const { close, cwd, nexus, serving } = makeShell()
  afterAll(close)
  const file = join(cwd, "nexus.toml")
  const text = `[server]\nwatch_config = false\n[[backends]]\nname = "one"\nurl = "${one.url}"\n`

  test("found later by a gateway without a file, is taken over on command, and kept when it vanishes", async () => {
    const { port } = await serving()
    const reload = () => nexus("config", "reload", "-p", port)
    writeFileSync(file, text)
    expect(await reload()).toMatchObject({ code: 0 })
    rmSync(file)
    expect(await reload()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("nexus.toml: there is no such file; the last config stays in force")
    })
    expect((await fetch(`http://127.0.0.1:${port}/health`).then((answer) => answer.text())).includes('"one"')).toBe(
      true
    )
  })
})
