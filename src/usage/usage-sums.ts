/**
 * The sums of records, hour by hour: what reports are made of, so that they stay quick and stay when the records have gone.
 */
import { type FigureSums, type ReportGroup, summedFigures } from "../domain/usage-words.ts"
import type { UsageRecord } from "./usage-record.ts"

/** Milliseconds of an hour. */
export const hourMs = 3_600_000

/** The hour that a record belongs to, in hours since 1970. */
const hourOf = (at: number): number => Math.floor(at / hourMs)

/** What a record adds to each figure, in the order of `summedFigures`. */
export const figuresOf = ({ cost, counted, durationMs, outcome, tokens }: UsageRecord): Array<number> => [
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

/** The sums of a batch, by hour and series; `series` has the number of each record's series, in their order. */
export const sumBatch = (batch: ReadonlyArray<UsageRecord>, series: ReadonlyArray<number>): ReadonlyArray<HourSums> => {
  const all: Array<HourSums> = []
  for (const [at, record] of batch.entries()) {
    const hour = hourOf(record.at)
    const own = series[at] ?? 0
    // There are few in a batch.
    const into = all.find((each) => each.series === own && each.hour === hour)
    const figures = figuresOf(record)
    if (into === undefined) all.push({ hour, series: own, sums: figures })
    else
      for (let place = 0; place < figures.length; place += 1)
        into.sums[place] = (into.sums[place] ?? 0) + (figures[place] ?? 0)
  }
  return all
}

/** The rows of a report, and all of them together. */
export interface UsageSums {
  readonly rows: ReadonlyArray<ReportRow>
  readonly total: FigureSums
}

/** A row of a report: what it is of, in the order of the query, and its sums. */
interface ReportRow extends FigureSums {
  readonly of: ReadonlyArray<string>
}

const bothOf = <A extends FigureSums>(one: A, other: FigureSums): A => {
  const sums: Record<string, number> = {}
  for (const figure of summedFigures) sums[figure] = one[figure] + other[figure]
  return { ...one, ...sums }
}

const isTime = (group: ReportGroup): boolean => group === "day" || group === "hour"

/** Reports of several ledgers as one, in the order of each of them: by time, and then the dearest first. */
export const reportOfAll = (
  first: UsageSums,
  others: ReadonlyArray<UsageSums>,
  by: ReadonlyArray<ReportGroup>
): UsageSums => {
  if (others.length === 0) return first
  const rows = new Map<string, ReportRow>()
  for (const row of [first, ...others].flatMap((each) => each.rows)) {
    const name = JSON.stringify(row.of)
    const known = rows.get(name)
    rows.set(name, known === undefined ? row : bothOf(known, row))
  }
  const times = by.flatMap((group, at) => (isTime(group) ? [at] : []))
  const inTime = (a: ReportRow, b: ReportRow): number => {
    for (const at of times) {
      const [x = "", y = ""] = [a.of[at], b.of[at]]
      if (x !== y) return x < y ? -1 : 1
    }
    return 0
  }
  const inName = (a: ReportRow, b: ReportRow): number => (JSON.stringify(a.of) < JSON.stringify(b.of) ? -1 : 1)
  return {
    rows: [...rows.values()].toSorted(
      (a, b) => inTime(a, b) || b.cost_nanos - a.cost_nanos || b.requests - a.requests || inName(a, b)
    ),
    total: others.reduce((sum, { total }) => bothOf(sum, total), first.total)
  }
}
