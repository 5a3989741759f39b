import { describe, expect, test } from "bun:test"
import { startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway } from "../kit/gateway.ts"
import { canDecodeOtlp, decodeOtlp, startOtlpReceiver } from "../kit/otlpReceiver.ts"
import { ask } from "../kit/rawClient.ts"

const missing = canDecodeOtlp ? "" : " (skipped: PYTHON_WITH_SDKS names no Python that has opentelemetry-proto)"

describe.skipIf(!canDecodeOtlp)(`the official schema of OTLP${missing}`, () => {
  test("reads the traces and the metrics that are sent as protobuf, and knows every field of them", async () => {
    await using receiver = await startOtlpReceiver()
    await using upstream = await startUpstream({ models: ["m"] })
    const gateway = await startGateway({
      telemetry: { otlp: { endpoint: receiver.url, service_name: "my-gateway", protocol: "http/protobuf" } },
      backends: [backendFor("one", upstream, { type: "vllm" })]
    })
    await ask(
      gateway.port,
      "POST",
      "/v1/chat/completions",
      JSON.stringify({ model: "m", messages: [], stream: true }),
      ["traceparent: 7a-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-new", "tracestate: them=1"]
    )
    await gateway.quiet()
    await gateway[Symbol.asyncDispose]()
    const sent = (path: string) => receiver.server.requests.find(({ target }) => target === path)
    const traces = sent("/v1/traces")
    const metrics = sent("/v1/metrics")
    expect(traces?.header("content-type")).toBe("application/x-protobuf")
    const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64")
    const service = { key: "service.name", value: { stringValue: "my-gateway" } }
    expect(await decodeOtlp("traces", traces?.body ?? new Uint8Array())).toMatchObject({
      unknown: 0,
      message: {
        resourceSpans: [
          {
            resource: { attributes: expect.arrayContaining([service]) },
            scopeSpans: [
              {
                scope: { name: "nexus" },
                spans: [
                  {
                    traceId: base64("0af7651916cd43dd8448eb211c80319c"),
                    parentSpanId: base64("b7ad6b7169203331"),
                    traceState: "them=1",
                    flags: 1,
                    name: "POST chat/completions",
                    kind: "SPAN_KIND_SERVER"
                  },
                  { name: "chat m", kind: "SPAN_KIND_CLIENT", events: [{ name: "first_token" }] }
                ]
              }
            ]
          }
        ]
      }
    })
    const told = JSON.stringify(await decodeOtlp("metrics", metrics?.body ?? new Uint8Array()))
    expect(told).toStartWith('{"unknown":0')
    expect(told).toContain('"name":"nexus_requests_total"')
    expect(told).toContain('"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE"')
  })
})
