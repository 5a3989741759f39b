import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"

const chatPath = "/v1/chat/completions"

let ollama: FakeUpstream
let vllm: FakeUpstream
let gateway: Gateway

const chat = (body: unknown) => ask(gateway.port, "POST", chatPath, JSON.stringify(body))

const hi = [{ role: "user", content: "hi" }]

beforeAll(async () => {
  ollama = await startUpstream({
    type: "ollama",
    models: [
      { id: "mistral:7b", context: 4096, tools: true },
      { id: "llama3:70b", context: 8192, tools: true }
    ]
  })
  vllm = await startUpstream({ type: "vllm", models: [{ id: "Qwen/Qwen3-8B", context: 32_768 }] })
  gateway = await startGateway({
    backends: [
      backendFor("local-ollama", ollama, { type: "ollama", priority: 1 }),
      backendFor("gpu", vllm, { type: "vllm", priority: 2 })
    ],
    routing: {
      strategy: "smart",
      max_retries: 2,
      aliases: { "gpt-4": "llama3:70b", "gpt-3.5-turbo": "mistral:7b" },
      fallbacks: { "llama3:70b": ["qwen2:72b", "mistral:7b"] }
    }
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await ollama[Symbol.asyncDispose]()
  await vllm[Symbol.asyncDispose]()
})

describe("the usage guide", () => {
  test("a non-streaming request gives a chat.completion", async () => {
    const answer = await chat({
      model: "mistral:7b",
      messages: [
        { role: "system", content: "You are a helpful assistant." },
        { role: "user", content: "What is Rust?" }
      ],
      temperature: 0.7,
      max_tokens: 200
    })
    expect(answer.status).toBe(200)
    expect(answer.header("content-type")).toBe("application/json")
    expect(answer.json()).toMatchObject({
      object: "chat.completion",
      model: "mistral:7b",
      choices: [{ index: 0, message: { role: "assistant" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 }
    })
  })

  test("a streaming request gives data lines that end with [DONE]", async () => {
    const answer = await chat({ model: "mistral:7b", messages: hi, stream: true })
    expect(answer.status).toBe(200)
    expect(answer.header("content-type")).toStartWith("text/event-stream")
    const events = answer.text.split("\n\n").filter((each) => each !== "")
    expect(events.every((each) => each.startsWith("data: "))).toBe(true)
    expect(events.at(-1)).toBe("data: [DONE]")
    expect(events.slice(0, -1).map((each) => JSON.parse(each.slice(6)).object)).toEqual(
      Array.from({ length: events.length - 1 }, () => "chat.completion.chunk")
    )
    expect(answer.end).toBe("complete")
  })

  test("an alias is answered by the model it stands for", async () => {
    const answer = await chat({ model: "gpt-4", messages: [{ role: "user", content: "Hello" }] })
    expect(answer.json()).toMatchObject({ model: "llama3:70b" })
    expect(answer.header("x-nexus-fallback-model")).toBeUndefined()
  })

  test("the headers tell of the backend, its kind, the reason, and the attempts", async () => {
    const answer = await chat({ model: "mistral:7b", messages: hi })
    expect(answer.header("x-nexus-backend")).toBe("local-ollama")
    expect(answer.header("x-nexus-backend-type")).toBe("local")
    expect(answer.header("x-nexus-route-reason")).toMatch(/\S/)
    expect(answer.header("x-nexus-attempts")).toBe("1")
    expect(answer.header("x-request-id")).toMatch(/^[A-Za-z0-9._:-]{1,128}$/)
  })

  test("the models are listed once, sorted, with what they can do and who serves them", async () => {
    const answer = await ask(gateway.port, "GET", "/v1/models")
    const list = answer.json() as { object: string; data: ReadonlyArray<Record<string, unknown>> } // reason: checked next
    expect(list.object).toBe("list")
    expect(list.data.map(({ id }) => id)).toEqual([
      "Qwen/Qwen3-8B",
      "gpt-3.5-turbo",
      "gpt-4",
      "llama3:70b",
      "mistral:7b"
    ])
    expect(list.data[2]).toMatchObject({ object: "model", owned_by: "nexus", alias_of: "llama3:70b" })
    expect(list.data[4]).toMatchObject({
      id: "mistral:7b",
      object: "model",
      created: expect.any(Number),
      owned_by: "nexus",
      context_length: 4096,
      capabilities: { tools: true, json_mode: true },
      backends: ["local-ollama"]
    })
    expect(await ask(gateway.port, "GET", "/v1/models").then((again) => again.text)).toBe(answer.text)
  })

  test("one model is found by its id, with colons and slashes, encoded or not", async () => {
    for (const id of ["mistral:7b", "Qwen/Qwen3-8B", "Qwen%2FQwen3-8B", "mistral%3A7b"]) {
      const answer = await ask(gateway.port, "GET", `/v1/models/${id}`)
      expect(answer.json()).toMatchObject({ id: decodeURIComponent(id), object: "model", owned_by: "nexus" })
    }
    const none = await ask(gateway.port, "GET", "/v1/models/nope")
    expect(none.status).toBe(404)
    expect(none.json()).toMatchObject({ error: { code: "model_not_found", param: "model" } })
  })

  test("health counts backends and models", async () => {
    const answer = await ask(gateway.port, "GET", "/health")
    expect(answer.status).toBe(200)
    expect(answer.json()).toMatchObject({
      status: "healthy",
      uptime_seconds: expect.any(Number),
      backends: { total: 2, healthy: 2, unhealthy: 0 },
      models: 3
    })
  })

  test("a model nobody has is 404, and the message names what is there", async () => {
    const answer = await chat({ model: "nonexistent-model", messages: hi })
    expect(answer.status).toBe(404)
    expect(answer.json()).toEqual({
      error: {
        message: expect.stringMatching(/^Model 'nonexistent-model' not found\. Available: /),
        type: "invalid_request_error",
        param: "model",
        code: "model_not_found"
      }
    })
    expect(answer.text).toContain("mistral:7b")
    expect(answer.text).toContain("llama3:70b")
  })
})

describe("the manual tests", () => {
  test("invalid requests are 400 and name the field", async () => {
    const cases: ReadonlyArray<readonly [body: string, param: string | null]> = [
      ['{"messages":[{"role":"user","content":"hi"}]}', "model"],
      ['{"model":"mistral:7b"}', "messages"],
      ["{}", "model"],
      ["", null],
      ["[1]", null],
      ["{oops", null],
      ['{"model":7,"messages":[]}', "model"],
      ['{"model":"mistral:7b","messages":"hi"}', "messages"]
    ]
    for (const [body, param] of cases) {
      const answer = await ask(gateway.port, "POST", chatPath, body)
      expect(answer.status).toBe(400)
      expect(answer.json()).toEqual({
        error: { message: expect.any(String), type: "invalid_request_error", param, code: "bad_request" }
      })
    }
  })

  test("an alias answers with the model it stands for, and its name is what the backend was asked for", async () => {
    const answer = await chat({ model: "gpt-3.5-turbo", messages: hi })
    expect(answer.json()).toMatchObject({ model: "mistral:7b" })
    expect(ollama.lastCall().text).toBe(JSON.stringify({ model: "mistral:7b", messages: hi }))
  })

  test("ten requests at a time are all answered", async () => {
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, i) => chat({ model: "mistral:7b", messages: [{ role: "user", content: `${i}` }] }))
    )
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 10 }, () => 200))
    await gateway.quiet()
  })
})

