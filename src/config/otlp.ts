/**
 * Where traces and metrics are sent by OTLP: what `[telemetry.otlp]` says, and beneath it the standard variables of
 * OpenTelemetry.
 */
import * as Redacted from "effect/Redacted"
import { percentDecoded } from "../domain/url-host.ts"
import { version } from "../domain/version.ts"
import type { Settings } from "./schema.ts"
import type { Environment } from "./sources.ts"

/** What is sent. */
export type OtlpSignalName = "traces" | "metrics"

/** Where and how one signal is sent. */
export interface OtlpSignal {
  readonly url: string
  /** The whole of each may be a secret. */
  readonly headers: ReadonlyArray<readonly [name: string, value: Redacted.Redacted<string>]>
  readonly protocol: "http/protobuf" | "http/json"
  /** Time that a receiver has, in milliseconds. */
  readonly timeoutMs: number
}

/** Which requests are traced. */
interface Sampling {
  /** Whether what the caller decided goes before the ratio. */
  readonly byParent: boolean
  /** The part of the others that is traced. */
  readonly ratio: number
  /** How many of that part are, in a second; undefined for all of it. */
  readonly perSecond: number | undefined
}

/** All that is sent; a signal that is absent is not. */
export interface OtlpSettings {
  readonly traces?: OtlpSignal
  readonly metrics?: OtlpSignal
  readonly sampling: Sampling
  readonly metricsEveryMs: number
  /** What the sender calls itself. */
  readonly resource: Readonly<Record<string, string>>
}

type Given = Settings["telemetry"]["otlp"]

