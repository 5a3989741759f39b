import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chunk, json, lastChunk } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, startProcess, until } from "../kit/gateway.ts"
import {
  startLlamaRouter,
  startLlamaSwap,
  startLmStudio,
  startModelOllama,
  startVllm,
  toldOf
} from "../kit/modelServers.ts"
import { line, linesHead, linesIn } from "../kit/ollama.ts"
import { lines, makeShell } from "../kit/shell.ts"
import { onTerminal } from "../kit/terminal.ts"

setDefaultTimeout(60_000)

const { close, nexus } = makeShell()
afterAll(close)

const order = async ({ url }: Pick<Gateway, "url">, action: string, body: unknown, headers = {}) => {
  const answer = await fetch(`${url}/admin/v1/models/${action}`, {
    method: "POST",
    body: JSON.stringify(body),
    headers
  })
  return { status: answer.status, type: answer.headers.get("content-type"), text: await answer.text() }
}

const withoutTime = (event: Readonly<Record<string, unknown>>) => {
  expect(event["seconds"]).toBeNumber()
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== "seconds"))
}

const events = async (gateway: Pick<Gateway, "url">, action: string, body: unknown) =>
  linesIn((await order(gateway, action, body)).text).map(withoutTime)

/** The events of an action that the server ends no sooner than this many were told. */
const eventsOnceTold = async (
  gateway: Pick<Gateway, "url">,
  count: number,
  end: () => void,
  ...[action, body]: readonly [string, unknown]
) => {
  const answer = await fetch(`${gateway.url}/admin/v1/models/${action}`, { method: "POST", body: JSON.stringify(body) })
  const told: Array<Readonly<Record<string, unknown>>> = []
  let text = ""
  for await (const piece of answer.body ?? []) {
    text += Buffer.from(piece).toString()
    const whole = text.slice(0, text.lastIndexOf("\n") + 1)
    text = text.slice(whole.length)
    if (whole !== "") told.push(...linesIn(whole).map(withoutTime))
    if (told.length >= count) end()
  }
  return told
}

const errorOf = async (gateway: Pick<Gateway, "url">, action: string, body: unknown) => {
  const { status, text } = await order(gateway, action, body)
  return { status, ...JSON.parse(text).error }
}

const ollama = (name: string, server: { readonly url: string }, more = {}) =>
  backendFor(name, server, { type: "ollama", ...more })

const loadedAt = (gateway: Gateway, backend: string, model: string) =>
  gateway.running.snapshot().backends.get(backend)?.models.get(model)?.loaded

