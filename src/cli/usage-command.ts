/**
 * nexus usage: what requests took, from the ledger of the running gateway.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { Command, CliError, Flag } from "effect/cli"
import type { UsageReport } from "../api/usage-api.ts"
import { printable } from "../domain/printable.ts"
import { type FigureSums, reportGroups, summedFigures } from "../domain/usage-words.ts"
import * as flags from "./flags.ts"
import { jsonText, shownTable, thousands } from "./output.ts"

/** Billionths of a dollar in dollars, without a float in between. */
const dollars = (nanos: number, decimals: number): string => {
  const digits = String(Math.abs(nanos)).padStart(10, "0")
  const whole = digits.slice(0, -9)
  const part = digits.slice(-9, decimals - 9 || undefined)
  return `${nanos < 0 ? "-" : ""}${whole}.${part}`
}

const inWords = (nanos: number): string => `$${dollars(nanos, nanos > 0 && nanos < 1e9 ? 6 : 2)}`

const moneyOf = ({ cost_nanos: nanos, fresh, output, unpriced }: FigureSums): string => {
  if (nanos === 0 && (unpriced > 0 || fresh + output === 0)) return "-"
  return `${inWords(nanos)}${unpriced > 0 ? "+" : ""}`
}

const cells = (sums: FigureSums): ReadonlyArray<string> => [
  thousands(sums.requests),
  thousands(sums.completed),
  thousands(sums.fresh),
  thousands(sums.cache_read),
  thousands(sums.cache_write),
  `${thousands(sums.output)}${sums.estimated > 0 ? "~" : ""}`,
  moneyOf(sums)
]

const heading = ["Requests", "Completed", "In", "Cached", "To cache", "Out", "Cost"]

const capital = (word: string): string => word.slice(0, 1).toUpperCase() + word.slice(1)

const notes = ({ ledger, replicas, total }: UsageReport): ReadonlyArray<string> => [
  ...(replicas === undefined || replicas.answered === 0
    ? []
    : [
        `With what ${thousands(replicas.answered)} other ${replicas.answered === 1 ? "replica" : "replicas"} wrote down.`
      ]),
  ...(replicas === undefined || replicas.silent === 0
    ? []
    : [
        `${thousands(replicas.silent)} other ${replicas.silent === 1 ? "replica" : "replicas"} did not answer: what they wrote down is missing.`
      ]),
  ...(total.estimated > 0
    ? [
        `~ with ${thousands(total.estimated)} ${total.estimated === 1 ? "request" : "requests"} whose tokens were estimated, in part at least.`
      ]
    : []),
  ...(total.unpriced > 0 ? [`+ without ${thousands(total.unpriced)} whose price is not known.`] : []),
  ...(ledger.failure === null
    ? []
    : [`The ledger cannot be written now: ${ledger.failure}. ${thousands(ledger.waiting)} wait in memory.`]),
  ...(ledger.dropped === 0
    ? []
    : [`${thousands(ledger.dropped)} records were lost since the start: too many waited to be written.`])
]

const when = (ms: number): string => new Date(ms).toISOString().replace("T", " ").slice(0, 16)

/** What was spent of each budget, as a table; none where nothing was. */
const budgetLines = ({ budgets }: UsageReport): ReadonlyArray<string> => {
  if (budgets.length === 0) return []
  const limitOf = (nanos: number | null): string => (nanos === null ? "-" : inWords(nanos))
  const rows = budgets.map(({ hard_nanos, name, of, reserved_nanos, soft_nanos, spent_nanos, to }) => [
    of === "" ? name : `${name}/${of}`,
    inWords(spent_nanos),
    inWords(reserved_nanos),
    limitOf(soft_nanos),
    limitOf(hard_nanos),
    when(to)
  ])
  return ["", shownTable(["Budget", "Spent", "Reserved", "Soft", "Hard", "Until"], rows)]
}

