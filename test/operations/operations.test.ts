import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test"
import { NexusConfig } from "../../src/config/NexusConfig.ts"
import { loadedFrom } from "../config/reading.ts"
import { Effect, Layer, ManagedRuntime } from "effect"
import { closedCircuit } from "../../src/domain/circuit.ts"
import type { Backend } from "../../src/backend/backend.ts"
import type { Model } from "../../src/domain/server.ts"
import { version } from "../../src/domain/version.ts"
import { Drain } from "../../src/admission/Drain.ts"
import { Captures } from "../../src/capture/Captures.ts"
import { AnswerCache } from "../../src/cache/AnswerCache.ts"
import { ClientKeys } from "../../src/admission/ClientKeys.ts"
import { Limiter } from "../../src/admission/Limiter.ts"
import { Doctor } from "../../src/operations/DoctorService.ts"
import { Operations } from "../../src/operations/Operations.ts"
import { Siblings } from "../../src/operations/Siblings.ts"
import { Meters } from "../../src/proxy/Meters.ts"
import { History } from "../../src/proxy/History.ts"
import { Registry } from "../../src/registry/Registry.ts"
import { Budgets } from "../../src/usage/Budgets.ts"
import { Replicas } from "../../src/replicas/Replicas.ts"
import { UsageLedger } from "../../src/usage/UsageLedger.ts"
import { Router } from "../../src/router/Router.ts"
import { plainSettings } from "../kit/generators.ts"
import { noControl, noDoctor, noLifecycle, noIssuers } from "../kit/control.ts"

const backend = (name: string, extra: Partial<Backend> = {}): Backend => ({
  name,
  url: `http://user:secret@127.0.0.1:1/${name}`,
  type: "generic",
  priority: 50,
  origin: "config",
  apiKey: undefined,
  forwardAuthorization: false,
  maxConcurrent: undefined,
  limits: { firstByteMs: 0, idleMs: 0, totalMs: 0, connectMs: 0 },
  models: [],
  ...extra
})

const world = (siblings: typeof Siblings.Service = { ask: () => Effect.succeed([]) }, doctor = noDoctor) => {
  const layer = Operations.layer({ maxRetries: () => 2 }).pipe(
    Layer.provideMerge(
      Layer.mergeAll(
        UsageLedger.none,
        AnswerCache.layer(() => 0),
        Captures.none,
        Budgets.none,
        NexusConfig.layerOf(loadedFrom("")),
        History.layer.pipe(Layer.provideMerge(Router.layer(() => plainSettings))),
        Meters.layer(1).pipe(
          Layer.provide(UsageLedger.none),
          Layer.provideMerge(Limiter.layer()),
          Layer.provideMerge(Registry.layer(() => ({ failures: 1, recoveries: 1 })))
        ),
        Drain.layer,
        noControl,
        doctor,
        ClientKeys.layer(() => []),
        noIssuers,
        noLifecycle,
        Layer.succeed(Siblings, siblings)
      )
    ),
    Layer.provideMerge(Replicas.none)
  )
  const runtime = ManagedRuntime.make(layer)
  const get = async (path: string, init: RequestInit = {}) => {
    const { handle } = await runtime.runPromise(Operations)
    return handle(new Request(`http://localhost${path}`, init), "req-1")
  }
  const json = async (path: string) => JSON.parse(await (await get(path)).text())
  const up = (name: string, models: ReadonlyArray<Model>, extra: Partial<Backend> = {}) =>
    runtime.runPromise(
      Effect.gen(function* () {
        const registry = yield* Registry
        yield* registry.put(backend(name, extra))
        yield* registry.noteProbe(name, { _tag: "Up", models, latencyMs: 12.34 })
      })
    )
  const down = (name: string) =>
    runtime.runPromise(
      Effect.gen(function* () {
        const registry = yield* Registry
        if (!registry.snapshot().backends.has(name)) yield* registry.put(backend(name))
        yield* registry.noteProbe(name, { _tag: "Down", reason: "connection refused" })
      })
    )
  return { runtime, get, json, up, down }
}

