import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { createHash } from "node:crypto"
import { Validator } from "@seriousme/openapi-schema-validator"
import { Redacted } from "effect"
import { servedPathsOf } from "../../src/operations/endpoints.ts"
import { errorExamples } from "../../src/operations/error-examples.ts"
import { Dialects } from "../../src/dialect/all.ts"
import { bodyOf, formOf } from "../kit/refusals.ts"
import { chatEvents, completion, event, json, lastChunk, streamHead, chunk, whole } from "../kit/answers.ts"
import { type FakeUpstream, good, modelOf, startUpstream, wantsStream } from "../kit/FakeUpstream.ts"
import { backendFor, type Gateway, type SettingsTree, startGateway, startProcess, until } from "../kit/gateway.ts"
import { judgeBy, type OpenApiJudge } from "../kit/openApi.ts"
import { ask as askRaw, dial } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const chatPath = "/v1/chat/completions"
const chat = { model: "gpt", messages: [{ role: "user", content: "hi" }] }
const passedBodies: Readonly<Record<string, unknown>> = {
  "/v1/audio/speech": { model: "m", input: "hi", voice: "alloy" },
  "/v1/audio/transcriptions": { model: "m" },
  "/v1/audio/translations": { model: "m" },
  "/v1/images/edits": { model: "m" },
  "/v1/images/variations": { model: "m" },
  "/v1/images/generations": { model: "m", prompt: "a harbour" },
  "/v1/moderations": { model: "m", input: "hi" },
  "/rerank": { model: "m", query: "q", texts: ["a"] },
  "/v1/rerank": { model: "m", query: "q", documents: ["a"] },
  "/v2/rerank": { model: "m", query: "q", documents: ["a"] },
  "/v1/score": { model: "m", text_1: "a", text_2: "b" },
  "/tokenize": { model: "m", prompt: "hi" },
  "/detokenize": { model: "m", tokens: [1] }
}
const contents = [{ role: "user", parts: [{ text: "hi" }] }]
const placedBodies = Object.fromEntries(
  ["v1", "v1beta", "v1/publishers/anthropic"].flatMap((version) =>
    Object.entries({
      generateContent: { contents },
      streamGenerateContent: { contents },
      countTokens: { contents },
      embedContent: { content: contents[0] },
      batchEmbedContents: { requests: [{ content: contents[0] }] },
      rawPredict: chat,
      streamRawPredict: chat
    }).map(([verb, body]) => [`/${version}/models/{model}:${verb}`, body])
  )
)
const asked = { model: "gpt", input: "hi" }
const bodies: Readonly<Record<string, unknown>> = {
  "/v1/chat/completions": chat,
  "/v1/messages": { ...chat, max_tokens: 50 },
  "/v1/messages/count_tokens": chat,
  "/v1/publishers/anthropic/models/count-tokens:rawPredict": chat,
  ...Object.fromEntries(["", "/compact", "/input_tokens"].map((at) => [`/v1/responses${at}`, asked])),
  ...Object.fromEntries(["load", "unload", "pull"].map((action) => [`/admin/v1/models/${action}`, { model: "gpt" }])),
  "/v1/completions": { model: "m", prompt: "Once" },
  "/v1/embeddings": { model: "m", input: ["a", "b"] },
  "/v1/fim/completions": { model: "m", prompt: "a", suffix: "b" },
  ...passedBodies,
  "/api/chat": chat,
  "/api/generate": { model: "m", prompt: "Once" },
  "/api/embed": { model: "m", input: "a" },
  "/api/embeddings": { model: "m", prompt: "a" },
  "/api/show": { model: "m" },
  "/api/pull": { model: "m" },
  ...placedBodies,
  "/admin/v1/route": chat,
  "/admin/v1/replay": { settings: {}, since_ms: 1000 },
  "/admin/v1/keys": { name: "new" },
  "/admin/v1/revocations": { name: "corp:somebody" },
  "/admin/v1/backends": { url: "http://127.0.0.1:9", name: "new", type: "generic" }
}

/** A path of the document for what there is. */
const placed = (path: string, request: string): string =>
  path
    .replace("/models/{id}", "/models/org/x:1")
    .replace("{model}:streamGenerateContent", "{model}:streamGenerateContent?alt=sse")
    .replace("{model}", "m")
    .replace("{id}", request)
    .replace("{name}", "new")
    .replace("{action}", "drain")

