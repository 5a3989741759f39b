import { describe, expect, test } from "bun:test"
import { rememberedRequests } from "../../src/proxy/History.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { ask } from "../kit/rawClient.ts"
import { head } from "../kit/answers.ts"

const post = async (port: number, path: string, body: unknown) => {
  const answer = await ask(port, "POST", path, typeof body === "string" ? body : JSON.stringify(body))
  return { status: answer.status, id: answer.header("x-request-id") ?? "", json: JSON.parse(answer.text) }
}

const get = async (port: number, path: string) => {
  const answer = await ask(port, "GET", path)
  return { status: answer.status, json: JSON.parse(answer.text) }
}

const chat = { model: "gpt", messages: [{ role: "user", content: "a secret prompt" }] }
const picture = { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,UFJPTVBU" } }] }

const startPair = async () => {
  const blind = await startUpstream({ type: "llamacpp", models: [{ id: "m", vision: false }] })
  const seeing = await startUpstream({ type: "llamacpp", models: [{ id: "m", vision: true }] })
  const gateway = await startGateway({
    backends: [
      backendFor("blind", blind, { type: "llamacpp", priority: 1 }),
      backendFor("seeing", seeing, { type: "llamacpp", priority: 3 })
    ],
    routing: { aliases: { gpt: "m" }, fallbacks: { m: ["other"] } }
  })
  return {
    blind,
    seeing,
    gateway,
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await blind[Symbol.asyncDispose]()
      await seeing[Symbol.asyncDispose]()
    }
  }
}

describe("POST /admin/v1/route", () => {
  test("says who would be asked, in which order and by which figures, and sends nothing", async () => {
    await using pair = await startPair()
    const { status, json } = await post(pair.gateway.port, "/admin/v1/route", chat)
    expect(status).toBe(200)
    expect(json).toEqual({
      decision: {
        requested: "gpt",
        models: ["m", "other"],
        strategy: "smart",
        candidates: [
          {
            backend: "blind",
            model: "m",
            zone: "local",
            priority: 1,
            in_flight: 0,
            slots: 4,
            slots_from: "told",
            first_byte_ms: null,
            expected_ms: 0,
            parts: { wait_ms: 0, load_ms: 0, read_ms: 0, write_ms: 0, cached_tokens: 0 }
          },
          {
            backend: "seeing",
            model: "m",
            zone: "local",
            priority: 3,
            in_flight: 0,
            slots: 4,
            slots_from: "told",
            first_byte_ms: null,
            expected_ms: 0,
            parts: { wait_ms: 0, load_ms: 0, read_ms: 0, write_ms: 0, cached_tokens: 0 }
          }
        ],
        excluded: [],
        order: [
          { backend: "blind", model: "m", reason: "capability-match", fallback: false, native: true },
          { backend: "seeing", model: "m", reason: "capability-match", fallback: false, native: true }
        ]
      },
      max_retries: 2,
      refusal: null
    })
    expect(pair.blind.calls().length + pair.seeing.calls().length).toBe(0)
  })

  test("says who is left out and why, and what the client would be refused with", async () => {
    await using pair = await startPair()
    const { port } = pair.gateway
    const seen = await post(port, "/admin/v1/route", { model: "m", messages: [picture] })
    expect(seen.json.decision.excluded).toEqual([
      { backend: "blind", model: "m", reason: "lacks vision (image input)" }
    ])
    expect(seen.json.decision.order).toHaveLength(1)
    const unknown = await post(port, "/admin/v1/route", { ...chat, model: "nobody's" })
    expect(unknown.status).toBe(200)
    expect(unknown.json).toMatchObject({
      decision: { candidates: [], excluded: [], order: [] },
      refusal: { status: 404, code: "model_not_found" }
    })
  })

  test("says of a model that nobody has listed yet which backends are not heard of and why, as the refusal does", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    const dead = { name: "dead", url: "http://127.0.0.1:1" }
    const reason = "connection refused"
    await using alone = await startGateway({ backends: [dead] })
    await using pair = await startGateway({ backends: [dead, backendFor("one", upstream)] })
    for (const [{ port }, status, begin] of [
      [alone, 503, "No healthy backends available for model 'x'"],
      [pair, 404, "Model 'x' not found. Available: m. Not heard of yet"]
    ] as const) {
      const told = await post(port, "/admin/v1/route", { ...chat, model: "x" })
      const message = `${begin}: backend 'dead': ${reason}`
      expect(told.json).toMatchObject({
        decision: { excluded: [{ backend: "dead", model: "x", reason }] },
        refusal: { status, message }
      })
      const real = await post(port, "/v1/chat/completions", { ...chat, model: "x" })
      expect([real.status, real.json.error.message]).toEqual([status, message])
    }
  })

  test("says of a model that nobody lists any more who has not got it", async () => {
    await using upstream = await startUpstream({ models: ["m", "n"] })
    await using gateway = await startGateway({
      health_check: { interval_seconds: 0.1 },
      backends: [backendFor("one", upstream)]
    })
    upstream.models(["n"])
    await until(() => !gateway.running.snapshot().candidates.has("m"), "it is gone")
    const told = await post(gateway.port, "/admin/v1/route", { ...chat, model: "m" })
    const reason = "does not list the model now"
    expect(told.json).toMatchObject({
      decision: { excluded: [{ backend: "one", model: "m", reason }] },
      refusal: { status: 503, message: `No healthy backends available for model 'm': backend 'one': ${reason}` }
    })
  })

  test("refuses a body that no backend would be asked with, as the endpoint itself does", async () => {
    await using pair = await startPair()
    for (const body of ["", "nonsense", "[]", { messages: [] }, { model: "m" }]) {
      const told = await post(pair.gateway.port, "/admin/v1/route", body)
      const real = await post(pair.gateway.port, "/v1/chat/completions", body)
      expect([told.status, told.json]).toEqual([400, real.json])
    }
    const embeddings = await post(pair.gateway.port, "/admin/v1/route?endpoint=embeddings", { model: "m", input: "x" })
    expect(embeddings.status).toBe(200)
  })
})

