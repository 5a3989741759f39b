import { expect, test } from "bun:test"
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
  const metrics = receiver.metrics()
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
