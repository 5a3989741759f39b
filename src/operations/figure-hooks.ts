/**
 * The registry of figures: what each metric reads when somebody asks, whether that is Prometheus or what is sent by OTLP.
 */
import type { ClusterStatus } from "../api/cluster-api.ts"
import type { Exemplar } from "../telemetry/exemplars.ts"
import { healthStatuses } from "../domain/backend-health.ts"
import type { LimitUse } from "../domain/limit-use.ts"
import { version } from "../domain/version.ts"
import { slotsOf } from "../registry/live-state.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { otherLabel, turnedAwayCodes } from "../telemetry/meter-table.ts"
import { attemptOutcomes, counterPlaces, hedgeOutcomes, requestCells, tokenKinds } from "../telemetry/meter.ts"
import type { HistogramDefinition, Label, MetricDefinition } from "../telemetry/metric-definition.ts"
import * as metrics from "../telemetry/metrics.ts"
import * as copies from "../telemetry/shadow-metrics.ts"
import { emptyTally, type ProcessFigures, type Tally, type TotalFigures } from "../telemetry/process-figures.ts"
import { type RuleFigure, ruleFigures } from "../telemetry/rule-counts.ts"
import type { Budgets, BudgetStanding } from "../usage/Budgets.ts"

/** Values of the labels of one series. */
export type Labels = Readonly<Partial<Record<Label, string>>>

/** One series: its labels, what it reads now, and the traces that stand for it, by the places of its buckets. */
export type Series<Value> = readonly [labels: Labels, value: Value, exemplars?: ReadonlyMap<number, Exemplar>]

/** What is read; `openCircuits` gives the number of models of a backend with open circuits. */
export interface FiguresNow {
  readonly whole: TotalFigures
  readonly snapshot: Snapshot
  readonly openCircuits: (backend: string) => number
  readonly budgets: {
    readonly rules: ReturnType<Budgets["Service"]["rules"]>
    readonly standing: ReadonlyArray<BudgetStanding>
  }
  /** Those that are nearest to one. */
  readonly limits: ReadonlyArray<LimitUse>
  readonly uptimeSeconds: number
  /** How replicas stand; undefined for a gateway that is alone. */
  readonly cluster: ClusterStatus | undefined
}

/** How one metric is read. */
export type Hook =
  | {
      readonly metric: MetricDefinition
      readonly read: (figures: FiguresNow) => Iterable<Series<number>>
    }
  | {
      readonly metric: HistogramDefinition
      /** Where its numbers begin. */
      readonly at: number
      readonly spreads: (figures: FiguresNow) => Iterable<Series<ArrayLike<number>>>
    }

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
  [copies.shadows, "shadows"],
  [copies.shadowPairs, "pairs"],
  [copies.shadowAlike, "alike"],
  [copies.shadowSeconds, "seconds"],
  [copies.shadowTokens, "tokens"],
  [metrics.telemetryDropped, "dropped"],
  [metrics.tracesUnsampled, "unsampled"],
  [metrics.cost, "cost"],
  [metrics.usageLost, "usageLost"],
  [metrics.cacheLookups, "cache"],
  [metrics.captures, "captures"],
  [metrics.capturedBytes, "capturedBytes"],
  [metrics.failedTries, "failedTries"],
  [metrics.slowedRequests, "slowed"],
  [metrics.hookCalls, "hooks"],
  [metrics.hookSeconds, "hookSeconds"]
] as const

// Keys and owners may be many; those that have spent most have a series of their own.
const mostBudgetSeries = 100

const dollars = (nanos: number): number => nanos / 1e9

const spentSeries = ({ budgets }: FiguresNow): ReadonlyArray<Series<number>> => {
  const all = budgets.standing.toSorted((a, b) => b.spent - a.spent)
  const rest = new Map<string, number>()
  for (const { name, spent } of all.slice(mostBudgetSeries)) rest.set(name, (rest.get(name) ?? 0) + spent)
  return [
    ...all
      .slice(0, mostBudgetSeries)
      .map(({ name, of, spent }): Series<number> => [{ budget: name, of }, dollars(spent)]),
    ...[...rest].map(([budget, spent]): Series<number> => [{ budget, of: otherLabel }, dollars(spent)])
  ]
}

const limitSeries = ({ budgets }: FiguresNow): ReadonlyArray<Series<number>> =>
  budgets.rules.flatMap((rule) =>
    (["soft", "hard"] as const).flatMap((limit): ReadonlyArray<Series<number>> => {
      const nanos = rule[limit]
      return nanos === undefined ? [] : [[{ budget: rule.name, limit }, dollars(nanos)]]
    })
  )

const limitUseSeries = ({ limits }: FiguresNow, value: (use: LimitUse) => number): ReadonlyArray<Series<number>> =>
  limits.map((use) => [{ scope: use.scope, of: use.name, quota: use.quota }, value(use)])

const usageSeries = (
  { whole }: FiguresNow,
  value: (usage: NonNullable<ProcessFigures["processes"][number]["usage"]>) => number
): ReadonlyArray<Series<number>> =>
  whole.processes.flatMap(({ usage, worker }): ReadonlyArray<Series<number>> =>
    usage === undefined ? [] : [[{ worker: String(worker) }, value(usage)]]
  )

const summed = ({ endpoints, tallies }: TotalFigures): Tally => {
  const sum = emptyTally("", "", endpoints)
  for (const { numbers } of tallies)
    for (const [at, value] of numbers.entries()) sum.numbers[at] = (sum.numbers[at] ?? 0) + value
  return sum
}

const ofBackends = ({ snapshot }: FiguresNow, value: (name: string) => number): ReadonlyArray<Series<number>> =>
  [...snapshot.backends.keys()].map((name) => [{ backend: name }, value(name)])

