/**
 * The words of the usage ledger that its contract shares with it.
 */

/** What the rows of a report may stand for. */
export const reportGroups = [
  "key",
  "owner",
  "model",
  "served",
  "backend",
  "dialect",
  "endpoint",
  "day",
  "hour"
] as const

/** One of {@link reportGroups}. */
export type ReportGroup = (typeof reportGroups)[number]

/** The figures that are summed up; tokens in four counts of which none holds a part of another, reasoning as a part of output. */
export const summedFigures = [
  "requests",
  "completed",
  "estimated",
  "fresh",
  "cache_read",
  "cache_write",
  "output",
  "reasoning",
  "duration_ms",
  "cost_nanos",
  "unpriced"
] as const

/** Sums by the name of the figure. */
export type FigureSums = { readonly [F in (typeof summedFigures)[number]]: number }

/** How long a budget lasts; weeks begin on Mondays, all of them at midnight (UTC). */
export const budgetPeriods = ["day", "week", "month"] as const

/** One of {@link budgetPeriods}. */
export type BudgetPeriod = (typeof budgetPeriods)[number]

/** What each of has a budget of its own; all have one together otherwise. */
export const budgetShares = ["all", "key", "owner", "model"] as const

/** One of {@link budgetShares}. */
export type BudgetShare = (typeof budgetShares)[number]
