import { describe, expect, test } from "bun:test"
import type { Stats } from "../../src/api/stats-api.ts"
import { labels as labelSet } from "../../src/telemetry/metric-definition.ts"
import { metrics } from "../../src/telemetry/metrics.ts"
import { chatEvents, chunk, event, json, lastChunk, streamHead } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { samplesOf, scrape, total } from "../kit/metrics.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = (more: Readonly<Record<string, unknown>> = {}) => JSON.stringify({ model: "m", messages: [], ...more })

const requests = "nexus_requests_total"
const attempts = "nexus_attempts_total"
const tokens = "nexus_tokens_total"

const [first = "", ...others] = chatEvents("m", ["a", "b"])

const statsOf = async (port: number): Promise<Stats> => (await ask(port, "GET", "/v1/stats")).json() as Stats // reason: checked by what is expected of it

describe("/metrics", () => {
  test("counts a whole answer and a stream, each with its labels, times and tokens", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    await ask(gateway.port, "POST", path, body())
    await ask(gateway.port, "POST", path, body({ stream: true }))
    await gateway.quiet()
    const samples = await scrape(gateway.port)
    const ended = { endpoint: "chat/completions", model: "m", backend: "one", outcome: "completed", status: "2xx" }
    expect(samples.filter(({ name }) => name === requests)).toEqual([
      { name: requests, labels: { ...ended, stream: "false" }, value: 1 },
      { name: requests, labels: { ...ended, stream: "true" }, value: 1 }
    ])
    const served = { model: "m", backend: "one" }
    expect(total(samples, attempts, { ...served, outcome: "completed" })).toBe(2)
    expect(total(samples, "nexus_request_duration_seconds_count", served)).toBe(2)
    expect(total(samples, "nexus_time_to_first_token_seconds_count", served)).toBe(1)
    expect(total(samples, "nexus_gateway_overhead_seconds_count")).toBe(2)
    expect(total(samples, "nexus_failovers_total")).toBe(0)
    expect(total(samples, "nexus_requests_in_flight")).toBe(0)
    expect(total(samples, "nexus_open_streams")).toBe(0)
    expect(total(samples, "nexus_backend_state", { backend: "one", state: "healthy" })).toBe(1)
    expect(total(samples, "nexus_backend_state", { backend: "one" })).toBe(1)
    expect(total(samples, "nexus_backend_probe_latency_seconds")).toBeGreaterThan(0)
    expect(total(samples, "nexus_process_resident_memory_bytes")).toBeGreaterThan(1e6)
  })

  test("is the text that Prometheus reads: one HELP and TYPE for each metric, and buckets that only grow", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    for (const stream of [false, true, true]) await ask(gateway.port, "POST", path, body({ stream }))
    await gateway.quiet()
    const answer = await ask(gateway.port, "GET", "/metrics")
    expect(answer.header("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8")
    const types = [...answer.text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`)
    expect(new Set(types).size).toBe(types.length)
    expect(answer.text.endsWith("\n")).toBe(true)
    const samples = samplesOf(answer.text)
    const gaps = samples.filter(({ name }) => name === "nexus_time_to_first_token_seconds_bucket")
    expect(gaps.at(-1)?.labels["le"]).toBe("+Inf")
    expect(gaps.map(({ value }) => value)).toEqual(gaps.map(({ value }) => value).toSorted((a, b) => a - b))
    expect(gaps.at(-1)?.value).toBe(total(samples, "nexus_time_to_first_token_seconds_count"))
  })

  test("tells no metric and no label that is not defined", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    for (const stream of [false, true]) await ask(gateway.port, "POST", path, body({ stream }))
    await gateway.quiet()
    const defined = new Map(metrics.map(({ name, labels }) => [name as string, labels as ReadonlyArray<string>]))
    for (const { name, labels } of await scrape(gateway.port)) {
      const known = defined.get(name) ?? defined.get(name.replace(/_(bucket|sum|count)$/, ""))
      expect({ name, known: known !== undefined }).toEqual({ name, known: true })
      expect(Object.keys(labels).filter((key) => key !== "le")).toEqual([...(known ?? [])])
      expect(Object.keys(labels).filter((key) => key !== "le" && !(key in labelSet))).toEqual([])
    }
  })

  test("has no label of a client's making: a made-up model is 'other', an alias the model it stands for", async () => {
    await using upstream = await startUpstream({ models: ["m", 'a"b\\c'] })
    await using gateway = await startGateway({
      backends: [backendFor("one", upstream)],
      routing: { aliases: { nick: "m" } }
    })
    const hostile = 'x"} 1\n# TYPE evil counter\nevil{a="'
    for (let i = 0; i < 20; i += 1) await ask(gateway.port, "POST", path, body({ model: `${hostile}${i}` }))
    await ask(gateway.port, "POST", path, body({ model: "nick" }))
    await ask(gateway.port, "POST", path, body({ model: 'a"b\\c' }))
    await ask(gateway.port, "POST", path, "no json")
    await gateway.quiet()
    const { text } = await ask(gateway.port, "GET", "/metrics")
    expect(text).not.toContain("evil")
    const counted = samplesOf(text).filter(({ name }) => name === requests)
    expect(counted.map(({ labels: { model, backend }, value }) => [model, backend, value])).toEqual([
      ["other", "none", 21],
      ["m", "one", 1],
      ['a"b\\c', "one", 1]
    ])
  })

  test("counts a request that failed over at the backend that answered, its attempts at both", async () => {
    await using broken = await startUpstream({ models: ["m"], script: () => [json({ error: "no" }, 503)] })
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({
      routing: { strategy: "priority_only" },
      backends: [backendFor("broken", broken, { priority: 1 }), backendFor("one", upstream, { priority: 2 })]
    })
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(200)
    await gateway.quiet()
    const samples = await scrape(gateway.port)
    expect(total(samples, requests)).toBe(1)
    expect(total(samples, requests, { backend: "one", outcome: "completed" })).toBe(1)
    expect(total(samples, attempts)).toBe(2)
    expect(total(samples, attempts, { backend: "broken", outcome: "error_status" })).toBe(1)
    expect(total(samples, attempts, { backend: "one", outcome: "completed" })).toBe(1)
    expect(total(samples, "nexus_failovers_total", { backend: "broken", model: "m" })).toBe(1)
    const { totals, backends } = await statsOf(gateway.port)
    expect(totals).toMatchObject({ requests: 1, attempts: 2, errors: 1, error_rate: 0.5, failovers: 1, in_flight: 0 })
    expect(backends).toMatchObject([
      { name: "broken", requests: 0, attempts: 1, errors: 1, in_flight: 0 },
      { name: "one", requests: 1, attempts: 1, errors: 0, in_flight: 0 }
    ])
  })

  test("tells what failed and whose fault it was", async () => {
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ routing: { max_retries: 0 }, backends: [backendFor("one", upstream)] })
    const outcome = async (script: Parameters<typeof upstream.script>[0], more = {}) => {
      const before = await scrape(gateway.port)
      upstream.script(script)
      await ask(gateway.port, "POST", path, body(more))
      await gateway.quiet()
      const after = await scrape(gateway.port)
      const grown = (name: string) =>
        after
          .filter((sample) => sample.name === name && sample.value > total(before, name, sample.labels))
          .map(({ labels }) => [labels["outcome"], labels["status"]].filter((part) => part !== undefined).join(" "))
      return [...grown(requests), ...grown(attempts)]
    }
    const brokenStream = () => [streamHead(), chunk(first), "reset" as const]
    expect(await outcome(() => [json({ error: { message: "bad" } }, 400)])).toEqual(["refused 4xx", "refused"])
    expect(await outcome(() => [json({ error: "no" }, 500)])).toEqual(["failed 5xx", "error_status"])
    expect(await outcome(() => ["reset"])).toEqual(["failed 5xx", "connection_lost"])
    expect(await outcome(() => [json([])])).toEqual(["failed 5xx", "bad_answer"])
    expect(await outcome(brokenStream, { stream: true })).toEqual(["truncated 2xx", "truncated"])
    upstream.script(good())
  })

  test("counts a client that leaves, before and in the middle of an answer", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => ["hang"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const early = await dial(gateway.port)
    await early.send(requestBytes("POST", path, body()))
    await upstream.call(0)
    expect(total(await scrape(gateway.port), "nexus_requests_in_flight")).toBe(1)
    early.hangUp()
    await gateway.quiet()
    upstream.script(() => [streamHead(), chunk(first), "hang"])
    const late = await dial(gateway.port)
    await late.send(requestBytes("POST", path, body({ stream: true })))
    await late.until(({ text }) => text === first)
    const during = await scrape(gateway.port)
    expect(total(during, "nexus_open_streams")).toBe(1)
    expect(total(during, "nexus_backend_requests_in_flight", { backend: "one" })).toBe(1)
    late.hangUp()
    await gateway.quiet()
    const samples = await scrape(gateway.port)
    expect(total(samples, requests, { outcome: "client_closed", status: "4xx", stream: "false" })).toBe(1)
    expect(total(samples, requests, { outcome: "client_closed", status: "4xx", stream: "true" })).toBe(1)
    expect(total(samples, attempts, { outcome: "abandoned" })).toBe(2)
    expect(total(samples, "nexus_open_streams")).toBe(0)
    expect(total(samples, "nexus_backend_requests_in_flight")).toBe(0)
  })

  test("takes the usage from a whole answer, and from the end of a stream that has one", async () => {
    const usage = {
      prompt_tokens: 11,
      completion_tokens: 7,
      total_tokens: 18,
      prompt_tokens_details: { cached_tokens: 5 }
    }
    const last = event({ id: "x", choices: [], usage })
    await using upstream = await startUpstream({ models: ["m"] })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const counted = async () => {
      await gateway.quiet()
      const samples = await scrape(gateway.port)
      return ["prompt", "cached", "completion"].map((kind) => total(samples, tokens, { model: "m", kind }))
    }
    await ask(gateway.port, "POST", path, body())
    expect(await counted()).toEqual([3, 0, 4])
    await ask(gateway.port, "POST", path, body({ stream: true }))
    expect(await counted()).toEqual([3, 0, 4])
    upstream.script(() => [
      streamHead(),
      ...[first, ...others.slice(0, -1), last, others.at(-1) ?? ""].map(chunk),
      lastChunk
    ])
    const answer = await ask(gateway.port, "POST", path, body({ stream: true }))
    expect(answer.text).toContain(last)
    expect(await counted()).toEqual([14, 5, 11])
    const sent = JSON.parse(upstream.lastCall().text) as unknown
    expect(sent).toEqual({ model: "m", messages: [], stream: true })
  })

  test("counts the time between the pieces of a stream", async () => {
    const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [
        streamHead(),
        chunk(first),
        { until: gates[0]?.promise ?? Promise.resolve() },
        chunk(others[0] ?? ""),
        { until: gates[1]?.promise ?? Promise.resolve() },
        ...others.slice(1).map(chunk),
        lastChunk
      ]
    })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const client = await dial(gateway.port)
    await client.send(requestBytes("POST", path, body({ stream: true })))
    await client.until(({ text }) => text === first)
    gates[0]?.resolve()
    await client.until(({ text }) => text === first + (others[0] ?? ""))
    const samples = await scrape(gateway.port)
    expect(total(samples, "nexus_time_between_tokens_seconds_count", { model: "m", backend: "one" })).toBe(1)
    gates[1]?.resolve()
    expect((await client.answer()).end).toBe("complete")
  })

  test("counts what is turned away unread", async () => {
    await using upstream = await startUpstream({ models: ["m"], script: () => ["hang"] })
    await using gateway = await startGateway({
      server: { max_concurrent_requests: 1 },
      backends: [backendFor("one", upstream)]
    })
    const client = await dial(gateway.port)
    await client.send(requestBytes("POST", path, body()))
    await upstream.call(0)
    expect((await ask(gateway.port, "POST", path, body())).status).toBe(429)
    expect((await ask(gateway.port, "POST", path, body(), ["Origin: https://evil.example"])).status).toBe(403)
    const samples = await scrape(gateway.port)
    expect(total(samples, "nexus_turned_away_total", { code: "429" })).toBe(1)
    expect(total(samples, "nexus_turned_away_total", { code: "403" })).toBe(1)
    expect(total(samples, requests)).toBe(0)
    client.hangUp()
    await gateway.quiet()
  })

  test("is let in like /health: with a key where there are keys", async () => {
    const digest = new Bun.CryptoHasher("sha256").update("secret").digest()
    await using gateway = await startGateway({}, { backendKeys: new Map(), authKeys: [{ name: "k", digest }] })
    for (const target of ["/health", "/metrics", "/v1/stats"]) {
      expect((await ask(gateway.port, "GET", target)).status).toBe(401)
      const known = await ask(gateway.port, "GET", target, undefined, ["Authorization: Bearer secret"])
      expect(known.status).toBe(200)
      expect((await ask(gateway.port, "POST", target, "{}", ["Authorization: Bearer secret"])).status).toBe(405)
    }
  })

  test("stays bounded with 10,000 models, of which each is asked for", async () => {
    const models = Array.from({ length: 10_000 }, (_, at) => `model-${at}`)
    await using upstream = await startUpstream({ models })
    await using gateway = await startGateway({ backends: [backendFor("one", upstream)] })
    const asked = 1000
    for (let at = 0; at < asked; at += 25) {
      await Promise.all(models.slice(at, at + 25).map((model) => ask(gateway.port, "POST", path, body({ model }))))
    }
    await gateway.quiet()
    const samples = await scrape(gateway.port)
    expect(total(samples, requests, { backend: "one", outcome: "completed" })).toBe(asked)
    const names = new Set(samples.map(({ labels: { model } }) => model).filter((name) => name !== undefined))
    expect(names.size).toBeLessThanOrEqual(401)
    expect(total(samples, requests, { model: "other" })).toBe(asked - 400)
  })
})
