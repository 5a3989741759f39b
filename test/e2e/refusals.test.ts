import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, startGateway } from "../kit/gateway.ts"
import { type Answer, ask, dial, requestBytes } from "../kit/rawClient.ts"

const chatPath = "/v1/chat/completions"

let upstream: FakeUpstream
let gateway: Gateway

const chat = (body: unknown) => ask(gateway.port, "POST", chatPath, JSON.stringify(body))

const user = (content: unknown) => [{ role: "user", content }]

const error = (answer: Answer) => {
  const { error } = answer.json() as { error: Record<string, unknown> } // reason: the shape is checked next
  expect(Object.keys(error).sort()).toEqual(["code", "message", "param", "type"])
  return error
}

beforeAll(async () => {
  upstream = await startUpstream({ type: "ollama", models: [{ id: "plain:1b", context: 2048 }] })
  gateway = await startGateway({
    server: { max_body_mb: 0.01, upload_timeout_seconds: 0.2 },
    backends: [backendFor("one", upstream, { type: "ollama" })]
  })
})

afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await upstream[Symbol.asyncDispose]()
})

describe("in OpenAI's shape are refused", () => {
  const wrong: ReadonlyArray<readonly [method: string, path: string, status: number]> = [
    ["GET", "/nowhere", 404],
    ["GET", "/v1", 404],
    ["POST", "/v1/threads", 404],
    ["POST", "/v1/chat/nowhere/", 404],
    ["GET", "/v2/models", 404],
    ["GET", chatPath, 405],
    ["PUT", chatPath, 405],
    ["DELETE", "/v1/models/plain:1b", 405],
    ["POST", "/v1/models", 405],
    ["POST", "/health", 405],
    ["OPTIONS", chatPath, 405],
    ["GET", "/v1/embeddings", 405]
  ]
  for (const [method, path, status] of wrong) {
    test(`${method} ${path} with ${status}`, async () => {
      const answer = await ask(gateway.port, method, path)
      expect(answer.status).toBe(status)
      expect(error(answer)).toMatchObject({ type: "invalid_request_error", param: null, code: expect.any(String) })
      expect(answer.header("x-request-id")).toMatch(/\S/)
      if (status === 405) expect(answer.header("allow")).toMatch(/^(POST|GET, HEAD)$/)
    })
  }

  for (const target of ["//evil/v1/models", "/v1//models", "/v1/models/..%2f..%2fnexus%2fbackends"]) {
    test(`the target ${target}, which leads nowhere else`, async () => {
      const answer = await ask(gateway.port, "GET", target)
      expect(answer.status).toBe(400)
      error(answer)
    })
  }

  test("targets that would slip past a key by way of an open path", async () => {
    const digest = createHash("sha256").update("secret").digest()
    await using locked = await startGateway(
      { backends: [backendFor("one", upstream, { type: "ollama" })] },
      { backendKeys: new Map(), authKeys: [{ name: "k", digest }] }
    )
    expect((await ask(locked.port, "GET", "/livez")).status).toBe(200)
    for (const target of [
      "/v1/models",
      "/livez/../v1/models",
      "/livez/%2e%2e/v1/models",
      "/livez/..%2fv1/models",
      "/livez\\..\\v1/models",
      "/livez/../nexus/backends",
      "http://127.0.0.1/v1/models",
      "/livez?/../v1/models",
      "/livez#/../v1/models"
    ]) {
      const answer = await ask(locked.port, "GET", target)
      expect(answer.text).not.toContain("plain:1b")
    }
    expect((await ask(locked.port, "GET", "/v1/models", "", ["Authorization: Bearer secret"])).status).toBe(200)
    expect((await ask(locked.port, "GET", "/v1/models", "", ["Authorization: Bearer other"])).status).toBe(401)
  })

  test("a body above max_body_mb with 413, with a length and without", async () => {
    const before = upstream.calls().length
    const large = JSON.stringify({ model: "plain:1b", messages: user("x".repeat(20_000)) })
    const counted = await ask(gateway.port, "POST", chatPath, large)
    expect(counted.status).toBe(413)
    expect(error(counted)).toMatchObject({ type: "invalid_request_error", code: "payload_too_large" })
    using client = await dial(gateway.port)
    await client.send(`POST ${chatPath} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`)
    await client.send(`${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`)
    expect((await client.answer()).status).toBe(413)
    expect(upstream.calls()).toHaveLength(before)
  })

  test("a body that takes too long with 408", async () => {
    using client = await dial(gateway.port)
    const whole = requestBytes("POST", chatPath, JSON.stringify({ model: "plain:1b", messages: user("hi") }))
    await client.send(whole.subarray(0, whole.byteLength - 2))
    const answer = await client.answer()
    expect(answer.status).toBe(408)
    expect(error(answer)["message"]).toContain("upload_timeout_seconds (0.2 s)")
  })

  test("a compressed body with 415", async () => {
    const body = Bun.gzipSync(JSON.stringify({ model: "plain:1b", messages: [] }))
    const answer = await ask(gateway.port, "POST", chatPath, body, ["Content-Encoding: gzip"])
    expect(answer.status).toBe(415)
    error(answer)
  })
})

