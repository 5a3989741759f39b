import { describe, expect, test } from "bun:test"
import { type BackendType, backendTypes, kindNamed } from "../../src/backend/all.ts"
import type { DialectId } from "../../src/backend/speech.ts"
import { json } from "../kit/answers.ts"
import { answering, says } from "../kit/claude.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { piece, text } from "../kit/gemini.ts"
import { ask } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const post = (port: number, model: string) =>
  ask(port, "POST", "/v1/chat/completions", JSON.stringify({ model, messages: [{ role: "user", content: "hello" }] }))

const listed = async (port: number) => {
  const list = (await ask(port, "GET", "/v1/models")).json() as { data: ReadonlyArray<Record<string, unknown>> } // reason: the list is ours
  return list.data
}

const ids = async (port: number) => (await listed(port)).map(({ id }) => id)

/** Settings under which everything is seen soon. */
const quick = { interval_seconds: 0.05, failure_threshold: 1, recovery_threshold: 1 }

// Those whose lists tell no context.
const untold = new Set<BackendType>(["openai", "azure", "bedrock", "vertex", "generic"])

// Those whose lists are of more than can be asked for, so that config names what is.
const unlisted = new Set<BackendType>(["azure", "vertex"])

const scripts: Partial<Record<DialectId, Script>> = {
  anthropic: answering(() => ({ content: [says("Hello there")] })),
  gemini: () => [json(piece([text("Hello there")], "STOP"))]
}

describe("every kind of backend", () => {
  for (const type of backendTypes) {
    test(`${type} is asked in its own words, listed, and answers`, async () => {
      const { locality, speaks } = kindNamed(type)
      const id = "org/m:1"
      await using upstream = await startUpstream({
        type,
        models: [{ id, context: 4096, tools: true, vision: true }],
        script: scripts[speaks.main] ?? good()
      })
      const models = unlisted.has(type) ? { models: [{ id }] } : {}
      await using gateway = await startGateway({ backends: [backendFor("one", upstream, { type, ...models })] })
      const [model, ...others] = await listed(gateway.port)
      expect(others).toEqual([])
      expect(model).toMatchObject({ id, owned_by: "nexus", backends: ["one"] })
      if (!untold.has(type)) expect(model).toMatchObject({ context_length: 4096 })
      if (type === "ollama" || type === "llamacpp" || type === "lmstudio") {
        expect(model).toMatchObject({ capabilities: { vision: true, tools: true } })
      }
      const answer = await post(gateway.port, id)
      expect(answer.status).toBe(200)
      expect(answer.json()).toMatchObject({ choices: [{ message: { content: "Hello there" } }] })
      expect(answer.header("x-nexus-backend-type")).toBe(locality)
      // A probe never makes a model work.
      expect(upstream.calls()).toHaveLength(1)
    })
  }
})

describe("what is known of backends follows them:", () => {
  test("one that is down at the start appears by itself when it comes up", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await upstream.server.kill()
    await using gateway = await startGateway({ backends: [backendFor("late", upstream)], health_check: quick })
    expect(gateway.backend("late").status).toBe("unhealthy")
    expect(await ids(gateway.port)).toEqual([])
    // No backend has said yet what it serves: nobody can tell that the model is not there.
    expect((await post(gateway.port, "m")).status).toBe(503)
    await upstream.server.revive()
    await until(() => gateway.backend("late").status === "healthy", "it is seen")
    expect(await ids(gateway.port)).toEqual(["m"])
    expect((await post(gateway.port, "m")).status).toBe(200)
  })

  test("a model that comes and one that goes are seen at the next probe", async () => {
    await using upstream = await startUpstream({ models: ["old"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)], health_check: quick })
    upstream.models(["new"])
    await until(() => gateway.backend("one").models.some(({ id }) => id === "new"), "the new list is seen")
    expect(await ids(gateway.port)).toEqual(["new"])
    expect((await post(gateway.port, "new")).status).toBe(200)
  })

  test("one that loads its model is unhealthy, says why, and serves once it is ready", async () => {
    const state = { loading: true }
    await using upstream = await startUpstream({
      type: "llamacpp",
      models: ["m"],
      probe: () =>
        state.loading
          ? [json({ error: { message: "Loading model", type: "unavailable_error", code: 503 } }, 503)]
          : undefined
    })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream, { type: "llamacpp" })],
      health_check: quick
    })
    expect(gateway.backend("one")).toMatchObject({ status: "unhealthy", reason: "loading model" })
    state.loading = false
    await until(() => gateway.backend("one").status === "healthy", "it is ready")
    expect((await post(gateway.port, "m")).status).toBe(200)
  })

  test("an empty list, null lists included, leaves a healthy backend without models", async () => {
    for (const data of [[], null]) {
      await using upstream = await startUpstream({ models: [], probe: () => [json({ object: "list", data })] })
      await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
      expect(gateway.backend("one")).toMatchObject({ status: "healthy", models: [] })
      expect(await ids(gateway.port)).toEqual([])
    }
  })

  test("one that refuses its key is a mistake of the config, and no other state", async () => {
    await using upstream = await startUpstream({ models: ["m"], probe: () => [json({ error: "no" }, 401)] })
    await using gateway = await startGateway(
      { backends: [backendFor("one", upstream)] },
      { backendKeys: new Map([["one", "sk-inner"]]), authKeys: [] }
    )
    expect(gateway.backend("one").status).toBe("config_error")
    expect(gateway.backend("one").reason).not.toContain("sk-inner")
    expect(upstream.probes()[0]?.header("authorization")).toBe("Bearer sk-inner")
  })

  test("two that serve one model are listed as one, with the best of both", async () => {
    await using small = await startUpstream({ type: "ollama", models: [{ id: "m", context: 2048, tools: true }] })
    await using large = await startUpstream({ type: "ollama", models: [{ id: "m", context: 8192, vision: true }] })
    await using gateway = await startGateway({
      backends: [
        backendFor("small", small, { type: "ollama" }),
        backendFor("large", { url: `${large.url}/v1/` }, { type: "ollama" })
      ]
    })
    expect(await listed(gateway.port)).toMatchObject([
      { id: "m", context_length: 8192, capabilities: { vision: true, tools: true }, backends: ["small", "large"] }
    ])
  })

  test("a model that only unhealthy backends serve is 503, one that nobody ever named is 404", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)], health_check: quick })
    await upstream.server.kill()
    await until(() => gateway.backend("one").status === "unhealthy", "it is seen to be down")
    expect((await post(gateway.port, "m")).status).toBe(503)
    expect((await post(gateway.port, "n")).status).toBe(404)
  })
})

