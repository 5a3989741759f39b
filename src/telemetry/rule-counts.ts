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

/** The figures of the rules of a process. */
export class RuleCounts {
  private readonly series = new Map<
    string,
    { readonly figure: string; readonly labels: ReadonlyArray<string>; value: number }
  >()

  /** Adds to a figure. */
  add(figure: RuleFigure, labels: ReadonlyArray<string>, by = 1): void {
    let key: string = figure
    for (const label of labels) key += ` ${label.length} ${label}`
    const known = this.series.get(key)
    if (known !== undefined) known.value += by
    else if (this.series.size < mostSeries) this.series.set(key, { figure, labels, value: by })
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
