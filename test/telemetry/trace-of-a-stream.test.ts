import { describe, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { json } from "../kit/answers.ts"
import { good, startUpstream } from "../kit/FakeUpstream.ts"
import { backendFor, startGateway, until } from "../kit/gateway.ts"
import { canDecodeOtlp, decodeOtlp, startOtlpReceiver } from "../kit/otlpReceiver.ts"
import { ask, dial, requestBytes } from "../kit/rawClient.ts"
import type { Script } from "../kit/rawServer.ts"

const path = "/v1/chat/completions"
const body = JSON.stringify({ model: "m", stream: true, messages: [{ role: "user", content: "a secret prompt" }] })

/** A span as the official schema has it. */
interface DecodedSpan {
  readonly spanId: string
  readonly parentSpanId: string
  readonly name: string
  readonly kind: string
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly status?: { readonly code?: string }
  readonly attributes?: ReadonlyArray<{ readonly key: string; readonly value: Readonly<Record<string, unknown>> }>
  readonly events?: ReadonlyArray<{ readonly name: string; readonly timeUnixNano: string }>
}

/** Spans as the docs list them. */
const listing = (spans: ReadonlyArray<DecodedSpan>): string => {
  const begun = BigInt(spans[0]?.startTimeUnixNano ?? 0)
  const ms = (nanos: string): string => `${((Number(BigInt(nanos) - begun) / 1e6) | 0).toString()} ms`
  return spans
    .flatMap(
      ({ attributes = [], endTimeUnixNano: ended, events = [], kind, name, startTimeUnixNano: started, status }) => [
        `${name}  ${kind.replace("SPAN_KIND_", "").toLowerCase()}, ${ms(started)} to ${ms(ended)}${status?.code === "STATUS_CODE_ERROR" ? ", error" : ""}`,
        ...attributes.map(({ key, value }) => `  ${key.padEnd(38)}${String(Object.values(value)[0])}`),
        ...events.map((event) => `  (${event.name})  at ${ms(event.timeUnixNano)}`)
      ]
    )
    .join("\n")
}

const namesIn = (text: string): ReadonlyArray<string> =>
  text.split("\n").map((line) => line.split(/(?<=\S)\s{2,}/)[0] ?? "")

describe.skipIf(!canDecodeOtlp)("a stream that waits, fails over and is hedged", () => {
  test("is one trace in the receiver, by the official schema, with the spans and attributes that the docs list", async () => {
    const silent = new Promise<never>(() => undefined)
    const holds = Array.from({ length: 3 }, () => Promise.withResolvers<void>())
    const [first, second, third] = holds.map(({ promise }) => promise)
    const isOthers = Promise.withResolvers<void>()
    const scripts: Record<"desk" | "attic" | "cellar", Script> = { desk: good(), attic: good(), cellar: good() }
    const server = (name: keyof typeof scripts) =>
      startUpstream({ models: ["m"], script: (request) => scripts[name](request) })
    await using desk = await server("desk")
    await using attic = await server("attic")
    await using cellar = await server("cellar")
    await using receiver = await startOtlpReceiver()
    await using gateway = await startGateway({
      telemetry: { otlp: { endpoint: receiver.url, protocol: "http/protobuf", sampling_ratio: 0 } },
      backends: [
        backendFor("desk", desk, { priority: 1, slots: 1 }),
        backendFor("attic", attic, { priority: 2, slots: 1, type: "vllm" }),
        backendFor("cellar", cellar, { priority: 3, slots: 1 })
      ],
      routing: { strategy: "priority_only", hedge: { models: ["m"], max_share: 1, min_wait_seconds: 0.2 } }
    })
    const mode = (name: string, action: string) => ask(gateway.port, "POST", `/admin/v1/backends/${name}/${action}`)
    // How late a first token is there has to be known before one is called late.
    await mode("desk", "disable")
    for (let nth = 0; nth < 20; nth += 1) expect((await ask(gateway.port, "POST", path, body)).status).toBe(200)
    await mode("desk", "enable")

    const held = (gate: Promise<void> | undefined): Script =>
      async function* (request) {
        if (gate !== undefined) yield { until: gate }
        yield* good()(request)
      }
    scripts.desk = held(first)
    scripts.attic = held(second)
    scripts.cellar = held(third)
    const before = [attic.calls().length, cellar.calls().length] as const
    const holders = [await dial(gateway.port), await dial(gateway.port), await dial(gateway.port)]
    for (const holder of holders) await holder.send(requestBytes("POST", path, body))
    await Promise.all([desk.call(0), attic.call(before[0]), cellar.call(before[1])])
    const waiter = await dial(gateway.port)
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await waiter.send(
      requestBytes("POST", path, body, [`traceparent: ${traceparent}`, "x-request-id: docs-1", "user-agent: agent/1.0"])
    )
    await until(() => gateway.running.active() === 4, "it waits")
    scripts.desk = async function* () {
      yield { until: isOthers.promise }
      yield json({ error: { message: "out of memory" } }, 500)
    }
    scripts.attic = () => [{ until: silent }]
    scripts.cellar = good()
    holds[0]?.resolve()
    await desk.call(1)
    holds[1]?.resolve()
    holds[2]?.resolve()
    for (const holder of holders) expect((await holder.answer()).status).toBe(200)
    isOthers.resolve()
    const answer = await waiter.answer()
    expect(["x-nexus-backend", "x-nexus-hedge", "x-nexus-attempts"].map((name) => answer.header(name))).toEqual([
      "cellar",
      "won",
      "3"
    ])

    const sent = () => receiver.server.requests.find(({ target }) => target === "/v1/traces")
    await until(() => sent() !== undefined, "the trace comes")
    const { message, unknown } = (await decodeOtlp("traces", sent()?.body ?? new Uint8Array())) as {
      readonly unknown: number
      readonly message: {
        readonly resourceSpans: ReadonlyArray<{
          readonly scopeSpans: ReadonlyArray<{ readonly spans: ReadonlyArray<DecodedSpan> }>
        }>
      }
    } // reason: that is how the decoder prints what it has read by the schema
    expect(unknown).toBe(0)
    const spans = message.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((each) => each.spans))
    const [request, queue, ...calls] = spans
    const valueOf = (span: DecodedSpan | undefined, wanted: string) =>
      Object.values(span?.attributes?.find(({ key }) => key === wanted)?.value ?? {})[0]
    expect(spans.map(({ name }) => name)).toEqual(["POST chat/completions", "queue", "chat m", "chat m", "chat m"])
    for (const span of [queue, ...calls]) expect(span?.parentSpanId).toBe(request?.spanId)
    expect(
      calls.map((call) => [valueOf(call, "nexus.backend"), call.status?.code, valueOf(call, "error.type")])
    ).toEqual([
      ["desk", "STATUS_CODE_ERROR", "500"],
      ["attic", undefined, undefined],
      ["cellar", undefined, undefined]
    ])
    expect(valueOf(calls[1], "nexus.attempt.abandoned")).toBe(true)
    expect(valueOf(calls[2], "nexus.attempt.hedge")).toBe(true)
    const text = listing(spans)
    if (process.env["TRACE_LISTING"] !== undefined) console.log(text)
    const docs = readFileSync(join(import.meta.dir, "../../docs/telemetry.md"), "utf8")
    const [, told = ""] = /### One in full\n[^`]*```\n([\s\S]*?)\n```/.exec(docs) ?? []
    expect(namesIn(told)).toEqual(namesIn(text))
  })
})