describe("when backends are gone", () => {
  test("a fallback answers and says so; with none left it is 503 naming the model; health tells both", async () => {
    await using big = await startUpstream({ models: ["llama3:70b"] })
    await using small = await startUpstream({ models: ["mistral:7b"] })
    await using gone = await startGateway({
      backends: [backendFor("big", big), backendFor("small", small)],
      health_check: { interval_seconds: 0.05, failure_threshold: 1, recovery_threshold: 1 },
      routing: { fallbacks: { "llama3:70b": ["qwen2:72b", "mistral:7b"] } }
    })
    await big.server.kill()
    await until(() => gone.backend("big").status === "unhealthy", "big is seen to be down")
    const request = JSON.stringify({ model: "llama3:70b", messages: hi })
    const answer = await ask(gone.port, "POST", chatPath, request)
    expect(answer.status).toBe(200)
    expect(answer.header("x-nexus-fallback-model")).toBe("mistral:7b")
    expect(answer.json()).toMatchObject({ model: "mistral:7b" })
    const degraded = await ask(gone.port, "GET", "/health")
    expect([degraded.status, degraded.json()]).toMatchObject([
      200,
      { status: "degraded", backends: { total: 2, healthy: 1, unhealthy: 1 }, models: 1 }
    ])

    await small.server.kill()
    // A probe that was under way when it went ends otherwise than those that come after.
    await until(() => gone.backend("small").reason.includes("connection refused"), "small is seen to be down")
    for (const stream of [false, true]) {
      const refused = await ask(
        gone.port,
        "POST",
        chatPath,
        JSON.stringify({ model: "mistral:7b", messages: hi, stream })
      )
      expect(refused.status).toBe(503)
      expect(Number(refused.header("retry-after"))).toBeGreaterThan(0)
      expect(refused.json()).toEqual({
        error: {
          message: "No healthy backends available for model 'mistral:7b': backend 'small': connection refused",
          type: "server_error",
          param: null,
          code: "service_unavailable"
        }
      })
    }
    const unhealthy = await ask(gone.port, "GET", "/health")
    expect([unhealthy.status, unhealthy.json()]).toMatchObject([503, { status: "unhealthy", models: 0 }])
    expect(await ask(gone.port, "GET", "/v1/models").then((list) => list.json())).toEqual({ object: "list", data: [] })
    expect((await ask(gone.port, "GET", "/readyz")).status).toBe(503)
    expect((await ask(gone.port, "GET", "/livez")).status).toBe(200)

    await small.server.revive()
    await until(() => gone.backend("small").status === "healthy", "small is seen to be back")
    expect((await ask(gone.port, "POST", chatPath, JSON.stringify({ model: "mistral:7b", messages: hi }))).status).toBe(
      200
    )
  })

  test("a gateway without backends is healthy, and not ready", async () => {
    await using empty = await startGateway({})
    expect((await ask(empty.port, "GET", "/health")).json()).toMatchObject({ status: "healthy", models: 0 })
    expect((await ask(empty.port, "GET", "/readyz")).status).toBe(503)
  })
})