/** Waits until a request waits for a slot. */
const untilQueued = async (port: number): Promise<void> => {
  const listed = await ask(port, "GET", "/admin/v1/requests")
  if (!listed.text.includes('"phase":"queued"')) return untilQueued(port)
}

describe("strategies", () => {
  test("round robin is fair", async () => {
    await using one = await startUpstream({ models: ["m"] })
    await using two = await startUpstream({ models: ["m"] })
    await using three = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "round_robin" },
      backends: [backendFor("one", one), backendFor("two", two), backendFor("three", three)]
    })
    await Promise.all(Array.from({ length: 30 }, () => post(gateway.port, "m")))
    expect([one, two, three].map((each) => each.calls().length)).toEqual([10, 10, 10])
  })

  for (const queued of [true, false]) {
    test(`a backend is given no more at a time than max_concurrent; the next one ${queued ? "waits" : "is refused where none may wait"}`, async () => {
      const gate = Promise.withResolvers<void>()
      const held = () => [{ until: gate.promise }, json({ choices: [] })]
      await using one = await startUpstream({ models: ["m"], script: held })
      await using two = await startUpstream({ models: ["m"], script: held })
      await using gateway = await startGateway({
        routing: { strategy: "priority_only" },
        queue: { enabled: queued },
        backends: [
          backendFor("one", one, { priority: 1, max_concurrent: 2 }),
          backendFor("two", two, { priority: 2, max_concurrent: 3 })
        ]
      })
      const answers = Array.from({ length: 5 }, () => post(gateway.port, "m"))
      await until(() => one.busy() + two.busy() === 5, "five are under way")
      expect([one.busy(), two.busy()]).toEqual([2, 3])
      const sixth = post(gateway.port, "m")
      if (queued) await untilQueued(gateway.port)
      else {
        const refused = await sixth
        expect(refused.status).toBe(429)
        expect(Number(refused.header("retry-after"))).toBeGreaterThan(0)
      }
      gate.resolve()
      if (queued) expect((await sixth).status).toBe(200)
      for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200)
      await gateway.quiet()
    })
  }

  test("requests beyond max_concurrent_requests are refused at once, and the others served", async () => {
    const gate = Promise.withResolvers<void>()
    await using one = await startUpstream({
      models: ["m"],
      script: () => [{ until: gate.promise }, json({ choices: [] })]
    })
    await using gateway = await startGateway({
      server: { max_concurrent_requests: 3 },
      backends: [backendFor("one", one)]
    })
    const answers = Array.from({ length: 3 }, () => post(gateway.port, "m"))
    await until(() => one.busy() === 3, "three are under way")
    const more = await post(gateway.port, "m")
    expect(more.status).toBe(429)
    expect(more.json()).toMatchObject({ error: { type: "rate_limit_error", code: "rate_limit_exceeded" } })
    expect(Number(more.header("retry-after"))).toBeGreaterThan(0)
    gate.resolve()
    for (const answer of await Promise.all(answers)) expect(answer.status).toBe(200)
  })
})
