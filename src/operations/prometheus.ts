/**
 * The figures in the text form that Prometheus reads, by way of effect's own metrics.
 */
import * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import { PrometheusMetrics } from "effect/observability"
import { healthStatuses } from "../domain/backend-health.ts"
import { version } from "../domain/version.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { distributionOf } from "../telemetry/histogram.ts"
import { turnedAwayCodes } from "../telemetry/meter-table.ts"
import { emptyTally, type Tally, type TotalFigures } from "../telemetry/process-figures.ts"
import { attemptOutcomes, counterPlaces, hedgeOutcomes, requestCells, tokenKinds } from "../telemetry/meter.ts"
import { type RuleFigure, ruleFigures } from "../telemetry/rule-counts.ts"
import * as metrics from "../telemetry/metrics.ts"

/** The media type of the text. */
export const prometheusContentType = "text/plain; version=0.0.4; charset=utf-8"

/** Values of the labels of one series. */
type Labels = Readonly<Partial<Record<metrics.Label, string>>>

type Series<Value> = readonly [labels: Labels, value: Value]

/** What the text is made of; `open` is the number of models of each backend with open circuits. */
export interface PrometheusFigures {
  readonly whole: TotalFigures
  readonly snapshot: Snapshot
  readonly openCircuits: (backend: string) => number
  readonly uptimeSeconds: number
}

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

const numbers = (definition: metrics.MetricDefinition, series: Iterable<Series<number>>): string =>
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

const spreads = (
  definition: metrics.HistogramDefinition,
  at: number,
  tallies: Iterable<Series<ArrayLike<number>>>
): string =>
  inWords((context) => {
    const { name, bounds, meaning: description } = definition
    for (const [attributes, counted] of tallies) {
      const { buckets, count, sum } = distributionOf(counted, at, bounds)
      if (count === 0) continue
      const metric = Metric.histogram(name, { description, attributes, boundaries: bounds })
      Metric.registerUnsafe(metric, context, reading({ buckets, count, sum, min: 0, max: 0 }))
    }
  })

const labelsOf = ({ backend, model }: Tally): Labels => ({ model, backend })

function* requestSeries({ endpoints, tallies }: TotalFigures): Generator<Series<number>> {
  const cells = requestCells(endpoints)
  for (const { backend, model, numbers } of tallies) {
    for (const [at, { endpoint, stream, outcome, status }] of cells.entries()) {
      const count = numbers[counterPlaces.requests + at] ?? 0
      if (count > 0) yield [{ endpoint, model, backend, outcome, status, stream: String(stream) }, count]
    }
  }
}

function* attemptSeries(tallies: ReadonlyArray<Tally>): Generator<Series<number>> {
  for (const tally of tallies) {
    for (const [at, outcome] of attemptOutcomes.entries()) {
      const count = tally.numbers[counterPlaces.attempts + at] ?? 0
      if (count > 0) yield [{ ...labelsOf(tally), outcome }, count]
    }
  }
}

function* hedgeSeries(tallies: ReadonlyArray<Tally>): Generator<Series<number>> {
  for (const tally of tallies) {
    for (const [at, outcome] of hedgeOutcomes.entries()) {
      const count = tally.numbers[counterPlaces.hedges + at] ?? 0
      if (count > 0) yield [{ ...labelsOf(tally), outcome }, count]
    }
  }
}

function* tokenSeries(tallies: ReadonlyArray<Tally>): Generator<Series<number>> {
  for (const tally of tallies) {
    for (const [at, kind] of tokenKinds.entries()) {
      const count = tally.numbers[counterPlaces.tokens + at] ?? 0
      if (count > 0) yield [{ ...labelsOf(tally), kind }, count]
    }
  }
}

function* failoverSeries(tallies: ReadonlyArray<Tally>): Generator<Series<number>> {
  for (const tally of tallies) {
    const count = tally.numbers[counterPlaces.failovers] ?? 0
    if (count > 0) yield [labelsOf(tally), count]
  }
}

function* ruleSeries({ rules }: TotalFigures, wanted: RuleFigure): Generator<Series<number>> {
  for (const [figure, values, count] of rules) {
    if (figure === wanted)
      yield [Object.fromEntries(ruleFigures[wanted].map((label, at) => [label, values[at]])), count]
  }
}

