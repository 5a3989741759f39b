import { expect } from "bun:test"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import type { Backend } from "../../src/backend/backend.ts"
import type { ProbeOutcome } from "../../src/domain/backend-health.ts"
import { makeProbe } from "../../src/health/probe.ts"
import { effect } from "../kit/effect.ts"
import type { Canned, FakeWorld } from "../health/fake.ts"
import { llamaMetrics, vllmCache, vllmMetrics } from "../health/metrics-texts.ts"
import { modelsOf, once, origin, serving } from "../health/probing.ts"
import * as recorded from "../health/recorded.ts"
import { backend } from "../registry/backends.ts"

const loadsOf = (outcome: ProbeOutcome) =>
  outcome._tag === "Up" && outcome.loads !== undefined ? Object.fromEntries(outcome.loads) : undefined

/** What is told of each model's slots, cache and place. */
const toldOf = (outcome: ProbeOutcome) =>
  Object.fromEntries(
    Object.entries(modelsOf(outcome)).map(([id, { cacheTokens, loaded, slots }]) => [
      id,
      { slots, cacheTokens, loaded }
    ])
  )

const unknown = { slots: undefined, cacheTokens: undefined, loaded: undefined }

const nonsense = [-1, 0, 1.5, 1e12, "many", "4", null, true, [], {}]

const llama = (props: object, metrics?: Canned) => ({
  "/health": { json: { status: "ok" } },
  "/props": { json: { ...recorded.llamaProps, ...props } },
  "/v1/models": { json: recorded.llamaModels },
  ...(metrics === undefined ? {} : { "/metrics": metrics })
})

const again = (world: FakeWorld, type: Backend["type"]) =>
  makeProbe(world.transport, backend("b", { url: origin, type }), () => 5000)

effect("llama-server: its slots, what they keep, and that it is awake, from /props", () =>
  Effect.gen(function* () {
    const found = yield* once(serving(llama({})), { type: "llamacpp" })
    expect(toldOf(found)).toEqual({ "tiny-random": { slots: 4, cacheTokens: 16_384, loaded: true } })
    expect(loadsOf(found)).toBeUndefined()
  })
)

effect(
  "llama-server: one that sleeps is told to have its model not loaded, and nothing is asked that could wake it",
  () =>
    Effect.gen(function* () {
      const world = serving(llama({ is_sleeping: true }, { text: llamaMetrics(0, 0) }))
      expect(toldOf(yield* once(world, { type: "llamacpp" }))["tiny-random"]?.loaded).toBe(false)
      expect(
        world.asked.map(({ url }) => url.slice(origin.length)).filter((path) => /slots|metrics/.test(path))
      ).toEqual([])
    })
)

/** Slots as `/slots` has them: the last task of each and what it holds, undefined before the first one. */
const slotsOf = (...slots: ReadonlyArray<readonly [task: number, tokens: number, busy?: boolean] | undefined>) => ({
  json: slots.map((slot, id) => {
    const idle = { id, n_ctx: 4096, is_processing: slot?.[2] ?? false }
    return slot === undefined ? idle : Object.assign(idle, { id_task: slot[0], n_prompt_tokens: slot[1], params: {} })
  })
})

const looks = (first: Canned, ...later: ReadonlyArray<Canned>) =>
  Effect.gen(function* () {
    const answers = [first, ...later]
    const world = serving({ ...llama({}), "/slots": () => answers.shift() ?? first })
    const probe = yield* again(world, "llamacpp")
    let found = yield* probe
    for (const _ of later) {
      yield* TestClock.adjust("30 seconds")
      found = yield* probe
    }
    const { cacheTokens, slotsKeep } = modelsOf(found)["tiny-random"] ?? {}
    return { cacheTokens, slotsKeep, asked: world.count("/slots") }
  })

effect("llama-server: idle slots that were emptied show that all share one cache, which holds one context", () =>
  Effect.gen(function* () {
    expect(yield* looks(slotsOf([3, 0], [7, 90], undefined, undefined))).toEqual({
      cacheTokens: 4096,
      slotsKeep: false,
      asked: 1
    })
  })
)

effect("llama-server: a slot that still holds what it did when another was given work shows that slots keep it", () =>
  Effect.gen(function* () {
    const before = slotsOf([3, 80], undefined, undefined, undefined)
    const after = slotsOf([3, 80], [7, 90], undefined, undefined)
    expect((yield* looks(before)).slotsKeep).toBeUndefined()
    expect((yield* looks(before, before)).slotsKeep).toBeUndefined()
    expect((yield* looks(before, slotsOf([8, 80], [7, 90], undefined, undefined))).slotsKeep).toBeUndefined()
    expect(yield* looks(before, after, after)).toEqual({ cacheTokens: 16_384, slotsKeep: true, asked: 2 })
    const busy = slotsOf([3, 80, true], undefined, undefined, undefined)
    expect((yield* looks(busy, after)).slotsKeep).toBeUndefined()
  })
)

