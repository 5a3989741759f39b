/**
 * What changes, kept in order for all who follow: events with numbers, the last ones of them, and everything as it is.
 */
import { type BackendStanding, type Everything, type LiveEvent, mostUnderWay } from "../api/events-api.ts"
import type { RecentRequest, RequestUnderWay } from "../api/admin-api.ts"
import type { BackendEntry } from "../api/backend-entry.ts"
import type { ConfigStatus } from "../api/control-api.ts"
import type { Stats } from "../api/stats-api.ts"

/** Events that are kept for those who come back: some minutes of a calm gateway, seconds of a busy one. */
const keptEvents = 256

/** Requests that ended last, as everything tells of them. */
export const mostEnded = 200

/** An event as it is sent. */
export interface SentEvent {
  readonly id: string
  readonly event: LiveEvent["event"]
  readonly json: string
}

/** How the gateway stands at a moment. */
export interface FeedMoment {
  readonly backends: ReadonlyArray<BackendEntry>
  readonly config: ConfigStatus
  readonly underWay: ReadonlyArray<RequestUnderWay>
  /** Those that have ended since the last time, in any order; they may be told again. */
  readonly ended: ReadonlyArray<RecentRequest>
  readonly figures: Stats
}

const keyOf = ({ at, id }: RecentRequest): string => `${at} ${id}`

/** Whether something is not as it was; notes how it is. */
const isOther = (before: Map<string, string>, name: string, value: unknown): boolean => {
  const json = JSON.stringify(value)
  if (before.get(name) === json) return false
  before.set(name, json)
  return true
}

/** The events of one stretch in which somebody follows; `epoch` tells its ids from those of others. */
export class LiveFeed {
  private readonly epoch: string
  private readonly events: Array<SentEvent> = []
  private count = 0
  private stand: FeedMoment | undefined
  private ended: ReadonlyArray<RecentRequest> = []
  private readonly backends = new Map<string, string>()
  private readonly standings = new Map<string, string>()
  private readonly figures = { backends: new Map<string, string>(), models: new Map<string, string>() }

  constructor(epoch: string) {
    this.epoch = epoch
  }

  /** The number of the last event. */
  get latest(): number {
    return this.count
  }

  /** Notes how the gateway stands now; makes events of what is not as it was. */
  take(now: FeedMoment): void {
    const before = this.stand
    this.stand = now
    const standings: Array<BackendStanding> = []
    for (const entry of now.backends) {
      const { circuits, cooling_ms, in_flight, latency_ms, ...lasting } = entry
      const { name } = entry
      const standing = { name, latency_ms, in_flight, cooling_ms, circuits }
      const [isNew, standsNew] = [isOther(this.backends, name, lasting), isOther(this.standings, name, standing)]
      if (before === undefined) continue
      if (isNew) this.tell({ event: "backend", data: entry })
      else if (standsNew) standings.push(standing)
    }
    if (standings.length > 0) this.tell({ event: "standings", data: { backends: standings } })
    for (const name of this.backends.keys()) {
      if (now.backends.some((each) => each.name === name)) continue
      this.backends.delete(name)
      this.standings.delete(name)
      this.figures.backends.delete(name)
      this.tell({ event: "backend_gone", data: { name } })
    }
    if (before !== undefined && JSON.stringify(before.config) !== JSON.stringify(now.config))
      this.tell({ event: "config", data: now.config })
    const wasUnderWay = (before?.underWay.length ?? 0) > 0
    if (now.underWay.length > 0 || wasUnderWay) this.tell({ event: "under_way", data: listed(now.underWay) })
    // Those of the last time may be told again, however many they were.
    const known = new Set([...(before?.ended ?? []), ...this.ended].map(keyOf))
    const ended = now.ended
      .filter((each) => !known.has(keyOf(each)))
      .toSorted((a, b) => a.at + a.duration_ms - b.at - b.duration_ms)
    if (ended.length > 0) {
      this.ended = [...ended.toReversed(), ...this.ended].slice(0, mostEnded)
      if (before !== undefined) this.tell({ event: "ended", data: { requests: ended.slice(-mostEnded) } })
    }
    const { figures } = now
    const backends = figures.backends.filter((each) => isOther(this.figures.backends, each.name, each))
    const models = figures.models.filter((each) => isOther(this.figures.models, each.id, each))
    if (before !== undefined) this.tell({ event: "figures", data: { ...figures, backends, models } })
  }

  /** What follows an event, by its number; everything where that is not known any more. */
  after(number: number): ReadonlyArray<SentEvent> {
    const missing = this.count - number
    if (number < 0 || missing > this.events.length) {
      const all = this.everything
      return all === undefined ? [] : [all]
    }
    return missing <= 0 ? [] : this.events.slice(-missing)
  }

  /** The number of an event of this stretch; -1 for every other one. */
  numberOf(id: string | undefined): number {
    const [epoch, number] = (id ?? "").split("-")
    if (epoch !== this.epoch || number === undefined || !/^\d{1,15}$/.test(number)) return -1
    return Math.min(Number(number), this.count)
  }

  private get everything(): SentEvent | undefined {
    const { ended, stand } = this
    if (stand === undefined) return undefined
    const { backends, config, figures, underWay } = stand
    const data: Everything = { backends, config, ended, figures, under_way: listed(underWay) }
    return { id: this.idOf(this.count), event: "everything", json: JSON.stringify(data) }
  }

  private idOf(number: number): string {
    return `${this.epoch}-${number}`
  }

  private tell({ data, event }: LiveEvent): void {
    this.count += 1
    this.events.push({ id: this.idOf(this.count), event, json: JSON.stringify(data) })
    if (this.events.length > keptEvents) this.events.shift()
  }
}

const listed = (requests: ReadonlyArray<RequestUnderWay>): Everything["under_way"] => ({
  requests: requests.slice(0, mostUnderWay),
  total: requests.length
})