const ofRules = [
  [metrics.ruleRequests, "requests"],
  [metrics.shadows, "shadows"],
  [metrics.shadowPairs, "pairs"],
  [metrics.shadowAlike, "alike"],
  [metrics.shadowSeconds, "seconds"],
  [metrics.shadowTokens, "tokens"]
] as const

const summed = ({ endpoints, tallies }: TotalFigures): Tally => {
  const sum = emptyTally("", "", endpoints)
  for (const { numbers } of tallies)
    for (const [at, value] of numbers.entries()) sum.numbers[at] = (sum.numbers[at] ?? 0) + value
  return sum
}

/** The text of each metric, one after the other: whoever sends them can let others work in between. */
export function* exposition({ whole, snapshot, openCircuits, uptimeSeconds }: PrometheusFigures): Generator<string> {
  const { tallies, processes } = whole
  const backends = [...snapshot.backends.values()]
  const labelled = tallies.map((tally) => [labelsOf(tally), tally.numbers] as const)
  const queued = <Value>(value: (line: TotalFigures["queues"][number]) => Value): ReadonlyArray<Series<Value>> =>
    whole.queues.map((line) => [{ model: line.model, class: line.priority }, value(line)])
  const ofBackends = (value: (name: string) => number): ReadonlyArray<Series<number>> =>
    backends.map(({ backend: { name } }) => [{ backend: name }, value(name)])
  yield numbers(metrics.requests, requestSeries(whole))
  yield numbers(
    metrics.turnedAway,
    turnedAwayCodes.map((code, at) => [{ code: String(code) }, whole.turnedAway[at] ?? 0])
  )
  yield numbers(metrics.attempts, attemptSeries(tallies))
  yield numbers(metrics.failovers, failoverSeries(tallies))
  yield numbers(metrics.hedges, hedgeSeries(tallies))
  yield numbers(metrics.tokens, tokenSeries(tallies))
  for (const [definition, figure] of ofRules) yield numbers(definition, ruleSeries(whole, figure))
  yield spreads(metrics.requestSeconds, counterPlaces.requestSeconds, labelled)
  yield spreads(metrics.firstTokenSeconds, counterPlaces.firstTokenSeconds, labelled)
  yield spreads(metrics.gapSeconds, counterPlaces.gapSeconds, labelled)
  yield spreads(metrics.overheadSeconds, counterPlaces.overheadSeconds, [[{}, summed(whole).numbers]])
  yield spreads(
    metrics.queueSeconds,
    0,
    queued(({ waits }) => waits)
  )
  yield numbers(metrics.inFlight, [[{}, whole.active]])
  const inFlight = new Map<string, number>()
  for (const tally of tallies) inFlight.set(tally.backend, (inFlight.get(tally.backend) ?? 0) + tally.inFlight)
  yield numbers(
    metrics.backendInFlight,
    ofBackends((name) => inFlight.get(name) ?? 0)
  )
  yield numbers(metrics.openStreams, [[{}, tallies.reduce((sum, { streams }) => sum + streams, 0)]])
  yield numbers(
    metrics.queued,
    queued(({ waiting }) => waiting)
  )
  yield numbers(
    metrics.backendState,
    backends.flatMap(({ backend: { name }, health: { status } }) =>
      healthStatuses.map((state): Series<number> => [{ backend: name, state }, state === status ? 1 : 0])
    )
  )
  yield numbers(metrics.openCircuits, ofBackends(openCircuits))
  yield numbers(
    metrics.backendModels,
    ofBackends((name) => snapshot.backends.get(name)?.models.size ?? 0)
  )
  yield numbers(
    metrics.probeSeconds,
    backends.flatMap(({ backend: { name }, live: { probeMs } }): ReadonlyArray<Series<number>> =>
      probeMs === undefined ? [] : [[{ backend: name }, probeMs / 1000]]
    )
  )
  yield numbers(
    metrics.memory,
    processes.map(({ worker, rssBytes }) => [{ worker: String(worker) }, rssBytes])
  )
  yield numbers(
    metrics.cpuSeconds,
    processes.map(({ worker, cpuSeconds }) => [{ worker: String(worker) }, cpuSeconds])
  )
  yield numbers(metrics.uptimeSeconds, [[{}, uptimeSeconds]])
  yield numbers(metrics.build, [[{ version }, 1]])
}
