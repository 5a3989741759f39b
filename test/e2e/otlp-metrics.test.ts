import { expect, test } from "bun:test"
import { json } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { scrape } from "../kit/metrics.ts"
import { startOtlpReceiver } from "../kit/otlpReceiver.ts"
import { ask } from "../kit/rawClient.ts"

const path = "/v1/chat/completions"
const body = (stream: boolean) => JSON.stringify({ model: "m", messages: [], stream })

test("metrics by OTLP are those of /metrics: the same names, labels and numbers, with units that add nothing to a name", async () => {
  await using receiver = await startOtlpReceiver()
  await using upstream = await startUpstream({ models: ["m"] })
  const gateway = await startGateway({
    telemetry: { otlp: { endpoint: receiver.url, protocol: "http/json", traces: false } },
    backends: [backendFor("one", upstream)]
  })
  await ask(gateway.port, "POST", path, body(false))
  await ask(gateway.port, "POST", path, body(true))
  await gateway.quiet()
  const samples = await scrape(gateway.port)
  await gateway[Symbol.asyncDispose]()
  expect(receiver.server.requests.map(({ target }) => target)).toEqual(["/v1/metrics"])
  const all = receiver.metrics()
  const metrics = all.filter(({ name }) => name.startsWith("nexus_"))
  const nameOf = (sample: string) => sample.replace(/_(bucket|sum|count)$/, "")
  expect(metrics.map(({ name }) => name).sort()).toEqual([...new Set(samples.map(({ name }) => nameOf(name)))].sort())
  const changing = /memory|cpu|uptime/
  for (const { name, kind, points, unit } of metrics) {
    // What Prometheus makes of a name that has its unit, and of a counter, has to be that name.
    if (kind === "sum") expect(name).toEndWith("_total")
    if (unit === "s") expect(name).toMatch(/_seconds(_total)?$/)
    if (unit === "By") expect(name).toMatch(/_bytes$/)
    expect(unit).toMatch(/^(s|By|1|)$|^\{[a-z_]+\}$/)
    if (kind === "gauge") expect(unit).not.toBe("1")
    if (changing.test(name)) continue
    for (const point of points) {
      const at = (sample: string) =>
        samples.find((each) => each.name === sample && Bun.deepEquals(each.labels, point.attributes))?.value
      if (kind === "histogram") {
        expect([at(`${name}_count`), at(`${name}_sum`)]).toEqual([Number(point["count"]), Number(point["sum"])])
      } else expect(at(name)).toBe(Number(point["asDouble"]))
    }
  }
})

test("requests are counted under the names of the conventions for GenAI as well, with their labels and buckets", async () => {
  await using receiver = await startOtlpReceiver()
  const usage = { prompt_tokens: 7, completion_tokens: 2, prompt_tokens_details: { cached_tokens: 4 } }
  await using upstream = await startUpstream({
    models: ["m"],
    script: (request) =>
      request.text.includes("fail")
        ? [json({ error: { message: "boom" } }, 500)]
        : [json({ id: "c", object: "chat.completion", model: "m", choices: [], usage })]
  })
  const gateway = await startGateway({
    telemetry: { otlp: { endpoint: receiver.url, protocol: "http/json", traces: false } },
    backends: [backendFor("one", upstream, { type: "vllm" })],
    routing: { max_retries: 0 }
  })
  await ask(gateway.port, "POST", path, body(false))
  await ask(gateway.port, "POST", path, body(false))
  await ask(gateway.port, "POST", path, JSON.stringify({ model: "m", messages: [], user: "fail" }))
  await gateway.quiet()
  await gateway[Symbol.asyncDispose]()
  const points = (name: string) =>
    receiver.metrics().find((metric) => metric.name === `gen_ai.client.inference.${name}`)
  const labels = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "vllm",
    "gen_ai.request.model": "m"
  }
  expect(points("duration")).toMatchObject({
    unit: "s",
    kind: "histogram",
    points: [
      { attributes: labels, count: 2, explicitBounds: expect.arrayContaining([0.01, 0.02, 81.92]) },
      { attributes: { ...labels, "error.type": "502" }, count: 1 }
    ]
  })
  const tokens = { unit: "{token}", kind: "sum" }
  expect(points("usage.input_tokens")).toMatchObject({ ...tokens, points: [{ attributes: labels, asDouble: 14 }] })
  expect(points("usage.output_tokens")).toMatchObject({ ...tokens, points: [{ attributes: labels, asDouble: 4 }] })
  expect(points("usage.cache_read.input_tokens")).toMatchObject({ points: [{ asDouble: 8 }] })
  expect(points("time_to_first_chunk")).toBeUndefined()
})
