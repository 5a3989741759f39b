/**
 * Sends traces and metrics by OTLP: one sending of each under way at a time, each with a time limit, and what cannot be sent
 * waits in a bounded queue. Loaded only where something is to be sent.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type OtlpResource, OtlpSerialization } from "effect/observability"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { ClientKeys } from "../admission/ClientKeys.ts"
import type { Limiter } from "../admission/Limiter.ts"
import type { NexusConfig } from "../config/NexusConfig.ts"
import type { OtlpSettings, OtlpSignal, OtlpSignalName } from "../config/otlp.ts"
import { wallAhead } from "../domain/monotonic.ts"
import { version } from "../domain/version.ts"
import { Accounting } from "../proxy/Accounting.ts"
import { Meters } from "../proxy/Meters.ts"
import { microsOf, RequestSpans } from "../proxy/spans.ts"
import type { TracedRequest } from "../proxy/request-trace.ts"
import { TraceRate } from "../proxy/trace-sampling.ts"
import { Traces } from "../proxy/Traces.ts"
import { otlpMetricsOf } from "../operations/otlp-metrics.ts"
import { figuresNow } from "../operations/whole-figures.ts"
import type { Replicas } from "../replicas/Replicas.ts"
import type { SharedStore } from "../replicas/SharedStore.ts"
import type { Registry } from "../registry/Registry.ts"
import type { Budgets } from "../usage/Budgets.ts"
import { GenAiCounts } from "../telemetry/gen-ai-counts.ts"
import { ExportQueue } from "../telemetry/export-queue.ts"
import { utf8 } from "../telemetry/byte-writer.ts"
import { type Attributes, givenOf, isWhole } from "../telemetry/span-encoding.ts"
import { jsonSpans } from "../telemetry/span-json.ts"
import { protobufSpans } from "../telemetry/span-protobuf.ts"
import { Transport } from "../upstream/Transport.ts"

/** Which process sends, and whether it sends for the whole gateway. */
export interface OtlpSender {
  /** Number of the process, where there are several. */
  readonly worker: number | undefined
  /** How long the gateway had run when the process began, in milliseconds. */
  readonly ageMs: number
}

/**
 * Requests that wait to be sent, and those that are sent at a time: fewer where they have many attempts. The spans of several
 * are written one after the other: what writes them is in the caches of the processor then.
 */
const most = { waiting: 2048, batch: 512, batchBytes: 512 * 1024, unwritten: 64 } as const

/** The first ones of a batch wait so long for others, in milliseconds. */
const gatherMs = 2000

/** Between two tries, doubling, in milliseconds. */
const again = { leastMs: 1000, mostMs: 60_000 } as const

/** What is left gets so long at the end, in milliseconds. */
const flushMs = 2000

type Services =
  | Accounting
  | Budgets
  | ClientKeys
  | Limiter
  | Meters
  | NexusConfig
  | Registry
  | Replicas
  | SharedStore
  | Transport

type Sent = "taken" | "later" | "refused"

interface Body<Bytes = Uint8Array | ReadonlyArray<Uint8Array>> {
  readonly bytes: Bytes
  readonly type: string
}

const bodyOf = (made: {
  readonly _tag: string
  readonly body?: unknown
  readonly contentType?: string | undefined
}): Body<Uint8Array> => ({
  bytes: made.body instanceof Uint8Array ? made.body : new TextEncoder().encode(String(made.body)),
  type: made.contentType ?? "application/json"
})

const isPassing = (status: number): boolean => status === 429 || status === 502 || status === 503 || status === 504

const waitOf = (headers: Headers): number => {
  const seconds = Number(headers.get("retry-after") ?? "")
  return Number.isFinite(seconds) ? Math.min(again.mostMs, seconds * 1000) : 0
}

const scope = { name: "nexus", version }

/** What one signal is sent by: tells the log when it begins to fail and when it works again. */
class Sending {
  private readonly name: OtlpSignalName
  private readonly signal: OtlpSignal
  private readonly transport: Transport["Service"]
  private failing = false
  private waitMs = 0

  constructor(name: OtlpSignalName, signal: OtlpSignal, transport: Transport["Service"]) {
    this.name = name
    this.signal = signal
    this.transport = transport
  }

  /** How long nothing is tried, in milliseconds; 0 while it works. */
  get pause(): number {
    return this.waitMs
  }

