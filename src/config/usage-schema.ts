/**
 * The part of nexus.toml that is about what requests take: the ledger, prices and budgets.
 */
import * as Schema from "effect/Schema"
import { budgetPeriods, budgetShares } from "../domain/usage-words.ts"
import { maybe, or, seconds, whole } from "./schema-parts.ts"

const days = whole(1, 36_500)

/** What requests take, written down. */
export const UsageSection = Schema.Struct({
  enabled: or(Schema.Boolean, false, "Write down what each request took: for whom, who answered, tokens, time, price"),
  path: or(
    Schema.NonEmptyString,
    "nexus-usage.sqlite",
    "The file that it is written to (SQLite), below the directory of this file; it is made where there is none"
  ),
  retention_days: or(days, 90, "How long the record of each request is kept"),
  public_prices: or(
    Schema.Boolean,
    true,
    "Take the public prices of clouds, from a list that Nexus comes with, where [[prices]] says nothing"
  ),
  prices_file: maybe(Schema.NonEmptyString, "A list of public prices in place of that one (JSON)"),
  kwh_usd: maybe(seconds(0, 1000), "What a kilowatt-hour costs, in dollars, for prices by `watts`"),
  sums_days: or(days, 730, "How long the sums of each hour are kept, which reports are made of")
})

const dollars = seconds(0, 1_000_000)

/** What a model costs. */
export const PriceEntry = Schema.Struct({
  model: Schema.NonEmptyString.annotate({
    description:
      "The models it is for, as the backend knows them; * and ? stand for any letters; the first that fits counts"
  }),
  backend: maybe(Schema.NonEmptyString, "The backends it is for, with * and ?; all when absent"),
  input_usd: maybe(dollars, "Dollars for a million tokens of a prompt"),
  cache_read_usd: maybe(dollars, "For those of it that were read from a cache; as the others when absent"),
  cache_write_usd: maybe(dollars, "For those of it that were written to a cache; as the others when absent"),
  output_usd: maybe(dollars, "Dollars for a million tokens of an answer"),
  request_usd: maybe(dollars, "Dollars for a request"),
  hour_usd: maybe(dollars, "Dollars for an hour of the time that a request takes, such as what a machine costs"),
  watts: maybe(dollars, "What the machine takes while it answers, in watts; usage.kwh_usd is what that costs")
})

const patterns = Schema.NonEmptyArray(Schema.NonEmptyString)

/** How much may be spent. */
export const BudgetEntry = Schema.Struct({
  name: Schema.NonEmptyString.annotate({ description: "Name of the budget in headers, errors and logs" }),
  keys: maybe(
    patterns,
    "Names of the keys whose requests count, with * and ?; all when absent, requests without a key too"
  ),
  owners: maybe(patterns, "Owners of the keys whose requests count, with * and ?"),
  models: maybe(patterns, "Models whose requests count, as clients name them, with * and ?"),
  each: or(Schema.Literals(budgetShares), "all", "all of them have it together, or each key, owner or model has one"),
  per: or(Schema.Literals(budgetPeriods), "month", "How long it lasts; it begins at midnight (UTC), weeks on Mondays"),
  soft_usd: maybe(dollars, "Dollars beyond which answers have a header, the log a line, and the webhook a call"),
  hard_usd: maybe(dollars, "Dollars beyond which nothing is spent"),
  on_budget: or(
    Schema.Literals(["refuse", "fallback"]),
    "refuse",
    "What becomes of a request that there is no room for: refused (402), or answered by a fallback that costs nothing"
  ),
  webhook_url: maybe(
    Schema.NonEmptyString,
    "Where it is told (POST, JSON) that a limit is passed or the hard one has no room for a request, once a period"
  )
})
