import { describe, expect, test } from "bun:test"
import OpenAI from "openai"
import { version } from "../../src/domain/version.ts"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, startProcess, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { whole } from "../kit/answers.ts"

const path = "/v1/chat/completions"
const chat = (model: string) => JSON.stringify({ model, messages: [] })

describe("a backend is told who asks:", () => {
  test("nexus and its version, by a probe and by a request, whatever the client calls itself", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    expect((await ask(gateway.port, "POST", path, chat("m"), ["User-Agent: curl/8"])).status).toBe(200)
    expect(upstream.lastCall().header("user-agent")).toBe(`nexus/${version}`)
    for (const probe of upstream.probes()) expect(probe.header("user-agent")).toBe(`nexus/${version}`)
  })

  test("what user_agent says", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream, { user_agent: "my team (x)/1" })] })
    expect((await ask(gateway.port, "POST", path, chat("m"))).status).toBe(200)
    expect(upstream.lastCall().header("user-agent")).toBe("my team (x)/1")
    expect(upstream.probes().length).toBeGreaterThan(0)
    for (const probe of upstream.probes()) expect(probe.header("user-agent")).toBe("my team (x)/1")
  })
})

describe("numbers that JSON has none of are the backend's to answer for:", () => {
  const answer = (logprob: string, more = "") =>
    `{"object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"NaN \\"Infinity"},"logprobs":{"content":[{"logprob":${logprob}}]},"finish_reason":"stop"}]${more}}`

  test("an answer with NaN or Infinity passes as it came", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    for (const number of ["NaN", "Infinity", "-Infinity"]) {
      upstream.script(() => [whole(200, answer(number))])
      const got = await ask(gateway.port, "POST", path, chat("m"))
      expect(got.status).toBe(200)
      expect(got.text).toBe(answer(number))
    }
    expect(upstream.calls()).toHaveLength(3)
  })

  test("what is cut short or no answer beside them is none all the same", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ routing: { max_retries: 0 }, backends: [backendFor("a", upstream)] })
    for (const text of [answer("NaN").slice(0, -1), '{"score":NaN}', answer("nan"), answer("NaNa")]) {
      upstream.script(() => [whole(200, text)])
      expect((await ask(gateway.port, "POST", path, chat("m"))).status).toBe(502)
    }
  })
})

test("an embedding of a conversation, and one of an object, reach the backend as they came", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
  upstream.script(() => [json({ object: "list", data: [{ embedding: [1], index: 0 }] })])
  for (const body of [
    { model: "m", messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }] }] },
    { model: "m", input: { text: "a", image: "data:," } },
    { model: "m", input: "a", messages: [] }
  ]) {
    expect((await ask(gateway.port, "POST", "/v1/embeddings", JSON.stringify(body))).status).toBe(200)
    expect(upstream.lastCall().text).toBe(JSON.stringify(body))
  }
})

describe("names of models with blanks at their ends", () => {
  test("are listed and can be asked for, as they are", async () => {
    await using upstream = await startUpstream({ models: [" before", "after ", "m"] })
    await using gateway = await startGateway({ backends: [backendFor("a", upstream)] })
    const list = (await ask(gateway.port, "GET", "/v1/models")).json() as { data: ReadonlyArray<{ id: string }> } // reason: checked by what is expected of it
    expect(list.data.map(({ id }) => id).sort()).toEqual([" before", "after ", "m"])
    for (const model of [" before", "after "]) {
      expect((await ask(gateway.port, "POST", path, chat(model))).status).toBe(200)
      expect(upstream.lastCall().text).toBe(chat(model))
      expect((await ask(gateway.port, "GET", `/v1/models/${encodeURIComponent(model)}`)).status).toBe(200)
    }
    for (const model of ["before", "after"])
      expect((await ask(gateway.port, "POST", path, chat(model))).status).toBe(404)
  })

  test("that no request can name are told once in the log", async () => {
    await using upstream = await startUpstream({ models: ["\tm", " ", "good"] })
    await using gateway = await startProcess({
      backends: [backendFor("a", upstream)],
      health_check: { interval_seconds: 0.05 },
      logging: { level: "info", format: "json" }
    })
    await until(() => upstream.probes().length > 5, "some probes")
    const told = gateway
      .output()
      .split("\n")
      .filter((line) => line.includes("model names left out"))
    expect(told).toHaveLength(1)
    expect(JSON.parse(told[0] ?? "")).toMatchObject({ level: "warn", backend: "a", names: String.raw`"\\u0009m", " "` })
  })
})