  send({ bytes, type }: Body): Effect.Effect<Sent> {
    const { headers, timeoutMs, url } = this.signal
    const given = Object.fromEntries(headers.map(([name, value]) => [name, Redacted.value(value)]))
    const question = {
      method: "POST",
      url,
      headers: { "user-agent": `nexus/${version}`, ...given, "content-type": type },
      bytes,
      timeoutMs
    } as const
    return Effect.matchEffect(this.transport.ask(question), {
      onFailure: (error) => this.fails("reason" in error ? error.reason : error._tag, 0, "later"),
      onSuccess: ({ headers: answered, status }) => {
        if (status < 300) return this.works
        return this.fails(`status ${status}`, waitOf(answered), isPassing(status) ? "later" : "refused")
      }
    })
  }

  private get works(): Effect.Effect<Sent> {
    const { failing } = this
    this.failing = false
    this.waitMs = 0
    return Effect.as(failing ? Effect.logInfo(`${this.name} are sent again`) : Effect.void, "taken")
  }

  private fails(reason: string, askedMs: number, sent: Sent): Effect.Effect<Sent> {
    const { failing } = this
    this.failing = true
    this.waitMs = Math.max(askedMs, Math.min(again.mostMs, Math.max(again.leastMs, this.waitMs * 2)))
    if (failing) return Effect.succeed(sent)
    const { host } = new URL(this.signal.url)
    const told = Effect.logWarning(`${this.name} cannot be sent; requests go on`)
    return Effect.as(Effect.annotateLogs(told, { to: host, reason }), sent)
  }
}

const makers = Effect.fnUntraced(function* ({ protocol }: OtlpSignal) {
  const layer = protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf
  return Context.get(yield* Layer.build(layer), OtlpSerialization.OtlpSerialization)
})

// What a body of one list begins and ends with.
const jsonEnds = { begin: '{"resourceMetrics":[', end: "]}" } as const

/** Bodies that hold a part of the metrics each as one that holds them all; messages of protobuf only follow one another. */
const joined = (bodies: ReadonlyArray<Body<Uint8Array>>, protocol: OtlpSignal["protocol"]): Body => {
  const all = bodies.map(({ bytes }) => bytes)
  if (protocol === "http/protobuf") return { bytes: Buffer.concat(all), type: protobufSpans.contentType }
  const { begin, end } = jsonEnds
  const lists = all.map((bytes) => new TextDecoder().decode(bytes.subarray(begin.length, bytes.length - end.length)))
  return { bytes: utf8(`${begin}${lists.join(",")}${end}`), type: jsonSpans.contentType }
}

const sendTraces = Effect.fnUntraced(function* (
  signal: OtlpSignal,
  settings: OtlpSettings,
  resource: Attributes
): Effect.fn.Return<void, never, Scope.Scope | Services> {
  const traces = yield* Traces
  const { rules } = yield* Accounting
  const ahead = wallAhead(yield* Clock.Clock)
  const sending = new Sending("traces", signal, yield* Transport)
  const dropped = (count: number): void => rules.add("dropped", ["traces"], count)
  const encoding = signal.protocol === "http/json" ? jsonSpans : protobufSpans
  const bodyOfSpans = encoding.bodies({ resource, scope })
  const queue = new ExportQueue(most, dropped)
  const spans = new RequestSpans(encoding, queue.out)
  const arrived = (of: "one" | "batch") =>
    Effect.callback<void>((resume) => {
      const takeBack = queue.whenAny(of, () => resume(Effect.void))
      return Effect.sync(takeBack)
    })
  const sendBatch = Effect.gen(function* () {
    const batch = queue.take()
    if (batch === undefined) return "taken"
    const body = { bytes: bodyOfSpans(batch.bytes), type: encoding.contentType }
    const sent = yield* Effect.onInterrupt(sending.send(body), () => Effect.sync(() => queue.putBack(batch)))
    if (sent === "later") queue.putBack(batch)
    else queue.release(batch)
    if (sent === "refused") dropped(batch.count)
    return sent
  })
  yield* Effect.addFinalizer(() =>
    Effect.gen(function* () {
      traces.give(undefined)
      const all = Effect.repeat(sendBatch, { until: (sent) => sent === "later" || queue.size === 0 })
      yield* Effect.timeoutOption(all, flushMs)
      if (queue.size > 0) dropped(queue.size)
    })
  )
  const ended: Array<TracedRequest> = []
  const write = (): void => {
    for (const each of ended) {
      spans.write(each, ahead(each.ended))
      queue.added()
    }
    ended.length = 0
  }
  const { byParent, perSecond, ratio } = settings.sampling
  traces.give({
    byParent,
    ratio,
    rate: perSecond === undefined ? undefined : new TraceRate(perSecond, performance.now()),
    take: (request) => {
      ended.push(request)
      if (ended.length < most.unwritten) queue.writeLater(write)
      else write()
    }
  })
  yield* arrived("one").pipe(
    Effect.andThen(Effect.timeoutOption(arrived("batch"), gatherMs)),
    Effect.andThen(sendBatch),
    Effect.andThen(Effect.suspend(() => Effect.sleep(sending.pause))),
    Effect.forever,
    Effect.forkScoped
  )
})

