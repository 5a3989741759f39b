/**
 * The figures in the text form that Prometheus reads, by way of effect's own metrics.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { PrometheusMetrics } from "effect/observability"
import { distributionOf } from "../telemetry/histogram.ts"
import { type FiguresNow, type Hook, hooks, type Series } from "./figure-hooks.ts"
import type { HistogramDefinition, MetricDefinition } from "../telemetry/metric-definition.ts"

/** The media type of the text. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

const nothing = (): void => undefined

// Effect reads the state of a series when it puts it into words; nobody updates it.
const reading = <State>(state: State) => ({ get: () => state, update: nothing, modify: nothing })

/** Puts the series that are registered into words. */
const inWords = (register: (context: Context.Context<never>) => void): string => {
  const registry = Context.make(Metric.MetricRegistry, new Map())
  const context = registry as Context.Context<never> // reason: a reference is never required
  register(context)
  return PrometheusMetrics.formatUnsafe(context)
}

const numbers = (definition: MetricDefinition, series: Iterable<Series<number>>): string =>
  inWords((context) => {
    const { name, kind, meaning: description } = definition
    for (const [attributes, value] of series) {
      if (kind === "counter") {
        const metric = Metric.counter(name, { description, attributes, incremental: true })
        Metric.registerUnsafe(metric, context, reading({ count: value, incremental: true }))
      } else {
        Metric.registerUnsafe(Metric.gauge(name, { description, attributes }), context, reading({ value }))
      }
    }
  })

const spreads = (definition: HistogramDefinition, at: number, tallies: Iterable<Series<ArrayLike<number>>>): string =>
  inWords((context) => {
    const { name, bounds, meaning: description } = definition
    for (const [attributes, counted] of tallies) {
      const { buckets, count, sum } = distributionOf(counted, at, bounds)
      if (count === 0) continue
      const metric = Metric.histogram(name, { description, attributes, boundaries: bounds })
      Metric.registerUnsafe(metric, context, reading({ buckets, count, sum, min: 0, max: 0 }))
    }
  })

/** The text of a metric; empty when it has no value. */
export const metricText = (hook: Hook, figures: FiguresNow): string =>
  "at" in hook ? spreads(hook.metric, hook.at, hook.spreads(figures)) : numbers(hook.metric, hook.read(figures))

/** The text of each metric, one after the other: whoever sends them can let others work in between. */
export function* exposition(figures: FiguresNow): Generator<string> {
  for (const hook of hooks) yield metricText(hook, figures)
}