/** The port and scheme of a receiver that is named without them. */
const withScheme = (place: string): string => (/^[a-z][a-z0-9+.-]*:\/\//i.test(place) ? place : `http://${place}`)

const held = (env: Environment, ...names: ReadonlyArray<string>): string | undefined => {
  for (const name of names) {
    const value = env[name]?.trim()
    if (value !== undefined && value !== "") return value
  }
  return undefined
}

/** Pairs as in `a=1,b=2`, their values percent-encoded. */
const pairsOf = (text: string | undefined): ReadonlyArray<readonly [string, string]> =>
  (text ?? "").split(",").flatMap((pair) => {
    const at = pair.indexOf("=")
    const name = pair.slice(0, Math.max(0, at)).trim()
    return name === "" ? [] : [[percentDecoded(name), percentDecoded(pair.slice(at + 1).trim())] as const]
  })

const suffix = (name: OtlpSignalName): string => name.toUpperCase()

const numberOf = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined

const urlOf = (name: OtlpSignalName, given: Given, env: Environment): string | undefined => {
  const below = (base: string): string => `${withScheme(base).replace(/\/+$/, "")}/v1/${name}`
  if (given.endpoint !== undefined) return below(given.endpoint)
  const own = held(env, `OTEL_EXPORTER_OTLP_${suffix(name)}_ENDPOINT`)
  if (own !== undefined) return withScheme(own)
  const shared = held(env, "OTEL_EXPORTER_OTLP_ENDPOINT")
  return shared === undefined ? undefined : below(shared)
}

const isExported = (name: OtlpSignalName, given: Given, env: Environment): boolean => {
  if (!given[name]) return false
  const exporters = held(env, `OTEL_${suffix(name)}_EXPORTER`)
  return exporters === undefined || exporters.split(",").some((each) => each.trim() === "otlp")
}

// The standard's own default first.
const protocols = ["http/protobuf", "http/json"] as const

const signalOf = (name: OtlpSignalName, given: Given, env: Environment): OtlpSignal | undefined => {
  const url = isExported(name, given, env) ? urlOf(name, given, env) : undefined
  if (url === undefined || !URL.canParse(url)) return undefined
  const wanted = held(env, `OTEL_EXPORTER_OTLP_${suffix(name)}_PROTOCOL`, "OTEL_EXPORTER_OTLP_PROTOCOL")
  const timeout = held(env, `OTEL_EXPORTER_OTLP_${suffix(name)}_TIMEOUT`, "OTEL_EXPORTER_OTLP_TIMEOUT")
  const headers = new Map([
    ...pairsOf(held(env, `OTEL_EXPORTER_OTLP_${suffix(name)}_HEADERS`, "OTEL_EXPORTER_OTLP_HEADERS")),
    ...Object.entries(given.headers)
  ])
  return {
    url,
    headers: [...headers].map(([header, value]) => [header.toLowerCase(), Redacted.make(value)]),
    protocol: given.protocol ?? protocols.find((each) => each === wanted) ?? protocols[0],
    timeoutMs: given.timeout_seconds === undefined ? (numberOf(timeout) ?? 10_000) : given.timeout_seconds * 1000
  }
}

const samplers: Readonly<Record<string, { readonly byParent: boolean; readonly ratio?: number }>> = {
  always_on: { byParent: false, ratio: 1 },
  always_off: { byParent: false, ratio: 0 },
  traceidratio: { byParent: false },
  parentbased_always_on: { byParent: true, ratio: 1 },
  parentbased_always_off: { byParent: true, ratio: 0 },
  parentbased_traceidratio: { byParent: true }
}

/** As many traces as anybody reads, and so few that nobody notices what they cost. */
const usualPerSecond = 200

const samplingOf = ({ sampling_ratio: given, traces_per_second: rate }: Given, env: Environment): Sampling => {
  const named = given === undefined ? samplers[held(env, "OTEL_TRACES_SAMPLER") ?? ""] : undefined
  const argument = Math.min(1, numberOf(held(env, "OTEL_TRACES_SAMPLER_ARG")) ?? 1)
  const perSecond = rate === "unlimited" ? undefined : rate
  if (named !== undefined) return { byParent: named.byParent, ratio: named.ratio ?? argument, perSecond }
  // Who names a part of all wants that part.
  const isUnsaid = given === undefined && rate === undefined
  return { byParent: true, ratio: given ?? 1, perSecond: isUnsaid ? usualPerSecond : perSecond }
}

const resourceOf = ({ service_name: given }: Given, env: Environment): Readonly<Record<string, string>> => {
  const told = Object.fromEntries(pairsOf(held(env, "OTEL_RESOURCE_ATTRIBUTES")))
  const name = given ?? held(env, "OTEL_SERVICE_NAME") ?? told["service.name"] ?? "nexus"
  return { "service.version": version, ...told, "service.name": name }
}

/** What settings and variables come to; undefined when nothing is sent. */
export const otlpOf = ({ telemetry }: Pick<Settings, "telemetry">, env: Environment): OtlpSettings | undefined => {
  const given = telemetry.otlp
  if (held(env, "OTEL_SDK_DISABLED")?.toLowerCase() === "true") return undefined
  const traces = signalOf("traces", given, env)
  const metrics = signalOf("metrics", given, env)
  if (traces === undefined && metrics === undefined) return undefined
  const every = numberOf(held(env, "OTEL_METRIC_EXPORT_INTERVAL"))
  return {
    ...(traces === undefined ? {} : { traces }),
    ...(metrics === undefined ? {} : { metrics }),
    sampling: samplingOf(given, env),
    metricsEveryMs: Math.max(
      1000,
      given.metrics_interval_seconds === undefined ? (every ?? 60_000) : given.metrics_interval_seconds * 1000
    ),
    resource: resourceOf(given, env)
  }
}

/** What is wrong with an endpoint; undefined when nothing is. */
export const endpointFault = (text: string): string | undefined => {
  const url = URL.parse(withScheme(text))
  if (url === null || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    return 'expected the base URL of a receiver of OTLP over HTTP, such as "http://127.0.0.1:4318"'
  }
  if (url.username !== "" || url.password !== "") return "a URL must not hold a user or password; use headers"
  return url.search === "" && url.hash === "" ? undefined : "it must have no query and no fragment"
}

/** What of the standard variables is not done as they say. */
export const otlpWarnings = ({ telemetry }: Pick<Settings, "telemetry">, env: Environment): ReadonlyArray<string> => {
  if (otlpOf({ telemetry }, env) === undefined) return []
  const said = (variable: string, rest: string): string => `${variable}=${held(env, variable)}: ${rest}`
  const protocol = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"
  ]
  const sampler = held(env, "OTEL_TRACES_SAMPLER")
  return [
    ...protocol
      .filter((name) => telemetry.otlp.protocol === undefined && !["", ...protocols].includes(held(env, name) ?? ""))
      .map((name) =>
        said(name, "Nexus speaks OTLP over HTTP alone, so http/protobuf is taken; its port is 4318 as a rule")
      ),
    ...(telemetry.otlp.sampling_ratio === undefined && sampler !== undefined && samplers[sampler] === undefined
      ? [said("OTEL_TRACES_SAMPLER", `not one of ${Object.keys(samplers).join(", ")}, so it decides nothing`)]
      : [])
  ]
}