effect(
  "llama-server: started with nothing said, so that each slot has all the model was trained for, shares its cache",
  () =>
    Effect.gen(function* () {
      const [model] = recorded.llamaModels.data
      const n_ctx = model?.meta.n_ctx_train
      const routes = llama({ default_generation_settings: { n_ctx } })
      const list = { json: { ...recorded.llamaModels, data: [{ ...model, meta: { ...model?.meta, n_ctx } }] } }
      const found = modelsOf(yield* once(serving({ ...routes, "/v1/models": list }), { type: "llamacpp" }))
      expect(found["tiny-random"]).toMatchObject({ slotsKeep: false, cacheTokens: n_ctx })
    })
)

effect("llama-server: nonsense in place of its slots shows nothing", () =>
  Effect.gen(function* () {
    const some: ReadonlyArray<Canned> = [
      { json: {} },
      { json: [null, 3, { id: "0" }, { id: 1, is_processing: "no" }] },
      { json: [{ id: 0, is_processing: false, id_task: "x", n_prompt_tokens: -1 }] },
      { text: "<html>" },
      { json: { error: { code: 501 } }, status: 501 }
    ]
    for (const each of some) expect((yield* looks(each, each)).slotsKeep).toBeUndefined()
  })
)

effect("llama-server: its work is told where it was started with metrics, and elsewhere asked for once", () =>
  Effect.gen(function* () {
    const without = serving(llama({}, { json: { error: { code: 501, type: "not_supported_error" } }, status: 501 }))
    const probe = yield* again(without, "llamacpp")
    for (let i = 0; i < 3; i++) expect(loadsOf(yield* probe)).toBeUndefined()
    expect(without.count("/metrics")).toBe(1)
    const world = serving(llama({}, { text: llamaMetrics(4, 20) }))
    expect(loadsOf(yield* once(world, { type: "llamacpp" }))).toEqual({ "tiny-random": { running: 4, waiting: 20 } })
  })
)

effect("llama-server: nonsense in place of slots and work is nothing told", () =>
  Effect.gen(function* () {
    for (const total_slots of nonsense) {
      const found = yield* once(serving(llama({ total_slots }, { text: llamaMetrics("NaN", -3) })), {
        type: "llamacpp"
      })
      expect(toldOf(found)["tiny-random"]).toEqual({ ...unknown, loaded: true })
      expect(loadsOf(found)).toEqual({ "tiny-random": {} })
    }
  })
)

effect("llama-server as a router: each loaded model is asked about without having another one loaded", () =>
  Effect.gen(function* () {
    const { total_slots: _, is_sleeping: __, ...props } = recorded.llamaProps
    const world = serving({
      "/health": { json: { status: "ok" } },
      "/props": { json: { ...props, role: "router" } },
      "/props?model=two%2Fb&autoload=false": { json: { ...recorded.llamaProps, total_slots: 2 } },
      "/v1/models": {
        json: {
          data: [
            { id: "one", status: { value: "unloaded" } },
            { id: "two/b", aliases: ["deux"], status: { value: "loaded" }, meta: { n_ctx: 4096 } },
            { id: "three", status: { value: "loading" } },
            { id: "four", status: { value: "unloaded", failed: true, exit_code: 1 } },
            { id: "five", status: { value: 5 } }
          ]
        }
      },
      "/metrics": { text: llamaMetrics(1, 0) }
    })
    expect(toldOf(yield* once(world, { type: "llamacpp" }))).toEqual({
      one: { ...unknown, loaded: false },
      "two/b": { slots: 2, cacheTokens: 8192, loaded: true },
      deux: { slots: 2, cacheTokens: 8192, loaded: true },
      three: { ...unknown, loaded: false },
      four: { ...unknown, loaded: false },
      five: unknown
    })
    expect(world.asked.filter(({ url }) => url.includes("model=")).length).toBe(1)
    expect(world.count("/metrics")).toBe(0)
  })
)

const vllm = (text: string) => ({
  "/health": { text: "" },
  "/version": { json: { version: "0.32.0" } },
  "/v1/models": { json: recorded.vllmModels },
  "/metrics": { text }
})

