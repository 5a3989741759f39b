/**
 * Traces that stand for what a histogram has counted: of each bucket one of the last, so that a slow one can be looked at.
 */
import { bucketOf } from "./histogram.ts"

/** A request that was counted in a bucket. */
export interface Exemplar {
  /** Where the bucket is among the numbers. */
  readonly place: number
  readonly value: number
  readonly traceId: string
  /** How long ago it ended, in milliseconds. */
  readonly ageMs: number
}

interface Noted extends Omit<Exemplar, "ageMs"> {
  readonly at: number
}

// One of a bucket stands for all that follow within this, in milliseconds.
const standsMs = 1000

/** Those of the histograms of a meter. */
export class Exemplars {
  private readonly noted = new Map<number, Noted>()

  /** A value of a trace that is recorded was counted in the histogram that begins at `from`; `now` in monotonic milliseconds. */
  note(from: number, bounds: ReadonlyArray<number>, value: number, traceId: string, now: number): void {
    const place = from + bucketOf(bounds, value)
    const before = this.noted.get(place)
    if (before !== undefined && now - before.at < standsMs) return
    // A copy: a part of a longer text would keep all of that in memory.
    this.noted.set(place, { place, value, traceId: Buffer.from(traceId, "latin1").toString("latin1"), at: now })
  }

  all(now: number): ReadonlyArray<Exemplar> {
    return this.noted
      .values()
      .map(({ at, place, traceId, value }) => ({ place, value, traceId, ageMs: now - at }))
      .toArray()
  }
}

/** Adds those of another process: of each bucket the youngest stays. */
export const addExemplars = (known: Map<number, Exemplar>, more: ReadonlyArray<Exemplar>): void => {
  for (const each of more) {
    const before = known.get(each.place)
    if (before === undefined || before.ageMs > each.ageMs) known.set(each.place, each)
  }
}
