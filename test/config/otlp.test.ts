import { describe, expect, test } from "bun:test"
import { Redacted, Schema } from "effect"
import { otlpOf, otlpWarnings } from "../../src/config/otlp.ts"
import { Settings } from "../../src/config/schema.ts"
import type { Environment } from "../../src/config/sources.ts"

const settings = (otlp: Readonly<Record<string, unknown>> = {}) =>
  Schema.decodeUnknownSync(Settings)({ telemetry: { otlp } })

const from = (env: Environment, otlp: Readonly<Record<string, unknown>> = {}) => otlpOf(settings(otlp), env)

const base = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }

describe("where telemetry goes", () => {
  test("is nowhere when neither the file nor a variable names a place", () => expect(from({})).toBeUndefined())

  test("is below the one endpoint for each signal, by the file or by the standard variable", () => {
    for (const each of [from(base), from({}, { endpoint: "http://collector:4318/" })]) {
      expect(each?.traces?.url).toBe("http://collector:4318/v1/traces")
      expect(each?.metrics?.url).toBe("http://collector:4318/v1/metrics")
      expect(each?.traces?.protocol).toBe("http/protobuf")
    }
  })

  test("is sent there as protobuf, as the standard has it, unless a variable or the file wants JSON", () => {
    const protocol = (env: Environment, otlp = {}) => from({ ...base, ...env }, otlp)?.traces?.protocol
    expect(protocol({})).toBe("http/protobuf")
    expect(protocol({ OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" })).toBe("http/json")
    expect(protocol({ OTEL_EXPORTER_OTLP_PROTOCOL: "http/json" }, { protocol: "http/protobuf" })).toBe("http/protobuf")
    expect(protocol({ OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: "grpc" })).toBe("http/protobuf")
  })

  test("is what a signal's own variable says, as it stands", () =>
    expect(from({ ...base, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://t/x" })).toMatchObject({
      traces: { url: "https://t/x" },
      metrics: { url: "http://collector:4318/v1/metrics" }
    }))

  test("may be named without a scheme, which is then http", () =>
    expect(from({ OTEL_EXPORTER_OTLP_ENDPOINT: "localhost:4318" })?.traces?.url).toBe(
      "http://localhost:4318/v1/traces"
    ))

  test("is what the file says where a variable says something else", () =>
    expect(from(base, { endpoint: "http://mine:1" })?.traces?.url).toBe("http://mine:1/v1/traces"))

  test.each([
    [{ OTEL_SDK_DISABLED: "true" }, undefined],
    [{ OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "none" }, undefined],
    [{ OTEL_TRACES_EXPORTER: "none" }, ["metrics"]],
    [{ OTEL_METRICS_EXPORTER: "console" }, ["traces"]]
  ])("is nowhere for what %p turns off", (env, left) => {
    const found = from({ ...base, ...env })
    expect(found && ["traces", "metrics"].filter((name) => Object.hasOwn(found, name))).toEqual(left)
  })
})

test("headers of the variable and of the file are sent together, and none of them shows in a text", () => {
  const env = { ...base, OTEL_EXPORTER_OTLP_HEADERS: "api-key=a%20b, X-Team = blue ,broken" }
  const { traces } = from(env, { headers: { "X-Team": "crimson", more: "1" } }) ?? {}
  expect(JSON.stringify(traces)).not.toContain("crimson")
  const told = new Map((traces?.headers ?? []).map(([name, value]) => [name, Redacted.value(value)]))
  expect(Object.fromEntries(told)).toEqual({ "api-key": "a b", "x-team": "crimson", more: "1" })
})

test.each([
  [{ OTEL_TRACES_SAMPLER: "always_off" }, { byParent: false, ratio: 0 }],
  [
    { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.25" },
    { byParent: false, ratio: 0.25 }
  ],
  [
    { OTEL_TRACES_SAMPLER: "parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG: "0.5" },
    { byParent: true, ratio: 0.5 }
  ]
])("%p samples as the standard says", (env, sampling) =>
  expect(from({ ...base, ...env })?.sampling).toEqual({ ...sampling, perSecond: undefined })
)

const arg = { OTEL_TRACES_SAMPLER: "always_on" }

test.each([
  ["nothing else is said", {}, {}, { byParent: true, ratio: 1, perSecond: 200 }],
  ["a sampler is named that is not known", { OTEL_TRACES_SAMPLER: "xray" }, {}, { ratio: 1, perSecond: 200 }],
  ["the file names a part", {}, { sampling_ratio: 1 }, { ratio: 1, perSecond: undefined }],
  ["a variable names a sampler", arg, {}, { byParent: false, ratio: 1, perSecond: undefined }],
  ["the file says unlimited", {}, { traces_per_second: "unlimited" }, { ratio: 1, perSecond: undefined }],
  ["the file says how many", {}, { traces_per_second: 0.5 }, { byParent: true, ratio: 1, perSecond: 0.5 }],
  ["it names a part as well", {}, { traces_per_second: 5, sampling_ratio: 0.5 }, { ratio: 0.5, perSecond: 5 }],
  ["and a variable a sampler", arg, { traces_per_second: 5 }, { byParent: false, ratio: 1, perSecond: 5 }]
])("how many traces a second are recorded where %s", (_, env, otlp, sampling) =>
  expect(from({ ...base, ...env }, otlp)?.sampling).toMatchObject(sampling)
)

test("the sender is called by the file, else by its variable, else by its attributes, else nexus", () => {
  const name = (env: Environment, otlp = {}) => from({ ...base, ...env }, otlp)?.resource["service.name"]
  const attributes = { OTEL_RESOURCE_ATTRIBUTES: "service.name=c,deployment.environment=prod" }
  expect(name({ OTEL_SERVICE_NAME: "b", ...attributes }, { service_name: "a" })).toBe("a")
  expect(name({ OTEL_SERVICE_NAME: "b", ...attributes })).toBe("b")
  expect(name(attributes)).toBe("c")
  expect(name({})).toBe("nexus")
  expect(from({ ...base, ...attributes })?.resource["deployment.environment"]).toBe("prod")
})

test("what is not done as a variable says is told, and nothing is where nothing is sent", () => {
  const env = { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_TRACES_SAMPLER: "jaeger_remote" }
  expect(otlpWarnings(settings(), env)).toEqual([])
  expect(otlpWarnings(settings(), { ...base, ...env })).toEqual([
    expect.stringContaining("OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
    expect.stringContaining("OTEL_TRACES_SAMPLER=jaeger_remote")
  ])
})
