import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { AzureOpenAI } from "openai"
import { json, whole } from "../kit/answers.ts"
import { type FakeUpstream, good, modelOf, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const key = "sk-of-a-client-of-azure"

let upstream: FakeUpstream
let gateway: Gateway

const post = (path: string, body: unknown, headers: ReadonlyArray<string> = [`api-key: ${key}`]) =>
  ask(gateway.port, "POST", path, JSON.stringify(body), headers)

beforeAll(async () => {
  upstream = await startUpstream({ models: ["gpt", "org/model:7b", "voice"] })
  gateway = await startGateway(
    {
      routing: { aliases: { deployed: "gpt" } },
      backends: [backendFor("one", upstream)]
    },
    { backendKeys: new Map(), authKeys: [{ name: "one", digest: createHash("sha256").update(key).digest() }] }
  )
})
afterAll(async () => {
  for (const each of [gateway, upstream]) await each[Symbol.asyncDispose]()
})

const client = (deployment?: string) =>
  new AzureOpenAI({
    endpoint: gateway.url,
    apiKey: key,
    apiVersion: "2024-10-21",
    maxRetries: 0,
    ...(deployment === undefined ? {} : { deployment })
  })
const messages = [{ role: "user" as const, content: "hi" }]

describe("a path of Azure's names the model:", () => {
  const rows: ReadonlyArray<readonly [what: string, path: string, body: object, forwarded: object]> = [
    ["it is put where the body names none", "gpt", { messages }, { model: "gpt", messages }],
    ["it goes before that of the body", "gpt", { messages, model: "nobody" }, { messages, model: "gpt" }],
    ["an alias of it is replaced", "deployed", { messages }, { model: "gpt", messages }],
    ["with a slash in it", "org/model:7b", { messages }, { model: "org/model:7b", messages }],
    ["with an encoded slash in it", "org%2Fmodel%3A7b", { messages }, { model: "org/model:7b", messages }]
  ]
  test.each(rows)("%s", async (_what, name, body, forwarded) => {
    const got = await post(`/openai/deployments/${name}/chat/completions?api-version=2024-10-21`, body)
    expect(got.status).toBe(200)
    expect(upstream.lastCall()).toMatchObject({ target: "/v1/chat/completions", text: JSON.stringify(forwarded) })
    expect(upstream.lastCall().header("api-key")).toBeUndefined()
  })

  test("in bodies above 64 KB too", async () => {
    const long = [{ role: "user", content: "x".repeat(100_000) }]
    expect((await post("/openai/deployments/deployed/chat/completions", { messages: long })).status).toBe(200)
    expect(upstream.lastCall().text).toBe(JSON.stringify({ model: "gpt", messages: long }))
    expect((await post("/openai/deployments/gpt/chat/completions", { messages: long, model: "x" })).status).toBe(200)
    expect(upstream.lastCall().text).toBe(JSON.stringify({ messages: long, model: "gpt" }))
  })

  test("one that nobody serves is not found in OpenAI's shape", async () => {
    const got = await post("/openai/deployments/nobody/chat/completions", { messages })
    expect(got.status).toBe(404)
    expect(got.json()).toMatchObject({ error: { code: "model_not_found" } })
  })

  test("a body with something else for a model is refused", async () => {
    for (const model of [null, 1, {}, []]) {
      const got = await post("/openai/deployments/gpt/chat/completions", { messages, model })
      expect(got.status).toBe(400)
    }
  })

  test("what is not below it is nothing", async () => {
    for (const path of [
      "/openai/deployments/gpt",
      "/openai/deployments/gpt/nothing",
      "/openai/deployments//embeddings"
    ]) {
      expect([400, 404]).toContain((await post(path, { input: "x" })).status)
    }
  })
})

describe("the key", () => {
  const path = "/openai/deployments/gpt/chat/completions"

  test("comes as api-key", async () => {
    expect((await post(path, { messages })).status).toBe(200)
    expect((await post(path, { messages }, ["api-key: sk-wrong"])).status).toBe(401)
    expect((await post(path, { messages }, [])).status).toBe(401)
  })

  test("that is good lets in beside one that is not", async () => {
    expect((await post(path, { messages }, ["api-key: sk-wrong", `Authorization: Bearer ${key}`])).status).toBe(200)
  })
})

test("the base URL of Azure's newer form leads to the same", async () => {
  for (const base of ["/openai/v1", "/openai"]) {
    const got = await post(`${base}/chat/completions`, { model: "gpt", messages })
    expect({ base, status: got.status }).toEqual({ base, status: 200 })
    const list = await ask(gateway.port, "GET", `${base}/models?api-version=2024-10-21`, "", [`api-key: ${key}`])
    expect(list.json()).toMatchObject({ object: "list" })
    const one = await ask(gateway.port, "GET", `${base}/models/gpt`, "", [`api-key: ${key}`])
    expect(one.json()).toMatchObject({ id: "gpt" })
  }
})

test("no slip of it leads to what a proxy in front may keep to itself", async () => {
  for (const path of [
    "/openai/v1/stats",
    "/openai/metrics",
    "/openai/admin/v1/backends",
    "/openai/v1/admin/v1/backends"
  ]) {
    expect((await ask(gateway.port, "GET", path, "", [`api-key: ${key}`])).status).toBe(404)
  }
})

describe("AzureOpenAI of the openai package", () => {
  test("chats, whole and as a stream", async () => {
    const answer = await client().chat.completions.create({ model: "deployed", messages })
    expect(answer.choices[0]?.message.content).toBe("Hello there")
    expect(modelOf(upstream.lastCall())).toBe("gpt")
    let text = ""
    for await (const { choices } of await client("gpt").chat.completions.create({
      model: "",
      messages,
      stream: true
    })) {
      text += choices[0]?.delta.content ?? ""
    }
    expect(text).toBe("Hello there")
  })

  test("embeds, speaks and draws", async () => {
    const embedded = await client().embeddings.create({ model: "gpt", input: "x", encoding_format: "float" })
    expect(embedded.data[0]?.embedding).toEqual([0.5, -0.25])
    upstream.script(() => [whole(200, "sound", "audio/mpeg")])
    expect(await (await client().audio.speech.create({ model: "voice", input: "x", voice: "alloy" })).text()).toBe(
      "sound"
    )
    upstream.script(() => [json({ data: [{ url: "x" }] })])
    expect((await client().images.generate({ model: "gpt", prompt: "x" })).data).toEqual([{ url: "x" }])
    upstream.script(good())
  })
})
