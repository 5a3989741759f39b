/**
 * All meters of a process, by backend and model, and never more than a bound: names come from outside.
 */
import type { GenAiCounts } from "./gen-ai-counts.ts"
import { Meter } from "./meter.ts"
import { QueueCounts } from "./queue-counts.ts"
import { RuleCounts } from "./rule-counts.ts"

/** Stands for every name that has no figures of its own. */
export const otherLabel = "other"

/** Stands for the backend of a request that none was asked for. */
export const noBackendLabel = "none"

/** Meters with figures of their own at most; what comes beyond is counted together. */
export const mostMeters = 400

/** Backends that may have a meter for their other models, beyond the bound. */
const mostOthers = 100

/** Statuses with which a request is turned away unread. */
export const turnedAwayCodes = [400, 401, 403, 404, 414, 429, 503] as const

/** The meters of a process. */
export class MeterTable {
  private readonly byBackend = new Map<string, Map<string, Meter>>()
  private size = 0
  /** The names of all that can be asked for. */
  readonly endpoints: ReadonlyArray<string>
  private readonly isServed: (backend: string, model: string) => boolean
  // What was looked through in vain is not looked through again before the bound could hold.
  private lookAgainAt = 0
  /** Requests turned away, by {@link turnedAwayCodes}. */
  readonly turnedAway = new Float64Array(turnedAwayCodes.length)
  /** Requests under way. */
  active = 0
  /** What is counted of the route table. */
  readonly rules = new RuleCounts()
  /** What is counted by the conventions for GenAI; undefined while nobody takes that. */
  genAi: GenAiCounts | undefined
  /** What waits for slots. */
  readonly queues = new QueueCounts(otherLabel)

  /** `isServed` says whether a backend serves a model now: its meter is then never given up. */
  constructor(endpoints: ReadonlyArray<string>, isServed: (backend: string, model: string) => boolean) {
    this.endpoints = endpoints
    this.isServed = isServed
  }

  /** Where a backend and model are counted. */
  meter(backend: string, model: string): Meter {
    return this.byBackend.get(backend)?.get(model) ?? this.make(backend, model, performance.now())
  }

  /** Counts a request that was turned away. */
  turnAway(status: number): void {
    const at = turnedAwayCodes.findIndex((code) => code === status)
    if (at >= 0) this.turnedAway[at] = (this.turnedAway[at] ?? 0) + 1
  }

  /** All of them. */
  meters(): ReadonlyArray<Meter> {
    return [...this.byBackend.values()].flatMap((models) => models.values().toArray())
  }

  private make(backend: string, model: string, now: number): Meter {
    if (this.size >= mostMeters && now >= this.lookAgainAt) {
      this.lookAgainAt = now + 10_000
      this.giveUp()
    }
    if (this.size < mostMeters) return this.add(backend, model)
    const shared = this.byBackend.get(backend)?.get(otherLabel)
    if (shared !== undefined) return shared
    if (this.size < mostMeters + mostOthers) return this.add(backend, otherLabel)
    return this.byBackend.get(otherLabel)?.get(otherLabel) ?? this.add(otherLabel, otherLabel)
  }

  private add(backend: string, model: string): Meter {
    const meter = new Meter(backend, model, this.endpoints)
    const models = this.byBackend.get(backend)
    if (models === undefined) this.byBackend.set(backend, new Map([[model, meter]]))
    else models.set(model, meter)
    this.size += 1
    return meter
  }

  // What is not served any more is counted with the others; no count is lost.
  private giveUp(): void {
    const rest = this.byBackend.get(otherLabel)?.get(otherLabel) ?? this.add(otherLabel, otherLabel)
    for (const [backend, models] of this.byBackend) {
      for (const [model, meter] of models) {
        if (meter === rest || meter.inFlight > 0 || this.isServed(backend, model)) continue
        rest.absorb(meter)
        models.delete(model)
        this.size -= 1
      }
      if (models.size === 0) this.byBackend.delete(backend)
    }
  }
}