describe("an Ollama", () => {
  test("loads and unloads a model when it is told to, and the lists are right at once", async () => {
    await using lab = await startModelOllama("qwen3:8b")
    await using gateway = await startGateway({
      backends: [ollama("lab", lab, { keep_alive: "30m", options: { num_ctx: 8192 } })]
    })
    expect(loadedAt(gateway, "lab", "qwen3:8b")).toBe(false)
    const about = { action: "load", backend: "lab", model: "qwen3:8b" }
    expect(await events(gateway, "load", { model: "qwen3:8b" })).toEqual([
      { ...about, status: "loading" },
      { ...about, status: "done", done: true }
    ])
    expect(loadedAt(gateway, "lab", "qwen3:8b")).toBe(true)
    expect(toldOf(lab.server, "/api/generate")).toEqual([
      { model: "qwen3:8b", keep_alive: "30m", options: { num_ctx: 8192 }, stream: false }
    ])
    expect((await events(gateway, "unload", { model: "qwen3:8b", backend: "lab" })).at(-1)).toMatchObject({
      done: true
    })
    expect(loadedAt(gateway, "lab", "qwen3:8b")).toBe(false)
  })

  test("loads a model that makes embeddings alone by the way that has one", async () => {
    await using lab = await startModelOllama("bge:latest")
    lab.embedders.add("bge:latest")
    await using gateway = await startGateway({ backends: [ollama("lab", lab)] })
    expect((await events(gateway, "load", { model: "bge" })).at(-1)).toMatchObject({ done: true, model: "bge:latest" })
    expect(toldOf(lab.server, "/api/embed")).toEqual([{ model: "bge:latest", input: "" }])
  })

  test("tells how far a pull is while it goes on, and has the model listed when it is done", async () => {
    await using lab = await startModelOllama()
    const more = Promise.withResolvers<void>()
    lab.pulls(async function* () {
      yield linesHead
      yield chunk(line({ status: "pulling manifest" }))
      yield chunk(line({ status: "pulling abc", digest: "sha256:abc", total: 4000, completed: 1000 }))
      await more.promise
      lab.disk.add("new:latest")
      yield chunk(line({ status: "pulling abc", digest: "sha256:abc", total: 4000, completed: 4000 }).slice(0, 20))
      yield chunk(line({ status: "pulling abc", digest: "sha256:abc", total: 4000, completed: 4000 }).slice(20))
      yield chunk(line({ status: "success" }))
      yield lastChunk
    })
    await using gateway = await startGateway({ backends: [ollama("lab", lab)] })
    const answer = await fetch(`${gateway.url}/admin/v1/models/pull`, {
      method: "POST",
      body: JSON.stringify({ model: "new" })
    })
    expect(answer.headers.get("content-type")).toBe("application/x-ndjson")
    let text = ""
    for await (const piece of answer.body ?? []) {
      text += new TextDecoder().decode(piece)
      if (text.includes('"completed":1000')) more.resolve()
    }
    expect(linesIn(text)).toMatchObject([
      { status: "pulling manifest" },
      { status: "pulling abc", completed: 1000, total: 4000 },
      { status: "pulling abc", completed: 4000, total: 4000 },
      { status: "done", done: true }
    ])
    expect(gateway.backend("lab").models.map(({ id }) => id)).toEqual(["new:latest"])
  })

  test("says with a status of its own why it does not, and after the first words in the last line", async () => {
    await using lab = await startModelOllama("big:70b")
    await using gateway = await startGateway({ backends: [ollama("lab", lab)] })
    const reason = "model requires more system memory (40.1 GiB) than is available (12.3 GiB)"
    lab.loads(() => [json({ error: reason }, 500)])
    expect(await errorOf(gateway, "load", { model: "big:70b" })).toMatchObject({
      status: 507,
      code: "not_enough_room",
      message: `Backend 'lab' did not load 'big:70b': ${reason}`
    })
    lab.loads(() => [json({ error: `llama runner at ${lab.url} has terminated` }, 500)])
    expect(await errorOf(gateway, "load", { model: "big:70b" })).toMatchObject({
      status: 502,
      message: "Backend 'lab' did not load 'big:70b': llama runner at [address] has terminated"
    })
    lab.loads(undefined)
    expect(await errorOf(gateway, "load", { model: "gone:1b", backend: "lab" })).toMatchObject({
      status: 404,
      code: "model_not_found"
    })
    // A pull fails under a good status.
    const lost = { error: "pull model manifest: file does not exist" }
    lab.pulls(() => [linesHead, chunk(line(lost)), lastChunk])
    expect(await errorOf(gateway, "pull", { model: "nonsense" })).toMatchObject({
      status: 404,
      code: "model_not_found"
    })
    lab.pulls(() => [
      linesHead,
      chunk(line({ status: "pulling abc", total: 4000, completed: 1 })),
      chunk(line({ error: "write /models/abc: no space left on device" })),
      lastChunk
    ])
    expect((await events(gateway, "pull", { model: "large" })).at(-1)).toMatchObject({
      status: "failed",
      error: { code: "not_enough_room" }
    })
    lab.pulls(() => [linesHead, chunk(line({ status: "pulling abc", total: 4000, completed: 1 })), "fin"])
    expect((await events(gateway, "pull", { model: "large" })).at(-1)).toMatchObject({
      status: "failed",
      error: { code: "bad_gateway" }
    })
    lab.pulls(() => [linesHead, chunk(line({ status: "pulling manifest" })), lastChunk])
    expect(await errorOf(gateway, "pull", { model: "large" })).toMatchObject({ status: 502 })
  })

  test("is not left at work when whoever asked for it leaves", async () => {
    await using lab = await startModelOllama("slow:1b")
    lab.pulls(() => [linesHead, chunk(line({ status: "pulling abc", total: 4000, completed: 1 })), "hang"])
    lab.loads(() => ["hang"])
    await using gateway = await startGateway({ backends: [ollama("lab", lab)] })
    for (const [action, path] of [
      ["pull", "/api/pull"],
      ["load", "/api/generate"]
    ] as const) {
      const abort = new AbortController()
      const asked = fetch(`${gateway.url}/admin/v1/models/${action}`, {
        method: "POST",
        body: JSON.stringify({ model: "slow:1b" }),
        signal: abort.signal
      })
      asked.catch(() => undefined)
      await until(() => lab.server.requests.some(({ target }) => target === path), "it has been asked")
      const gone = lab.server.requests.find(({ target }) => target === path)?.gone
      abort.abort()
      await gone
    }
  })
})

