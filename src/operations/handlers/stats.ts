/**
 * The figures of `/v1/stats`, made of what is counted and of the picture of the backends.
 */
import type { RoutingSettings } from "../../domain/routing.ts"
import { groupCandidates } from "../../router/groups.ts"
import { zoneOf } from "../../backend/zone.ts"
import { version } from "../../domain/version.ts"
import { slotsOf } from "../../registry/live-state.ts"
import type { Snapshot } from "../../registry/snapshot.ts"
import { quantile, distributionOf } from "../../telemetry/histogram.ts"
import { addTally, emptyTally, isPlaceholder, type Tally, type TotalFigures } from "../../telemetry/process-figures.ts"
import { attemptOutcomes, errorPlaces, recentNames, counterPlaces, requestCells } from "../../telemetry/meter.ts"
import { firstTokenSeconds } from "../../telemetry/metrics.ts"
import { reasonOf } from "./health-pages.ts"
import type { PriorityClass } from "../../domain/request.ts"
import type { Figures, QueueStats, Stats } from "../../api/stats-api.ts"

const rounded = (value: number): number => Math.round(value * 100) / 100

const at = ({ numbers }: Tally, place: number): number => numbers[place] ?? 0

const sumOf = (tally: Tally, from: number, count: number): number =>
  tally.numbers.subarray(from, from + count).reduce((sum, value) => sum + value, 0)

const recentOf = (tally: Tally, name: (typeof recentNames)[number]): number =>
  tally.recent[recentNames.indexOf(name)] ?? 0

const firstToken = ({ firstTokens }: Tally): Figures["first_token_ms"] => {
  const spread = distributionOf(firstTokens, 0, firstTokenSeconds.bounds)
  const [p50, p95] = [quantile(spread, 0.5), quantile(spread, 0.95)]
  return p50 === undefined || p95 === undefined ? null : { p50: rounded(p50 * 1000), p95: rounded(p95 * 1000) }
}

const named = <Names extends object>(names: Names, tally: Tally): Names & Figures => ({ ...names, ...figuresOf(tally) })

const figuresOf = (tally: Tally): Figures => {
  const attempted = recentOf(tally, "attempts")
  return {
    in_flight: tally.inFlight,
    active_streams: tally.streams,
    requests: tally.numbers.subarray(counterPlaces.requests).reduce((sum, value) => sum + value, 0),
    attempts: sumOf(tally, counterPlaces.attempts, attemptOutcomes.length),
    errors: errorPlaces.reduce((sum, place) => sum + at(tally, place), 0),
    error_rate: attempted === 0 ? 0 : rounded(recentOf(tally, "errors") / attempted),
    failovers: at(tally, counterPlaces.failovers),
    prompt_tokens: at(tally, counterPlaces.tokens),
    cached_tokens: at(tally, counterPlaces.tokens + 1),
    completion_tokens: at(tally, counterPlaces.tokens + 2),
    requests_per_second: rounded(recentOf(tally, "requestRate")),
    tokens_per_second: rounded(recentOf(tally, "tokenRate")),
    pieces_per_second: rounded(recentOf(tally, "pieceRate")),
    first_token_ms: firstToken(tally)
  }
}

const byOutcome = (tally: Tally, endpoints: ReadonlyArray<string>): Stats["totals"]["outcomes"] => {
  const counts = { completed: 0, refused: 0, failed: 0, truncated: 0, client_closed: 0, cancelled: 0 }
  for (const [cell, { outcome }] of requestCells(endpoints).entries())
    counts[outcome] += at(tally, counterPlaces.requests + cell)
  return counts
}

const sumBy = ({ endpoints, tallies }: TotalFigures, keyOf: (tally: Tally) => string): ReadonlyMap<string, Tally> => {
  const sums = new Map<string, Tally>()
  for (const tally of tallies) {
    const key = keyOf(tally)
    const sum = sums.get(key) ?? emptyTally(tally.backend, tally.model, endpoints)
    sums.set(key, sum)
    addTally(sum, tally)
  }
  return sums
}