describe("what no backend of a model can do is refused with 400, and nothing is sent:", () => {
  const image = [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }]
  const tools = [{ type: "function", function: { name: "f", parameters: {} } }]
  const cases: ReadonlyArray<readonly [missing: RegExp, body: Record<string, unknown>]> = [
    [/vision/i, { messages: user(image) }],
    [/tool/i, { messages: user("hi"), tools }],
    [/tool/i, { messages: user("hi"), functions: [{ name: "f", parameters: {} }] }]
  ]
  for (const [missing, body] of cases) {
    test(`${missing.source}, asked for by ${Object.keys(body).join(" and ")}`, async () => {
      const before = upstream.calls().length
      const answer = await chat({ model: "plain:1b", ...body })
      expect(answer.status).toBe(400)
      const { code, message, type } = error(answer)
      expect([code, type]).toEqual(["model_capability_mismatch", "invalid_request_error"])
      expect(message).toMatch(missing)
      expect(message).toContain("plain:1b")
      expect(upstream.calls()).toHaveLength(before)
    })
  }

  test("while a backend that does not say is asked", async () => {
    await using silent = await startUpstream({ models: ["m"] })
    await using open = await startGateway({ backends: [backendFor("one", silent)] })
    const body = JSON.stringify({ model: "m", messages: user(image), tools })
    expect((await ask(open.port, "POST", chatPath, body)).status).toBe(200)
  })

  test("while a backend that can is chosen over one that cannot", async () => {
    await using seeing = await startUpstream({
      type: "ollama",
      models: [{ id: "plain:1b", vision: true, tools: true, context: 32_768 }]
    })
    await using both = await startGateway({
      backends: [
        backendFor("blind", upstream, { type: "ollama", priority: 1 }),
        backendFor("seeing", seeing, { type: "ollama", priority: 9 })
      ],
      routing: { strategy: "priority_only" }
    })
    for (const body of [...cases.map(([, each]) => each), { messages: user("hi"), max_tokens: 4096 }]) {
      const answer = await ask(both.port, "POST", chatPath, JSON.stringify({ model: "plain:1b", ...body }))
      expect([answer.status, answer.header("x-nexus-backend")]).toEqual([200, "seeing"])
    }
    const plain = await ask(both.port, "POST", chatPath, JSON.stringify({ model: "plain:1b", messages: user("hi") }))
    expect(plain.header("x-nexus-backend")).toBe("blind")
  })
})

test("while no backend has ever answered, a 503 says of each one why", async () => {
  await using locked = await startUpstream({ models: ["m"], probe: () => [json({}, 401)] })
  await using silent = await startGateway({
    backends: [{ name: "dead", url: "http://127.0.0.1:1" }, backendFor("locked", locked)]
  })
  const answer = await ask(silent.port, "POST", chatPath, JSON.stringify({ model: "m", messages: user("hi") }))
  expect(answer.status).toBe(503)
  expect(answer.header("x-nexus-rejection-reasons")).toBe(
    "dead: connection refused; locked: asks for a key, and none is configured (status 401)"
  )
})

test("a HEAD request is answered like its GET, without a body", async () => {
  const answer = await ask(gateway.port, "HEAD", "/v1/models")
  expect(answer.status).toBe(200)
  expect(answer.body.byteLength).toBe(0)
})