describe("GET /admin/v1/decisions", () => {
  test("keeps what was decided for a request by its id, as it was then, and no word of its messages", async () => {
    await using pair = await startPair()
    const { port } = pair.gateway
    const { id } = await post(port, "/v1/chat/completions", { ...chat, messages: [...chat.messages, picture] })
    await pair.gateway.quiet()
    pair.gateway.running.snapshot().backends.forEach(({ live }) => {
      live.inFlight += 5
    })
    const { status, json } = await get(port, `/admin/v1/decisions/${id}`)
    expect(status).toBe(200)
    expect(json).toMatchObject({
      request: {
        id,
        endpoint: "chat/completions",
        model: "gpt",
        stream: false,
        outcome: "completed",
        status: 200,
        backend: "seeing",
        upstream_model: "m",
        attempts: 1,
        failures: []
      },
      decision: {
        candidates: [{ backend: "seeing", in_flight: 0, first_byte_ms: null }],
        excluded: [{ backend: "blind", reason: "lacks vision (image input)" }]
      }
    })
    const list = await get(port, "/admin/v1/decisions")
    expect(list.json.requests).toMatchObject([{ id, status: 200 }])
    expect(JSON.stringify([json, list.json])).not.toContain("secret prompt")
    expect(JSON.stringify([json, list.json])).not.toContain("UFJPTVBU")
    pair.gateway.running.snapshot().backends.forEach(({ live }) => {
      live.inFlight -= 5
    })
  })

  test("keeps what was seen of few candidates when a later decision is made among more", async () => {
    await using both = await startUpstream({ models: ["few", "many"] })
    await using other = await startUpstream({ models: ["many"] })
    await using gateway = await startGateway({
      backends: [backendFor("a", both), ...["b", "c", "d"].map((name) => backendFor(name, other))]
    })
    const { port } = gateway
    const live = gateway.running.snapshot().backends.get("a")?.live
    if (live === undefined) throw new Error("no backend")
    const asked = async (model: string, inFlight: number) => {
      live.inFlight += inFlight
      const { id } = await post(port, "/v1/chat/completions", { ...chat, model })
      await until(() => live.inFlight === inFlight, "the answer has ended")
      live.inFlight -= inFlight
      return id
    }
    const ids = [await asked("few", 3), await asked("many", 2), await asked("few", 1)]
    const seen = await Promise.all(ids.map((id) => get(port, `/admin/v1/decisions/${id}`)))
    const busy = seen.map(({ json }) =>
      json.decision.candidates.map(({ backend, in_flight }: { backend: string; in_flight: number }) => [
        backend,
        in_flight
      ])
    )
    const others = ["b", "c", "d"].map((name) => [name, 0])
    expect(busy).toEqual([[["a", 3]], [["a", 2], ...others], [["a", 1]]])
  })

  test("keeps failed attempts, and requests that were refused", async () => {
    await using broken = await startUpstream({
      models: ["m"],
      script: function* () {
        yield head(500, ["Content-Length: 0"])
      }
    })
    await using gateway = await startGateway({ backends: [backendFor("broken", broken)], routing: { max_retries: 0 } })
    const failed = await post(gateway.port, "/v1/chat/completions", { ...chat, model: "m" })
    const missing = await post(gateway.port, "/v1/chat/completions", { ...chat, model: "none" })
    const nonsense = await post(gateway.port, "/v1/chat/completions", "nonsense")
    await gateway.quiet()
    const told = async (id: string) => (await get(gateway.port, `/admin/v1/decisions/${id}`)).json
    expect(await told(failed.id)).toMatchObject({
      request: { outcome: "failed", status: 502, attempts: 1, failures: [{ backend: "broken", model: "m" }] },
      decision: { order: [{ backend: "broken" }] }
    })
    expect(await told(missing.id)).toMatchObject({
      request: { outcome: "refused", status: 404, attempts: 0 },
      decision: { models: ["none"], order: [] }
    })
    expect(await told(nonsense.id)).toMatchObject({ request: { outcome: "refused", status: 400 }, decision: null })
  })

  test(`keeps the last ${String(rememberedRequests)} requests, newest first, and forgets those before`, async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const ids: Array<string> = []
    for (let nth = 0; nth < rememberedRequests + 3; nth += 1) {
      ids.push((await post(gateway.port, "/v1/chat/completions", { ...chat, model: "m" })).id)
      // The client has its answer before the request has ended here, and the next one could be faster.
      await gateway.quiet()
    }
    const { requests } = (await get(gateway.port, "/admin/v1/decisions")).json
    expect(requests.map(({ id }: { id: string }) => id)).toEqual(ids.slice(3).toReversed())
    expect((await get(gateway.port, `/admin/v1/decisions/${ids[2] ?? ""}`)).status).toBe(404)
    expect((await get(gateway.port, `/admin/v1/decisions/${ids[3] ?? ""}`)).status).toBe(200)
  })

  test("says of an id it does not know how many requests are kept", async () => {
    await using pair = await startPair()
    const { status, json } = await get(pair.gateway.port, "/admin/v1/decisions/who%2Fis:this")
    expect(status).toBe(404)
    expect(json.error.message).toContain(`No request 'who/is:this' among the last ${String(rememberedRequests)}`)
  })
})