/** Who may answer for a group; undefined for a model, which backends list by its name. */
const groupMembers = (name: string, names: RoutingSettings, snapshot: Snapshot): QueueStats["candidates"] =>
  groupCandidates(name, names, snapshot)?.map(({ model, state }) => ({ backend: state.backend.name, model: model.id }))

const queueLine = (model: string, lines: TotalFigures["queues"], candidates: QueueStats["candidates"]): QueueStats => {
  const of = (wanted: PriorityClass) =>
    lines.reduce((sum, { priority, waiting }) => (priority === wanted ? sum + waiting : sum), 0)
  return {
    model,
    ...(candidates === undefined ? {} : { candidates }),
    waiting: lines.reduce((sum, { waiting }) => sum + waiting, 0),
    longest_wait_ms: Math.round(Math.max(...lines.map(({ longestMs }) => longestMs))),
    classes: { high: of("high"), normal: of("normal"), batch: of("batch") }
  }
}

const queueOf = ({ queues }: TotalFigures, snapshot: Snapshot, names: RoutingSettings): ReadonlyArray<QueueStats> => {
  const byModel = Map.groupBy(
    queues.filter(({ waiting }) => waiting > 0),
    ({ model }) => model
  )
  return [...byModel]
    .map(([model, lines]) => queueLine(model, lines, groupMembers(model, names, snapshot)))
    .toSorted((a, b) => b.waiting - a.waiting || (a.model < b.model ? -1 : 1))
}

/** All figures at this moment. */
export const statsOf = (
  whole: TotalFigures,
  snapshot: Snapshot,
  names: RoutingSettings,
  uptimeSeconds: number
): Stats => {
  const none = (backend: string): Tally => emptyTally(backend, "", whole.endpoints)
  const all = none("")
  for (const tally of whole.tallies) addTally(all, tally)
  const byBackend = sumBy(whole, ({ backend }) => backend)
  const asked = new Map<string, Array<string>>()
  const inFlight = new Map<string, number>()
  const inFlightOf = (backend: string, model: string): number => inFlight.get(`${backend}\n${model}`) ?? 0
  for (const { backend, inFlight: working, model } of whole.tallies) {
    if (working > 0) inFlight.set(`${backend}\n${model}`, inFlightOf(backend, model) + working)
    const backends = asked.get(model) ?? []
    asked.set(model, backends)
    if (!isPlaceholder(backend)) backends.push(backend)
  }
  return {
    version,
    uptime_seconds: Math.floor(uptimeSeconds),
    totals: {
      ...figuresOf(all),
      in_flight: whole.active,
      turned_away: whole.turnedAway.reduce((sum, count) => sum + count, 0),
      outcomes: byOutcome(all, whole.endpoints)
    },
    backends: [...snapshot.backends.values()].map((state) => {
      const { backend, mode, health, live, models } = state
      const { name } = backend
      const reason = mode === "enabled" ? reasonOf(state) : health.reason
      const slots = [...models.values()].flatMap((model) => {
        const known = slotsOf(model, live)
        return known === undefined ? [] : [{ model: model.id, ...known, in_flight: inFlightOf(name, model.id) }]
      })
      return named(
        {
          name,
          zone: zoneOf(backend),
          mode,
          status: health.status,
          reason,
          models: models.size,
          ...(slots.length === 0 ? {} : { slots })
        },
        byBackend.get(name) ?? none(name)
      )
    }),
    models: [...sumBy(whole, ({ model }) => model)]
      .map(([id, tally]) => named({ id, backends: asked.get(id) ?? [] }, tally))
      .toSorted((a, b) => b.requests - a.requests || (a.id < b.id ? -1 : 1)),
    queue: queueOf(whole, snapshot, names),
    workers: whole.processes.map(({ worker, rssBytes, cpuSeconds }) => ({
      worker,
      rss_bytes: rssBytes,
      cpu_seconds: rounded(cpuSeconds)
    }))
  }
}
