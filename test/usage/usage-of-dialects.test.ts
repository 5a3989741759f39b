import { afterAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { chatEvents, chunk, completion, delta, done, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { claude, claudeEvent } from "../kit/claude.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"
import type { BackendType } from "../../src/backend/all.ts"

const folder = mkdtempSync(join(tmpdir(), "nexus-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Server {
  readonly name: string
  readonly script: Script
  readonly models?: ReadonlyArray<string>
  readonly type?: BackendType
  readonly more?: SettingsTree
}

let worlds = 0

/** Servers behind a gateway that writes down what requests take. */
const world = async (servers: ReadonlyArray<Server>, settings: SettingsTree = {}) => {
  worlds += 1
  const upstreams = await Promise.all(
    servers.map(({ models = ["m"], script, type }) =>
      startUpstream({ models, script, ...(type === undefined ? {} : { type }) })
    )
  )
  const gateway = await startGateway({
    usage: { enabled: true, path: join(folder, `${worlds}.sqlite`) },
    routing: { strategy: "priority_only" },
    backends: servers.flatMap(({ more = {}, name, type }, at) => {
      const upstream = upstreams[at]
      const own = { priority: at, ...(type === undefined ? {} : { type }), ...more }
      return upstream === undefined ? [] : [backendFor(name, upstream, own)]
    }),
    ...settings
  })
  return {
    gateway,
    upstreams,
    post: (path: string, body: object) => ask(gateway.port, "POST", path, JSON.stringify(body)),
    rows: async (query = "by=backend,dialect,endpoint") => {
      await gateway.quiet()
      return JSON.parse((await ask(gateway.port, "GET", `/admin/v1/usage?${query}`)).text).rows
    },
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      for (const each of upstreams) await each[Symbol.asyncDispose]()
    }
  }
}

const messages = [{ role: "user", content: "a question of forty letters, or thereabout" }]

const claudeUsage = { input_tokens: 7, cache_read_input_tokens: 100, cache_creation_input_tokens: 30, output_tokens: 1 }

const claudeStart = claudeEvent({
  type: "message_start",
  message: { id: "msg_1", type: "message", role: "assistant", model: claude, content: [], usage: claudeUsage }
})

const claudeText = [
  claudeEvent({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  claudeEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hello" } }),
  claudeEvent({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text: " you" } })
]

const claudeEnd = [
  claudeEvent({ type: "content_block_stop", index: 0 }),
  // Older servers say here no more than what they have made.
  claudeEvent({ type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 9 } }),
  claudeEvent({ type: "message_stop" })
]

describe("the tokens of Anthropic's streams", () => {
  const ask = { model: claude, max_tokens: 50, stream: true, messages }

  test("are those of the beginning with what is said later laid over them", async () => {
    const script = () => [streamHead(), chunk([claudeStart, ...claudeText, ...claudeEnd].join("")), lastChunk]
    await using at = await world([{ name: "cloud", type: "anthropic", models: [claude], script }])
    await at.post("/v1/messages", ask)
    await at.post("/v1/chat/completions", ask)
    const said = { requests: 1, estimated: 0, fresh: 7, cache_read: 100, cache_write: 30, output: 9 }
    expect(await at.rows()).toEqual([
      expect.objectContaining({ of: ["cloud", "anthropic", "messages"], ...said }),
      expect.objectContaining({ of: ["cloud", "openai", "chat/completions"], ...said })
    ])
  })

  test("are the prompt as the backend said it and the pieces that came, where it is cut short", async () => {
    const script = () => [streamHead(), chunk(claudeStart), ...claudeText.map(chunk), "reset" as const]
    await using at = await world([{ name: "cloud", type: "anthropic", models: [claude], script }])
    await at.post("/v1/messages", ask).catch(() => undefined)
    const [row] = await at.rows()
    expect(row).toMatchObject({ requests: 1, completed: 0, estimated: 1, fresh: 7, cache_read: 100, cache_write: 30 })
    expect(row.output).toBeGreaterThan(0)
    expect(row.output).toBeLessThanOrEqual(4)
  })
})

describe("the tokens of a stream whose backend tells none", () => {
  const words = Array.from({ length: 1000 }, (_, at) => [" so", " much", " said"][at % 3] ?? "")
  const said = words.map((word) => event(delta("m", { content: word }))).join("")
  const all = event(delta("m", { content: words.join("") }))
  const end = event(delta("m", {}, "stop")) + done

  test.each([
    ["come in one write", [said + end]],
    ["come in one event", [all, end]],
    ["come in a few writes that are cut short", [said.slice(0, 70_000), said.slice(70_000)]]
  ])("are about as many as its words, which %s", async (_, writes) => {
    const script = () => [streamHead(), ...writes.map(chunk), lastChunk]
    await using at = await world([{ name: "mute", script }])
    await at.post("/v1/chat/completions", { model: "m", stream: true, messages }).catch(() => undefined)
    await at.post("/v1/messages", { model: "m", max_tokens: 5000, stream: true, messages }).catch(() => undefined)
    const rows = await at.rows()
    expect(rows.map(({ estimated, of }: { estimated: number; of: unknown }) => [of, estimated])).toEqual([
      [["mute", "anthropic", "messages"], 1],
      [["mute", "openai", "chat/completions"], 1]
    ])
    for (const { output } of rows) {
      expect(output).toBeGreaterThanOrEqual(900)
      expect(output).toBeLessThanOrEqual(1500)
    }
  })
})

describe("a request", () => {
  const usage = { prompt_tokens: 10, completion_tokens: 5 }
  const answer: Script = () => [json({ ...completion("m", "hi"), usage })]
  const mute = { ...completion("m", "word ".repeat(800)), usage: undefined }

  test("counts once, at the backend that answered, however many were asked for it", async () => {
    const fails: Script = () => [json({ error: { message: "no" }, usage }, 500)]
    await using at = await world([
      { name: "bad", script: fails },
      { name: "good", script: answer }
    ])
    await at.post("/v1/chat/completions", { model: "m", messages })
    expect(await at.rows("by=backend")).toEqual([
      expect.objectContaining({ of: ["good"], requests: 1, completed: 1, fresh: 10, output: 5 })
    ])
  })

  test("counts once where a second backend was quicker than the first", async () => {
    const silent: Script = () => [{ until: new Promise<never>(() => undefined) }]
    const hedge = { models: ["m"], max_share: 1, min_wait_seconds: 0.2 }
    await using at = await world(
      [
        { name: "slow", script: good(["one"]) },
        { name: "quick", script: good(["two"]) }
      ],
      {
        routing: { strategy: "priority_only", hedge }
      }
    )
    const body = { model: "m", messages, stream: true }
    for (let n = 0; n < 20; n += 1) await at.post("/v1/chat/completions", body)
    at.upstreams[0]?.script(silent)
    const { text } = await at.post("/v1/chat/completions", body)
    expect(text).toBe(chatEvents("m", ["two"]).join(""))
    const rows: ReadonlyArray<{ of: ReadonlyArray<string>; requests: number }> = await at.rows("by=backend")
    expect(Object.fromEntries(rows.map(({ of: [name = ""], requests }) => [name, requests]))).toEqual({
      slow: 20,
      quick: 1
    })
  })

  test.each<readonly [string, Script, object]>([
    ["apart", answer, { estimated: 0, fresh: 10, output: 5 }],
    [
      "as it is likely to be where nothing is told of it",
      () => [json(mute)],
      { estimated: 1, output: Math.ceil((JSON.stringify(mute).length - 300) / 4) }
    ]
  ])("has its copy elsewhere written down %s", async (_, copy, told) => {
    await using at = await world(
      [
        { name: "real", script: answer },
        { name: "copy", script: copy }
      ],
      { routes: [{ name: "trial", match: {}, shadow: { share: 1, backends: ["copy"] } }] }
    )
    await at.post("/v1/chat/completions", { model: "m", messages })
    let shadows = await at.rows("by=backend&shadows=true")
    for (let look = 0; shadows.length === 0 && look < 200; look += 1) {
      await Bun.sleep(5)
      shadows = await at.rows("by=backend&shadows=true")
    }
    const one = { requests: 1, completed: 1 }
    expect(shadows).toEqual([expect.objectContaining({ of: ["copy"], ...one, ...told })])
    const real = { of: ["real"], ...one, estimated: 0, fresh: 10, output: 5 }
    expect(await at.rows("by=backend")).toEqual([expect.objectContaining(real)])
  })

  test.each([
    [
      "embeddings",
      "/v1/embeddings",
      { input: "x" },
      { object: "list", data: [], usage: { prompt_tokens: 8, total_tokens: 8 } },
      8,
      0
    ],
    [
      "images/generations",
      "/v1/images/generations",
      { prompt: "x" },
      { data: [{}], usage: { input_tokens: 13, output_tokens: 1056, total_tokens: 1069 } },
      13,
      1056
    ],
    [
      "v1/rerank",
      "/v1/rerank",
      { query: "x", documents: ["y"] },
      { results: [], usage: { total_tokens: 815 } },
      815,
      0
    ],
    ["responses", "/v1/responses", { input: "x" }, { ...completion("m", "hi"), usage }, 10, 5]
  ])("for %s has the tokens that its backend told", async (endpoint, path, body, said, fresh, output) => {
    await using at = await world([{ name: "one", script: () => [json(said)] }])
    expect((await at.post(path, { model: "m", ...body })).status).toBe(200)
    expect(await at.rows("by=endpoint")).toEqual([
      expect.objectContaining({ of: [endpoint], requests: 1, estimated: 0, fresh, output })
    ])
  })
})
