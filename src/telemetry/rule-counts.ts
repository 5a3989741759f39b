/**
 * What is counted of the rules of the route table, and of what could not be sent elsewhere: few series, named by the config.
 */

/** The figures of rules, and of what is sent elsewhere, in the order of their labels. */
export const ruleFigures = {
  requests: ["rule", "side"],
  shadows: ["rule", "backend", "model", "outcome"],
  pairs: ["rule", "backend", "model"],
  alike: ["rule", "backend", "model", "part"],
  seconds: ["rule", "backend", "model", "side", "part"],
  tokens: ["rule", "backend", "model", "side", "kind"],
  dropped: ["signal"],
  unsampled: [],
  cost: ["backend", "model"],
  usageLost: [],
  cache: ["name", "cache"],
  captures: ["outcome"],
  capturedBytes: [],
  failedTries: [],
  slowed: [],
  hooks: ["hook", "phase", "outcome"],
  hookSeconds: ["hook", "phase"]
} as const

/** The name of one of {@link ruleFigures}. */
export type RuleFigure = keyof typeof ruleFigures

/** How a copy of a request ended. */
export type ShadowOutcome = "completed" | "truncated" | "failed" | "cut" | "skipped"

/** A figure, the values of its labels, and the number. */
export type RuleCount = readonly [figure: string, labels: ReadonlyArray<string>, value: number]

/** Series that are kept at most: models and rules come and go. */
const mostSeries = 2000

interface Series {
  readonly figure: string
  readonly labels: ReadonlyArray<string>
  value: number
}

const isOf = ({ labels }: Series, others: ReadonlyArray<string>): boolean => {
  for (let at = 0; at < labels.length; at += 1) if (labels[at] !== others[at]) return false
  return true
}

/** The figures of the rules of a process. */
export class RuleCounts {
  private readonly series = new Map<string, Series>()
  // Of each figure the one that was added to last, which is often the next one as well.
  private readonly last = new Map<RuleFigure, Series>()

  /** Adds to a figure. */
  add(figure: RuleFigure, labels: ReadonlyArray<string>, by = 1): void {
    const before = this.last.get(figure)
    if (before !== undefined && isOf(before, labels)) {
      before.value += by
      return
    }
    let key: string = figure
    for (const label of labels) key += ` ${label.length} ${label}`
    let known = this.series.get(key)
    if (known === undefined) {
      if (this.series.size >= mostSeries) return
      known = { figure, labels, value: 0 }
      this.series.set(key, known)
    }
    known.value += by
    this.last.set(figure, known)
  }

  /** All of them. */
  all(): ReadonlyArray<RuleCount> {
    return Array.from(this.series.values(), ({ figure, labels, value }) => [figure, labels, value] as const)
  }
}

/** What the figures of several processes come to. */
export const sumRuleCounts = (all: Iterable<ReadonlyArray<RuleCount>>): ReadonlyArray<RuleCount> => {
  const sums = new Map<string, RuleCount>()
  for (const counts of all) {
    for (const [figure, labels, value] of counts) {
      const key = JSON.stringify([figure, labels])
      sums.set(key, [figure, labels, value + (sums.get(key)?.[2] ?? 0)])
    }
  }
  return [...sums.values()]
}