const model = (id: string, context_length?: number, capabilities: Model["capabilities"] = {}): Model =>
  context_length === undefined ? { id, capabilities } : { id, context_length, capabilities }

describe("a request that may be with a worker that does not answer in time", () => {
  const { runtime, get } = world({ ask: () => Effect.succeed(undefined) })
  afterAll(() => runtime.dispose())

  for (const [method, path] of [
    ["GET", "/admin/v1/requests/some"],
    ["DELETE", "/admin/v1/requests/some"],
    ["GET", "/admin/v1/decisions/some"]
  ] as const) {
    test(`is not said not to be there: ${method} ${path}`, async () => {
      const response = await get(path, { method })
      expect(response.status).toBe(409)
      expect(await response.text()).toContain("Another worker did not answer in time")
    })
  }
})

describe("a look over the gateway that fails itself", () => {
  const { runtime, get } = world(undefined, Layer.succeed(Doctor, { look: () => Effect.die("broken") }))
  afterAll(() => runtime.dispose())

  test("ends all the same, and says that not all was looked at", async () => {
    for (let turn = 0; turn < 2; turn += 1) {
      const response = await get("/admin/v1/doctor", { method: "POST", body: "{}" })
      expect(response.status).toBe(200)
      expect(JSON.parse(await response.text())).toEqual({ event: "done", complete: false, errors: 0, warnings: 0 })
    }
  })
})

describe("with no backend", () => {
  const { runtime, get, json } = world()
  afterAll(() => runtime.dispose())

  test("an id that could steer a terminal is named without what steers it", async () => {
    for (const kept of ["requests", "decisions"]) {
      const { error } = await json(`/admin/v1/${kept}/a%1b[31mb%0a`)
      expect(error.message).toMatch(/^No request '[ -~]*' /)
    }
  })

  test("/health is healthy, /livez alive and /readyz refuses", async () => {
    expect(await json("/health")).toMatchObject({
      status: "healthy",
      backends: { total: 0, healthy: 0, unhealthy: 0 },
      models: 0
    })
    expect((await get("/health")).status).toBe(200)
    expect((await get("/livez")).status).toBe(200)
    expect((await get("/readyz")).status).toBe(503)
    expect(await json("/readyz")).toEqual({ status: "not_ready", reason: "no backend is healthy" })
  })

  test("/v1/models is an empty list", async () => {
    expect(await json("/v1/models")).toEqual({ object: "list", data: [] })
  })
})