describe("an LM Studio", () => {
  test("loads a model once, unloads all of its instances, and tells how far a download is", async () => {
    await using lab = await startLmStudio("qwen/qwen3-8b")
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "lmstudio" })] })
    const order = { model: "qwen/qwen3-8b" }
    for (let times = 0; times < 2; times += 1) {
      expect((await events(gateway, "load", order)).at(-1)).toMatchObject({ done: true })
      expect([...lab.instances]).toEqual([["qwen/qwen3-8b", "qwen/qwen3-8b"]])
    }
    expect(loadedAt(gateway, "lab", "qwen/qwen3-8b")).toBe(true)
    lab.instances.set("qwen/qwen3-8b:2", "qwen/qwen3-8b")
    expect((await events(gateway, "unload", order)).at(-1)).toMatchObject({ done: true })
    expect([...lab.instances]).toEqual([])
    expect(await events(gateway, "pull", { model: "new" })).toMatchObject([
      { status: "downloading", completed: 0, total: 4000 },
      { status: "downloading", completed: 2000, total: 4000 },
      { done: true }
    ])
    expect((await events(gateway, "pull", { model: "new" })).at(-1)).toMatchObject({ done: true })
    lab.ends("failed")
    expect((await events(gateway, "pull", { model: "other" })).at(-1)).toMatchObject({ error: { code: "bad_gateway" } })
    expect(await errorOf(gateway, "load", { model: "gone", backend: "lab" })).toMatchObject({ status: 404 })
  })
})

describe("a llama-server without a model of its own", () => {
  test("loads, unloads and downloads models, and tells how far it is by its events", async () => {
    await using lab = await startLlamaRouter("a", "b")
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "llamacpp" })] })
    const about = { action: "load", backend: "lab", model: "a" }
    expect(await eventsOnceTold(gateway, 2, lab.holds(), "load", { model: "a" })).toEqual([
      { ...about, status: "loading" },
      { ...about, status: "loading text_model", completed: 0.25, total: 1 },
      { ...about, status: "done", done: true }
    ])
    // It is there already.
    expect((await events(gateway, "load", { model: "a" })).at(-1)).toMatchObject({ done: true })
    expect((await events(gateway, "unload", { model: "a" })).at(-1)).toMatchObject({ done: true })
    expect(lab.models.get("a")).toEqual({ value: "unloaded" })
    const pulled = await eventsOnceTold(gateway, 2, lab.holds(), "pull", { model: "new/model:Q4" })
    expect(pulled).toContainEqual(expect.objectContaining({ status: "downloading", completed: 1000, total: 4000 }))
    expect(pulled.at(-1)).toMatchObject({ done: true })
    expect(await errorOf(gateway, "pull", { model: "nonsense" })).toMatchObject({
      status: 502,
      message: "Backend 'lab' did not pull 'nonsense': model validation failed, unable to download"
    })
    expect(await errorOf(gateway, "load", { model: "c", backend: "lab" })).toMatchObject({
      status: 404,
      message: "Backend 'lab' did not load 'c': it has no such model"
    })
  })

  test("tells of a load that fails after it was begun", async () => {
    await using lab = await startLlamaRouter("a")
    lab.breaks()
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "llamacpp" })] })
    expect((await eventsOnceTold(gateway, 2, lab.holds(), "load", { model: "a" })).at(-1)).toMatchObject({
      status: "failed",
      error: { message: expect.stringContaining("exit code 1") }
    })
  })

  test("is told from one that was started with a model, which can do nothing of it", async () => {
    await using lab = await startUpstream({ models: ["m"], type: "llamacpp" })
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "llamacpp" })] })
    const refused = await errorOf(gateway, "load", { model: "m" })
    expect(refused).toMatchObject({ status: 501, code: "not_implemented" })
    expect(refused.message).toContain("router mode")
  })
})

