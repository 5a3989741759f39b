import { expect } from "bun:test"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { findOnce } from "../../src/discovery/Discovery.ts"
import { OpenFiles } from "../../src/upstream/OpenFiles.ts"
import { Transport } from "../../src/upstream/Transport.ts"
import { effect } from "../kit/effect.ts"
import { backend, down, up } from "../registry/backends.ts"
import { FakeWorld } from "../health/fake.ts"
import * as recorded from "../health/recorded.ts"
import { limits, nowhere, ollama, openai, type Stage, stagedWith } from "./stage.ts"

const origin = "http://127.0.0.1:7001"

const servers: ReadonlyArray<readonly [string, Parameters<FakeWorld["serve"]>[1], string | undefined, string?]> = [
  ["an Ollama without models", ollama, "ollama", "ollama"],
  [
    "an Ollama with models",
    { "/v1/models": openai("library", "tiny:latest"), "/api/version": { json: { version: "0.9" } } },
    "ollama",
    "ollama"
  ],
  [
    "a llama-server, by its header, although its list looks like Ollama's too",
    { "/v1/models": { json: { ...recorded.llamaModels, data: [] }, headers: { Server: "llama.cpp" } } },
    "llamacpp",
    "llamacpp"
  ],
  ["a llama-server, by its list", { "/v1/models": { json: recorded.llamaModels } }, "llamacpp", "llamacpp"],
  [
    "a llama-server that loads its model",
    { "/v1/models": { json: recorded.llamaLoading, status: 503, headers: { Server: "llama.cpp" } } },
    "llamacpp",
    "llamacpp"
  ],
  [
    "an older llama-server, by its /props",
    { "/v1/models": openai("me"), "/props": { json: recorded.llamaProps } },
    "llamacpp",
    "llamacpp"
  ],
  ["a vLLM", { "/v1/models": { json: recorded.vllmModels } }, "vllm", "vllm"],
  [
    "an SGLang, also one with an Ollama-like API",
    { "/v1/models": openai("sglang"), "/api/version": { json: { version: "0" } } },
    "sglang",
    "sglang"
  ],
  [
    "an SGLang that gives another owner for its model, by what it tells of it",
    { "/v1/models": openai("somebody"), "/get_model_info": { json: { model_path: "/m", is_generation: true } } },
    "sglang",
    "sglang"
  ],
  [
    "an LM Studio",
    { "/v1/models": { json: { data: [] } }, "/api/v1/models": { json: recorded.lmstudioV1 } },
    "lmstudio",
    "lmstudio"
  ],
  ["an older LM Studio", { "/v1/models": openai("organization_owner") }, "lmstudio", "lmstudio"],
  ["a llama-swap, by its list", { "/v1/models": openai("llama-swap") }, "llamaswap", "llamaswap"],
  [
    "a llama-swap without models of its own, by what runs there",
    { "/v1/models": openai("somebody"), "/running": { json: { running: [] } } },
    "llamaswap",
    "llamaswap"
  ],
  ["an exo", { "/v1/models": { json: recorded.exoModels } }, "exo", "exo"],
  ["some other OpenAI-like server", { "/v1/models": openai("somebody") }, "generic", "generic"],
  ["a Nexus, by its list", { "/v1/models": openai("nexus") }, undefined],
  [
    "a Nexus, by its headers",
    { "/v1/models": { json: { data: [{ id: "m", object: "model" }] }, headers: { "X-Nexus-Backend": "b" } } },
    undefined
  ],
  ["a web page that answers everything", { "/v1/models": { text: "<!doctype html><title>app</title>" } }, undefined],
  ["a server that knows none of this", {}, undefined],
  ["a server that wants a key", { "/v1/models": { json: {}, status: 401 } }, undefined],
  ["a server that accepts and says nothing", { "/v1/models": "silence" }, undefined]
]

for (const [name, routes, type, label] of servers) {
  effect(type === undefined ? `${name} is not taken for a backend` : `${name} is found as ${type}`, () =>
    Effect.gen(function* () {
      const world = new FakeWorld()
      world.serve(origin, routes)
      const looking = yield* Effect.forkChild(
        findOnce({ limits, ownPort: 9, ports: [7001, 7002], surroundings: nowhere }).pipe(
          Effect.provide(Transport.layerOf(world.transport))
        )
      )
      yield* TestClock.adjust("10 seconds")
      const exit = looking.pollUnsafe()
      const found = exit?._tag === "Success" ? exit.value.map((it) => [it.name, it.type, it.url, it.priority]) : exit
      expect(found).toEqual(type === undefined ? [] : [[`${label}-7001`, type, origin, 50]])
    })
  )
}

const staged = (prepare: (stage: Stage) => Effect.Effect<void>, body: (stage: Stage) => Effect.Effect<void>) =>
  stagedWith({ ownPort: 7009, ports: [7001, 7002, 7009] }, prepare, body)

