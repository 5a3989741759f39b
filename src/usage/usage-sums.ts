/**
 * The sums of records, hour by hour: what reports are made of, so that they stay quick and stay when the records have gone.
 */
import type { UsageRecord } from "./usage-record.ts"

/** Milliseconds of an hour. */
export const hourMs = 3_600_000

/** The hour that a record belongs to, in hours since 1970. */
const hourOf = (at: number): number => Math.floor(at / hourMs)

/** What a record adds to each figure, in the order of `summedFigures`. */
export const figuresOf = ({ cost, counted, durationMs, outcome, tokens }: UsageRecord): ReadonlyArray<number> => [
  1,
  outcome === "completed" ? 1 : 0,
  counted === "estimated" ? 1 : 0,
  tokens.fresh,
  tokens.cacheRead,
  tokens.cacheWrite,
  tokens.output,
  tokens.reasoning,
  durationMs,
  cost.nanos,
  cost.by === "unknown" && counted !== "none" ? 1 : 0
]

/** The sums of one hour and series. */
export interface HourSums {
  readonly hour: number
  readonly series: number
  /** In the order of `summedFigures`. */
  readonly sums: Array<number>
}

/** The sums of a batch, by hour and series; `seriesOf` gives the number of a record's series. */
export const sumBatch = (
  batch: ReadonlyArray<UsageRecord>,
  seriesOf: (record: UsageRecord) => number
): ReadonlyArray<HourSums> => {
  const all = new Map<number, Map<number, HourSums>>()
  for (const record of batch) {
    const hour = hourOf(record.at)
    const series = seriesOf(record)
    const ofHour = all.get(hour) ?? new Map<number, HourSums>()
    if (ofHour.size === 0) all.set(hour, ofHour)
    const known = ofHour.get(series)
    if (known === undefined) ofHour.set(series, { hour, series, sums: [...figuresOf(record)] })
    else for (const [at, value] of figuresOf(record).entries()) known.sums[at] = (known.sums[at] ?? 0) + value
  }
  return [...all.values()].flatMap((ofHour) => ofHour.values().toArray())
}