test("a llama-swap starts and stops the server of a model, and tells of one that does not start", async () => {
  await using lab = await startLlamaSwap("org/a", "b")
  await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "llamaswap" })] })
  const about = { action: "load", backend: "lab", model: "org/a" }
  const told = await eventsOnceTold(gateway, 2, lab.holds(), "load", { model: "org/a" })
  expect(told.slice(0, 2)).toEqual([
    { ...about, status: "starting" },
    { ...about, status: "starting" }
  ])
  expect(told.at(-1)).toEqual({ ...about, status: "done", done: true })
  expect(loadedAt(gateway, "lab", "org/a")).toBe(true)
  expect((await events(gateway, "unload", { model: "org/a" })).at(-1)).toMatchObject({ done: true })
  expect([...lab.running]).toEqual([])
  lab.breaks()
  expect((await eventsOnceTold(gateway, 2, lab.holds(), "load", { model: "b" })).at(-1)).toMatchObject({
    error: { message: "Backend 'lab' did not load 'b': unable to start process: exit status 1" }
  })
  expect(await errorOf(gateway, "load", { model: "c", backend: "lab" })).toMatchObject({ status: 404 })
})

describe("a vLLM", () => {
  test("sleeps and wakes up in its development mode", async () => {
    await using lab = await startVllm()
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "vllm" })] })
    expect((await events(gateway, "unload", { model: "m" })).at(-1)).toMatchObject({ done: true })
    expect(lab.sleeping()).toBe(true)
    expect((await events(gateway, "load", { model: "m" })).at(-1)).toMatchObject({ done: true })
    expect(lab.sleeping()).toBe(false)
    expect(await errorOf(gateway, "pull", { model: "m" })).toMatchObject({ status: 501 })
  })

  test.each([
    ["outside of it", { dev: false }, "VLLM_SERVER_DEV_MODE=1"],
    ["without the flag for it", { sleeps: false }, "--enable-sleep-mode"]
  ])("says what is missing %s", async (_, options, words) => {
    await using lab = await startVllm(options)
    await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "vllm" })] })
    const refused = await errorOf(gateway, "unload", { model: "m" })
    expect(refused).toMatchObject({ status: 501, code: "not_implemented" })
    expect(refused.message).toContain(words)
  })
})

describe("which backend is meant", () => {
  test("is said where several could be, by a flag or behind the name of the model", async () => {
    await using one = await startModelOllama("m:1b")
    await using two = await startModelOllama("m:1b")
    await using gpu = await startUpstream({ models: ["m:1b", "other"], type: "sglang" })
    await using gateway = await startGateway({
      backends: [ollama("one", one), ollama("two", two), backendFor("gpu", gpu, { type: "sglang" })],
      routing: { aliases: { small: "m:1b" } }
    })
    expect(await errorOf(gateway, "load", { model: "m:1b" })).toMatchObject({
      status: 400,
      param: "backend",
      message: "Several backends could load 'm:1b': one, two. Name one of them: --backend (backend), or m:1b@one"
    })
    expect((await events(gateway, "load", { model: "small@two" })).at(-1)).toMatchObject({ backend: "two", done: true })
    expect(two.memory.has("m:1b")).toBe(true)
    // Of two that have it, the one that has it loaded is the one to unload it.
    expect((await events(gateway, "unload", { model: "m:1b" })).at(-1)).toMatchObject({ backend: "two", done: true })
    expect(await errorOf(gateway, "pull", { model: "new" })).toMatchObject({ status: 400, param: "backend" })
    expect(await errorOf(gateway, "load", { model: "m:1b", backend: "tow" })).toMatchObject({
      status: 404,
      code: "backend_not_found"
    })
    const cannot = await errorOf(gateway, "load", { model: "other" })
    expect(cannot).toMatchObject({ status: 501, code: "not_implemented" })
    expect(cannot.message).toStartWith("Backend 'gpu' cannot load models when asked to: it is of kind SGLang")
    expect(cannot.message).toContain("one, two")
    expect(await errorOf(gateway, "load", { model: "nobodys" })).toMatchObject({ status: 404, code: "model_not_found" })
    expect(await errorOf(gateway, "load", { model: "" })).toMatchObject({ status: 400, param: "model" })
    expect(await errorOf(gateway, "load", [])).toMatchObject({ status: 400 })
  })

  test("is nobody where no backend can", async () => {
    await using gpu = await startUpstream({ models: ["m"], type: "sglang" })
    await using gateway = await startGateway({ backends: [backendFor("gpu", gpu, { type: "sglang" })] })
    const refused = await errorOf(gateway, "pull", { model: "m" })
    expect(refused).toMatchObject({ status: 501, code: "not_implemented" })
    expect(refused.message).toContain("Ollama")
  })
})