const inFlightOf = ({ tallies }: TotalFigures): ReadonlyMap<string, number> => {
  const sums = new Map<string, number>()
  for (const { backend, inFlight } of tallies) sums.set(backend, (sums.get(backend) ?? 0) + inFlight)
  return sums
}

const queued = <Value>(
  { queues }: TotalFigures,
  value: (line: TotalFigures["queues"][number]) => Value
): ReadonlyArray<Series<Value>> => queues.map((line) => [{ model: line.model, class: line.priority }, value(line)])

const spread = (metric: HistogramDefinition, at: number): Hook => ({
  metric,
  at,
  spreads: ({ whole }) => whole.tallies.map((tally) => [labelsOf(tally), tally.numbers, tally.exemplars])
})

/** All of them, in the order in which they are told. */
export const hooks: ReadonlyArray<Hook> = [
  { metric: metrics.requests, read: ({ whole }) => requestSeries(whole) },
  {
    metric: metrics.turnedAway,
    read: ({ whole }) => turnedAwayCodes.map((code, at) => [{ code: String(code) }, whole.turnedAway[at] ?? 0])
  },
  { metric: metrics.attempts, read: ({ whole }) => attemptSeries(whole.tallies) },
  { metric: metrics.failovers, read: ({ whole }) => failoverSeries(whole.tallies) },
  { metric: metrics.hedges, read: ({ whole }) => hedgeSeries(whole.tallies) },
  { metric: metrics.tokens, read: ({ whole }) => tokenSeries(whole.tallies) },
  ...ofRules.map(([metric, figure]): Hook => ({ metric, read: ({ whole }) => ruleSeries(whole, figure) })),
  { metric: metrics.usageWaiting, read: (figures) => usageSeries(figures, ({ waiting }) => waiting) },
  { metric: metrics.usageFailing, read: (figures) => usageSeries(figures, ({ failing }) => (failing ? 1 : 0)) },
  { metric: metrics.budgetSpent, read: spentSeries },
  { metric: metrics.budgetLimit, read: limitSeries },
  { metric: metrics.limitAllowed, read: (figures) => limitUseSeries(figures, ({ allowed }) => allowed) },
  { metric: metrics.limitTaken, read: (figures) => limitUseSeries(figures, ({ taken }) => taken) },
  spread(metrics.requestSeconds, counterPlaces.requestSeconds),
  spread(metrics.firstTokenSeconds, counterPlaces.firstTokenSeconds),
  spread(metrics.gapSeconds, counterPlaces.gapSeconds),
  {
    metric: metrics.overheadSeconds,
    at: counterPlaces.overheadSeconds,
    spreads: ({ whole }) => [[{}, summed(whole).numbers]]
  },
  { metric: metrics.queueSeconds, at: 0, spreads: ({ whole }) => queued(whole, ({ waits }) => waits) },
  { metric: metrics.inFlight, read: ({ whole }) => [[{}, whole.active]] },
  {
    metric: metrics.backendInFlight,
    read: (figures) => {
      const inFlight = inFlightOf(figures.whole)
      return ofBackends(figures, (name) => inFlight.get(name) ?? 0)
    }
  },
  {
    metric: metrics.openStreams,
    read: ({ whole }) => [[{}, whole.tallies.reduce((sum, { streams }) => sum + streams, 0)]]
  },
  { metric: metrics.queued, read: ({ whole }) => queued(whole, ({ waiting }) => waiting) },
  {
    metric: metrics.backendState,
    read: ({ snapshot }) =>
      [...snapshot.backends.values()].flatMap(({ backend: { name }, health: { status } }) =>
        healthStatuses.map((state): Series<number> => [{ backend: name, state }, state === status ? 1 : 0])
      )
  },
  { metric: metrics.openCircuits, read: (figures) => ofBackends(figures, figures.openCircuits) },
  {
    metric: metrics.backendModels,
    read: (figures) => ofBackends(figures, (name) => figures.snapshot.backends.get(name)?.models.size ?? 0)
  },
  {
    metric: metrics.backendSlots,
    read: ({ snapshot }) =>
      [...snapshot.backends.values()].flatMap(({ backend: { name }, live, models }) =>
        [...models.values()].flatMap((model): ReadonlyArray<Series<number>> => {
          const known = slotsOf(model, live)
          return known === undefined ? [] : [[{ backend: name, model: model.id }, known.slots]]
        })
      )
  },
  {
    metric: metrics.probeSeconds,
    read: ({ snapshot }) =>
      [...snapshot.backends.values()].flatMap(
        ({ backend: { name }, live: { probeMs } }): ReadonlyArray<Series<number>> =>
          probeMs === undefined ? [] : [[{ backend: name }, probeMs / 1000]]
      )
  },
  {
    metric: metrics.memory,
    read: ({ whole }) => whole.processes.map(({ worker, rssBytes }) => [{ worker: String(worker) }, rssBytes])
  },
  {
    metric: metrics.cpuSeconds,
    read: ({ whole }) => whole.processes.map(({ worker, cpuSeconds }) => [{ worker: String(worker) }, cpuSeconds])
  },
  {
    metric: metrics.storeConnected,
    read: ({ cluster }) => (cluster === undefined ? [] : [[{}, cluster.store.status === "connected" ? 1 : 0]])
  },
  { metric: metrics.storeLosses, read: ({ cluster }) => (cluster === undefined ? [] : [[{}, cluster.store.losses]]) },
  { metric: metrics.replicas, read: ({ cluster }) => (cluster === undefined ? [] : [[{}, cluster.replicas.length]]) },
  { metric: metrics.uptimeSeconds, read: ({ uptimeSeconds }) => [[{}, uptimeSeconds]] },
  { metric: metrics.build, read: () => [[{ version }, 1]] }
]
