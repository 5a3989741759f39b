import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, json, lastChunk, streamHead } from "../kit/answers.ts"
import { type FakeUpstream, good, startUpstream } from "../kit/FakeUpstream.ts"
import { answering, claude, says } from "../kit/claude.ts"
import { backendFor, type SettingsTree, startGateway } from "../kit/gateway.ts"
import { samplesOf } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const chat = "/v1/chat/completions"

const bodyFor = (model: string, more: object = {}) =>
  JSON.stringify({ model, messages: [{ role: "user", content: "Hi" }], stream: true, ...more })

/** Says nothing, for ever. */
const silent: Script = () => [{ until: new Promise<never>(() => undefined) }]

/** Two servers of which the first goes quiet when it is told to, and a gateway that prefers it. */
const world = async (
  first: Partial<{ type: "anthropic"; model: string; good: Script }> = {},
  more: SettingsTree = {}
) => {
  const { good: usual = good(["one"]), model = "m", type } = first
  const slow = await startUpstream({ models: [model], script: usual, ...(type === undefined ? {} : { type }) })
  const quick = await startUpstream({ models: [model], script: good(["two"]) })
  const backends = [
    backendFor("slow", slow, { priority: 1, ...(type === undefined ? {} : { type }) }),
    backendFor("quick", quick, { priority: 2 })
  ]
  const routing = { strategy: "priority_only", hedge: { models: [model], max_share: 1, min_wait_seconds: 0.2 } }
  const gateway = await startGateway({ backends, routing, ...more })
  const path = (body: string, at = chat) => ask(gateway.port, "POST", at, body)
  for (let nth = 0; nth < 20; nth += 1) expect((await path(bodyFor(model))).status).toBe(200)
  return {
    slow,
    quick,
    gateway,
    post: path,
    /** The first one says nothing more; or does this. */
    slows: (script: Script = silent) => slow.script(script),
    [Symbol.asyncDispose]: async () => {
      await gateway[Symbol.asyncDispose]()
      await slow[Symbol.asyncDispose]()
      await quick[Symbol.asyncDispose]()
    }
  }
}

/** Whether the call that it was asked last has lost its connection. */
const isLeft = async (upstream: FakeUpstream): Promise<boolean> => (await upstream.lastCall().gone) > 0

const told = (answer: { readonly header: (name: string) => string | null | undefined }) =>
  ["x-nexus-backend", "x-nexus-route-reason", "x-nexus-attempts", "x-nexus-hedge"].map((name) => answer.header(name))

