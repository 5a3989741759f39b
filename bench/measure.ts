/**
 * A measured quantity over legs and trials, and its mark.
 */
import { median } from "./figures.ts"
import type { LegName } from "./legs.ts"

/** What a quantity must keep to; `value` and `floor` are medians. */
export interface Mark {
  readonly text: string
  readonly ok: (value: number, floor: number) => boolean
}

/** One quantity: its readings by leg, one for each trial. */
export interface Measure {
  readonly what: string
  readonly unit: string
  readonly digits: number
  readonly legs: Partial<Record<LegName, ReadonlyArray<number>>>
  readonly mark?: Mark
}

/** What a row of the bench gave. */
export interface Outcome {
  readonly measures: ReadonlyArray<Measure>
  /** Validity: failures, lost frames, lateness, and so on, one line each. */
  readonly notes: ReadonlyArray<string>
}

/** A part of the bench that can be run alone. */
export interface Row {
  readonly name: string
  readonly title: string
  readonly run: (context: Context) => Promise<Outcome>
}

/** How a bench is run. */
export interface Context {
  readonly trials: number
  /** Length of one reading, in seconds. */
  readonly seconds: number
  readonly legs: ReadonlyArray<LegName>
  /** The program of a LiteLLM that is to be measured beside ours. */
  readonly litellm?: string
}

/** At most `limit` times the floor. */
export const atMost = (limit: number): Mark => ({
  text: `≤ ${String(limit)} f`,
  ok: (value, floor) => value <= limit * floor
})

/** At most `limit` more than the floor. */
export const addsAtMost = (limit: number, unit: string): Mark => ({
  text: `≤ f + ${String(limit)} ${unit}`,
  ok: (value, floor) => value <= floor + limit
})

/** At least `limit` times the floor. */
export const atLeast = (limit: number): Mark => ({
  text: `≥ ${String(limit)} f`,
  ok: (value, floor) => value >= limit * floor
})

/** At most `limit`, whatever the floor does. */
export const below = (limit: number, unit: string): Mark => ({
  text: `≤ ${String(limit)} ${unit}`,
  ok: (value) => value <= limit
})

/** At least `limit`, whatever the floor does. */
export const above = (limit: number, unit: string): Mark => ({
  text: `≥ ${String(limit)} ${unit}`,
  ok: (value) => value >= limit
})

/** Both marks. */
export const both = (one: Mark, other: Mark): Mark => ({
  text: `${one.text}, ${other.text}`,
  ok: (value, floor) => one.ok(value, floor) && other.ok(value, floor)
})

/** Collects readings by quantity and leg. */
export class Readings {
  readonly #all = new Map<string, Map<LegName, Array<number>>>()

  add(what: string, leg: LegName, value: number): void {
    const legs = this.#all.get(what) ?? new Map<LegName, Array<number>>()
    this.#all.set(what, legs)
    const values = legs.get(leg) ?? []
    legs.set(leg, values)
    values.push(value)
  }

  /** The readings of a quantity, by leg. */
  of(what: string): Partial<Record<LegName, ReadonlyArray<number>>> {
    return Object.fromEntries(this.#all.get(what) ?? [])
  }

  /** A measure of the quantity. */
  measure(what: string, unit: string, digits: number, mark?: Mark): Measure {
    return { what, unit, digits, legs: this.of(what), ...(mark === undefined ? {} : { mark }) }
  }

  /** The readings of each leg less the direct ones of the same trial: what the leg adds. */
  added(what: string, unit: string, digits: number, mark?: Mark): Measure {
    const legs = this.of(what)
    const direct = legs.direct ?? []
    const rest = Object.entries(legs).filter(([leg]) => leg !== "direct")
    const less = rest.map(([leg, values]) => [leg, values.map((value, at) => value - (direct[at] ?? 0))])
    return {
      what: `added ${what}`,
      unit,
      digits,
      legs: Object.fromEntries(less),
      ...(mark === undefined ? {} : { mark })
    }
  }
}

/** Median of a leg, or NaN. */
export const medianOf = (measure: Measure, leg: LegName): number => median(measure.legs[leg] ?? [])