const sendMetrics = Effect.fnUntraced(function* (
  signal: OtlpSignal,
  settings: OtlpSettings,
  resource: Attributes,
  sender: OtlpSender
): Effect.fn.Return<void, never, Scope.Scope | Services> {
  const { rules } = yield* Accounting
  const ahead = wallAhead(yield* Clock.Clock)
  const { metrics: encode } = yield* makers(signal)
  const sending = new Sending("metrics", signal, yield* Transport)
  const started = performance.now() - sender.ageMs
  const figures = yield* figuresNow(started)
  const about = { attributes: listed(resource), droppedAttributesCount: 0 }
  const send = Effect.gen(function* () {
    const read = yield* figures
    const now = performance.now()
    const aheadMs = ahead(now)
    const times = { start: `${microsOf(started, aheadMs)}000`, now: `${microsOf(now, aheadMs)}000` }
    const bodies: Array<Body<Uint8Array>> = []
    for (const metric of otlpMetricsOf(read, times)) {
      bodies.push(
        bodyOf(encode({ resourceMetrics: [{ resource: about, scopeMetrics: [{ scope, metrics: [metric] }] }] }))
      )
      // Requests go on in between.
      yield* Effect.yieldNow
    }
    // The next ones say all that these would have said.
    if ((yield* sending.send(joined(bodies, signal.protocol))) !== "taken") rules.add("dropped", ["metrics"])
  })
  yield* Effect.addFinalizer(() => Effect.timeoutOption(send, flushMs))
  yield* Effect.sleep(settings.metricsEveryMs).pipe(Effect.andThen(send), Effect.forever, Effect.forkScoped)
})

const listed = (values: Attributes): OtlpResource.Resource["attributes"] =>
  givenOf(values).map(([key, value]) => {
    if (typeof value === "string") return { key, value: { stringValue: value } }
    if (typeof value === "boolean") return { key, value: { boolValue: value } }
    if (typeof value === "object") {
      return { key, value: { arrayValue: { values: value.map((stringValue) => ({ stringValue })) } } }
    }
    return { key, value: isWhole(value) ? { intValue: value } : { doubleValue: value } }
  })

const resourceOf = (settings: OtlpSettings, worker: number | undefined): Attributes => ({
  ...settings.resource,
  "service.instance.id": settings.resource["service.instance.id"] ?? instanceId,
  "nexus.worker": worker
})

const instanceId = crypto.randomUUID()

/** Has requests counted by the conventions for GenAI as well; what was counted stays when that ends for a while. */
const countsGenAi = Effect.map(Meters, ({ ledger }) => {
  ledger.genAi ??= new GenAiCounts()
})

/** Sends what the settings say until the scope ends, and then what is left; several processes send their figures as one. */
export const exportByOtlp = Effect.fnUntraced(function* (
  settings: OtlpSettings,
  sender: OtlpSender
): Effect.fn.Return<void, never, Scope.Scope | Services> {
  const { metrics, traces } = settings
  if (traces !== undefined) yield* sendTraces(traces, settings, resourceOf(settings, sender.worker))
  if (metrics !== undefined) yield* countsGenAi
  if (metrics !== undefined && (sender.worker ?? 1) === 1) {
    yield* sendMetrics(metrics, settings, resourceOf(settings, undefined), sender)
  }
})
