import { describe, expect, test } from "bun:test"
import type { BackendType } from "../../src/backend/all.ts"
import { json } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { startModelOllama } from "../kit/modelServers.ts"
import { ask } from "../kit/rawClient.ts"
import type { Seen, Step } from "../kit/rawServer.ts"

const models = ["a:1", "b:1"]

/** How each kind tells which of its models are in memory. */
const tells: Readonly<Partial<Record<BackendType, (memory: ReadonlySet<string>, { target }: Seen) => unknown>>> = {
  ollama: (memory, { target }) =>
    target === "/api/ps"
      ? { models: [...memory].map((name) => ({ name, model: name, context_length: 4096 })) }
      : undefined,
  lmstudio: (memory, { target }) =>
    target === "/api/v1/models"
      ? {
          models: models.map((key) => ({
            type: "llm",
            key,
            loaded_instances: memory.has(key) ? [{ id: key, config: { context_length: 4096 } }] : []
          }))
        }
      : undefined,
  llamaswap: (memory, { target }) =>
    target === "/running" ? { running: [...memory].map((model) => ({ model, state: "ready" })) } : undefined,
  llamacpp: (memory, { target }) => {
    if (target === "/props") return { role: "router" }
    if (target !== "/v1/models") return undefined
    const data = models.map((id) => ({ id, status: { value: memory.has(id) ? "loaded" : "unloaded" } }))
    return { object: "list", data }
  }
}

const startSwapping = (type: BackendType, ...loaded: ReadonlyArray<string>): Promise<FakeUpstream> => {
  const memory = new Set(loaded)
  return startUpstream({
    models,
    type,
    probe: (request): Iterable<Step> | undefined => {
      const told = tells[type]?.(memory, request)
      return told === undefined ? undefined : [json(told)]
    },
    script: good()
  })
}

const chat = async (port: number, model: string, id = "any", more = {}) => {
  const body = JSON.stringify({ model, messages: [{ role: "user", content: "hi" }], ...more })
  const answer = await ask(port, "POST", "/v1/chat/completions", body, [`x-request-id: ${id}`])
  expect(answer.status).toBe(200)
  return answer
}

const coldOf = (answer: Awaited<ReturnType<typeof chat>>) => [
  answer.header("x-nexus-cold"),
  Number(answer.header("x-nexus-load-seconds") ?? Number.NaN)
]

describe.each(["ollama", "lmstudio", "llamaswap", "llamacpp"] as const)(
  "a model that a server of type %s has to load",
  (type) => {
    for (const stream of [false, true]) {
      test(`is told of in the head of the answer, with an estimate of the time, ${stream ? "streamed" : "whole"}`, async () => {
        await using upstream = await startSwapping(type, "a:1")
        await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type })] })
        const first = await chat(gateway.port, "b:1", "first", { stream })
        // Nothing was seen to be loaded: it is a guess.
        expect(coldOf(first)).toEqual(["1", 10])
        expect(coldOf(await chat(gateway.port, "b:1", "second", { stream }))).toEqual([undefined, Number.NaN])
      })
    }

    test("is not told of where it is in memory", async () => {
      await using upstream = await startSwapping(type, ...models)
      await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type })] })
      for (const model of models) expect(coldOf(await chat(gateway.port, model))).toEqual([undefined, Number.NaN])
    })

    test("goes to the server that has it in memory, though the other one is as good", async () => {
      await using cold = await startSwapping(type, "a:1")
      await using warm = await startSwapping(type, "b:1")
      await using gateway = await startGateway({
        backends: [backendFor("cold", cold, { type }), backendFor("warm", warm, { type })]
      })
      for (let nth = 0; nth < 4; nth += 1) {
        const answer = await chat(gateway.port, "b:1")
        expect([answer.header("x-nexus-backend"), answer.header("x-nexus-cold")]).toEqual(["warm", undefined])
      }
    })
  }
)

test("a cold choice is told of by what loading was seen to take, in the decision and in the words of explain as well", async () => {
  await using upstream = await startSwapping("ollama")
  await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type: "ollama" })] })
  // One in turn pushes out the other.
  for (const [model, id] of [
    ["a:1", "1"],
    ["b:1", "2"]
  ] as const)
    await chat(gateway.port, model, id, { stream: true })
  const again = await chat(gateway.port, "a:1", "again", { stream: true })
  const [isCold, seconds] = coldOf(again)
  expect(isCold).toBe("1")
  expect(seconds).toBeLessThan(10)
  const at = async (path: string) => JSON.parse((await ask(gateway.port, "GET", path)).text)
  const { decision, request } = await at("/admin/v1/decisions/again")
  expect(request.load_ms).toBeWithin(0, 10_000)
  expect(decision.candidates[0].parts.load_ms).toBeGreaterThan(0)
  const warm = await chat(gateway.port, "a:1", "warm")
  expect(warm.header("x-nexus-cold")).toBeUndefined()
  expect((await at("/admin/v1/decisions/warm")).request.load_ms).toBeUndefined()
})

test("a load that an administrator asked for shows how long the next one takes", async () => {
  await using lab = await startModelOllama("m:1b")
  await using gateway = await startGateway({ backends: [backendFor("lab", lab, { type: "ollama" })] })
  const post = (path: string, body: unknown) => ask(gateway.port, "POST", path, JSON.stringify(body))
  const loadMs = async () => {
    const { decision } = JSON.parse((await post("/admin/v1/route", { model: "m:1b", messages: [] })).text)
    return decision.candidates[0].parts.load_ms
  }
  const guess = await loadMs()
  for (const action of ["load", "unload"]) await post(`/admin/v1/models/${action}`, { model: "m:1b" })
  expect(await loadMs()).toBeWithin(0.001, guess)
})

test("a load that somebody asks for of a model that a request has had loaded before shows nothing of how long one takes", async () => {
  const memory = new Set<string>()
  const gate = Promise.withResolvers<void>()
  await using upstream = await startUpstream({
    models,
    type: "ollama",
    probe: (request) => {
      const told = tells.ollama?.(memory, request)
      return told === undefined ? undefined : [json(told)]
    },
    script: async function* (request) {
      if (request.target === "/api/generate") {
        memory.add("a:1")
        return yield json({ done: true })
      }
      yield { until: gate.promise }
      yield* good()(request)
    }
  })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type: "ollama" })] })
  const post = (path: string, body: unknown) => ask(gateway.port, "POST", path, JSON.stringify(body))
  const loadMs = async () => {
    const { decision } = JSON.parse((await post("/admin/v1/route", { model: "b:1", messages: [] })).text)
    return decision.candidates[0].parts.load_ms
  }
  const answer = chat(gateway.port, "a:1")
  await upstream.call(0)
  const guess = await loadMs()
  expect((await post("/admin/v1/models/load", { model: "a:1" })).status).toBe(200)
  expect(memory.size).toBe(1)
  expect(await loadMs()).toBe(guess)
  gate.resolve()
  await answer
})

test("a page of a listed origin may read every header that the document tells of", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({
    server: { cors: { origins: ["https://app.example"] } },
    backends: [backendFor("one", upstream)]
  })
  const document = JSON.parse((await ask(gateway.port, "GET", "/openapi.json")).text)
  const told = Object.keys(document.components.headers).filter(
    (name) => !["www-authenticate", "x-nexus-version"].includes(name)
  )
  const answer = await ask(gateway.port, "GET", "/v1/models", "", ["Origin: https://app.example"])
  const exposed = (answer.header("access-control-expose-headers") ?? "").split(", ")
  expect(told.filter((name) => !exposed.includes(name))).toEqual([])
})