effect("vLLM: its work, its cache and that it is awake, for the model and its adapters; one look tells no slots", () =>
  Effect.gen(function* () {
    const text = vllmMetrics({ running: 4, waiting: 7, cache: vllmCache, sleep: "awake" })
    const found = yield* once(serving(vllm(text)), { type: "vllm" })
    const told = { slots: undefined, cacheTokens: 524_288, loaded: true }
    expect(toldOf(found)).toEqual({ "Qwen/Qwen3-8B": told, "sql-lora": told })
    const load = { running: 4, waiting: 7 }
    expect(loadsOf(found)).toEqual({ "Qwen/Qwen3-8B": load, "sql-lora": load })
  })
)

effect("vLLM: as many as it works on while others wait are its slots, until it goes away", () =>
  Effect.gen(function* () {
    const full = vllm(vllmMetrics({ running: 4, waiting: 7, cache: vllmCache }))
    const idle = vllm(vllmMetrics({ cache: vllmCache }))
    const world = serving(full)
    const probe = yield* again(world, "vllm")
    yield* probe
    expect(toldOf(yield* probe)["sql-lora"]?.slots).toBe(4)
    world.serve(origin, idle)
    expect(toldOf(yield* probe)["Qwen/Qwen3-8B"]?.slots).toBe(4)
    world.kill(origin)
    expect((yield* probe)._tag).toBe("Down")
    world.serve(origin, idle)
    expect(toldOf(yield* probe)["Qwen/Qwen3-8B"]?.slots).toBeUndefined()
  })
)

effect("vLLM: several engines add up, and an earlier one tells its cache by its blocks", () =>
  Effect.gen(function* () {
    const cache = { block_size: "16", num_gpu_blocks: "1000" }
    const engines = [
      { running: 2, waiting: 1, cache },
      { running: 3, waiting: 4, cache }
    ]
    const probe = yield* again(serving(vllm(vllmMetrics(...engines))), "vllm")
    yield* probe
    const found = yield* probe
    expect(toldOf(found)["Qwen/Qwen3-8B"]).toEqual({ slots: 5, cacheTokens: 32_000, loaded: undefined })
    expect(loadsOf(found)?.["Qwen/Qwen3-8B"]).toEqual({ running: 5, waiting: 5, slots: 5 })
  })
)

effect("vLLM: one that sleeps has its model not loaded", () =>
  Effect.gen(function* () {
    for (const sleep of ["weights_offloaded", "discard_all"]) {
      const found = yield* once(serving(vllm(vllmMetrics({ sleep }))), { type: "vllm" })
      expect(toldOf(found)["Qwen/Qwen3-8B"]?.loaded).toBe(false)
    }
  })
)

effect("vLLM: what is told of one model is nobody else's where there are several", () =>
  Effect.gen(function* () {
    const text = vllmMetrics({ running: 1 }, { running: 2, model: "sql-lora" })
    const found = yield* once(serving({ ...vllm(text), "/load": { json: { server_load: 0 } } }), { type: "vllm" })
    expect(loadsOf(found)).toEqual({
      "Qwen/Qwen3-8B": { running: 1, waiting: 0 },
      "sql-lora": { running: 2, waiting: 0 }
    })
  })
)

effect("vLLM: nonsense in place of figures, and a server without them, tell nothing", () =>
  Effect.gen(function* () {
    for (const [running, size] of [
      ["-4", "-1"],
      ["1e300", "99999999999999"],
      ["many", "None"],
      ["1.5", "1.5"],
      ["NaN", ""]
    ] as const) {
      const text = vllmMetrics({ running, waiting: running, cache: { kv_cache_size_tokens: size }, sleep: "dreaming" })
      const probe = yield* again(serving(vllm(text)), "vllm")
      yield* probe
      const found = yield* probe
      expect(toldOf(found)["Qwen/Qwen3-8B"]).toEqual(unknown)
      expect(loadsOf(found)?.["Qwen/Qwen3-8B"]).toEqual({})
    }
    for (const answer of [{ text: "<html>", status: 200 }, { text: "", status: 404 }, { json: [] }] as const) {
      const found = yield* once(serving({ ...vllm(""), "/metrics": answer }), { type: "vllm" })
      expect(toldOf(found)["Qwen/Qwen3-8B"]).toEqual(unknown)
      expect(loadsOf(found)).toBeUndefined()
    }
  })
)

const sglang = (loads: Canned) => ({
  "/health": { text: "" },
  "/model_info": { json: { model_path: "m", is_generation: true } },
  "/v1/models": { json: { data: [{ id: "m", object: "model", owned_by: "sglang", max_model_len: 32_768 }] } },
  "/v1/loads": loads
})

const rank = (dp_rank: number, more: object = {}) => ({
  dp_rank,
  num_running_reqs: 3,
  num_waiting_reqs: 1,
  max_running_requests: 48,
  max_total_num_tokens: 171_008,
  cache_hit_rate: 0.5,
  ...more
})