/** A report as a table for people. */
const usageText = (report: UsageReport): string => {
  const { by, from, rows, to, total } = report
  const named = rows.map((row) => [...row.of.map((name) => (name === "" ? "-" : name)), ...cells(row)])
  const sum = [...by.map((_, at) => (at === 0 ? "Total" : "")), ...cells(total)]
  return [
    shownTable([...by.map(capital), ...heading], rows.length > 1 ? [...named, sum] : named, by.length),
    "",
    `From ${when(from)} to ${when(to)} UTC.`,
    ...notes(report).map(printable),
    ...budgetLines(report)
  ].join("\n")
}

// What programs for tables would take for a formula is a text.
const field = (text: string): string => {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

/** A report as comma-separated values. */
const usageCsv = ({ by, rows }: UsageReport): string =>
  [
    [...by, ...summedFigures.filter((figure) => figure !== "cost_nanos"), "cost_usd"].join(","),
    ...rows.map((row) =>
      [
        ...row.of.map(field),
        ...summedFigures.filter((figure) => figure !== "cost_nanos").map((figure) => String(row[figure])),
        dollars(row.cost_nanos, 9)
      ].join(",")
    )
  ].join("\n")

/** A moment, as a date or as the time since; undefined when it is none. */
const momentOf = (text: string, now: number): number | undefined => {
  const ago = flags.durationMs(text)
  if (ago !== undefined) return now - ago
  const parsed = /^\d{4}-\d{2}(-\d{2})?/.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(parsed) ? undefined : parsed
}

const moment = (name: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("TIME"),
    Flag.filter(
      (value) => momentOf(value, 0) !== undefined,
      (value) => `Expected a time such as 24h, 7d or 2026-11-01, got ${value}`
    ),
    Flag.withDescription(description)
  )

const options = {
  by: Flag.String("by").pipe(
    Flag.withMetavar("GROUP"),
    Flag.filter(
      (value) => value.split(",").every((name) => reportGroups.some((group) => group === name)),
      (value) => `Expected one or more of ${reportGroups.join(", ")}, with commas between, got ${value}`
    ),
    Flag.withDescription(`What the rows stand for: one or more of ${reportGroups.join(", ")}, with commas between`),
    Flag.withDefault("model")
  ),
  since: moment("since", "From when on, such as 24h, 7d or 2026-11-01; whole hours (UTC)").pipe(
    Flag.withDefault("24h")
  ),
  until: moment("until", "Until when; now when absent").pipe(Flag.optional),
  shadows: flags.onOff("shadows", "Of the copies of requests that rules sent elsewhere, which are left out otherwise"),
  json: flags.json,
  csv: flags.onOff("csv", "Print comma-separated values instead of a table"),
  config: flags.config,
  host: flags.host,
  port: flags.port
}

/** The command. */
export const usageCommand = Command.make(
  "usage",
  options,
  Effect.fnUntraced(function* (input) {
    if (input.json && input.csv) return yield* new CliError.ValidationError({ message: "Give one of --json and --csv" })
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const { reportUsage } = yield* Effect.promise(() => import("../remote/survey.ts"))
    const until = Option.map(input.until, (text) => momentOf(text, now) ?? now)
    const report = yield* reportUsage(
      { config: input.config, overrides: flags.addressOverrides(input) },
      {
        by: input.by,
        since: momentOf(input.since, now) ?? now,
        ...(Option.isSome(until) ? { until: until.value } : {}),
        ...(input.shadows ? { shadows: "true" } : {})
      }
    )
    if (input.csv) return yield* Console.log(usageCsv(report).split("\n").map(printable).join("\n"))
    if (input.json) return yield* Console.log(jsonText(report))
    if (report.rows.length === 0) return yield* Console.error("No request has ended in that time.")
    yield* Console.log(usageText(report))
  })
).pipe(
  Command.withDescription("Show what requests took: tokens, time and money, by key, model, day and so on"),
  Command.withExamples([
    { command: "nexus usage --since 7d" },
    { command: "nexus usage --by key,model --since 2026-11-01 --csv" },
    { command: "nexus usage --by day --since 30d --json" }
  ])
)
