import { describe, expect, test } from "bun:test"
import { join } from "node:path"
import { prefersOpenMetrics } from "../../src/operations/open-metrics.ts"
import { chatEvents, chunk, lastChunk, streamHead } from "../kit/answers.ts"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { scrape } from "../kit/metrics.ts"
import { startOtlpReceiver } from "../kit/otlpReceiver.ts"
import { ask } from "../kit/rawClient.ts"

const python = process.env["PYTHON_WITH_SDKS"] ?? ""
const path = "/v1/chat/completions"
const trace = "0af7651916cd43dd8448eb211c80319c"
const unrecorded = "1bf7651916cd43dd8448eb211c80319c"
// What Prometheus 3 says.
const prometheus =
  "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"

describe("a scraper that takes OpenMetrics", () => {
  test.each([
    [prometheus, true],
    ["application/openmetrics-text", true],
    ["text/plain, application/openmetrics-text; q=0.5", false],
    ["application/openmetrics-text;q=0, */*", false],
    ["*/*", false],
    ["", false],
    [undefined, false]
  ])("is one that says so: %p", (accept, wanted) => expect(prefersOpenMetrics(accept)).toBe(wanted))

  test("gets the same samples, a trace for each bucket that has one, and an end", async () => {
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({
      models: ["m"],
      script: () => [streamHead(), ...chatEvents("m", ["a", "b"]).map(chunk), lastChunk]
    })
    await using gateway = await startGateway({
      telemetry: { otlp: { endpoint: receiver.url } },
      backends: [backendFor("one", upstream)]
    })
    const body = JSON.stringify({ model: "m", messages: [], stream: true })
    await ask(gateway.port, "POST", path, body, [`traceparent: 00-${unrecorded}-b7ad6b7169203331-00`])
    await ask(gateway.port, "POST", path, body, [`traceparent: 00-${trace}-b7ad6b7169203331-01`])
    await gateway.quiet()
    const open = await ask(gateway.port, "GET", "/metrics", "", [`accept: ${prometheus}`])
    expect(open.header("content-type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8")
    expect(open.header("vary")).toContain("accept")
    const text = open.text
    expect(text).toEndWith("\n# EOF\n")
    expect(text).not.toContain(unrecorded)
    expect(text).toMatch(
      new RegExp(
        `nexus_request_duration_seconds_bucket\\{.*\\} \\d+ # \\{trace_id="${trace}"\\} [\\d.e-]+ \\d+\\.\\d{3}\n`
      )
    )
    expect(text).toContain("# TYPE nexus_requests counter\n")
    expect(text).toMatch(/^nexus_requests_total\{/m)
    const names = (samples: ReadonlyArray<string>) => new Set(samples)
    const inOpen = text.split("\n").flatMap((line) => /^([a-z_]+)[{ ]/.exec(line)?.slice(1) ?? [])
    expect(names(inOpen)).toEqual(names((await scrape(gateway.port)).map(({ name }) => name)))
    const plain = await ask(gateway.port, "GET", "/metrics", "", ["accept: text/plain"])
    expect(plain.header("content-type")).toStartWith("text/plain; version=0.0.4")
    expect(plain.text).not.toContain(trace)
    if (python === "") return
    const child = Bun.spawn([python, join(import.meta.dir, "open_metrics.py")], {
      stdin: new TextEncoder().encode(text),
      stdout: "pipe",
      stderr: "pipe",
      timeout: 60_000
    })
    const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
    expect(stderr).toBe("")
    const families: ReadonlyArray<unknown> = JSON.parse(stdout)
    expect(families).toContainEqual({
      name: "nexus_request_duration_seconds",
      type: "histogram",
      unit: "seconds",
      traces: [trace]
    })
    expect(families).toContainEqual({
      name: "nexus_time_to_first_token_seconds",
      type: "histogram",
      unit: "seconds",
      traces: [trace]
    })
    expect(families).toContainEqual({ name: "nexus_requests", type: "counter", unit: "", traces: [] })
  })
})
