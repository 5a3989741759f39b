/**
 * The figures in the text form of OpenMetrics 1.0, which has a trace for a bucket of a histogram beside it. It is made of the
 * other form: the samples are the same, what stands around them differs.
 */
import type { Exemplar } from "../telemetry/exemplars.ts"
import type { MetricDefinition } from "../telemetry/metric-definition.ts"
import { distributionOf } from "../telemetry/histogram.ts"
import { type FiguresNow, type Hook, hooks } from "./figure-hooks.ts"
import { metricText } from "./prometheus.ts"

/** The media type of the text. */
export const openMetricsContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8"

const shareOf = (parameters: ReadonlyArray<string>): number => {
  const given = parameters.map((each) => each.trim()).find((each) => /^q=/i.test(each))
  const share = given === undefined ? 1 : Number(given.slice(2))
  return Number.isFinite(share) ? share : 0
}

/** Whether a scraper would rather have this form, by its `Accept`: it has to name it. */
export const prefersOpenMetrics = (accept: string | null | undefined): boolean => {
  let [open, plain] = [0, 0]
  for (const each of (accept ?? "").split(",")) {
    const [type = "", ...parameters] = each.split(";")
    const share = shareOf(parameters)
    if (/^application\/openmetrics-text$/i.test(type.trim())) open = Math.max(open, share)
    if (/^text\/plain$/i.test(type.trim())) plain = Math.max(plain, share)
  }
  return open > 0 && open >= plain
}

const escaped = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"')

/** What a metric is called without what its samples have behind it. */
const familyOf = ({ kind, name }: MetricDefinition): string =>
  kind === "counter" ? name.slice(0, -"_total".length) : name

const units: ReadonlySet<string> = new Set(["seconds", "bytes"])

const headOf = (metric: MetricDefinition): string => {
  const { kind, meaning, unit } = metric
  const family = familyOf(metric)
  const unitLine = units.has(unit) && family.endsWith(`_${unit}`) ? `# UNIT ${family} ${unit}\n` : ""
  return `# TYPE ${family} ${kind}\n${unitLine}# HELP ${family} ${escaped(meaning)}\n`
}

const bound = /le="([^"]+)"/

// Whole numbers are written with a point here.
const withPoint = (line: string): string =>
  line.replace(bound, (all, le: string) => (/^\d+$/.test(le) ? `le="${le}.0"` : all))

const exemplarText = ({ ageMs, traceId, value }: Exemplar, wallNow: number): string =>
  ` # {trace_id="${traceId}"} ${value} ${((wallNow - ageMs) / 1000).toFixed(3)}`

/** The traces of each line of a bucket, in the order of the lines. */
const exemplarsOf = (hook: Hook, figures: FiguresNow): ReadonlyArray<Exemplar | undefined> => {
  if (!("at" in hook)) return []
  const { at, metric } = hook
  return [...hook.spreads(figures)].flatMap(([, numbers, exemplars]) =>
    distributionOf(numbers, at, metric.bounds).count === 0
      ? []
      : [...metric.bounds, Infinity].map((_, bucket) => exemplars?.get(at + bucket))
  )
}

const bodyOf = (hook: Hook, figures: FiguresNow, wallNow: number): string => {
  const samples = metricText(hook, figures)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
  if (samples.length === 0) return ""
  const exemplars = exemplarsOf(hook, figures)
  let bucket = 0
  const lines = samples.map((line) => {
    if (!line.startsWith(`${hook.metric.name}_bucket{`)) return line
    const exemplar = exemplars[bucket++]
    return withPoint(line) + (exemplar === undefined ? "" : exemplarText(exemplar, wallNow))
  })
  return `${headOf(hook.metric)}${lines.join("\n")}\n`
}

/** The text of each metric, one after the other, and its end; `wallNow` in milliseconds since 1970. */
export function* openMetrics(figures: FiguresNow, wallNow: number): Generator<string> {
  for (const hook of hooks) yield bodyOf(hook, figures, wallNow)
  yield "# EOF\n"
}
