import { describe, expect } from "bun:test"
import { Effect, Fiber, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { makeProbe } from "../../src/health/probe.ts"
import { effect } from "../kit/effect.ts"
import { backend } from "../registry/backends.ts"
import { type Canned, FakeWorld } from "../health/fake.ts"
import { modelsOf, once, origin, serving } from "../health/probing.ts"
import * as recorded from "../health/recorded.ts"

effect("llama-server: the context of a slot, vision and tools from /props", () =>
  Effect.gen(function* () {
    const world = serving({
      "/health": { json: { status: "ok" } },
      "/props": { json: recorded.llamaProps },
      "/v1/models": { json: recorded.llamaModels }
    })
    const found = modelsOf(yield* once(world, { type: "llamacpp" }))
    expect(found).toEqual({
      "tiny-random": {
        context_length: 4096,
        slots: 4,
        cacheTokens: 16_384,
        loaded: true,
        capabilities: { vision: false, tools: true, json_mode: true }
      }
    })
  })
)

effect("llama-server: an older one without n_ctx in its list has that of /props", () =>
  Effect.gen(function* () {
    const world = serving({
      "/health": { json: { status: "ok" } },
      "/props": { json: { default_generation_settings: { n_ctx: "2048" } } },
      "/v1/models": { json: { data: [{ id: "old", meta: { n_ctx_train: 32768 } }] } }
    })
    expect(modelsOf(yield* once(world, { type: "llamacpp" }))["old"]?.context_length).toBe(2048)
  })
)

effect("llama-server as a router: the abilities of the router itself are nobody's", () =>
  Effect.gen(function* () {
    const world = serving({
      "/health": { json: { status: "ok" } },
      "/props": { json: { ...recorded.llamaProps, role: "router" } },
      "/v1/models": {
        json: {
          data: [
            { id: "one", status: { value: "unloaded" }, context_length: 40960 },
            { id: "two", status: { value: "loaded" }, context_length: 40960, meta: { n_ctx: 8192 } }
          ]
        }
      }
    })
    expect(modelsOf(yield* once(world, { type: "llamacpp" }))).toEqual({
      one: { context_length: 40960, loaded: false, capabilities: { json_mode: true } },
      two: { context_length: 8192, loaded: true, capabilities: { json_mode: true } }
    })
  })
)

for (const type of ["llamacpp", "generic"] as const) {
  effect(`llama-server taken for ${type}: while it loads it is down, and says why`, () =>
    Effect.gen(function* () {
      const loading = { json: recorded.llamaLoading, status: 503 }
      const world = serving({ "/health": loading, "/v1/models": loading })
      expect(yield* once(world, { type })).toEqual({ _tag: "Down", reason: "loading model" })
    })
  )
}

const ollama = {
  "/api/tags": { json: recorded.ollamaTags },
  "/api/ps": { json: recorded.ollamaPs },
  "/api/show": ({ body }: { body?: string }) => ({
    json: body?.includes("nomic") === true ? recorded.ollamaShowEmbed : recorded.ollamaShowChat
  })
}

effect("Ollama: abilities from show, the context in force from ps, one question per digest", () =>
  Effect.gen(function* () {
    const world = serving(ollama)
    const probe = yield* makeProbe(world.transport, backend("b", { url: origin, type: "ollama" }), () => 5000)
    const same = { digest: "aaaa", abilities: recorded.ollamaShowChat.capabilities }
    const chat = { vision: false, tools: true, embeddings: false, json_mode: true }
    for (let i = 0; i < 3; i++) {
      expect(modelsOf(yield* probe)).toEqual({
        "tiny:latest": {
          context_in_force: 4096,
          loaded: true,
          capabilities: chat,
          about: { ...same, size: 8_357_120, modified: "2026-11-01T10:00:00Z", format: "gguf", family: "llama" }
        },
        "tiny-again:latest": { context_in_force: 4096, loaded: true, capabilities: chat, about: same },
        "nomic-embed-text:latest": {
          loaded: false,
          capabilities: { vision: false, tools: false, embeddings: true, json_mode: false },
          about: { digest: "bbbb", abilities: recorded.ollamaShowEmbed.capabilities }
        }
      })
    }
    expect(world.count("/api/show")).toBe(2)
  })
)

effect(
  "Ollama: a context that was in force is remembered after the model is unloaded, until the server goes away",
  () =>
    Effect.gen(function* () {
      const world = serving(ollama)
      const probe = yield* makeProbe(world.transport, backend("b", { url: origin, type: "ollama" }), () => 5000)
      yield* probe
      world.serve(origin, { ...ollama, "/api/ps": { json: { models: [] } } })
      expect(modelsOf(yield* probe)["tiny:latest"]?.context_in_force).toBe(4096)
      world.kill(origin)
      expect(yield* probe).toEqual({ _tag: "Down", reason: "connection refused" })
      world.serve(origin, { ...ollama, "/api/ps": { json: { models: null } } })
      expect(modelsOf(yield* probe)["tiny:latest"]?.context_in_force).toBe(8192)
    })
)

effect("Ollama: models stay listed when show fails or hangs, and are asked about again", () =>
  Effect.gen(function* () {
    const world = serving({ "/api/tags": ollama["/api/tags"], "/api/show": "silence" })
    const probe = yield* makeProbe(world.transport, backend("b", { url: origin, type: "ollama" }), () => 5000)
    const slow = yield* Effect.forkChild(probe)
    yield* TestClock.adjust("5 seconds")
    expect((yield* Fiber.join(slow))._tag).toBe("Up")
    world.serve(origin, ollama)
    expect(modelsOf(yield* probe)["tiny:latest"]?.capabilities.tools).toBe(true)
  })
)

effect("vLLM: max_model_len, and an adapter has its parent's", () =>
  Effect.gen(function* () {
    const world = serving({ "/health": { text: "" }, "/v1/models": { json: recorded.vllmModels } })
    expect(modelsOf(yield* once(world, { type: "vllm" }))).toEqual({
      "Qwen/Qwen3-8B": { context_length: 32768, capabilities: { tools: true, json_mode: true } },
      "sql-lora": { context_length: 32768, capabilities: { json_mode: true } }
    })
  })
)

effect("vLLM: a dead engine is down although the list still answers", () =>
  Effect.gen(function* () {
    const world = serving({ "/health": { text: "", status: 503 }, "/v1/models": { json: recorded.vllmModels } })
    expect(yield* once(world, { type: "vllm" })).toEqual({ _tag: "Down", reason: "answered with status 503" })
  })
)

const sglang = {
  "/health": { text: "" },
  "/v1/models": { json: { data: [{ id: "m", object: "model", owned_by: "sglang", max_model_len: 8192 }] } }
}

for (const path of ["/model_info", "/get_model_info"]) {
  effect(`SGLang: what its model can do is asked once, of ${path}, and again when it has been away`, () =>
    Effect.gen(function* () {
      const json = { model_path: "/models/m", is_generation: true, has_image_understanding: true }
      const world = serving({ ...sglang, [path]: { json } })
      const probe = yield* makeProbe(world.transport, backend("b", { url: origin, type: "sglang" }), () => 5000)
      const told = { context_length: 8192, capabilities: { vision: true, embeddings: false, json_mode: true } }
      expect([modelsOf(yield* probe), modelsOf(yield* probe)]).toEqual([{ m: told }, { m: told }])
      expect(world.count(path)).toBe(1)
      world.kill(origin)
      yield* probe
      world.serve(origin, { ...sglang, [path]: { json: { ...json, has_image_understanding: false } } })
      expect(modelsOf(yield* probe)["m"]?.capabilities.vision).toBe(false)
    })
  )
}

effect("SGLang: one that makes embeddings is not asked to chat", () =>
  Effect.gen(function* () {
    const json = { model_path: "/models/e5", is_generation: false, has_image_understanding: null }
    const world = serving({ ...sglang, "/model_info": { json } })
    expect(modelsOf(yield* once(world, { type: "sglang" }))["m"]?.capabilities).toEqual({
      embeddings: true,
      tools: false,
      json_mode: false
    })
  })
)

effect("SGLang: is well without a word on its model, and down with a dead engine", () =>
  Effect.gen(function* () {
    expect(modelsOf(yield* once(serving(sglang), { type: "sglang" }))["m"]?.context_length).toBe(8192)
    const dead = serving({ ...sglang, "/health": { text: "", status: 503 } })
    expect(yield* once(dead, { type: "sglang" })).toEqual({ _tag: "Down", reason: "answered with status 503" })
  })
)

effect("LM Studio 0.4: the context of what is loaded, and none of what is not; only what /v1/models offers", () =>
  Effect.gen(function* () {
    const world = serving({
      "/api/v1/models": { json: recorded.lmstudioV1 },
      "/v1/models": { json: { data: [{ id: "google/gemma-3-4b", object: "model", owned_by: "organization_owner" }] } }
    })
    const gemma = {
      context_in_force: 4096,
      loaded: true,
      slots: 4,
      capabilities: { vision: true, tools: false, embeddings: false }
    }
    expect(modelsOf(yield* once(world, { type: "lmstudio" }))).toEqual({ "google/gemma-3-4b": gemma })
    world.serve(origin, { "/api/v1/models": { json: recorded.lmstudioV1 } })
    expect(modelsOf(yield* once(world, { type: "lmstudio" }))).toEqual({
      "google/gemma-3-4b": gemma,
      "text-embedding-nomic-embed-text-v1.5": {
        loaded: false,
        capabilities: { vision: false, tools: false, json_mode: false, embeddings: true }
      }
    })
  })
)

effect("LM Studio 0.3: the v0 list when the newer path is unknown, with status 200", () =>
  Effect.gen(function* () {
    const world = serving({
      "/api/v1/models": { json: recorded.lmstudioUnknown },
      "/api/v0/models": { json: recorded.lmstudioV0 }
    })
    const found = modelsOf(yield* once(world, { type: "lmstudio" }))
    expect(found["qwen2-vl-7b-instruct"]).toEqual({
      context_in_force: 8192,
      loaded: true,
      capabilities: { vision: true, tools: true, embeddings: false }
    })
    expect(found["nomic-embed"]?.capabilities.embeddings).toBe(true)
  })
)

effect("LM Studio without lists of its own is asked for the common one", () =>
  Effect.gen(function* () {
    const world = serving({
      "/api/v1/models": { json: recorded.lmstudioUnknown },
      "/api/v0/models": { json: recorded.lmstudioUnknown },
      "/v1/models": { json: { data: [{ id: "m" }] } }
    })
    expect(Object.keys(modelsOf(yield* once(world, { type: "lmstudio" })))).toEqual(["m"])
  })
)

effect("exo: only what is downloaded, and the whole list on a level that cannot tell", () =>
  Effect.gen(function* () {
    const newer = serving({ "/v1/models?status=downloaded": { json: recorded.exoModels } })
    expect(modelsOf(yield* once(newer, { type: "exo" }))).toMatchObject({
      "mlx-community/Llama-3.2-1B-Instruct-4bit": { context_length: 131072 }
    })
    const older = serving({
      "/v1/models?status=downloaded": { json: { detail: "no" }, status: 422 },
      "/v1/models": { json: recorded.exoModels }
    })
    expect(Object.keys(modelsOf(yield* once(older, { type: "exo" }))).length).toBe(1)
  })
)

describe("a server that answers, but not with a list of models,", () => {
  const reason = "answers, but not with a list of models"
  const odd: ReadonlyArray<readonly [name: string, canned: Canned]> = [
    ["a page", { text: "<html><title>Welcome to nginx!</title></html>" }],
    ["a login page behind a good status", { text: "<!doctype html><form action=/login>" }],
    ["half a list", { text: '{"data":[{"id":"m"' }],
    ["nothing", { text: "" }],
    ["a path that is not there", { text: "", status: 404 }],
    ["a list of no models", { json: { data: [{ name: "a", mail: "b" }] } }],
    ["a list of names", { json: ["a", "b"] }],
    ["a list below an error", { json: { data: [{ id: "m" }] }, status: 400 }],
    ["another API", { json: { detail: "Not Found" }, status: 404 }],
    ["its status", { json: { status: "ok" } }]
  ]
  for (const [name, canned] of odd) {
    effect(`is down for it: ${name}`, () =>
      Effect.gen(function* () {
        for (const type of ["generic", "openai", "vllm", "llamacpp", "lmstudio", "exo"] as const) {
          const world = serving({
            "/v1/models": canned,
            "/health": { text: "ok" },
            "/props": { text: "", status: 404 }
          })
          expect(yield* once(world, { type })).toEqual({ _tag: "Down", reason })
        }
      })
    )
    effect(`is up when its models are declared: ${name}`, () =>
      Effect.gen(function* () {
        const declared = { models: [{ id: "m", capabilities: {} }] }
        expect(yield* once(serving({ "/v1/models": canned }), declared)).toMatchObject({
          _tag: "Up",
          models: undefined
        })
      })
    )
  }

  effect("is down as an Ollama too", () =>
    Effect.gen(function* () {
      expect(yield* once(serving({ "/api/tags": { text: "<html>" } }), { type: "ollama" })).toEqual({
        _tag: "Down",
        reason
      })
    })
  )

  effect("is up with no model when its list is empty", () =>
    Effect.gen(function* () {
      for (const json of [{ data: [] }, { data: null }, []]) {
        expect(yield* once(serving({ "/v1/models": { json } }), {})).toMatchObject({ _tag: "Up", models: [] })
      }
    })
  )
})

effect("a list that is asked for too often stays as it was, and is no list before the first one", () =>
  Effect.gen(function* () {
    const world = new FakeWorld()
    world.serve(origin, { "/v1/models": { json: {}, status: 429 } })
    const probe = yield* makeProbe(world.transport, backend("b", { url: origin }), () => 5000)
    expect(yield* probe).toEqual({ _tag: "Down", reason: "answered with status 429" })
    world.serve(origin, { "/v1/models": { json: { data: [{ id: "m" }] } } })
    expect(yield* probe).toMatchObject({ _tag: "Up", models: [{ id: "m" }] })
    world.serve(origin, { "/v1/models": { json: {}, status: 429 } })
    expect(yield* probe).toMatchObject({ _tag: "Up", models: undefined })
  })
)

effect("a refused key is told from a missing one, and the key goes nowhere but into its header", () =>
  Effect.gen(function* () {
    const world = serving({ "/v1/models": { json: {}, status: 401 } })
    const without = yield* once(world, { type: "openai" })
    const wrong = yield* once(world, { type: "openai", apiKey: Redacted.make("sk-secret") })
    expect(without).toMatchObject({ _tag: "Refused", reason: expect.stringContaining("none is configured") })
    expect(wrong).toMatchObject({ _tag: "Refused", reason: expect.stringContaining("refuses the key") })
    expect(JSON.stringify(wrong)).not.toContain("sk-secret")
    expect(world.asked[0]?.headers["authorization"]).toBeUndefined()
    expect(world.asked[1]?.headers["authorization"]).toBe("Bearer sk-secret")
  })
)

effect("a redirect is not followed and speaks against the backend", () =>
  Effect.gen(function* () {
    const world = serving({ "/v1/models": { text: "", status: 302, headers: { location: "http://evil.test/" } } })
    expect((yield* once(world, {}))._tag).toBe("Down")
    expect(world.asked.length).toBe(1)
  })
)

effect("a backend that never answers is down when the time of the probe is over", () =>
  Effect.gen(function* () {
    const probe = yield* Effect.forkChild(once(serving({ "/v1/models": "silence" }), {}))
    yield* TestClock.adjust("4 seconds")
    expect(probe.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("1 second")
    expect(yield* Fiber.join(probe)).toEqual({ _tag: "Down", reason: "no answer within 5 s" })
  })
)

effect("Ollama: another version is asked anew what its models can do", () =>
  Effect.gen(function* () {
    let version = "0.1"
    const world = new FakeWorld()
    world.serve(origin, {
      "/api/tags": { json: { models: [{ name: "m:latest", digest: "d" }] } },
      "/api/ps": { json: { models: [] } },
      "/api/version": () => ({ json: { version } }),
      "/api/show": () => ({ json: { capabilities: version === "0.1" ? ["completion"] : ["completion", "tools"] } })
    })
    const probe = yield* makeProbe(world.transport, backend("b", { url: origin, type: "ollama" }), () => 5000)
    const tools = Effect.map(probe, (outcome) => modelsOf(outcome)["m:latest"]?.capabilities.tools)
    expect([yield* tools, yield* tools, world.count("/api/show")]).toEqual([false, false, 1])
    version = "0.2"
    expect([yield* tools, yield* tools, world.count("/api/show")]).toEqual([true, true, 2])
  })
)
