import { describe, expect, test } from "bun:test"
import { Redacted } from "effect"
import { chatEvents, chunk, completion, head, json, lastChunk, streamHead, whole } from "../kit/answers.ts"
import { canSwallow, swallow } from "../kit/blackHole.ts"
import { modelOf, wantsStream } from "../kit/FakeUpstream.ts"
import type { Script, Seen, Step } from "../kit/rawServer.ts"
import { authority, client, good as certificate, issued, terminate } from "../kit/tls.ts"
import { able, backendAt, bad, look, parsed, start } from "./patient.ts"

const missing = (request: Seen): Iterable<Step> | undefined =>
  request.target.startsWith("/v1/") ? undefined : [json({ error: "no such path" }, 404)]

describe("doctor finds nothing wrong", () => {
  test("with a server that does all it is asked for, and says what it saw", async () => {
    await using upstream = await start({ models: ["m", { id: "nomic-embed-text", embeddings: true }] })
    const findings = await look(backendAt(upstream.url), true)
    expect(bad(findings)).toEqual([])
    const checks = ["connect", "type", "models", "chat", "stream", "tools", "json", "embeddings"]
    expect(findings.map(({ check }) => check)).toEqual(checks)
    expect(findings.find(({ check }) => check === "embeddings")?.seen).toContain("nomic-embed-text")
  })

  test("with the ca_file and the client certificate of a backend, nor with any certificate where none is looked at", async () => {
    await using upstream = await start()
    await using strict = await terminate(upstream.port, issued, { asksClients: true })
    await using signedByItself = await terminate(upstream.port, certificate)
    const trusted = { ca: authority, cert: client.cert, key: Redacted.make(client.key) }
    expect(bad(await look(backendAt(strict.url, { tls: trusted }), true))).toEqual([])
    expect(bad(await look(backendAt(signedByItself.url, { tls: { insecure: true } }), true))).toEqual([])
  })

  test("and spends no token when it must not", async () => {
    await using upstream = await start()
    expect(bad(await look(backendAt(upstream.url)))).toEqual([])
    expect(upstream.calls()).toHaveLength(0)
  })

  test("and spends few tokens otherwise", async () => {
    await using upstream = await start({ models: ["m", { id: "nomic-embed-text", embeddings: true }] })
    await look(backendAt(upstream.url), true)
    const spent = upstream.calls().map((call) => Number(parsed(call)["max_tokens"] ?? 0))
    expect(spent.reduce((sum, each) => sum + each, 0)).toBeLessThan(200)
    expect(spent).toHaveLength(5)
  })
})

describe("doctor says where a server cannot be reached", () => {
  test("a name that nobody knows", async () => {
    const [finding] = bad(await look(backendAt("http://no-such-host.invalid:1234")))
    expect(finding).toMatchObject({ check: "name", severity: "error" })
    expect(finding?.fix).toContain("url =")
  })

  test("a port where nothing listens, and how its kind of server is started", async () => {
    const gone = await start()
    await gone[Symbol.asyncDispose]()
    const findings = bad(await look(backendAt(gone.url, { type: "ollama" })))
    expect(findings).toMatchObject([{ check: "connect", severity: "error", fix: "ollama serve" }])
  })

  test.skipIf(!canSwallow)("a port that swallows connections", async () => {
    const gone = await start()
    await gone[Symbol.asyncDispose]()
    using _hole = await swallow(gone.port)
    const findings = bad(await look(backendAt(gone.url), false, { timeoutMs: 200 }))
    expect(findings).toMatchObject([{ check: "connect", severity: "error" }])
    expect(findings[0]?.seen).toContain("no connection within 0.2 s")
  })

  test("a certificate that this machine does not trust", async () => {
    await using upstream = await start()
    await using tls = await terminate(upstream.port, certificate)
    const findings = bad(await look(backendAt(tls.url)))
    expect(findings).toMatchObject([{ check: "TLS", severity: "error" }])
    expect(findings[0]?.fix).toContain("ca_file")
  })
})