describe("with two healthy backends and one that is down", () => {
  const { runtime, get, json, up, down } = world()
  afterAll(() => runtime.dispose())

  beforeAll(async () => {
    await up("a", [model("mistral:7b", 4096, { tools: true, vision: false }), model("org/zephyr:latest")])
    await up("b", [model("mistral:7b", 8192, { vision: false }), model("Alpha")])
    await up("c", [model("only-down")])
    await down("c")
  })

  test("/v1/models lists each model once, sorted, with the most that a healthy backend can", async () => {
    const { object, data } = await json("/v1/models")
    expect(object).toBe("list")
    expect(data.map((entry: { id: string }) => entry.id)).toEqual(["Alpha", "mistral:7b", "org/zephyr:latest"])
    expect(data[1]).toEqual({
      id: "mistral:7b",
      object: "model",
      created: expect.any(Number),
      owned_by: "nexus",
      context_length: 8192,
      capabilities: { vision: false, tools: true },
      backends: ["a", "b"]
    })
    expect(data[2]).not.toHaveProperty("context_length")
  })

  test("/v1/models says the same at every call, and changes with the registry", async () => {
    expect(await json("/v1/models")).toEqual(await json("/v1/models"))
    await up("d", [model("late")])
    expect((await json("/v1/models")).data).toHaveLength(4)
    await runtime.runPromise(Effect.flatMap(Registry, (registry) => registry.remove("d")))
    expect((await json("/v1/models")).data).toHaveLength(3)
  })

  for (const path of ["mistral:7b", "mistral%3A7b", "org/zephyr:latest", "org%2Fzephyr%3Alatest"]) {
    test(`/v1/models/${path} finds its model`, async () => {
      const response = await get(`/v1/models/${path}`)
      expect(response.status).toBe(200)
      expect((await response.json()) as unknown).toMatchObject({ id: decodeURIComponent(path), object: "model" })
    })
  }

  for (const id of ["nope", "only-down", "a/b/c", "%zz", "mistral:7b/", "n".repeat(101)]) {
    test(`/v1/models/${id} is a 404 that names what there is`, async () => {
      const response = await get(`/v1/models/${id}`)
      expect(response.status).toBe(404)
      expect(response.headers.get("x-request-id")).toBe("req-1")
      expect(JSON.parse(await response.text())).toEqual({
        error: {
          message: `Model '${id}' not found. ${id.startsWith("mistral") ? "Did you mean 'mistral:7b'? " : ""}Available: Alpha, mistral:7b, org/zephyr:latest`,
          type: "invalid_request_error",
          param: "model",
          code: "model_not_found"
        }
      })
    })
  }

  test("/health is degraded with 200 and counts all, /readyz is ready", async () => {
    const response = await get("/health")
    expect(response.status).toBe(200)
    expect(JSON.parse(await response.text())).toEqual({
      status: "degraded",
      uptime_seconds: expect.any(Number),
      backends: { total: 3, healthy: 2, unhealthy: 1 },
      models: 3,
      details: [
        { name: "a", status: "healthy", reason: "" },
        { name: "b", status: "healthy", reason: "" },
        { name: "c", status: "unhealthy", reason: "connection refused" }
      ],
      config: { generation: 1, loaded_at: 0, path: null, needs_restart: [], failure: null }
    })
    expect((await get("/readyz")).status).toBe(200)
  })

  test("/nexus/backends tells all of a backend but its credentials", async () => {
    const live = await runtime.runPromise(
      Effect.map(Registry, (registry) => registry.snapshot().backends.get("a")?.live)
    )
    if (live === undefined) throw new Error("backend a is missing")
    live.inFlight = 2
    live.cooling.set("mistral:7b", performance.now() + 60_000)
    live.cooling.set("org/zephyr:latest", 1)
    live.circuits.set("mistral:7b", { ...closedCircuit, failures: 3, opens: 1, openUntil: performance.now() + 60_000 })
    live.circuits.set("org/zephyr:latest", { ...closedCircuit, failures: 3, opens: 1, openUntil: 1 })
    const body = await json("/nexus/backends")
    expect(body.version).toBe(version)
    expect(body.backends).toHaveLength(3)
    expect(body.backends[0]).toEqual({
      name: "a",
      url: "http://127.0.0.1:1/a",
      mode: "enabled",
      type: "generic",
      origin: "config",
      zone: "local",
      priority: 50,
      status: "healthy",
      reason: "",
      models: [
        { id: "mistral:7b", context_length: 4096, capabilities: { tools: true, vision: false } },
        { id: "org/zephyr:latest", capabilities: {} }
      ],
      latency_ms: 12.3,
      in_flight: 2,
      cooling_ms: expect.any(Number),
      circuits: [
        { model: "mistral:7b", state: "open", failures: 3, retry_in_ms: expect.any(Number) },
        { model: "org/zephyr:latest", state: "half_open", failures: 3, retry_in_ms: 0 }
      ],
      dialects: [
        { name: "openai", native: true, reason: "", source: "" },
        ...["responses", "anthropic", "ollama"].map((name) => ({
          name,
          native: false,
          reason: "nobody has tried how well",
          source: "its type, which tells nothing of it"
        }))
      ]
    })
    expect(body.backends[0].cooling_ms).toBeGreaterThan(50_000)
    const { details } = await json("/health")
    expect(details.slice(1)).toEqual([
      { name: "b", status: "healthy", reason: "" },
      { name: "c", status: "unhealthy", reason: "connection refused" }
    ])
    expect(details[0]).toEqual({
      name: "a",
      status: "healthy",
      reason: "",
      cooling_ms: expect.any(Number),
      circuits: [
        { model: "mistral:7b", state: "open", failures: 3, retry_in_ms: expect.any(Number) },
        { model: "org/zephyr:latest", state: "half_open", failures: 3, retry_in_ms: 0 }
      ]
    })
    expect(body.backends[2]).toMatchObject({ status: "unhealthy", reason: "connection refused" })
  })

  test("HEAD answers as GET does, without a body", async () => {
    const response = await get("/health", { method: "HEAD" })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe("")
  })

  test("a wrong method and an unknown path are answered in OpenAI's shape", async () => {
    const rows = [
      ["POST", "/health", 405, "method_not_allowed", "GET, HEAD"],
      ["DELETE", "/v1/models/mistral:7b", 405, "method_not_allowed", "GET, HEAD"],
      ["GET", "/v1/chat/completions", 405, "method_not_allowed", "POST"],
      ["GET", "/nowhere", 404, "not_found", null],
      ["POST", "/v1/models/", 404, "not_found", null],
      ["GET", "/v1/models/:id/../../x", 404, "not_found", null]
    ] as const
    for (const [method, path, status, code, allow] of rows) {
      const response = await get(path, { method })
      expect(response.status).toBe(status)
      expect(response.headers.get("allow")).toBe(allow)
      expect(JSON.parse(await response.text())).toMatchObject({ error: { type: "invalid_request_error", code } })
    }
  })

  test("/admin/v1/models has the models of all backends, /admin/v1/aliases is empty without any", async () => {
    const { models } = await json("/admin/v1/models")
    expect(models.map(({ id, available }: { id: string; available: boolean }) => [id, available])).toEqual([
      ["Alpha", true],
      ["mistral:7b", true],
      ["only-down", false],
      ["org/zephyr:latest", true]
    ])
    expect(models[1].backends).toEqual([
      {
        backend: "a",
        status: "healthy",
        mode: "enabled",
        context_length: 4096,
        capabilities: { tools: true, vision: false }
      },
      { backend: "b", status: "healthy", mode: "enabled", context_length: 8192, capabilities: { vision: false } }
    ])
    expect(models[2].backends).toEqual([{ backend: "c", status: "unhealthy", mode: "enabled", capabilities: {} }])
    expect(await json("/admin/v1/aliases")).toEqual({ aliases: [], groups: [], fallbacks: [] })
  })
})

