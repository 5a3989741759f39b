/**
 * The sums of records, hour by hour: what reports are made of, so that they stay quick and stay when the records have gone.
 */
import { outcomes } from "../domain/request.ts"
import { type FigureSums, type ReportGroup, summedFigures } from "../domain/usage-words.ts"
import { packedColumns as column, type PackedRecords } from "./packed-records.ts"
import { countSources, priceSources } from "./usage-record.ts"

/** Milliseconds of an hour. */
export const hourMs = 3_600_000

const completed = outcomes.indexOf("completed")
const uncounted = countSources.indexOf("none")
const estimated = countSources.indexOf("estimated")
const unknown = priceSources.indexOf("unknown")

// The figures from the fourth on.
const asTheyAre = [
  column.fresh,
  column.cacheRead,
  column.cacheWrite,
  column.output,
  column.reasoning,
  column.durationMs,
  column.nanos
]

const plus = (to: Array<number>, figure: number, value: number): void => {
  to[figure] = (to[figure] ?? 0) + value
}

// What a record adds to each figure, in the order of `summedFigures`.
const addFigures = (to: Array<number>, records: PackedRecords, place: number): void => {
  const counted = records.numberAt(place, column.counted)
  plus(to, 0, 1)
  if (records.numberAt(place, column.outcome) === completed) plus(to, 1, 1)
  if (counted === estimated) plus(to, 2, 1)
  for (let at = 0; at < asTheyAre.length; at += 1) plus(to, 3 + at, records.numberAt(place, asTheyAre[at] ?? 0))
  if (records.numberAt(place, column.priced) === unknown && counted !== uncounted) plus(to, 10, 1)
}

/** The sums of one hour and series. */
interface HourSums {
  readonly hour: number
  readonly series: number
  /** In the order of `summedFigures`. */
  readonly sums: Array<number>
}

/** The sums of records, by hour and series. */
export class BatchSums {
  readonly all: Array<HourSums> = []
  private last: HourSums | undefined

  /** Adds one of a series, which is told by its number. */
  add(records: PackedRecords, place: number, series: number): void {
    const hour = Math.floor(records.numberAt(place, column.at) / hourMs)
    const { last } = this
    // Those that end one after the other are often of the same.
    const into = last?.hour === hour && last.series === series ? last : this.of(hour, series)
    this.last = into
    addFigures(into.sums, records, place)
  }

  private of(hour: number, series: number): HourSums {
    // There are few in a batch.
    const known = this.all.find((each) => each.series === series && each.hour === hour)
    if (known !== undefined) return known
    const made = { hour, series, sums: summedFigures.map(() => 0) }
    this.all.push(made)
    return made
  }
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