/** Text completions too, which the usual script takes for chats. */
const script: Script = (request) => {
  if (request.target === "/v1/audio/speech") return [whole(200, new Uint8Array(10), "audio/mpeg")]
  if (passedBodies[request.target] !== undefined) return [json({ data: [], results: [], tokens: [] })]
  if (!request.target.endsWith("/v1/completions")) return good()(request)
  const model = modelOf(request)
  const answer = { id: "cmpl-1", object: "text_completion", created: 1, model, choices: [{ index: 0, text: " upon" }] }
  return wantsStream(request)
    ? [streamHead(), chunk(event(answer)), chunk("data: [DONE]\n\n"), lastChunk]
    : [json(answer)]
}

const settingsFor = (upstream: FakeUpstream): SettingsTree => ({
  server: { max_body_mb: 0.001 },
  backends: [backendFor("one", upstream)],
  routing: { aliases: { gpt: "m", lost: "nobody" }, fallbacks: { m: ["org/x:1"] } }
})

let upstream: FakeUpstream
let gateway: Gateway
let judge: OpenApiJudge

const ask = (path: string, init: RequestInit = {}, base: { readonly url: string } = gateway) =>
  fetch(`${base.url}${path}`, init)
const post = (path: string, body: unknown, init: RequestInit = {}, base: { readonly url: string } = gateway) =>
  ask(path, { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body), ...init }, base)

/** Asserts a status, and that the answer is as the document says. */
const expectTold = async (response: Response, method: string, path: string, status: number): Promise<void> => {
  const faults = await judge.faultsOf({ method, path, response })
  expect({ path, status: response.status, faults }).toEqual({ path, status, faults: [] })
}

beforeAll(async () => {
  upstream = await startUpstream({ models: ["m", "org/x:1"], script })
  gateway = await startGateway(settingsFor(upstream))
  judge = judgeBy((await (await ask("/openapi.json")).json()) as Record<string, unknown>)
})

afterAll(async () => {
  for (const each of [gateway, upstream]) await each[Symbol.asyncDispose]()
})

describe("/openapi.json", () => {
  test("is a valid OpenAPI 3.1 document", async () => {
    const validator = new Validator()
    expect(await validator.validate(structuredClone(judge.document))).toEqual({ valid: true })
    expect(validator.version).toBe("3.1")
    expect(judge.document["openapi"]).toBe("3.1.0")
  })

  test("tells of every path that is served, and of no other", () => {
    const told = judge.operations.map(({ method, path }) => `${method} ${path.replaceAll(/\{(\w+)\}/g, ":$1")}`)
    const served = [...servedPathsOf(Dialects.defaultValue())].flatMap(([path, methods]) =>
      methods
        .filter((method) => method !== "HEAD")
        .map((method) => `${method.toLowerCase()} ${path.replace("{model}", ":model")}`)
    )
    expect(told.sort()).toEqual(served.sort())
  })

  test("says of every endpoint what it is for, under a name of its own", () => {
    const unsaid = judge.operations.filter(({ operation }) => typeof operation["summary"] !== "string")
    expect(unsaid.map(({ path }) => path)).toEqual([])
    const names = judge.operations.map(({ operation }) => operation["operationId"])
    expect(new Set(names).size).toBe(names.length)
  })

  test("wants no key for what answers without one, and takes one everywhere else", () => {
    const keyless = judge.operations.filter(({ operation }) => operation["security"] !== undefined)
    expect(keyless.map(({ path, operation }) => [path, operation["security"]])).toEqual([
      ["/livez", []],
      ["/readyz", []],
      ["/", []],
      ["/docs", []]
    ])
    const schemes = ["bearer", "x-api-key", "api-key", "x-goog-api-key"]
    expect(judge.document["security"]).toEqual([{}, ...schemes.map((name) => ({ [name]: [] }))])
  })

  test("tells the forwarded endpoints' every failure, each with an example in its own shape", () => {
    const told = new Set(
      judge.operations.flatMap(({ operation }) => Object.keys(operation["responses"] as Record<string, unknown>))
    )
    for (const { error } of Object.values(errorExamples)) {
      const { status } = formOf(error)
      // A wrong method is of no endpoint's; the answer for all other failures tells of it.
      if (status !== 405) expect([status, told.has(String(status))]).toEqual([status, true])
      expect(judge.faultsBy("Error", JSON.parse(bodyOf(error)))).toEqual([])
    }
  })
})

const underWay = "under-way"

