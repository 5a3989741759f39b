import { describe, expect, test } from "bun:test"
import { chatEvents, chunk, completion, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, type SettingsTree, startGateway, startProcess, until } from "../kit/gateway.ts"
import { takeLog } from "../kit/log.ts"
import { scrape, total } from "../kit/metrics.ts"
import { type OtlpReceiver, refusing, startOtlpReceiver } from "../kit/otlpReceiver.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = (more: SettingsTree = {}) =>
  JSON.stringify({ model: "m", messages: [{ role: "user", content: "a secret prompt" }], ...more })

const to = ({ url }: OtlpReceiver, more: SettingsTree = {}) => ({
  telemetry: { otlp: { endpoint: url, protocol: "http/json", ...more } }
})

const server = 2
const client = 3

const callers = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

describe("with [telemetry.otlp] endpoint", () => {
  test("a failed-over stream is one trace: the request, each attempt with its error or its first token, and tokens", async () => {
    await using receiver = await startOtlpReceiver()
    await using broken = await startUpstream({
      models: ["m"],
      script: () => [json({ error: { message: "boom" } }, 500)]
    })
    const usage = { prompt_tokens: 7, completion_tokens: 2, total_tokens: 9 }
    const events = [
      ...chatEvents("m", ["a", "b"]).slice(0, -1),
      `data: ${JSON.stringify({ id: "1", object: "chat.completion.chunk", created: 1, model: "m", choices: [], usage })}\n\n`,
      "data: [DONE]\n\n"
    ]
    await using well = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), ...events.map(chunk), lastChunk]
    })
    await using gateway = await startGateway({
      ...to(receiver),
      backends: [
        backendFor("broken", broken, { priority: 1 }),
        backendFor("well", well, { priority: 2, type: "vllm" })
      ],
      routing: { strategy: "priority_only" }
    })
    const before = Date.now()
    const answer = await ask(gateway.port, "POST", path, body({ stream: true }))
    expect(answer.status).toBe(200)
    await until(() => receiver.spans().length === 3, "the spans come")
    const [request, first, second] = receiver.spans()
    expect(request).toMatchObject({
      name: "POST chat/completions",
      kind: server,
      status: { code: 0 },
      attributes: {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.path": path,
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.request.stream": true,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 2,
        "nexus.request.id": answer.header("x-request-id"),
        "nexus.backend": "well",
        "nexus.outcome": "completed",
        "nexus.attempts": 2
      }
    })
    expect(first).toMatchObject({
      name: "chat m",
      kind: client,
      parentSpanId: request?.spanId,
      status: { code: 2 },
      events: [],
      attributes: {
        "nexus.backend": "broken",
        "error.type": "500",
        "server.address": "127.0.0.1",
        "server.port": broken.port
      }
    })
    expect(second).toMatchObject({
      traceId: request?.traceId,
      parentSpanId: request?.spanId,
      status: { code: 0 },
      events: [{ name: "first_token" }],
      attributes: { "gen_ai.provider.name": "vllm", "gen_ai.usage.output_tokens": 2, "nexus.attempt.number": 2 }
    })
    const at = (nanos: string | undefined) => Number(BigInt(nanos ?? 0) / 1_000_000n)
    expect(at(request?.startTimeUnixNano)).toBeGreaterThanOrEqual(before - 5)
    expect(at(request?.endTimeUnixNano)).toBeLessThanOrEqual(Date.now() + 5)
    expect(at(first?.endTimeUnixNano)).toBeLessThanOrEqual(at(second?.startTimeUnixNano) + 1)
    const sent = receiver.server.requests.map(({ text }) => text).join("\n")
    expect(sent).not.toMatch(/secret prompt|boom|\bat .*\.ts\b/)
  })

  test("a call tells the tokens that were thought, and the model that answered where it is an unexpected one", async () => {
    await using receiver = await startOtlpReceiver()
    const usage = { prompt_tokens: 7, completion_tokens: 20, completion_tokens_details: { reasoning_tokens: 15 } }
    const answers = [completion("m", "Hello"), { ...completion("another", "Hello"), usage }]
    await using upstream = await startUpstream({ models: ["m"], script: () => [json(answers.shift())] })
    await using gateway = await startGateway({ ...to(receiver), backends: [backendFor("one", upstream)] })
    for (let turn = 0; turn < 2; turn += 1) expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await until(() => receiver.spans().length === 4, "the spans come")
    const [usual, other] = receiver.spans().flatMap(({ attributes, kind }) => (kind === client ? [attributes] : []))
    expect(usual).not.toContainAnyKeys(["gen_ai.response.model", "gen_ai.usage.reasoning.output_tokens"])
    expect(other).toMatchObject({
      "gen_ai.request.model": "m",
      "gen_ai.response.model": "another",
      "gen_ai.usage.output_tokens": 20,
      "gen_ai.usage.reasoning.output_tokens": 15
    })
  })

  describe("a call tells what was asked of its answer, the id of that and why it ended", () => {
    const asked = { temperature: 0.2, top_p: 0.9, seed: 7, max_tokens: 50, reasoning_effort: "low", n: 1 }
    const settings = {
      "gen_ai.request.max_tokens": 50,
      "gen_ai.request.temperature": 0.2,
      "gen_ai.request.top_p": 0.9
    }
    const openAi = { ...settings, "gen_ai.request.seed": 7, "gen_ai.request.reasoning.level": "low" }
    const chunkOf = (delta: object, finish: string | null) =>
      `data: ${JSON.stringify({ id: "chatcmpl-9", object: "chat.completion.chunk", created: 1, model: "m", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
    const messagesEvents = [
      {
        type: "message_start",
        message: { id: "msg_9", type: "message", role: "assistant", model: "m", content: [], usage: {} }
      },
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
      { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hi" } },
      { type: "content_block_stop", index: 0 },
      { type: "message_delta", delta: { stop_reason: "max_tokens" }, usage: { output_tokens: 1 } },
      { type: "message_stop" }
    ].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)

    test.each([
      [
        "a whole answer of OpenAI's",
        path,
        asked,
        json({ ...completion("m", "Hello"), id: "chatcmpl-8" }),
        openAi,
        "chatcmpl-8",
        "stop"
      ],
      [
        "a stream of OpenAI's",
        path,
        { ...asked, stream: true },
        [
          streamHead(),
          ...[chunkOf({ content: "a" }, null), chunkOf({}, "length"), "data: [DONE]\n\n"].map(chunk),
          lastChunk
        ],
        openAi,
        "chatcmpl-9",
        "length"
      ],
      [
        "a stream of Anthropic's",
        "/v1/messages",
        { temperature: 0.2, top_p: 0.9, max_tokens: 50, stream: true },
        [streamHead(), ...messagesEvents.map(chunk), lastChunk],
        settings,
        "msg_9",
        "max_tokens"
      ]
    ] as const)("%s", async (_, at, more, answer, expected, id, finish) => {
      await using receiver = await startOtlpReceiver()
      await using upstream = await startUpstream({ models: ["m"], script: () => [answer].flat() })
      const type = at === "/v1/messages" ? "anthropic" : "vllm"
      await using gateway = await startGateway({ ...to(receiver), backends: [backendFor("one", upstream, { type })] })
      expect((await ask(gateway.port, "POST", at, body(more))).status).toBe(200)
      await until(() => receiver.spans().length === 2, "the spans come")
      const call = receiver.spans().find(({ kind }) => kind === client)
      expect(call?.attributes).toMatchObject({
        ...expected,
        "gen_ai.response.id": id,
        "gen_ai.response.finish_reasons": { values: [{ stringValue: finish }] }
      })
      expect(call?.attributes).not.toContainKey("gen_ai.request.choice.count")
    })
  })

  test("a request that waited for a slot has a span of that, and the answer and its backend are told the trace", async () => {
    await using receiver = await startOtlpReceiver()
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        yield { until: gate.promise }
        yield* good()(request)
      }
    })
    await using gateway = await startGateway({ ...to(receiver), backends: [backendFor("one", upstream, { slots: 1 })] })
    const [holder, waiter] = [await dial(gateway.port), await dial(gateway.port)]
    await holder.send(requestBytes("POST", path, body()))
    await upstream.call(0)
    await waiter.send(requestBytes("POST", path, body(), [`traceparent: ${callers}`, "tracestate: them=1"]))
    await until(() => gateway.inFlight() >= 1 && gateway.running.active() === 2, "both are there")
    gate.resolve()
    const answer = await waiter.answer()
    await until(() => receiver.spans().length === 5, "the spans come")
    const ours = receiver.spans().filter(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c")
    const request = ours.find(({ kind }) => kind === server)
    const attempt = ours.find(({ kind }) => kind === client)
    const queue = ours.find(({ name }) => name === "queue")
    expect(request?.parentSpanId).toBe("b7ad6b7169203331")
    expect(request?.traceState).toBe("them=1")
    expect(queue?.parentSpanId).toBe(request?.spanId ?? "")
    expect(BigInt(queue?.endTimeUnixNano ?? 0)).toBeLessThanOrEqual(BigInt(attempt?.startTimeUnixNano ?? 0) + 1000n)
    expect(answer.header("traceresponse")).toBe(`00-0af7651916cd43dd8448eb211c80319c-${request?.spanId}-01`)
    const told = upstream.lastCall()
    expect(told.header("traceparent")).toBe(`00-0af7651916cd43dd8448eb211c80319c-${attempt?.spanId}-01`)
    expect(told.header("tracestate")).toBe("them=1")
  })

  test("a caller's decision not to record is kept, and a version of its header that is not known is read as far as it goes", async () => {
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ ...to(receiver), backends: [backendFor("one", upstream)] })
    await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers.replace(/01$/, "00")}`])
    expect(upstream.lastCall().header("traceparent")).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-00$/)
    await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers.replace(/^00/, "7a")}-more`])
    await until(() => receiver.spans().length === 2, "the second one comes")
    expect(receiver.spans()[0]).toMatchObject({ parentSpanId: "b7ad6b7169203331" })
    await ask(gateway.port, "POST", path, body(), ["traceparent: nonsense", "tracestate: them=1"])
    expect(upstream.lastCall().header("traceparent")).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/)
    expect(upstream.lastCall().header("tracestate")).toBeUndefined()
  })

  test("a ratio of 0 records nothing that no caller wants recorded", async () => {
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...to(receiver, { sampling_ratio: 0 }),
      backends: [backendFor("one", upstream)]
    })
    for (let at = 0; at < 5; at += 1) await ask(gateway.port, "POST", path, body())
    await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers}`])
    await until(() => receiver.spans().length >= 2, "the wanted one comes")
    expect(new Set(receiver.spans().map(({ traceId }) => traceId))).toEqual(
      new Set(["0af7651916cd43dd8448eb211c80319c"])
    )
  })

  test("of more requests than traces_per_second the rest is passed on as not recorded, counted, and told once in the log", async () => {
    using log = takeLog()
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      // One at once, and another one after a quarter of an hour.
      ...to(receiver, { traces_per_second: 0.001 }),
      logging: { level: "info", format: "json", access_log: true },
      backends: [backendFor("one", upstream)]
    })
    const flags: Array<string | undefined> = []
    for (let at = 0; at < 5; at += 1) {
      const answer = await ask(gateway.port, "POST", path, body())
      const told = /^00-([0-9a-f]{32})-[0-9a-f]{16}-(0[01])$/.exec(answer.header("traceresponse") ?? "")
      flags.push(told?.[2])
      const asked = upstream.lastCall().header("traceparent") ?? ""
      expect(asked).toStartWith(`00-${told?.[1]}-`)
      expect(asked).toEndWith(`-${told?.[2]}`)
      await until(() => log.text().includes(`"trace_id":"${told?.[1]}"`), "its line has the id")
    }
    expect(flags).toEqual(["01", "00", "00", "00", "00"])
    // Of a caller's own, and so of no interest to the bound.
    await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers}`])
    await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers.replace(/01$/, "00")}`])
    await until(() => receiver.spans().length === 4, "the first and the caller's come")
    expect(total(await scrape(gateway.port), "nexus_traces_unsampled_total")).toBe(4)
    expect(log.lines().filter(({ traces_per_second }) => traces_per_second !== undefined)).toMatchObject([
      {
        level: "info",
        message: "not every request is traced, since more come than traces_per_second",
        traces_per_second: 0.001
      }
    ])
  })

  test("a request that was left out is a trace all the same when it failed, within a bound of its own", async () => {
    await using receiver = await startOtlpReceiver()
    await using broken = await startUpstream({
      models: ["m"],
      script: () => [json({ error: { message: "boom" } }, 500)]
    })
    await using well = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...to(receiver, { traces_per_second: 0.001 }),
      backends: [
        backendFor("broken", broken, { priority: 1, models: [{ id: "m" }, { id: "n" }] }),
        backendFor("well", well, { priority: 2 })
      ],
      routing: { strategy: "priority_only" }
    })
    const mode = (action: string) => ask(gateway.port, "POST", `/admin/v1/backends/broken/${action}`)
    await mode("disable")
    for (let at = 0; at < 2; at += 1) expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await mode("enable")
    const answer = await ask(gateway.port, "POST", path, body({ temperature: 0.5 }))
    expect(answer.header("x-nexus-attempts")).toBe("2")
    const [, traceId, spanId] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-00$/.exec(answer.header("traceresponse") ?? "") ?? []
    // One more of those is one too many.
    await ask(gateway.port, "POST", path, body({ model: "n" }))
    await until(() => receiver.spans().length === 5, "the first and the one that failed over come")
    const kept = receiver.spans().filter((span) => span.traceId === traceId)
    const [request, first, second] = kept
    expect(kept).toHaveLength(3)
    expect(request).toMatchObject({
      spanId,
      attributes: { "nexus.sampling": "tail", "nexus.attempts": 2, "nexus.backend": "well" }
    })
    expect(first).toMatchObject({
      parentSpanId: spanId,
      status: { code: 2 },
      attributes: { "nexus.backend": "broken", "error.type": "500" }
    })
    expect(second).toMatchObject({ parentSpanId: spanId, events: [{ name: "first_byte" }] })
    expect(second?.attributes).toMatchObject({ "nexus.backend": "well", "gen_ai.usage.output_tokens": 4 })
    expect(receiver.spans().find((span) => span.traceId !== traceId)?.attributes).not.toContainKey("nexus.sampling")
    expect(total(await scrape(gateway.port), "nexus_traces_unsampled_total")).toBe(2)
  })

  test("a receiver that refuses, or is slow, costs requests nothing; what it does not take is bounded, counted and told once", async () => {
    using log = takeLog()
    await using receiver = await startOtlpReceiver()
    receiver.answers(refusing(400))
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...to(receiver, { headers: { "x-key": "sk-hidden" } }),
      logging: { level: "info", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await until(() => receiver.server.requests.length === 1, "it is sent")
    expect(receiver.server.requests[0]?.header("x-key")).toBe("sk-hidden")
    await until(() => log.text().includes("traces cannot be sent"), "that is told")
    expect(total(await scrape(gateway.port), "nexus_telemetry_dropped_total", { signal: "traces" })).toBe(1)
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    expect(log.lines().filter(({ message }) => message === "traces cannot be sent; requests go on")).toMatchObject([
      { level: "warn", reason: "status 400" }
    ])
    expect(log.text()).not.toContain("sk-hidden")
  })

  test("a receiver that takes its time gets one sending at a time while requests go on, and the rest once it is quick", async () => {
    await using receiver = await startOtlpReceiver()
    const quick = Promise.withResolvers<void>()
    receiver.answers(async function* () {
      yield { until: quick.promise }
      yield json({})
    })
    await using upstream = await startUpstream({ models: ["m"] })
    const settings = to(receiver, { timeout_seconds: 600, traces_per_second: "unlimited" })
    await using gateway = await startGateway({ ...settings, backends: [backendFor("one", upstream)] })
    const some = requestBytes("POST", path, body())
    const drive = async (count: number) => {
      const wire = await dial(gateway.port)
      for (let at = 0; at < count; at += 1) {
        await wire.send(some)
        expect((await wire.answer()).status).toBe(200)
        wire.next()
      }
      wire.hangUp()
    }
    await drive(1)
    await until(() => receiver.server.requests.length === 1, "the first is under way")
    await Promise.all(Array.from({ length: 4 }, () => drive(70)))
    expect(receiver.server.requests).toHaveLength(1)
    quick.resolve()
    await until(() => receiver.server.requests.length === 3, "the rest comes in two batches")
    await until(() => receiver.spans().length === 2 * 281, "all of it has come")
    expect(total(await scrape(gateway.port), "nexus_telemetry_dropped_total", { signal: "traces" })).toBe(0)
  })

  test("a receiver that is not there costs requests nothing, and gets what waited once it is", async () => {
    using log = takeLog()
    const receiver = await startOtlpReceiver()
    const { port } = new URL(receiver.url)
    await receiver[Symbol.asyncDispose]()
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      ...to(receiver),
      logging: { level: "info", format: "json" },
      backends: [backendFor("one", upstream)]
    })
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await until(() => log.text().includes("traces cannot be sent"), "that is told")
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await using back = await startOtlpReceiver(Number(port))
    await until(() => back.spans().length === 4, "both come")
    expect(total(await scrape(gateway.port), "nexus_telemetry_dropped_total", { signal: "traces" })).toBe(0)
    await until(() => log.text().includes("traces are sent again"), "that is told as well")
  })

  test("a request that is under way when these settings change is a trace all the same", async () => {
    await using receiver = await startOtlpReceiver()
    const gate = Promise.withResolvers<void>()
    await using upstream = await startUpstream({
      models: ["m"],
      script: async function* (request) {
        if (request.header("traceparent")?.includes("0af7651916cd43dd8448eb211c80319c") === true)
          yield { until: gate.promise }
        yield* good()(request)
      }
    })
    const settings = (more: SettingsTree) => ({ ...to(receiver, more), backends: [backendFor("one", upstream)] })
    await using gateway = await startProcess(settings({}))
    const wire = await dial(gateway.port)
    await wire.send(requestBytes("POST", path, body(), [`traceparent: ${callers}`]))
    await upstream.call(0)
    gateway.rewrite(settings({ sampling_ratio: 0 }))
    gateway.signal("SIGHUP")
    let told: string | undefined
    while (told?.endsWith("-00") !== true)
      told = (await ask(gateway.port, "POST", path, body())).header("traceresponse")
    gate.resolve()
    expect((await wire.answer()).status).toBe(200)
    const ours = () => receiver.spans().filter(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c")
    await until(() => ours().length === 2, "its spans come")
  })

  test("what waits is sent when the gateway ends", async () => {
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({ models: ["m"] })
    const gateway = await startGateway({ ...to(receiver), backends: [backendFor("one", upstream)] })
    await ask(gateway.port, "POST", path, body())
    await gateway.quiet()
    await gateway[Symbol.asyncDispose]()
    expect(receiver.spans()).toHaveLength(2)
    expect(receiver.metrics().length).toBeGreaterThan(5)
  })
})

test("without it a client's trace goes through as it came, and answers tell of none", async () => {
  await using upstream = await startUpstream({ models: ["m"] })
  await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
  const answer = await ask(gateway.port, "POST", path, body(), [`traceparent: ${callers}`, "tracestate: them=1"])
  expect(upstream.lastCall().header("traceparent")).toBe(callers)
  expect(upstream.lastCall().header("tracestate")).toBe("them=1")
  expect(answer.header("traceresponse")).toBeUndefined()
  await ask(gateway.port, "POST", path, body())
  expect(upstream.lastCall().header("traceparent")).toBeUndefined()
})