const serving =
  (...origins: ReadonlyArray<string>) =>
  ({ world }: Stage) =>
    Effect.sync(() => origins.forEach((it) => world.serve(it, ollama)))

const configured = (url: string) => (stage: Stage) =>
  Effect.andThen(serving(origin)(stage), stage.registry.put(backend("mine", { url })))

effect(
  "what runs is registered before the start goes on, what comes later is found at the next look",
  staged(serving(origin), ({ world, names }) =>
    Effect.gen(function* () {
      expect(names()).toEqual(["ollama-7001"])
      world.serve("http://127.0.0.1:7002", { "/v1/models": openai("vllm") })
      yield* TestClock.adjust("15 seconds")
      expect(names()).toEqual(["ollama-7001", "vllm-7002"])
    })
  )
)

effect("at the limit of open files nobody is looked for, and nobody is taken to be gone", () => {
  let isFull = false
  const files = { full: () => isFull, spent: () => isFull, relieve: () => undefined }
  return staged(serving(origin), ({ world, names, log }) =>
    Effect.gen(function* () {
      isFull = true
      world.kill(origin)
      const before = world.asked.length
      const said = [...log]
      yield* TestClock.adjust("5 minutes")
      expect([world.asked.length, names(), log]).toEqual([before, ["ollama-7001"], said])
      isFull = false
      world.serve(origin, ollama)
      yield* TestClock.adjust("15 seconds")
      expect(world.asked.length).toBeGreaterThan(before)
      expect(names()).toEqual(["ollama-7001"])
    })
  )().pipe(Effect.provideService(OpenFiles, files))
})

effect(
  "a server on ::1 alone is found too",
  staged(serving("http://[::1]:7001"), ({ registry }) =>
    Effect.sync(() => expect(registry.snapshot().backends.get("ollama-7001")?.backend.url).toBe("http://[::1]:7001"))
  )
)

effect(
  "Nexus never finds itself, whatever its port answers",
  staged(serving("http://127.0.0.1:7009"), ({ world, names }) =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      expect(names()).toEqual([])
      expect(world.asked.some(({ url }) => url.includes(":7009"))).toBe(false)
    })
  )
)

for (const url of ["http://localhost:7001", "http://127.0.0.1:7001", "http://[::1]:7001", "http://LOCALHOST:7001"]) {
  effect(
    `what the config has as ${url} is not registered again`,
    staged(configured(url), ({ names }) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("1 minute")
        expect(names()).toEqual(["mine"])
      })
    )
  )
}

effect(
  "a discovered backend gives way to one of the config that is put later",
  staged(serving(origin), ({ registry, names }) =>
    Effect.gen(function* () {
      yield* registry.put(backend("mine", { url: "http://localhost:7001" }))
      yield* TestClock.adjust(0)
      expect(names()).toEqual(["mine"])
    })
  )
)

effect(
  "a name that the config uses for another server is left to it",
  staged(
    (stage) => Effect.andThen(serving(origin)(stage), stage.registry.put(backend("ollama-7001"))),
    ({ names }) => Effect.sync(() => expect(names()).toEqual(["ollama-7001", "ollama-7001-found"]))
  )
)

effect(
  "one that has gone is taken out after the grace, and comes back when it answers again",
  staged(serving(origin), ({ world, registry, names }) =>
    Effect.gen(function* () {
      yield* registry.noteProbe("ollama-7001", up("m"))
      world.kill(origin)
      yield* TestClock.adjust("1 minute")
      expect(names()).toEqual(["ollama-7001"])
      yield* registry.noteProbe("ollama-7001", down)
      yield* TestClock.adjust("1 minute")
      expect(names()).toEqual(["ollama-7001"])
      yield* TestClock.adjust("15 seconds")
      expect(names()).toEqual([])
      world.serve(origin, ollama)
      yield* TestClock.adjust("15 seconds")
      expect(names()).toEqual(["ollama-7001"])
    })
  )
)

effect(
  "another kind of server on the port of one that is down takes its place",
  staged(serving(origin), ({ world, registry, names }) =>
    Effect.gen(function* () {
      yield* registry.noteProbe("ollama-7001", down)
      world.serve(origin, { "/v1/models": openai("vllm") })
      yield* TestClock.adjust("15 seconds")
      expect(names()).toEqual(["vllm-7001"])
    })
  )
)

effect(
  "a healthy one is left in peace",
  staged(serving(origin), ({ world, registry }) =>
    Effect.gen(function* () {
      yield* registry.noteProbe("ollama-7001", up("m"))
      const asked = world.count("7001/v1/models")
      yield* TestClock.adjust("5 minutes")
      expect(world.count("7001/v1/models")).toBe(asked)
    })
  )
)
