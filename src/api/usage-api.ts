/**
 * The contract of what requests took.
 */
import * as Schema from "effect/Schema"
import { HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { reportGroups, type summedFigures } from "../domain/usage-words.ts"
import { Refusal } from "./refusal.ts"

const figures = {
  requests: Schema.Finite,
  completed: Schema.Finite,
  estimated: Schema.Finite,
  fresh: Schema.Finite,
  cache_read: Schema.Finite,
  cache_write: Schema.Finite,
  output: Schema.Finite,
  reasoning: Schema.Finite,
  duration_ms: Schema.Finite,
  cost_nanos: Schema.Finite,
  unpriced: Schema.Finite
} satisfies Record<(typeof summedFigures)[number], typeof Schema.Finite>

/** A row: what it is of, in the order of `by`, and its sums; money in billionths of a dollar. */
const UsageRow = Schema.Struct({ of: Schema.Array(Schema.String), ...figures })

const LedgerStanding = Schema.Struct({
  waiting: Schema.Finite,
  dropped: Schema.Finite,
  written: Schema.Finite,
  failure: Schema.NullOr(Schema.String)
})

/**
 * What was spent of a budget in its period, by one of those who have their own (`of`, empty otherwise), and what is reserved for
 * requests under way; null for a limit that it has not.
 */
const BudgetEntry = Schema.Struct({
  name: Schema.String,
  of: Schema.String,
  from: Schema.Finite,
  to: Schema.Finite,
  spent_nanos: Schema.Finite,
  reserved_nanos: Schema.Finite,
  soft_nanos: Schema.NullOr(Schema.Finite),
  hard_nanos: Schema.NullOr(Schema.Finite)
})

/**
 * What requests took in whole hours, `from` to before `to` in milliseconds since 1970. Tokens in four counts of which none holds
 * a part of another, `reasoning` as a part of `output`; `estimated` are requests whose backend did not say all of them, `unpriced`
 * those whose price is not known.
 */
export const UsageReport = Schema.Struct({
  from: Schema.Finite,
  to: Schema.Finite,
  by: Schema.Array(Schema.Literals(reportGroups)),
  rows: Schema.Array(UsageRow),
  total: Schema.Struct(figures),
  ledger: LedgerStanding,
  /** Of replicas that share what they know: how many others are a part of it, and how many did not answer. */
  replicas: Schema.optionalKey(Schema.Struct({ answered: Schema.Finite, silent: Schema.Finite })),
  budgets: Schema.Array(BudgetEntry)
})

/** Type of {@link UsageReport}. */
export type UsageReport = typeof UsageReport.Type

const groups = Schema.String.annotate({
  description: `What the rows stand for: one or more of ${reportGroups.join(", ")}, with commas between`
})

const moment = Schema.FiniteFromString.annotate({ description: "Milliseconds since 1970" })

/** What a report is asked with. */
const usageQuery = {
  by: Schema.optionalKey(groups),
  since: Schema.optionalKey(moment),
  until: Schema.optionalKey(moment),
  shadows: Schema.optionalKey(Schema.Literals(["true", "false"]))
}

/** The endpoints. */
export const UsageGroup = HttpApiGroup.make("usage").add(
  HttpApiEndpoint.get("report", "/admin/v1/usage", {
    query: usageQuery,
    success: UsageReport,
    error: [Refusal.pipe(HttpApiSchema.status(400)), Refusal.pipe(HttpApiSchema.status(409))]
  }).annotate(
    OpenApi.Summary,
    "What requests took since a moment (a day ago when absent), by key, model, day and so on"
  )
)