effect("SGLang: slots, cache and work from /v1/loads, all ranks together", () =>
  Effect.gen(function* () {
    for (const json of [{ loads: [rank(0), rank(1)] }, [rank(0), rank(1)]]) {
      const found = yield* once(serving(sglang({ json })), { type: "sglang" })
      expect(toldOf(found)).toEqual({ m: { slots: 96, cacheTokens: 342_016, loaded: undefined } })
      expect(loadsOf(found)).toEqual({ m: { running: 6, waiting: 2, slots: 96 } })
    }
  })
)

effect("SGLang: nonsense in place of figures is nothing told, and one without /v1/loads is asked for it once", () =>
  Effect.gen(function* () {
    for (const odd of nonsense) {
      const json = { loads: [rank(0, { max_running_requests: odd, max_total_num_tokens: odd, num_running_reqs: -1 })] }
      const found = yield* once(serving(sglang({ json })), { type: "sglang" })
      expect(toldOf(found)).toEqual({ m: unknown })
      expect(loadsOf(found)).toEqual({ m: { waiting: 1 } })
    }
    for (const json of [{ loads: [] }, {}, "none", null, { loads: "many" }, [7]]) {
      expect(toldOf(yield* once(serving(sglang({ json })), { type: "sglang" }))).toEqual({ m: unknown })
    }
    const older = serving(sglang({ text: "Not Found", status: 404 }))
    const probe = yield* again(older, "sglang")
    for (let i = 0; i < 3; i++) expect(toldOf(yield* probe)).toEqual({ m: unknown })
    expect(older.count("/v1/loads")).toBe(1)
  })
)

effect("LM Studio: each loaded instance tells its slots, and nonsense in their place is nothing told", () =>
  Effect.gen(function* () {
    const instance = (id: string, parallel: unknown) => ({ id, config: { context_length: 4096, parallel } })
    const model = (key: string, ...loaded_instances: ReadonlyArray<object>) => ({ type: "llm", key, loaded_instances })
    const list = [model("a", instance("a", 4), instance("a:2", 2)), model("b")]
    const world = serving({ "/api/v1/models": { json: { models: list } } })
    expect(toldOf(yield* once(world, { type: "lmstudio" }))).toEqual({
      a: { slots: 4, cacheTokens: undefined, loaded: true },
      "a:2": { slots: 2, cacheTokens: undefined, loaded: true },
      b: { ...unknown, loaded: false }
    })
    for (const odd of nonsense) {
      world.serve(origin, { "/api/v1/models": { json: { models: [model("a", instance("a", odd))] } } })
      expect(toldOf(yield* once(world, { type: "lmstudio" }))).toEqual({ a: { ...unknown, loaded: true } })
    }
  })
)

effect("Ollama: what runs is loaded, and nothing is told of slots", () =>
  Effect.gen(function* () {
    const tags = {
      models: [
        { name: "a:latest", digest: "aa" },
        { name: "b:latest", digest: "bb" }
      ]
    }
    const ps = { models: [{ name: "a:latest", digest: "aa", size_vram: 9, context_length: 4096 }] }
    const world = serving({ "/api/tags": { json: tags }, "/api/ps": { json: ps } })
    expect(toldOf(yield* once(world, { type: "ollama" }))).toEqual({
      "a:latest": { ...unknown, loaded: true },
      "b:latest": { ...unknown, loaded: false }
    })
  })
)

effect("llama-swap: a model is loaded once its server is ready, and none is asked which would start it", () =>
  Effect.gen(function* () {
    const ids = ["ready", "starting", "stopping", "off"]
    const running = ids.slice(0, 3).map((id) => ({ model: id, state: id, ttl: 300 }))
    const list = { data: ids.map((id) => ({ id, object: "model", owned_by: "llama-swap" })) }
    const world = serving({ "/v1/models": { json: list }, "/running": { json: { running } } })
    const loaded = (outcome: ProbeOutcome) => Object.values(toldOf(outcome)).map((told) => told.loaded)
    expect(loaded(yield* once(world, { type: "llamaswap" }))).toEqual([true, false, false, false])
    expect(world.asked.map(({ url }) => url.slice(origin.length))).toEqual(["/v1/models", "/running"])
    for (const json of [{ running: "all" }, [], { running: [1, { model: 4, state: "ready" }] }]) {
      world.serve(origin, { "/v1/models": { json: list }, "/running": { json } })
      expect(new Set(loaded(yield* once(world, { type: "llamaswap" }))).has(true)).toBe(false)
    }
  })
)
