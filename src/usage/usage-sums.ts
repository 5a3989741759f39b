/**
 * The sums of records, hour by hour: what reports are made of, so that they stay quick and stay when the records have gone.
 */
import { type FigureSums, type ReportGroup, summedFigures } from "../domain/usage-words.ts"
import type { RecordKind } from "./packed-records.ts"

/** Figures in the order of `summedFigures`. */
type Figures = ReadonlyArray<number>

const figuresOf = (kind: RecordKind): Figures => {
  const { cacheRead, cacheWrite, counted, durationMs, fresh, nanos, outcome, output, priced, reasoning, requests } =
    kind
  const isUnpriced = priced === "unknown" && counted !== "none"
  return [
    requests,
    outcome === "completed" ? requests : 0,
    counted === "estimated" ? requests : 0,
    fresh,
    cacheRead,
    cacheWrite,
    output,
    reasoning,
    durationMs,
    nanos,
    isUnpriced ? requests : 0
  ]
}

/** The sums of one hour and series. */
interface HourSums {
  /** When the hour begins, in milliseconds since 1970. */
  readonly from: number
  readonly series: number
  sums: Figures
}

/** The sums of kinds of records by hour and series, which are told by their numbers in the same order. */
export const hourSums = (kinds: ReadonlyArray<RecordKind>, series: ReadonlyArray<number>): ReadonlyArray<HourSums> => {
  const all = new Map<string, HourSums>()
  for (const [at, kind] of kinds.entries()) {
    const own = series[at] ?? 0
    const name = `${own} ${kind.from}`
    const figures = figuresOf(kind)
    const known = all.get(name)
    if (known === undefined) all.set(name, { from: kind.from, series: own, sums: figures })
    else known.sums = known.sums.map((sum, figure) => sum + (figures[figure] ?? 0))
  }
  return [...all.values()]
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
