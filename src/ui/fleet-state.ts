/**
 * What the page knows of the gateway: everything as it was told first, with each event since put in its place.
 */
import type { RecentRequest, RequestUnderWay } from "../api/admin-api.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import type { ConfigStatus } from "../api/control-api.ts"
import type { Everything, LiveEvent } from "../api/events-api.ts"
import type { Stats } from "../api/stats-api.ts"

/** How the stream stands. */
export type Link = "connecting" | "open" | "lost" | "sign in"

/** What the stream tells. */
export type LiveMessage =
  | { readonly _tag: "Link"; readonly link: Link }
  | { readonly _tag: "Event"; readonly event: LiveEvent }

/** Figures that are drawn over time, newest last; one point for each that was told. */
interface FigureSeries {
  /** Seconds since 1970. */
  readonly at: ReadonlyArray<number>
  readonly requests: ReadonlyArray<number>
  readonly tokens: ReadonlyArray<number>
  readonly inFlight: ReadonlyArray<number>
}

/** All that is known; undefined before everything was told. */
export interface Fleet {
  readonly backends: ReadonlyMap<string, BackendEntry>
  readonly config: ConfigStatus
  readonly underWay: ReadonlyArray<RequestUnderWay>
  readonly underWayTotal: number
  /** Newest first. */
  readonly ended: ReadonlyArray<RecentRequest>
  readonly figures: Stats
  readonly series: FigureSeries
  /** The last rates of pieces of each backend, newest last. */
  readonly rates: ReadonlyMap<string, ReadonlyArray<number>>
}

// Requests that have ended, as many as the gateway remembers.
const mostEnded = 1000

// Ten minutes of figures, and one for a small chart.
const mostPoints = 1200
const mostRates = 60

const pushed = (list: ReadonlyArray<number>, value: number, most: number): ReadonlyArray<number> =>
  list.length < most ? [...list, value] : [...list.slice(list.length - most + 1), value]

const noSeries: FigureSeries = { at: [], requests: [], tokens: [], inFlight: [] }

const withPoint = (series: FigureSeries, { totals }: Stats, now: number): FigureSeries => ({
  at: pushed(series.at, now / 1000, mostPoints),
  requests: pushed(series.requests, totals.requests_per_second, mostPoints),
  tokens: pushed(series.tokens, totals.pieces_per_second, mostPoints),
  inFlight: pushed(series.inFlight, totals.in_flight, mostPoints)
})

const ratesWith = (
  rates: Fleet["rates"],
  backends: ReadonlyMap<string, Stats["backends"][number]>
): ReadonlyMap<string, ReadonlyArray<number>> =>
  new Map(
    [...backends].map(([name, { pieces_per_second: rate }]) => [name, pushed(rates.get(name) ?? [], rate, mostRates)])
  )

const byName = (list: Stats["backends"]): Map<string, Stats["backends"][number]> =>
  new Map(list.map((each) => [each.name, each]))

const begun = (
  { backends, config, ended, figures, under_way: underWay }: Everything,
  before: Fleet | undefined,
  now: number
): Fleet => {
  const known = new Set(ended.map(({ at, id }) => `${at} ${id}`))
  const older = (before?.ended ?? []).filter(({ at, id }) => !known.has(`${at} ${id}`))
  return {
    backends: new Map(backends.map((each) => [each.name, each])),
    config,
    underWay: underWay.requests,
    underWayTotal: underWay.total,
    ended: [...ended, ...older].slice(0, mostEnded),
    figures,
    series: withPoint(before?.series ?? noSeries, figures, now),
    rates: ratesWith(before?.rates ?? new Map(), byName(figures.backends))
  }
}

/** What is known after what the stream has told; nothing of it is left where somebody has to sign in. */
export const afterMessage = (fleet: Fleet | undefined, message: LiveMessage, now: number): Fleet | undefined => {
  if (message._tag === "Event") return afterEvent(fleet, message.event, now)
  return message.link === "sign in" ? undefined : fleet
}

/** What is known after an event; `now` in milliseconds since 1970. Before everything was told nothing is. */
export const afterEvent = (fleet: Fleet | undefined, { data, event }: LiveEvent, now: number): Fleet | undefined => {
  if (event === "everything") return begun(data, fleet, now)
  if (fleet === undefined) return undefined
  switch (event) {
    case "backend":
      return { ...fleet, backends: new Map(fleet.backends).set(data.name, data) }
    case "standings": {
      const backends = new Map(fleet.backends)
      for (const standing of data.backends) {
        const known = backends.get(standing.name)
        if (known !== undefined) backends.set(standing.name, { ...known, ...standing })
      }
      return { ...fleet, backends }
    }
    case "backend_gone": {
      const { name } = data
      return {
        ...fleet,
        backends: new Map([...fleet.backends].filter(([each]) => each !== name)),
        figures: { ...fleet.figures, backends: fleet.figures.backends.filter((each) => each.name !== name) }
      }
    }
    case "under_way":
      return { ...fleet, underWay: data.requests, underWayTotal: data.total }
    case "ended":
      return { ...fleet, ended: [...data.requests.toReversed(), ...fleet.ended].slice(0, mostEnded) }
    case "figures": {
      const backends = byName(fleet.figures.backends)
      for (const each of data.backends) backends.set(each.name, each)
      const models = new Map(fleet.figures.models.map((each) => [each.id, each]))
      for (const each of data.models) models.set(each.id, each)
      return {
        ...fleet,
        figures: { ...data, backends: [...backends.values()], models: [...models.values()] },
        series: withPoint(fleet.series, data, now),
        rates: ratesWith(fleet.rates, backends)
      }
    }
    case "config":
      return { ...fleet, config: data }
  }
}

/** What a newcomer is told, so that it knows the same. */
export const toldWhole = ({ backends, config, ended, figures, underWay, underWayTotal }: Fleet): LiveEvent => ({
  event: "everything",
  data: {
    backends: [...backends.values()],
    config,
    ended,
    figures,
    under_way: { requests: underWay, total: underWayTotal }
  }
})