test("when every backend is down /health is 503 and unhealthy", async () => {
  const { runtime, get, down } = world()
  await down("a")
  const response = await get("/health")
  expect(response.status).toBe(503)
  expect(JSON.parse(await response.text())).toMatchObject({
    status: "unhealthy",
    backends: { total: 1, healthy: 0, unhealthy: 1 }
  })
  await runtime.dispose()
})

test("a gateway that is stopping is alive and not ready", async () => {
  const { runtime, get, json, up } = world()
  await up("a", [model("m")])
  expect((await get("/readyz")).status).toBe(200)
  await runtime.runPromise(Effect.flatMap(Drain, ({ begin }) => begin))
  expect((await get("/readyz")).status).toBe(503)
  expect(await json("/readyz")).toMatchObject({ reason: "the gateway is stopping" })
  expect((await get("/livez")).status).toBe(200)
  await runtime.dispose()
})

test("/livez tells of the process alone, and looks at no backend", async () => {
  const { runtime, get, up } = world()
  await up("a", [model("m")])
  const looks = spyOn(await runtime.runPromise(Registry), "snapshot")
  expect((await get("/livez")).status).toBe(200)
  expect(looks).toHaveBeenCalledTimes(0)
  expect((await get("/readyz")).status).toBe(200)
  expect(looks).toHaveBeenCalledTimes(1)
  looks.mockRestore()
  await runtime.dispose()
})

test("a request id is made when none is given", async () => {
  const { runtime } = world()
  const { handle } = await runtime.runPromise(Operations)
  const response = await handle(new Request("http://localhost/livez"))
  expect(response.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/)
  await runtime.dispose()
})
