/**
 * The budgets of the config as they count: money in billionths of a dollar, and models by the names that requests are counted by.
 */
import type { LoadedConfig } from "../config/compile.ts"
import { derived } from "../config/derived.ts"
import { isGlob } from "../domain/glob.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import { knownAs } from "../router/names.ts"
import type { BudgetRule } from "../usage/budget.ts"

const nanosOf = (dollars: number): number => Math.round(dollars * 1e9)

const writtenRules = ({ settings: { budgets } }: LoadedConfig): ReadonlyArray<BudgetRule> =>
  budgets.map(({ each, hard_usd: hard, keys, models, name, on_budget, owners, per, soft_usd: soft, webhook_url }) => ({
    name,
    each,
    per,
    falls: on_budget === "fallback",
    ...(keys === undefined ? {} : { keys }),
    ...(owners === undefined ? {} : { owners }),
    ...(models === undefined ? {} : { models }),
    ...(soft === undefined ? {} : { soft: nanosOf(soft) }),
    ...(hard === undefined ? {} : { hard: nanosOf(hard) }),
    ...(webhook_url === undefined ? {} : { webhook: webhook_url })
  }))

// A pattern is no name that could be spelled otherwise.
const spelled = (
  rules: ReadonlyArray<BudgetRule>,
  { routing }: LoadedConfig,
  snapshot: Snapshot
): ReadonlyArray<BudgetRule> =>
  rules.map((rule) => {
    const { models } = rule
    if (models === undefined) return rule
    const known = models.filter((name) => !isGlob(name)).map((name) => knownAs(name, routing, snapshot))
    const further = known.filter((name) => !models.includes(name))
    return further.length === 0 ? rule : { ...rule, models: [...models, ...new Set(further)] }
  })

const isSame = (one: ReadonlyArray<BudgetRule>, other: ReadonlyArray<BudgetRule>): boolean =>
  one.every(({ models }, at) => JSON.stringify(models) === JSON.stringify(other[at]?.models))

/**
 * Gives the rules of the moment, the same list while nothing of them changes. A model that is written otherwise than it is known
 * counts by that name too, as far as it is known which one is meant.
 */
export const budgetRules = (
  current: () => LoadedConfig,
  snapshotNow: () => Snapshot
): (() => ReadonlyArray<BudgetRule>) => {
  const written = derived(current, writtenRules)
  let of:
    | { readonly written: ReadonlyArray<BudgetRule>; readonly loaded: LoadedConfig; readonly snapshot: Snapshot }
    | undefined
  let made: ReadonlyArray<BudgetRule> = []
  return () => {
    const loaded = current()
    const snapshot = snapshotNow()
    const rules = written()
    if (of?.loaded === loaded && of.snapshot === snapshot) return made
    const next = spelled(rules, loaded, snapshot)
    if (of?.written !== rules || !isSame(next, made)) made = next
    of = { written: rules, loaded, snapshot }
    return made
  }
}
