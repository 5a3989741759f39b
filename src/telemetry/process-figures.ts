/**
 * The figures of processes as they are told to each other, and what they come to together.
 */
import * as Schema from "effect/Schema"
import { LimitUse } from "../domain/limit-use.ts"
import { priorityClasses } from "../domain/request.ts"
import { addExemplars, type Exemplar } from "./exemplars.ts"
import { type GenAiSeries, sumGenAi } from "./gen-ai-counts.ts"
import { addTo, histogramSize } from "./histogram.ts"
import { type MeterTable, noBackendLabel, otherLabel, turnedAwayCodes } from "./meter-table.ts"
import { type RuleCount, sumRuleCounts } from "./rule-counts.ts"
import { lastingQueues, type QueueFigures, sumQueues } from "./queue-counts.ts"
import { recentNames, meterWidth } from "./meter.ts"
import { firstTokenSeconds } from "./metrics.ts"

const Numbers = Schema.Array(Schema.Finite)

const TallyShape = Schema.Struct({
  backend: Schema.String,
  model: Schema.String,
  inFlight: Schema.Finite,
  streams: Schema.Finite,
  /** Those that are not 0: place, number, place, number and so on. */
  numbers: Numbers,
  recent: Numbers,
  firstTokens: Numbers,
  /** Traces that stand for what was counted, where some are recorded. */
  exemplars: Schema.optionalKey(
    Schema.Array(
      Schema.Struct({
        place: Schema.Int,
        value: Schema.Finite,
        traceId: Schema.String,
        ageMs: Schema.Finite
      })
    )
  )
})

const ProcessShape = Schema.Struct({
  worker: Schema.Int,
  rssBytes: Schema.Finite,
  cpuSeconds: Schema.Finite,
  /** Its ledger, where there is one: records that wait to be written, and whether they cannot be. */
  usage: Schema.optionalKey(Schema.Struct({ waiting: Schema.Finite, failing: Schema.Boolean }))
})

/** The figures of a process, or of several put together. */
export const ProcessFigures = Schema.Struct({
  processes: Schema.Array(ProcessShape),
  /** The names of all that can be asked for; the figures of requests are in their order. */
  endpoints: Schema.Array(Schema.String),
  active: Schema.Finite,
  turnedAway: Numbers,
  tallies: Schema.Array(TallyShape),
  /** What is counted of the route table: figure, labels, number. */
  rules: Schema.Array(Schema.Tuple([Schema.String, Schema.Array(Schema.String), Schema.Finite])),
  /** What is counted by the conventions for GenAI, where somebody takes that. */
  genAi: Schema.optionalKey(Schema.Array(Schema.Tuple([Schema.Array(Schema.String), Numbers]))),
  /** What is taken of limits, where it is counted by the processes. */
  limits: Schema.optionalKey(Schema.Array(LimitUse)),
  /** What waits for slots. */
  queues: Schema.Array(
    Schema.Struct({
      model: Schema.String,
      priority: Schema.Literals(priorityClasses),
      waiting: Schema.Finite,
      longestMs: Schema.Finite,
      waits: Numbers
    })
  )
})

/** Type of {@link ProcessFigures}. */
export type ProcessFigures = typeof ProcessFigures.Type

/** The figures of one backend and model over all processes. */
export interface Tally {
  readonly backend: string
  readonly model: string
  inFlight: number
  streams: number
  readonly numbers: Float64Array
  /** In the order of `recentNames`. */
  readonly recent: Float64Array
  readonly firstTokens: Float64Array
  /** By their places among the numbers. */
  readonly exemplars: Map<number, Exemplar>
}

const sparse = (numbers: Float64Array): ReadonlyArray<number> => {
  const pairs: Array<number> = []
  for (let at = 0; at < numbers.length; at += 1) {
    const value = numbers[at] ?? 0
    if (value !== 0) pairs.push(at, value)
  }
  return pairs
}

/** The figures of this process; `now` in monotonic milliseconds. */
export const processFigures = (
  ledger: MeterTable,
  worker: number,
  now: number,
  usage?: NonNullable<(typeof ProcessShape.Type)["usage"]>,
  limits: ReadonlyArray<LimitUse> = []
): ProcessFigures => {
  const { user, system } = process.cpuUsage()
  return {
    processes: [
      {
        worker,
        rssBytes: process.memoryUsage.rss(),
        cpuSeconds: (user + system) / 1e6,
        ...(usage === undefined ? {} : { usage })
      }
    ],
    endpoints: ledger.endpoints,
    active: ledger.active,
    turnedAway: [...ledger.turnedAway],
    tallies: ledger.meters().map((meter) => ({
      backend: meter.backend,
      model: meter.model,
      inFlight: meter.inFlight,
      streams: meter.streams,
      numbers: sparse(meter.numbers),
      recent: meter.latest(now),
      firstTokens: meter.firstTokens(now),
      exemplars: meter.exemplars?.all(now) ?? []
    })),
    rules: ledger.rules.all(),
    queues: ledger.queues.figures(now),
    ...(limits.length === 0 ? {} : { limits }),
    ...(ledger.genAi === undefined ? {} : { genAi: ledger.genAi.all() })
  }
}

