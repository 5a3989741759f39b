/**
 * The figures as they are sent by OTLP: the same metrics under the same names as Prometheus reads, with the units of OTLP.
 */
import type { OtlpMetrics } from "effect/observability"
import { distributionOf } from "../telemetry/histogram.ts"
import { genAiLabels, type GenAiMetric, genAiMetrics } from "../telemetry/gen-ai-counts.ts"
import type { MetricDefinition } from "../telemetry/metric-definition.ts"
import { type FiguresNow, type Hook, hooks, type Labels } from "./figure-hooks.ts"

type Metric = OtlpMetrics.MetricsData["resourceMetrics"][number]["scopeMetrics"][number]["metrics"][number]

/** When what is told began, and when it is told, in nanoseconds since 1970. */
export interface OtlpTimes {
  readonly start: string
  readonly now: string
}

const cumulative = 2

/** The unit by UCUM; what is counted is put in braces, so that no name gets a suffix by it. */
const ucumOf = ({ kind, unit }: Pick<MetricDefinition, "kind" | "unit">): string => {
  if (unit === "seconds") return "s"
  if (unit === "bytes") return "By"
  // A gauge of unit 1 would be called a ratio.
  if (/^1\b/.test(unit)) return kind === "gauge" ? "" : "1"
  return `{${unit.replaceAll(" ", "_")}}`
}

const attributesFor = (labels: Labels) =>
  Object.entries(labels).map(([key, value]) => ({ key, value: { stringValue: value } }))

const histogramPoints = (
  numbers: ArrayLike<number>,
  at: number,
  bounds: ReadonlyArray<number>,
  attributes: ReturnType<typeof attributesFor>,
  times: { readonly startTimeUnixNano: string; readonly timeUnixNano: string }
) => {
  const { buckets, count, sum } = distributionOf(numbers, at, bounds)
  if (count === 0) return []
  let below = 0
  const counts = buckets.map(([, atMost]) => {
    const own = atMost - below
    below = atMost
    return own
  })
  return [{ ...times, attributes, count, sum, bucketCounts: [...counts, count - below], explicitBounds: [...bounds] }]
}

const pointsOf = (
  hook: Hook,
  figures: FiguresNow,
  { now, start }: OtlpTimes
): Pick<Metric, "gauge" | "histogram" | "sum"> => {
  const times = { startTimeUnixNano: start, timeUnixNano: now }
  if ("at" in hook) {
    const { bounds } = hook.metric
    const dataPoints = [...hook.spreads(figures)].flatMap(([labels, numbers]) =>
      histogramPoints(numbers, hook.at, bounds, attributesFor(labels), times)
    )
    return { histogram: { dataPoints, aggregationTemporality: cumulative } }
  }
  const dataPoints = Array.from(hook.read(figures), ([labels, asDouble]) =>
    Object.assign({ attributes: attributesFor(labels), asDouble }, times)
  )
  return hook.metric.kind === "counter"
    ? { sum: { dataPoints, aggregationTemporality: cumulative, isMonotonic: true } }
    : { gauge: { dataPoints } }
}

// A metric with more series comes in several parts, so that none of them takes long to be put into bytes.
const pointsAtOnce = 100

type Points = ReturnType<typeof pointsOf>

const someOf = ({ gauge, histogram, sum }: Points, from: number): Points => {
  const cut = <Point>(all: ReadonlyArray<Point>): Array<Point> => all.slice(from, from + pointsAtOnce)
  if (histogram !== undefined) return { histogram: { ...histogram, dataPoints: cut(histogram.dataPoints) } }
  if (sum !== undefined) return { sum: { ...sum, dataPoints: cut(sum.dataPoints) } }
  return { gauge: { dataPoints: cut(gauge?.dataPoints ?? []) } }
}

const genAiPoints = (
  { at, bounds }: GenAiMetric,
  { genAi }: FiguresNow["whole"],
  { now, start }: OtlpTimes
): Points => {
  const times = { startTimeUnixNano: start, timeUnixNano: now }
  const told = genAi.map(([values, numbers]) => {
    const labels = genAiLabels.flatMap((key, nth) => {
      const stringValue = values[nth] ?? ""
      return stringValue === "" ? [] : [{ key, value: { stringValue } }]
    })
    return { attributes: labels, numbers }
  })
  if (bounds === undefined) {
    const dataPoints = told.flatMap(({ attributes, numbers }) => {
      const asDouble = numbers[at] ?? 0
      return asDouble === 0 ? [] : [{ ...times, attributes, asDouble }]
    })
    return { sum: { dataPoints, aggregationTemporality: cumulative, isMonotonic: true } }
  }
  const dataPoints = told.flatMap(({ attributes, numbers }) => histogramPoints(numbers, at, bounds, attributes, times))
  return { histogram: { dataPoints, aggregationTemporality: cumulative } }
}

function* partsOf(about: Pick<Metric, "name" | "description" | "unit">, points: Points): Generator<Metric> {
  const { length } = (points.histogram ?? points.sum ?? points.gauge)?.dataPoints ?? []
  for (let from = 0; from < length; from += pointsAtOnce) yield { ...about, ...someOf(points, from) }
}

/** All metrics that have a value, one after the other: whoever sends them can let others work in between. */
export function* otlpMetricsOf(figures: FiguresNow, times: OtlpTimes): Generator<Metric> {
  for (const hook of hooks) {
    const { meaning: description, name } = hook.metric
    yield* partsOf({ name, description, unit: ucumOf(hook.metric) }, pointsOf(hook, figures, times))
  }
  for (const metric of genAiMetrics) {
    const { meaning: description, name, unit } = metric
    yield* partsOf({ name, description, unit }, genAiPoints(metric, figures.whole, times))
  }
}