describe("doctor finds the base path, and its advice mends it:", () => {
  for (const [name, wrong] of [
    ["a doubled /v1", "/v1/v1"],
    ["the path of an endpoint", "/v1/chat/completions"],
    ["a path that is not there", "/somewhere"]
  ] as const) {
    test(name, async () => {
      await using upstream = await start()
      const [finding] = bad(await look(backendAt(upstream.url + wrong)))
      expect(finding).toMatchObject({ check: "base path", severity: "error", fix: `url = "${upstream.url}"` })
      const url = /"(.*)"/.exec(finding?.fix ?? "")?.[1] ?? ""
      expect(bad(await look(backendAt(url)))).toEqual([])
    })
  }

  test("a list of models that stands where chats do not, which is what requests would get", async () => {
    await using upstream = await start({ script: () => [json({ detail: "Not Found" }, 404)] })
    const [finding] = bad(await look(backendAt(upstream.url), true))
    expect(finding).toMatchObject({ severity: "error", check: "chat" })
    expect(finding?.seen).toContain(`${upstream.url}/v1/chat/completions answers status 404`)
    expect(finding?.fix).toContain("base URL")
  })

  test("nothing wrong with an API right below a path of its own, and speaks with it there", async () => {
    const list = { object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] }
    await using upstream = await start({
      probe: ({ target }) => [target === "/api/paas/v4/models" ? json(list) : json({ detail: "Not Found" }, 404)]
    })
    const backend = { ...backendAt(`${upstream.url}/api/paas/v4`), apiPath: "/v1" as const }
    const findings = await look(backend, true)
    expect(findings.find(({ check }) => check === "chat")?.severity).toBe("ok")
    expect(upstream.calls().every(({ target }) => target === "/api/paas/v4/chat/completions")).toBe(true)
  })

  test("an API below a path of its own", async () => {
    const probe = (request: Seen): Iterable<Step> => {
      const list = { object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] }
      return request.target === "/openai/v1/models" ? [json(list)] : [json({ detail: "Not Found" }, 404)]
    }
    await using upstream = await start({ probe })
    const [finding] = bad(await look(backendAt(upstream.url)))
    expect(finding).toMatchObject({ check: "base path", fix: `url = "${upstream.url}/openai"` })
    expect(bad(await look(backendAt(`${upstream.url}/openai`)))).toEqual([])
  })
})

describe("doctor tells keys apart:", () => {
  const locked = (request: Seen): Iterable<Step> | undefined =>
    request.header("authorization") === "Bearer right" ? undefined : [json({ error: { message: "no" } }, 401)]

  test("one that is missing", async () => {
    await using upstream = await start({ probe: locked })
    const findings = bad(await look(backendAt(upstream.url, { name: "my-server" })))
    expect(findings).toMatchObject([{ check: "key", severity: "error" }])
    expect(findings[0]?.fix).toBe('api_key_env = "MY_SERVER_KEY", and export MY_SERVER_KEY=… before nexus serve')
  })

  test("one that is refused, and one that is right", async () => {
    await using upstream = await start({ probe: locked })
    const withKey = (key: string) => look(backendAt(upstream.url, { apiKey: Redacted.make(key) }))
    expect(bad(await withKey("wrong"))).toMatchObject([{ check: "key", severity: "error" }])
    expect(JSON.stringify(await withKey("wrong"))).not.toContain("wrong")
    expect(bad(await withKey("right"))).toEqual([])
  })
})

describe("doctor compares what the config says with what the server says:", () => {
  test("its type, and the advised one is right", async () => {
    await using upstream = await start({ type: "llamacpp" })
    const findings = await look(backendAt(upstream.url, { type: "vllm" }))
    expect(bad(findings)).toMatchObject([{ check: "type", severity: "warning", fix: 'type = "llamacpp"' }])
    expect(bad(await look(backendAt(upstream.url, { type: "llamacpp" })))).toEqual([])
    await using other = await start({ type: "sglang" })
    // As one was set up before it was a type of its own.
    expect(bad(await look(backendAt(other.url, { type: "vllm" })))).toEqual([])
    expect(await look(backendAt(other.url, { type: "vllm" }))).toContainEqual(
      expect.objectContaining({ check: "type", severity: "info", fix: 'type = "sglang"' })
    )
  })

  test("a model that it does not serve", async () => {
    await using upstream = await start({ models: ["mistral:7b"] })
    const models = [{ id: "mistral:7", capabilities: {} }]
    expect(bad(await look(backendAt(upstream.url, { models })))).toMatchObject([
      { check: "models", severity: "warning", fix: '[[backends.models]] id = "mistral:7b"' }
    ])
  })

  test("a llama-server whose slots share one cache, and how it is started otherwise", async () => {
    const emptied = [
      { id: 0, is_processing: false, id_task: 3, n_prompt_tokens: 0 },
      { id: 1, is_processing: false, id_task: 7, n_prompt_tokens: 90 }
    ]
    await using shared = await start({
      type: "llamacpp",
      probe: ({ target }) => (target === "/slots" ? [json(emptied)] : undefined)
    })
    const finding = (await look(backendAt(shared.url, { type: "llamacpp" }))).find(({ check }) => check === "slots")
    expect(finding).toMatchObject({ severity: "info" })
    for (const option of ["-np N -c N*CONTEXT -sps 0.9", "--no-cache-idle-slots"])
      expect(finding?.fix).toContain(option)
    await using untold = await start({ type: "llamacpp" })
    const checks = (await look(backendAt(untold.url, { type: "llamacpp" }))).map(({ check }) => check)
    expect(checks).not.toContain("slots")
  })

  test("a context that is too long", async () => {
    await using upstream = await start({ type: "llamacpp", models: [{ id: "m", context: 8192 }] })
    const models = [{ id: "m", context_length: 128_000, capabilities: {} }]
    expect(bad(await look(backendAt(upstream.url, { type: "llamacpp", models })))).toMatchObject([
      { check: "context", severity: "warning", fix: "context_length = 8192" }
    ])
  })

  test("the small context of an Ollama, as it is in force for each model", async () => {
    const models = [
      { id: "m", context: 4096 },
      { id: "n", context: 2048 },
      { id: "roomy", context: 8192 }
    ]
    await using upstream = await start({ type: "ollama", models })
    expect(bad(await look(backendAt(upstream.url, { type: "ollama" })))).toMatchObject([
      {
        check: "context",
        severity: "warning",
        seen: "prompts longer than the context, in tokens, are cut: m (4096), n (2048)",
        fix: "OLLAMA_CONTEXT_LENGTH=32768 ollama serve"
      }
    ])
  })

  test("no model at all", async () => {
    await using upstream = await start({ type: "ollama", models: [] })
    expect(bad(await look(backendAt(upstream.url, { type: "ollama" })))).toMatchObject([
      { check: "models", severity: "warning", fix: "ollama pull MODEL" }
    ])
  })

  test("a clock that is off", async () => {
    const list = { object: "list", data: [{ id: "m", object: "model", owned_by: "x" }] }
    const probe = (request: Seen): Iterable<Step> | undefined =>
      request.target === "/v1/models" ? [json(list, 200, ["Date: Mon, 23 Nov 2020 20:00:00 GMT"])] : missing(request)
    await using upstream = await start({ probe })
    expect(bad(await look(backendAt(upstream.url)))).toMatchObject([{ check: "clock", severity: "warning" }])
  })
})