/** A tally of nothing. */
export const emptyTally = (backend: string, model: string, endpoints: ReadonlyArray<string>): Tally => ({
  backend,
  model,
  inFlight: 0,
  streams: 0,
  numbers: new Float64Array(meterWidth(endpoints)),
  recent: new Float64Array(recentNames.length),
  firstTokens: new Float64Array(histogramSize(firstTokenSeconds.bounds)),
  exemplars: new Map()
})

/** Adds a tally to another one. */
export const addTally = (sum: Tally, tally: Tally): void => {
  sum.inFlight += tally.inFlight
  sum.streams += tally.streams
  addTo(sum.numbers, tally.numbers)
  addTo(sum.recent, tally.recent)
  addTo(sum.firstTokens, tally.firstTokens)
}

/** All figures together. */
export interface TotalFigures {
  readonly processes: ProcessFigures["processes"]
  readonly endpoints: ReadonlyArray<string>
  readonly active: number
  readonly turnedAway: ReadonlyArray<number>
  readonly tallies: ReadonlyArray<Tally>
  readonly rules: ReadonlyArray<RuleCount>
  readonly queues: ReadonlyArray<QueueFigures>
  readonly limits: ReadonlyArray<LimitUse>
  readonly genAi: ReadonlyArray<GenAiSeries>
}

/** What the figures of several processes come to. */
export const sumFigures = (all: ReadonlyArray<ProcessFigures>): TotalFigures => {
  const byBackend = new Map<string, Map<string, Tally>>()
  const turnedAway = new Float64Array(turnedAwayCodes.length)
  // All processes are of one program; what is left of none names nothing.
  const { endpoints } = all.find((each) => each.endpoints.length > 0) ?? { endpoints: [] }
  const width = meterWidth(endpoints)
  for (const measures of all) {
    addTo(turnedAway, measures.turnedAway)
    for (const told of measures.tallies) {
      const models = byBackend.get(told.backend) ?? new Map<string, Tally>()
      const sum = models.get(told.model) ?? emptyTally(told.backend, told.model, endpoints)
      byBackend.set(told.backend, models)
      models.set(told.model, sum)
      sum.inFlight += told.inFlight
      sum.streams += told.streams
      for (let at = 0; at < told.numbers.length; at += 2) {
        const place = told.numbers[at] ?? 0
        if (place < width) sum.numbers[place] = (sum.numbers[place] ?? 0) + (told.numbers[at + 1] ?? 0)
      }
      addTo(sum.recent, told.recent)
      addTo(sum.firstTokens, told.firstTokens)
      addExemplars(sum.exemplars, told.exemplars ?? [])
    }
  }
  return {
    processes: all.flatMap(({ processes }) => processes).toSorted((a, b) => a.worker - b.worker),
    endpoints,
    active: all.reduce((sum, { active }) => sum + active, 0),
    turnedAway: [...turnedAway],
    tallies: [...byBackend.values()].flatMap((models) => models.values().toArray()),
    rules: sumRuleCounts(all.map(({ rules }) => rules)),
    queues: sumQueues(all.map(({ queues }) => queues)),
    limits: all.flatMap(({ limits = [] }) => limits),
    genAi: sumGenAi(all.map(({ genAi = [] }) => genAi))
  }
}

/** What stays of processes that have ended: their counters, added to those of the ones that ended before. */
export const lastingFigures = (all: ReadonlyArray<ProcessFigures>): ProcessFigures => {
  const { endpoints, genAi, queues, rules, turnedAway, tallies } = sumFigures(all)
  return {
    processes: [],
    endpoints,
    active: 0,
    turnedAway,
    rules,
    queues: lastingQueues(queues),
    ...(genAi.length === 0 ? {} : { genAi }),
    tallies: tallies.map(({ backend, model, numbers }) => ({
      backend,
      model,
      inFlight: 0,
      streams: 0,
      numbers: sparse(numbers),
      recent: [],
      firstTokens: []
    }))
  }
}

/** Whether a name stands for something else than a backend. */
export const isPlaceholder = (backend: string): boolean => backend === noBackendLabel || backend === otherLabel