describe("vectors that were asked for in base64", () => {
  const usage = { prompt_tokens: 3, total_tokens: 3 }
  const list = (...all: ReadonlyArray<unknown>) => ({
    object: "list",
    data: all.map((embedding, index) => ({ object: "embedding", embedding, index })),
    model: "m",
    usage
  })
  const base64 = Buffer.from(Float32Array.of(0.5, -0.25).buffer).toString("base64")
  const asked = (more: object) => JSON.stringify({ model: "m", input: ["base64", "b"], ...more })

  test("are so where the backend gives lists in their place, as several do, and all beside them as it came", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(list([0.5, -0.25], base64))] })
    await using gateway = await startGateway({ backends: [backendFor("b", upstream)] })
    const got = await ask(gateway.port, "POST", "/v1/embeddings", asked({ encoding_format: "base64" }))
    expect([got.status, got.json()]).toEqual([200, list(base64, base64)])
    for (const more of [{}, { encoding_format: "float" }, { user: "base64" }]) {
      const plain = await ask(gateway.port, "POST", "/v1/embeddings", asked(more))
      expect(plain.json()).toEqual(list([0.5, -0.25], base64))
    }
  })

  test("pass as they came where nothing can be made of them, and none is lost beside a number that is none", async () => {
    const odd = { all: '{"data":[{"index":0,"embedding":[NaN,1]}],"model":"m"}' }
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [whole(200, odd.all)]
    })
    await using gateway = await startGateway({ backends: [backendFor("b", upstream)] })
    const get = () => ask(gateway.port, "POST", "/v1/embeddings", asked({ encoding_format: "base64" }))
    expect((await get()).text).toBe(odd.all)
    odd.all = '{"data":[{"index":0,"embedding":[NaN,1]},{"index":1,"embedding":[0.5,-0.25]}],"model":"m"}'
    expect((await get()).json()).toMatchObject({ data: [{ embedding: [null, 1] }, { embedding: base64 }], model: "m" })
  })

  test("are numbers to the openai package, which asks so by itself", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(list([0.5, -0.25]))] })
    await using gateway = await startGateway({ backends: [backendFor("b", upstream)] })
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 })
    const { data } = await client.embeddings.create({ model: "m", input: "a" })
    expect(upstream.lastCall().text).toContain("base64")
    expect([...data[0]!.embedding]).toEqual([0.5, -0.25])
  })
})

describe("a choice that a backend has given up, as OpenRouter tells it under a good status", () => {
  const choice = { index: 0, finish_reason: "error", message: { role: "assistant", content: "par" } }
  const failed = { object: "chat.completion", choices: [{ ...choice, error: { code: 503, message: "Provider away" } }] }

  test("is no answer: another backend gives it, and where there is none its client hears why, in its own dialect", async () => {
    await using first = await startUpstream({ models: ["m", "alone"], script: () => [json(failed)] })
    await using second = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("first", first, { priority: 1 }), backendFor("second", second, { priority: 2 })]
    })
    const moved = await ask(gateway.port, "POST", path, chat("m"))
    expect([moved.status, moved.header("x-nexus-backend")]).toEqual([200, "second"])
    for (const [at, body] of [
      [path, chat("alone")],
      ["/v1/messages", JSON.stringify({ model: "alone", max_tokens: 9, messages: [{ role: "user", content: "go" }] })]
    ] as const) {
      const told = await ask(gateway.port, "POST", at, body)
      expect([told.status, told.text]).toEqual([503, expect.stringContaining("Provider away")])
    }
  })
})