test("models are loaded for administrators alone", async () => {
  await using lab = await startModelOllama("m:1b")
  const digest = (key: string) => createHash("sha256").update(key).digest()
  const authKeys = [
    { name: "admin", digest: digest("sk-admin"), admin: true },
    { name: "client", digest: digest("sk-client") }
  ]
  await using gateway = await startGateway(
    { backends: [ollama("lab", lab)], server: { host: "127.0.0.1" } },
    { backendKeys: new Map(), authKeys }
  )
  expect((await order(gateway, "load", { model: "m:1b" })).status).toBe(401)
  const key = { authorization: "Bearer sk-admin" }
  expect((await order(gateway, "load", { model: "m:1b" }, key)).status).toBe(200)
})

describe("nexus models", () => {
  test("loads, pulls and unloads, in words and in JSON, also through workers", async () => {
    await using lab = await startModelOllama("m:1b")
    await using gateway = await startProcess({ backends: [ollama("lab", lab)] }, ["--workers", "2"])
    const at = ["--port", new URL(gateway.url).port]
    const loaded = await nexus("models", "load", "m:1b", ...at)
    expect({ code: loaded.code, stderr: loaded.stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(loaded.stdout)).toEqual([
      expect.stringMatching(/^loading {2}\d+s$/),
      expect.stringMatching(/^m:1b is loaded at lab, after \d+\.\d s\.$/)
    ])
    const unloaded = await nexus("models", "unload", "m:1b", "--json", ...at)
    expect(linesIn(unloaded.stdout).at(-1)).toMatchObject({ action: "unload", backend: "lab", done: true })
    lab.pulls(() => [
      linesHead,
      chunk(line({ status: "pulling abc", total: 4_700_000_000, completed: 1_000_000_000 })),
      chunk(line({ error: "pull model manifest: file does not exist" })),
      lastChunk
    ])
    const pulled = await nexus("models", "pull", "nope", "--backend", "lab", ...at)
    expect(pulled.code).toBe(1)
    expect(pulled.stdout).toMatch(/^pulling abc {2} 21 % {2}1\.0 GB of 4\.7 GB {2}\d+s\n$/)
    expect(pulled.stderr).toBe("error: Backend 'lab' did not pull 'nope': pull model manifest: file does not exist\n")
    const unknown = await nexus("models", "load", "m:1b", "--backend", "lap", ...at)
    expect(unknown).toEqual({ code: 1, stdout: "", stderr: "error: No backend 'lap'. There are: lab\n" })
    expect((await nexus("models", "load", ...at)).code).toBe(2)
  })

  test("loads a model through the socket of the administration", async () => {
    await using lab = await startModelOllama("m:1b")
    const folder = mkdtempSync(join(tmpdir(), "nexus-models-"))
    await using gateway = await startProcess({
      admin: { listen: join(folder, "admin.sock") },
      backends: [ollama("lab", lab)]
    })
    const loaded = await nexus("models", "load", "m:1b", "-c", gateway.config, "-p", String(gateway.port))
    expect({ code: loaded.code, stderr: loaded.stderr }).toEqual({ code: 0, stderr: "" })
    expect(lines(loaded.stdout).at(-1)).toStartWith("m:1b is loaded at lab")
    const refused = await nexus("models", "load", "n", "-b", "lab", "-c", gateway.config, "-p", String(gateway.port))
    expect(refused.stderr).toBe("error: Backend 'lab' did not load 'n': model 'n' not found\n")
    rmSync(folder, { recursive: true, force: true })
  })

  test("draws a bar on a terminal, which is gone when it is done", async () => {
    await using lab = await startModelOllama()
    const seen = Promise.withResolvers<void>()
    lab.pulls(async function* () {
      yield linesHead
      yield chunk(line({ status: "pulling abc", total: 4_000_000_000, completed: 1_000_000_000 }))
      await seen.promise
      lab.disk.add("new:1b")
      yield chunk(line({ status: "success" }))
      yield lastChunk
    })
    await using gateway = await startGateway({ backends: [ollama("lab", lab)] })
    const terminal = onTerminal({ columns: 100, rows: 20 }, "models", "pull", "new:1b", "-p", String(gateway.port))
    await until(
      () => /pulling abc {2}\[=+ +\] {3}25 % {2}1\.0 GB of 4\.0 GB/.test(terminal.output()),
      "the bar is drawn"
    )
    seen.resolve()
    expect(await terminal.exited).toBe(0)
    const last = terminal.output().split("\r\u001b[K").at(-1)
    expect(last).toMatch(/^new:1b is there at lab, after \d+\.\d s\.\r\n$/)
    await terminal.close()
  })
})