describe("doctor hears how a model answers:", () => {
  const rows: ReadonlyArray<readonly [name: string, when: (body: Record<string, unknown>) => boolean, Script, object]> =
    [
      [
        "an error",
        () => true,
        () => [json({ error: { message: "model requires more system memory" } }, 500)],
        { check: "chat", severity: "error", seen: "m: status 500: model requires more system memory" }
      ],
      [
        "an HTML page",
        () => true,
        () => [whole(200, "<html>", "text/html")],
        { check: "chat", severity: "error", seen: "m: the answer has no choices[0].message" }
      ],
      [
        "a stream that is none",
        (body) => body["stream"] === true,
        (request) => [json(completion(modelOf(request), "x"))],
        { check: "stream", severity: "error", seen: "asked for a stream it answers application/json" }
      ],
      [
        "a stream without an end",
        (body) => body["stream"] === true,
        () => [streamHead(), chunk(chatEvents("m", ["a"])[0] ?? ""), lastChunk],
        { check: "stream", severity: "error" }
      ],
      [
        "a refusal of tools",
        (body) => body["tools"] !== undefined,
        () => [json({ error: "m does not support tools" }, 400)],
        { check: "tools", severity: "warning", fix: '[[backends.models]] id = "m", tools = false' }
      ],
      [
        "JSON mode without JSON",
        (body) => body["response_format"] !== undefined,
        (request) => [json(completion(modelOf(request), "Sure!"))],
        { check: "json", severity: "warning", fix: '[[backends.models]] id = "m", json_mode = false' }
      ],
      [
        "a connection that breaks",
        () => true,
        () => [head(200, ["Content-Type: application/json", "Content-Length: 100"]), "{", "reset"],
        { check: "chat", severity: "error" }
      ]
    ]
  for (const [name, when, script, expected] of rows) {
    test(name, async () => {
      await using upstream = await start({
        script: (request) => (when(parsed(request)) ? script(request) : able(request))
      })
      expect(bad(await look(backendAt(upstream.url), true))).toMatchObject([expected])
    })
  }

  test("a stream that something holds back until its end", async () => {
    const script: Script = async function* (request) {
      if (!wantsStream(request)) return yield* able(request) as Iterable<Step> // reason: able gives no promises
      yield { until: Bun.sleep(200) }
      const events = chatEvents("m", ["a", "b", "c", "d"])
      yield whole(200, events.join(""), "text/event-stream")
    }
    await using upstream = await start({ script })
    const findings = bad(await look(backendAt(upstream.url), true))
    expect(findings).toMatchObject([{ check: "stream", severity: "warning" }])
    expect(findings[0]?.seen).toMatch(/\d events came at once .* the server made them all .*, or a proxy/)
    expect(findings[0]?.fix).toMatch(/if there is a proxy.*proxy_buffering off.*if there is none/)
  })

  test("nothing in time", async () => {
    await using upstream = await start({ script: () => [{ until: new Promise(() => undefined) }] })
    const findings = bad(await look(backendAt(upstream.url), true, { answerMs: 100 }))
    expect(findings).toMatchObject([{ check: "chat", severity: "error", seen: "no answer within 100 ms" }])
    expect(findings[0]?.fix).toContain("first_byte_timeout_seconds")
  })

  test("embeddings that fail", async () => {
    const script: Script = (request) =>
      request.target.endsWith("/embeddings") ? [json({ error: { message: "no" } }, 400)] : able(request)
    await using upstream = await start({ models: [{ id: "nomic-embed-text", embeddings: true }], script })
    expect(bad(await look(backendAt(upstream.url), true))).toMatchObject([{ check: "embeddings", severity: "error" }])
  })
})