describe("a stream whose first token is late at one server", () => {
  test("comes from another, while the connection to the first is closed, and all that tells of it says so", async () => {
    await using here = await world()
    here.slows()
    const answer = await here.post(bodyFor("m"))
    expect([answer.status, answer.text]).toEqual([200, chatEvents("m", ["two"]).join("")])
    expect(told(answer)).toEqual(["quick", "hedge", "2", "won"])
    expect(await isLeft(here.slow)).toBe(true)
    await here.gateway.quiet()
    const samples = samplesOf((await ask(here.gateway.port, "GET", "/metrics")).text)
    expect(samples.filter(({ name }) => name === "nexus_hedges_total")).toEqual([
      { name: "nexus_hedges_total", labels: { model: "m", backend: "slow", outcome: "won" }, value: 1 }
    ])
    const id = answer.header("x-request-id") ?? ""
    const explained = JSON.parse((await ask(here.gateway.port, "GET", `/admin/v1/decisions/${id}`)).text)
    expect(explained.request.hedge.after_ms).toBeGreaterThanOrEqual(200)
    expect(explained.request).toMatchObject({
      backend: "quick",
      attempts: 2,
      failures: [],
      hedge: { backend: "quick", model: "m", outcome: "won" }
    })
    const [slow, quick, ...others] = explained.time_line
    expect([slow, quick, others]).toMatchObject([
      { part: "attempt", backend: "slow", hedge: false, outcome: "outrun", first_byte_ms: null },
      { part: "attempt", backend: "quick", hedge: true, outcome: "answered" },
      []
    ])
    expect(quick.from_ms - slow.from_ms).toBeGreaterThanOrEqual(199)
  })

  test.each([
    ["Anthropic's", "/v1/messages", { max_tokens: 10 }, "two"],
    ["Responses", "/v1/responses", { input: "Hi", messages: undefined }, "two"],
    ["Ollama's", "/api/chat", {}, "two"]
  ])("comes from another in its client's dialect, %s", async (_, path, more, words) => {
    await using here = await world()
    for (let nth = 0; nth < 2; nth += 1) await here.post(bodyFor("m", more), path)
    here.slows()
    const answer = await here.post(bodyFor("m", more), path)
    expect([answer.status, answer.header("x-nexus-hedge")]).toEqual([200, "won"])
    expect(answer.text).toContain(words)
    expect(await isLeft(here.slow)).toBe(true)
    await here.gateway.quiet()
  })

  test("is asked of each in the words of that one, and answered in its client's", async () => {
    await using here = await world({
      type: "anthropic",
      model: claude,
      good: answering(() => ({ content: [says("one")] }))
    })
    here.slows()
    const answer = await here.post(bodyFor(claude))
    expect([...told(answer), answer.header("x-nexus-dialect") ?? null]).toEqual(["quick", "hedge", "2", "won", null])
    expect(answer.text).toBe(chatEvents(claude, ["two"]).join(""))
    expect(await isLeft(here.slow)).toBe(true)
    await here.gateway.quiet()
  })

  test("is asked of the second once more in other words, when that one refuses some of them", async () => {
    await using here = await world()
    const more = { max_tokens: 10, temperature: 0.5 }
    here.slows()
    here.quick.script((request) =>
      request.text.includes("temperature")
        ? [json({ error: { message: "temperature is not supported with this model" } }, 400)]
        : good(["two"])(request)
    )
    const answer = await here.post(bodyFor("m", more), "/v1/messages")
    expect([answer.status, ...told(answer)]).toEqual([200, "quick", "hedge", "3", "won"])
    expect(answer.header("x-nexus-dropped")).toBe("temperature")
    expect(await isLeft(here.slow)).toBe(true)
    await here.gateway.quiet()
  })

  test("goes on in the stream that was opened for its client already, with the comments before it", async () => {
    await using here = await world({}, { server: { keepalive_after_seconds: 0.1 } })
    here.slows()
    using client = await dial(here.gateway.port)
    await client.send(requestBytes("POST", chat, bodyFor("m")))
    const answer = await client.answer()
    expect(answer.text).toStartWith(": keep-alive\n\n")
    expect([answer.text.replaceAll(": keep-alive\n\n", ""), answer.end]).toEqual([
      chatEvents("m", ["two"]).join(""),
      "complete"
    ])
    expect(await isLeft(here.slow)).toBe(true)
    await here.gateway.quiet()
  })

  test("stays where it is when that one has sent its head and comments only, and then speaks first", async () => {
    await using here = await world()
    const asked = Promise.withResolvers<void>()
    here.quick.script(() => {
      asked.resolve()
      return [{ until: new Promise<never>(() => undefined) }]
    })
    here.slows(() => [
      streamHead(),
      chunk(": loading\n\n"),
      { until: asked.promise },
      ...chatEvents("m", ["one"]).map((each) => chunk(each)),
      lastChunk
    ])
    const answer = await here.post(bodyFor("m"))
    expect(told(answer)).toEqual(["slow", "capability-match", "2", "lost"])
    expect(answer.text).toBe(`: loading\n\n${chatEvents("m", ["one"]).join("")}`)
    expect(await isLeft(here.quick)).toBe(true)
    await here.gateway.quiet()
  })

  test("is closed at both when its client leaves", async () => {
    await using here = await world()
    here.slows()
    here.quick.script(silent)
    using client = await dial(here.gateway.port)
    const before = here.quick.calls().length
    await client.send(requestBytes("POST", chat, bodyFor("m")))
    await here.quick.call(before)
    client.hangUp()
    expect([await isLeft(here.slow), await isLeft(here.quick)]).toEqual([true, true])
    await here.gateway.quiet()
  })
})