describe("every endpoint of the document", () => {
  test("answers, and as the document says", async () => {
    await using mine = await startProcess(settingsFor(upstream))
    const first = await post("/v1/chat/completions", chat, {}, mine)
    expect(first.headers.get("x-nexus-backend")).toBe("one")
    await first.text()
    const id = first.headers.get("x-request-id") ?? ""
    const isRemembered = async () => (await ask(`/admin/v1/decisions/${id}`, {}, mine)).status === 200
    await until(isRemembered, "it is remembered")
    // One that is under way: its body never comes whole.
    using client = await dial(mine.port)
    await client.send(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nx-request-id: ${underWay}\r\nContent-Length: 9\r\n\r\n{`
    )
    const isUnderWay = async () => (await ask(`/admin/v1/requests/${underWay}`, {}, mine)).status === 200
    await until(isUnderWay, "it is under way")
    // What takes a backend out comes last, after all that is done to it.
    const order = judge.operations.toSorted((a, b) => Number(a.method === "delete") - Number(b.method === "delete"))
    for (const { method, path } of order) {
      // It never ends.
      if (path === "/admin/v1/events") continue
      const at = placed(path, path.startsWith("/admin/v1/requests/") ? underWay : id)
      const body = method === "post" ? { body: JSON.stringify(bodies[path] ?? {}) } : {}
      // No backend here can do that.
      const isUnable = path === "/v1/responses/compact" || path.startsWith("/admin/v1/models/")
      const isCapture = method === "get" && path.startsWith("/admin/v1/captures/")
      const isKey = method !== "get" && /^\/admin\/v1\/(?:keys|revocations)/.test(path)
      const isUnkept = isCapture || isKey || path === "/admin/v1/usage"
      const status = isUnable ? 501 : isUnkept ? 409 : 200
      await expectTold(await ask(at, { method: method.toUpperCase(), ...body }, mine), method, path, status)
      if (method === "get" && !isUnkept) {
        const head = await ask(at, { method: "HEAD" }, mine)
        expect([path, head.status, await head.text()]).toEqual([path, 200, ""])
      }
    }
  }, 120_000)

  test("takes what the document says that it takes", () => {
    expect(judge.faultsBy("ChatCompletionRequest", bodies["/v1/chat/completions"])).toEqual([])
    expect(judge.faultsBy("CompletionRequest", bodies["/v1/completions"])).toEqual([])
    expect(judge.faultsBy("EmbeddingRequest", bodies["/v1/embeddings"])).toEqual([])
    const rich = {
      ...chat,
      messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:," } }], name: "x" }],
      tools: [{ type: "function" }],
      response_format: { type: "json_object" },
      stream: null,
      seed: 1
    }
    expect(judge.faultsBy("ChatCompletionRequest", rich)).toEqual([])
    expect(judge.faultsBy("ChatCompletionRequest", { messages: [] })).not.toEqual([])
    expect(judge.faultsBy("EmbeddingRequest", { model: "m", input: 1 })).not.toEqual([])
  })

  describe("refuses the bodies that the document does not allow, and takes those that it does:", () => {
    const long = "x".repeat(513)
    const server = { url: "http://127.0.0.1:9", type: "generic" }
    const rows: ReadonlyArray<readonly [path: string, refused: ReadonlyArray<object>, taken: ReadonlyArray<object>]> = [
      [
        chatPath,
        [
          { ...chat, model: "" },
          { ...chat, model: long },
          { ...chat, model: 1 },
          { ...chat, stream: "yes" },
          { model: "gpt" },
          { ...chat, messages: "hi" },
          { ...chat, messages: null }
        ],
        [
          chat,
          { ...chat, stream: null, max_tokens: null, tools: null, response_format: null },
          { ...chat, messages: [] }
        ]
      ],
      [
        "/v1/completions",
        [
          { model: "", prompt: "x" },
          { model: "m", prompt: 1 },
          { model: "m", prompt: "x", stream: 1 }
        ],
        [{ model: "m" }, { model: "m", prompt: null }, { model: "m", prompt: [1, 2] }]
      ],
      [
        "/v1/embeddings",
        [
          { model: "", input: "x" },
          { model: "m" },
          { model: "m", input: 1 },
          { model: "m", input: null },
          { model: "m", messages: "x" }
        ],
        [
          { model: "m", input: "x" },
          { model: "m", input: [1] },
          { model: "m", input: {} },
          { model: "m", messages: [] }
        ]
      ],
      [
        "/admin/v1/route",
        [
          { ...chat, model: "" },
          { ...chat, model: long }
        ],
        [chat, { ...chat, model: "nobody's" }]
      ],
      [
        "/admin/v1/backends",
        [
          { ...server, url: "" },
          { type: "generic" },
          { ...server, name: "" },
          { ...server, name: "a b" },
          { ...server, name: "x".repeat(65) },
          { ...server, type: "none" },
          { ...server, priority: -1 },
          { ...server, priority: 1.5 },
          { ...server, max_concurrent: 0 },
          { ...server, max_concurrent: 60_001 },
          { ...server, api_key_env: "" },
          { ...server, save: "yes" }
        ],
        [{ ...server, name: "taken", priority: 0, max_concurrent: 1, save: false, other: 1 }]
      ]
    ]
    for (const [path, refused, taken] of rows) {
      test(path, async () => {
        await using mine = await startProcess({ ...settingsFor(upstream), server: {} })
        for (const body of refused) {
          expect({ body, faults: judge.faultsOfBody("post", path, body) }).not.toEqual({ body, faults: [] })
          expect({ body, status: (await post(path, body, {}, mine)).status }).toEqual({ body, status: 400 })
        }
        for (const body of taken) {
          expect({ body, faults: judge.faultsOfBody("post", path, body) }).toEqual({ body, faults: [] })
          expect({ body, status: (await post(path, body, {}, mine)).status }).toEqual({ body, status: 200 })
        }
      })
    }
  })

  test("streams events as the document says", async () => {
    for (const [path, chunkName] of [
      ["/v1/chat/completions", "ChatCompletionChunk"],
      ["/v1/completions", "CompletionChunk"]
    ] as const) {
      const response = await post(path, { ...(bodies[path] as object), stream: true })
      const events = [...(await response.clone().text()).matchAll(/^data: (.+)$/gm)].map(([, data]) => data ?? "")
      expect(events.pop()).toBe("[DONE]")
      expect(events.length).toBeGreaterThan(0)
      for (const data of events) expect(judge.faultsBy(chunkName, JSON.parse(data))).toEqual([])
      await expectTold(response, "post", path, 200)
    }
  })

  test("ends a stream that breaks off with an error of the document's shape", async () => {
    const [first = ""] = chatEvents("m", ["Hello"])
    upstream.script(() => [streamHead(), chunk(first), "reset"])
    const { text } = await askRaw(
      gateway.port,
      "POST",
      "/v1/chat/completions",
      JSON.stringify({ ...chat, stream: true })
    )
    upstream.script(script)
    const last = [...text.matchAll(/^data: (.+)$/gm)].at(-1)?.[1] ?? ""
    expect(judge.faultsBy("Error", JSON.parse(last))).toEqual([])
  })
})

describe("failures are as the document says", () => {
  test("wrong requests: 400, 404, 405, 413 and 415", async () => {
    const path = "/v1/chat/completions"
    await expectTold(await post(path, "{"), "post", path, 400)
    await expectTold(await post(path, { ...chat, model: "nobody's" }), "post", path, 404)
    await expectTold(await ask(path), "post", path, 405)
    await expectTold(await post(path, { ...chat, filler: "x".repeat(2000) }), "post", path, 413)
    await expectTold(await post(path, chat, { headers: { "content-encoding": "gzip" } }), "post", path, 415)
    await expectTold(await ask("/health", { headers: { host: "evil.example" } }), "get", "/health", 403)
    await expectTold(await ask("/v1/models/none"), "get", "/v1/models/{id}", 404)
    await expectTold(await ask("/admin/v1/decisions/none"), "get", "/admin/v1/decisions/{id}", 404)
    const one = "/admin/v1/requests/{id}"
    await expectTold(await ask("/admin/v1/requests/none"), "get", one, 404)
    await expectTold(await ask("/admin/v1/requests/none", { method: "DELETE" }), "delete", one, 404)
    await expectTold(await post("/admin/v1/route", { model: 1 }), "post", "/admin/v1/route", 400)
    await expectTold(await post("/admin/v1/backends", { url: 1 }), "post", "/admin/v1/backends", 400)
    await expectTold(await post("/admin/v1/backends", "{"), "post", "/admin/v1/backends", 400)
    const action = "/admin/v1/backends/{name}/{action}"
    await expectTold(await post("/admin/v1/backends/none/drain", {}), "post", action, 404)
    await expectTold(await post("/admin/v1/backends/one/explode", {}), "post", action, 400)
    await expectTold(await post("/admin/v1/route?endpoint=x", chat), "post", "/admin/v1/route", 400)
    const none = await ask("/admin/v1/backends/none", { method: "DELETE" })
    await expectTold(none, "delete", "/admin/v1/backends/{name}", 404)
    const taken = await post("/admin/v1/backends", { url: "http://127.0.0.1:9", name: "one", type: "generic" })
    await expectTold(taken, "post", "/admin/v1/backends", 409)
    const said = await (await post("/admin/v1/backends", { url: 1 })).json()
    expect(said).toMatchObject({
      error: { message: expect.stringContaining("'url' in the request body"), param: "url" }
    })
    await expectTold(await ask("/nowhere"), "get", "/health", 404)
  })

  test("what a backend refuses keeps its status", async () => {
    upstream.script(() => [json({ error: { message: "no", type: "t", param: null, code: null } }, 422)])
    await expectTold(await post("/v1/chat/completions", chat), "post", "/v1/chat/completions", 422)
    upstream.script(() => [json({ detail: "slow down" }, 429)])
    await expectTold(await post("/v1/embeddings", bodies["/v1/embeddings"]), "post", "/v1/embeddings", 429)
    upstream.script(script)
  })

  test("a gateway with keys: 401 without one, 200 with one, and the probes need none", async () => {
    const key = "sk-test-key"
    const digest = new Uint8Array(createHash("sha256").update(key).digest())
    const authKeys = [{ name: "k", digest, key: Redacted.make(key) }]
    await using locked = await startGateway(
      { backends: [backendFor("one", upstream)] },
      { backendKeys: new Map(), authKeys }
    )
    for (const { method, path, operation } of judge.operations) {
      const open = operation["security"] !== undefined
      const response = await ask(placed(path, "x"), { method: method.toUpperCase() }, locked)
      await expectTold(response, method, path, open ? 200 : 401)
    }
    const names = ["x-api-key", "api-key"]
    for (const headers of [{ authorization: `Bearer ${key}` }, ...names.map((name) => ({ [name]: key }))]) {
      await expectTold(await ask("/v1/models", { headers }, locked), "get", "/v1/models", 200)
    }
    // By this one it is known for a client of another dialect.
    const headers = { "x-goog-api-key": key }
    await expectTold(await ask("/v1beta/models", { headers }, locked), "get", "/v1beta/models", 200)
  })

  test("a gateway without a healthy backend: 503", async () => {
    const gone = await startUpstream({ models: ["m"] })
    await gone[Symbol.asyncDispose]()
    await using alone = await startGateway({
      backends: [backendFor("gone", gone, { models: [{ id: "m" }] })],
      health_check: { failure_threshold: 1 }
    })
    await expectTold(await ask("/health", {}, alone), "get", "/health", 503)
    await expectTold(await ask("/readyz", {}, alone), "get", "/readyz", 503)
    await expectTold(await post(chatPath, { ...chat, model: "m" }, {}, alone), "post", chatPath, 503)
    await expectTold(await ask("/admin/v1/models", {}, alone), "get", "/admin/v1/models", 200)
  })

  test("a backend that answers with rubbish: 502", async () => {
    await using rubbish = await startUpstream({ models: ["m"], script: () => [json("<html>")] })
    await using alone = await startGateway({ backends: [backendFor("one", rubbish)] })
    await expectTold(
      await post("/v1/chat/completions", { ...chat, model: "m" }, {}, alone),
      "post",
      "/v1/chat/completions",
      502
    )
  })
})

test("the judge finds what is wrong", async () => {
  const path = "/v1/chat/completions"
  const answer = completion("m", "x")
  const wrong = new Response(JSON.stringify({ ...answer, choices: "none" }), {
    headers: { "content-type": "application/json", "x-odd": "1" }
  })
  const faults = await judge.faultsOf({ method: "post", path, response: wrong })
  expect(faults).toContain("no header x-request-id")
  expect(faults).toContain("header x-odd is not told of")
  expect(faults.at(-1)).toStartWith("/choices must be array")
  const untold = new Response("{}", { status: 200, headers: { "content-type": "text/plain" } })
  expect(await judge.faultsOf({ method: "get", path: "/health", response: untold })).toContain(
    "content type text/plain is not told of"
  )
})
