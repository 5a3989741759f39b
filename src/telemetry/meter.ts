/**
 * What is counted of the requests to one backend and model: plain numbers in one array, so that a request costs a few
 * additions; they are put into words only when somebody asks.
 */
import { outcomes, type Outcome } from "../domain/request.ts"
import { Exemplars } from "./exemplars.ts"
import { observe, histogramSize } from "./histogram.ts"
import { coveredSeconds, RecentCounts } from "./recent-counts.ts"
import type { HistogramDefinition } from "./metric-definition.ts"
import { firstTokenSeconds, gapSeconds, overheadSeconds, requestSeconds } from "./metrics.ts"

/** Classes of the status a client gets. */
const statusClasses = ["2xx", "4xx", "5xx"] as const

/** How a call to a backend can end. */
export const attemptOutcomes = [
  "completed",
  "truncated",
  "abandoned",
  "refused",
  "unreachable",
  "timed_out",
  "connection_lost",
  "bad_answer",
  "error_status"
] as const

/** One of {@link attemptOutcomes}. */
export type AttemptOutcome = (typeof attemptOutcomes)[number]

/** What came of a first token that was late, where a second backend may be asked beside the one that keeps it waiting. */
export const hedgeOutcomes = ["won", "lost", "failed", "abandoned", "refused"] as const

/** One of {@link hedgeOutcomes}. */
export type HedgeOutcome = (typeof hedgeOutcomes)[number]

/** Kinds of tokens. */
export const tokenKinds = ["prompt", "cached", "completion"] as const

/** Tokens as a backend tells them; 0 for what it does not tell. `prompt` holds what was read from a cache and written to one. */
export interface Usage {
  readonly prompt: number
  readonly cached: number
  readonly completion: number
  /** Those of the prompt that were written to a cache, where it tells. */
  readonly cachedWrite?: number
  /** Those of the completion that were thought and not said, where it tells. */
  readonly reasoning?: number
}

// Of each endpoint.
const cells = 2 * outcomes.length * statusClasses.length

const histograms: ReadonlyArray<HistogramDefinition> = [requestSeconds, firstTokenSeconds, gapSeconds, overheadSeconds]

const afterTokens = attemptOutcomes.length + 1 + tokenKinds.length

const afterCounters = afterTokens + hedgeOutcomes.length

const placeOf = (wanted: HistogramDefinition): number =>
  histograms.slice(0, histograms.indexOf(wanted)).reduce((at, { bounds }) => at + histogramSize(bounds), afterCounters)

/** Where each figure begins among the numbers of a meter; the requests come last, as many as there are endpoints. */
export const counterPlaces = {
  attempts: 0,
  failovers: attemptOutcomes.length,
  tokens: attemptOutcomes.length + 1,
  hedges: afterTokens,
  requestSeconds: placeOf(requestSeconds),
  firstTokenSeconds: placeOf(firstTokenSeconds),
  gapSeconds: placeOf(gapSeconds),
  overheadSeconds: placeOf(overheadSeconds),
  requests: histograms.reduce((sum, { bounds }) => sum + histogramSize(bounds), afterCounters)
} as const

/** How many numbers a meter has. */
export const meterWidth = (endpoints: ReadonlyArray<string>): number =>
  counterPlaces.requests + endpoints.length * cells

/** The labels of one cell of the requests. */
export interface RequestLabels {
  readonly endpoint: string
  readonly stream: boolean
  readonly outcome: Outcome
  readonly status: (typeof statusClasses)[number]
}

const cellsOf = (endpoints: ReadonlyArray<string>): ReadonlyArray<RequestLabels> =>
  endpoints.flatMap((endpoint) =>
    [false, true].flatMap((stream) =>
      outcomes.flatMap((outcome) => statusClasses.map((status) => ({ endpoint, stream, outcome, status })))
    )
  )

let known: { readonly endpoints: ReadonlyArray<string>; readonly cells: ReadonlyArray<RequestLabels> } | undefined

/** The labels of each cell, by its place; a thousand, so they are made once. */
export const requestCells = (endpoints: ReadonlyArray<string>): ReadonlyArray<RequestLabels> => {
  if (known?.endpoints !== endpoints) known = { endpoints, cells: cellsOf(endpoints) }
  return known.cells
}

const classOf = (status: number): number => (status < 400 ? 0 : status < 500 ? 1 : 2)

/** What is counted by the second. */
const things = { requests: 0, tokens: 1, pieces: 2, attempts: 3, errors: 4 } as const

/** Seconds that rates look back over, and those that the share of errors does. */
const looksBack = { rates: 10, errors: 60 } as const

/** Figures of the last seconds; all of them can be added up. */
export const recentNames = ["requestRate", "tokenRate", "pieceRate", "attempts", "errors"] as const

const errors: ReadonlySet<AttemptOutcome> = new Set([
  "truncated",
  "unreachable",
  "timed_out",
  "connection_lost",
  "bad_answer",
  "error_status"
])

/** Places of the attempts that are the fault of their backend. */
export const errorPlaces: ReadonlyArray<number> = attemptOutcomes.flatMap((outcome, at) =>
  errors.has(outcome) ? [counterPlaces.attempts + at] : []
)

const firstTokens = histogramSize(firstTokenSeconds.bounds)

// The first tokens of this minute and of the one before are told of.
const minute = 60_000

/** An ended request as far as it is counted; times in milliseconds. */
export interface EndedRequest {
  readonly endpoint: string
  readonly stream: boolean
  readonly outcome: Outcome
  readonly status: number
  readonly started: number
  /** 0 when no answer began. */
  readonly firstByteAt: number
  readonly awaitedMs: number
}

