import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { chooseModels, chooseModelByName } from "../../src/connect/suitable-models.ts"
import type { BackendEntry } from "../../src/api/backend-entry.ts"

type Served = BackendEntry["models"][number]

const backend = (name: string, models: ReadonlyArray<Served>, more: Partial<BackendEntry> = {}): BackendEntry => ({
  name,
  url: "http://127.0.0.1:1",
  type: "generic",
  origin: "config",
  priority: 50,
  mode: "enabled",
  status: "healthy",
  reason: "",
  models,
  latency_ms: null,
  in_flight: 0,
  cooling_ms: 0,
  circuits: [],
  ...more
})

const model = (id: string, capabilities: Served["capabilities"] = {}, context?: number): Served => ({
  id,
  capabilities,
  ...(context === undefined ? {} : { context_length: context })
})

const chosen = (...backends: ReadonlyArray<BackendEntry>) => chooseModels(backends).chat.map(({ id }) => id)

describe("the model to chat with", () => {
  test("calls tools, rather than perhaps, rather than not", () => {
    const models = [model("a", { tools: false }), model("b"), model("c", { tools: true })]
    expect(chosen(backend("a", models))).toEqual(["c", "b", "a"])
  })

  test("is on more backends, then has the longer context, then comes first by name", () => {
    const a = backend("a", [model("one"), model("z", {}, 8192), model("y", {}, 4096), model("x", {}, 4096)])
    expect(chosen(a, backend("b", [model("one")]))).toEqual(["one", "z", "x", "y"])
  })

  test("is none for embeddings or reranking, whether a backend says so or its name does", () => {
    const models = [
      model("m"),
      model("vectors", { embeddings: true }),
      model("nomic-embed-text"),
      model("bge-reranker")
    ]
    expect(chosen(backend("a", models))).toEqual(["m"])
    expect(chooseModels([backend("a", models)]).embedder).toBe("nomic-embed-text")
    expect(chosen(backend("a", [model("embed-talker", { embeddings: false })]))).toEqual(["embed-talker"])
  })

  test("is none of a backend that is not healthy, or takes no requests", () => {
    const states: ReadonlyArray<Partial<BackendEntry>> = [
      { status: "unhealthy" },
      { mode: "disabled" },
      { mode: "draining" }
    ]
    for (const state of states) {
      expect(chooseModels([backend("a", [model("m")], state)])).toEqual({ chat: [], embedder: undefined, names: [] })
    }
  })

  test("has the abilities of any backend, and the longest context", () => {
    const backends = [
      backend("a", [model("m", { tools: false }, 4096)]),
      backend("b", [model("m", { tools: true }, 8192)])
    ]
    expect(chooseModels(backends).chat).toEqual([{ id: "m", contextLength: 8192, tools: true }])
  })

  test("does not hang on the order of the backends (law)", () => {
    const some = fc.uniqueArray(
      fc.record({
        id: fc.constantFrom("a", "b", "c", "d-embed"),
        capabilities: fc.constantFrom({}, { tools: true }, { tools: false })
      }),
      { maxLength: 4, selector: ({ id }) => id }
    )
    fc.assert(
      fc.property(fc.array(some, { maxLength: 4 }), (lists) => {
        const backends = lists.map((models, at) => backend(String(at), models))
        expect(chooseModels(backends.toReversed())).toEqual(chooseModels(backends))
      })
    )
  })
})

test("an alias has the facts of the model it stands for, under its own name", () => {
  const backends = [backend("a", [model("llama3:70b", { tools: true }, 8192)])]
  const aliases = new Map([
    ["gpt-4", "big"],
    ["big", "llama3:70b"]
  ])
  const facts = { contextLength: 8192, tools: true }
  expect(chooseModelByName(backends, aliases, "gpt-4")).toEqual({ id: "gpt-4", ...facts })
  expect(chooseModelByName(backends, aliases, "llama3:70b")).toEqual({ id: "llama3:70b", ...facts })
  expect(chooseModelByName(backends, aliases, "nope")).toBeUndefined()
  expect(chooseModels(backends, aliases).names).toEqual(["llama3:70b", "gpt-4", "big"])
})

test("a model of Ollama is chosen in any spelling that Ollama takes, one of another server to the letter", () => {
  const ollama = { ...backend("a", [model("Llama3:latest", { tools: true })]), type: "ollama" as const }
  const backends = [ollama, backend("b", [model("Qwen")])]
  expect(chooseModelByName(backends, new Map(), "llama3")).toEqual({ id: "llama3", tools: true })
  expect(chooseModelByName(backends, new Map([["gpt-4", "LLAMA3"]]), "gpt-4")).toEqual({ id: "gpt-4", tools: true })
  expect(chooseModelByName(backends, new Map(), "qwen")).toBeUndefined()
})

test("a model that two Ollamas list in different spellings is offered once, by the name that /v1/models has", () => {
  const ollama = (name: string, id: string) => backend(name, [model(id, { tools: true })], { type: "ollama" })
  const backends = [ollama("a", "llama3:latest"), ollama("b", "Llama3"), backend("c", [model("LLAMA3")])]
  expect(chooseModels(backends).names).toEqual(["llama3:latest", "LLAMA3"])
  expect(chooseModelByName(backends, new Map(), "Llama3")).toEqual({ id: "Llama3", tools: true })
  const [down, up] = [{ ...ollama("a", "llama3:latest"), status: "unhealthy" as const }, ollama("b", "Llama3")]
  expect(chooseModelByName([down, up], new Map(), "llama3")).toEqual({ id: "llama3", tools: true })
})
