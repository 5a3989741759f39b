/**
 * A receiver of OTLP over HTTP: takes what is sent to it as JSON and gives it as plain objects, or keeps the bytes.
 */
import { join } from "node:path"
import { json, whole } from "./answers.ts"
import { type RawServer, type Seen, startRaw, type Step } from "./rawServer.ts"

/** A span as JSON has it, its attributes as an object. */
interface ReceivedSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<{ readonly name: string; readonly timeUnixNano: string }>
  readonly status: { readonly code: number }
}

/** A metric as JSON has it. */
interface ReceivedMetric {
  readonly name: string
  readonly unit: string
  /** Kind, and points with their attributes and numbers. */
  readonly kind: "sum" | "gauge" | "histogram"
  readonly points: ReadonlyArray<{
    readonly attributes: Readonly<Record<string, unknown>>
    readonly [key: string]: unknown
  }>
}

/** A receiver that is listening. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string
  readonly server: RawServer
  readonly spans: () => ReadonlyArray<ReceivedSpan>
  /** The last ones that came. */
  readonly metrics: () => ReadonlyArray<ReceivedMetric>
  readonly answers: (script: (request: Seen) => Iterable<Step> | AsyncIterable<Step>) => void
}

// oxlint-disable-next-line typescript/no-explicit-any -- reason: JSON of others, checked by what is expected of it
type Any = any // reason: as above

const attributesIn = (list: ReadonlyArray<Any> = []): Record<string, unknown> =>
  Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))

const bodies = (requests: ReadonlyArray<Seen>, path: string): ReadonlyArray<Any> =>
  requests.filter(({ target }) => target === path).map(({ text }) => JSON.parse(text))

/** Starts one, on this port where there is one; it takes everything unless told otherwise. */
export const startOtlpReceiver = async (port = 0): Promise<OtlpReceiver> => {
  let script: Parameters<OtlpReceiver["answers"]>[0] = () => [json({})]
  const server = await startRaw({ port, script: (request) => script(request) })
  return {
    url: server.url,
    server,
    spans: () =>
      bodies(server.requests, "/v1/traces")
        .flatMap(({ resourceSpans }) => resourceSpans)
        .flatMap(({ scopeSpans }) => scopeSpans)
        .flatMap(({ spans }) => spans)
        .map((span: Any) =>
          Object.assign(span, { attributes: attributesIn(span.attributes), events: span.events ?? [] })
        ),
    metrics: () =>
      (bodies(server.requests, "/v1/metrics").at(-1)?.resourceMetrics ?? [])
        .flatMap(({ scopeMetrics }: Any) => scopeMetrics)
        .flatMap(({ metrics }: Any) => metrics)
        .map((metric: Any) => {
          const kind = (["sum", "gauge", "histogram"] as const).find((each) => metric[each] !== undefined) ?? "gauge"
          const points = metric[kind].dataPoints.map((point: Any) =>
            Object.assign(point, { attributes: attributesIn(point.attributes) })
          )
          return { name: metric.name, unit: metric.unit, kind, points }
        }),
    answers: (next) => {
      script = next
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]()
  }
}

const python = process.env["PYTHON_WITH_SDKS"] ?? ""

/** Whether there is a Python that has the official schema. */
export const canDecodeOtlp = python !== ""

/** Decodes what was sent as protobuf by the official schema. */
export const decodeOtlp = async (kind: "traces" | "metrics", bytes: Uint8Array): Promise<unknown> => {
  const child = Bun.spawn([python, join(import.meta.dir, "../telemetry/otlp_decode.py"), kind], {
    stdin: new Uint8Array(bytes),
    stdout: "pipe",
    stderr: "pipe",
    timeout: 60_000
  })
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()])
  if ((await child.exited) !== 0) throw new Error(stderr)
  return JSON.parse(stdout)
}

/** A refusal with this status. */
export const refusing = (status: number) => (): Iterable<Step> => [whole(status, "", "text/plain")]