/** The figures of one backend and model. */
export class Meter {
  readonly backend: string
  readonly model: string
  readonly numbers: Float64Array
  /** Requests whose attempt is under way here. */
  inFlight = 0
  /** Event streams under way. */
  streams = 0
  /** Traces of what was counted; undefined while none was recorded. */
  exemplars: Exemplars | undefined
  private readonly recent = new RecentCounts(5)
  private firstNow = new Float64Array(firstTokens)
  private firstBefore = new Float64Array(firstTokens)
  private firstUntil = 0

  private readonly endpoints: ReadonlyArray<string>

  /** `endpoints` are the names of all that can be asked for. */
  constructor(backend: string, model: string, endpoints: ReadonlyArray<string>) {
    this.backend = backend
    this.model = model
    this.endpoints = endpoints
    this.numbers = new Float64Array(meterWidth(endpoints))
  }

  /** Counts a request that has ended here. */
  ended({ endpoint, stream, outcome, status, started, firstByteAt, awaitedMs }: EndedRequest, now: number): void {
    const { numbers, recent } = this
    const kind = this.endpoints.indexOf(endpoint) * 2 + (stream ? 1 : 0)
    const cell = (kind * outcomes.length + outcomes.indexOf(outcome)) * statusClasses.length + classOf(status)
    this.bump(counterPlaces.requests + cell, 1)
    recent.add(things.requests, 1, now)
    observe(numbers, counterPlaces.requestSeconds, requestSeconds.bounds, (now - started) / 1000)
    if (firstByteAt === 0) return
    const first = (firstByteAt - started) / 1000
    observe(numbers, counterPlaces.overheadSeconds, overheadSeconds.bounds, Math.max(0, first - awaitedMs / 1000))
    if (!stream) return
    observe(numbers, counterPlaces.firstTokenSeconds, firstTokenSeconds.bounds, first)
    if (now >= this.firstUntil) this.turn(now)
    observe(this.firstNow, 0, firstTokenSeconds.bounds, first)
  }

  /** Notes the trace of a request that was counted as ended. */
  exemplifies(
    { firstByteAt, started, stream }: Pick<EndedRequest, "firstByteAt" | "started" | "stream">,
    traceId: string,
    now: number
  ): void {
    this.exemplars ??= new Exemplars()
    const { exemplars } = this
    exemplars.note(counterPlaces.requestSeconds, requestSeconds.bounds, (now - started) / 1000, traceId, now)
    if (!stream || firstByteAt === 0) return
    const first = (firstByteAt - started) / 1000
    exemplars.note(counterPlaces.firstTokenSeconds, firstTokenSeconds.bounds, first, traceId, now)
  }

  /** Counts the end of an attempt. */
  attempted(outcome: AttemptOutcome, now: number): void {
    this.bump(counterPlaces.attempts + attemptOutcomes.indexOf(outcome), 1)
    this.recent.add(things.attempts, 1, now)
    if (errors.has(outcome)) this.recent.add(things.errors, 1, now)
  }

  /** Counts a request that goes on elsewhere. */
  left(): void {
    this.bump(counterPlaces.failovers, 1)
  }

  /** Counts a first token that was late here. */
  hedged(outcome: HedgeOutcome): void {
    this.bump(counterPlaces.hedges + hedgeOutcomes.indexOf(outcome), 1)
  }

  /** Counts the tokens of an answer. */
  used({ prompt, cached, completion }: Usage, now: number): void {
    this.bump(counterPlaces.tokens, prompt)
    this.bump(counterPlaces.tokens + 1, cached)
    this.bump(counterPlaces.tokens + 2, completion)
    this.recent.add(things.tokens, completion, now)
  }

  /** Counts a piece of a stream; `last` is when the one before it came, 0 for the first. */
  piece(last: number, now: number): void {
    this.recent.add(things.pieces, 1, now)
    if (last !== 0) observe(this.numbers, counterPlaces.gapSeconds, gapSeconds.bounds, (now - last) / 1000)
  }

  /** The figures of the last seconds, in the order of {@link recentNames}. */
  latest(now: number): ReadonlyArray<number> {
    const over = (thing: number, seconds: number) => this.recent.sum(thing, seconds, now)
    const rate = (thing: number) => over(thing, looksBack.rates) / coveredSeconds(looksBack.rates, now)
    return [
      rate(things.requests),
      rate(things.tokens),
      rate(things.pieces),
      over(things.attempts, looksBack.errors),
      over(things.errors, looksBack.errors)
    ]
  }

  /** The times to first token of the last one to two minutes, as a histogram. */
  firstTokens(now: number): ReadonlyArray<number> {
    if (now >= this.firstUntil) this.turn(now)
    return Array.from(this.firstNow, (count, at) => count + (this.firstBefore[at] ?? 0))
  }

  /** Takes over the counters of another one. */
  absorb(other: Meter): void {
    for (let at = 0; at < this.numbers.length; at += 1) this.bump(at, other.numbers[at] ?? 0)
  }

  private bump(at: number, by: number): void {
    this.numbers[at] = (this.numbers[at] ?? 0) + by
  }

  private turn(now: number): void {
    const kept = now < this.firstUntil + minute
    ;[this.firstNow, this.firstBefore] = [this.firstBefore, this.firstNow]
    this.firstNow.fill(0)
    if (!kept) this.firstBefore.fill(0)
    this.firstUntil = now + minute
  }
}
