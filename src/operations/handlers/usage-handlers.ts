/**
 * What is answered of what requests took.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { HttpServerResponse } from "effect/http"
import { HttpApiBuilder } from "effect/http-api"
import { BadRequest, Conflict, type GatewayError } from "../../domain/errors.ts"
import { printable } from "../../domain/printable.ts"
import { type ReportGroup, reportGroups } from "../../domain/usage-words.ts"
import { Replicas } from "../../replicas/Replicas.ts"
import { ContractApi } from "../../api/gateway-api.ts"
import { Budgets, type BudgetStanding } from "../../usage/Budgets.ts"
import { UsageReport } from "../../api/usage-api.ts"
import { UsageLedger } from "../../usage/UsageLedger.ts"
import { hourMs } from "../../usage/packed-records.ts"
import type { ReportQuery } from "../../usage/usage-store.ts"
import { reportOfAll } from "../../usage/usage-sums.ts"

const dayMs = 24 * hourMs

const readQuery = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({
      by: Schema.Array(Schema.Literals(reportGroups)),
      from: Schema.Finite,
      to: Schema.Finite,
      shadows: Schema.Boolean
    })
  )
)

const readAnswer = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ rows: UsageReport.fields.rows, total: UsageReport.fields.total, ledger: Schema.String })
  )
)

const groupsIn = (text: string): ReadonlyArray<ReportGroup> | string => {
  const names = text.split(",").filter((name) => name !== "")
  const found = names.flatMap((name) => reportGroups.filter((group) => group === name))
  const unknown = names.find((name) => !found.some((group) => group === name))
  return unknown ?? [...new Set(found)]
}

const badGroup = (name: string) =>
  new BadRequest({
    message: `'by' in the query is not what is expected: ${printable(name.slice(0, 100))} is not one of ${reportGroups.join(", ")}`,
    param: "by"
  })

const told = (all: ReadonlyArray<BudgetStanding>) =>
  all.map(({ from, hard = null, name, of, reserved, soft = null, spent, to }) => ({
    name,
    of,
    from,
    to,
    spent_nanos: spent,
    reserved_nanos: reserved,
    soft_nanos: soft,
    hard_nanos: hard
  }))

/** The handlers of the group; `refuse` answers with a failure. */
export const usageHandlers = (refuse: (error: GatewayError) => Effect.Effect<HttpServerResponse.HttpServerResponse>) =>
  HttpApiBuilder.group(
    ContractApi,
    "usage",
    Effect.fnUntraced(function* (handlers) {
      const ledger = yield* UsageLedger
      const budgets = yield* Budgets
      const replicas = yield* Replicas
      replicas.answer("usage", (text) => {
        const query = Option.getOrUndefined(readQuery(text))
        if (query === undefined) return Effect.succeed("")
        return Effect.match(ledger.report(query), {
          onFailure: () => "",
          onSuccess: (sums) => JSON.stringify({ ...sums, ledger: ledger.identity() ?? "" })
        })
      })
      // Some may write into one file.
      const ofOthers = (query: ReportQuery) =>
        Effect.map(replicas.ask("usage", JSON.stringify(query)), ({ answers, silent }) => {
          const seen = new Set([ledger.identity()])
          const told = answers.flatMap((answer) => Option.toArray(readAnswer(answer)))
          const sums = told.filter((each) => !seen.has(each.ledger) && seen.add(each.ledger))
          return { sums, answered: told.length, silent: silent + answers.length - told.length }
        })
      return handlers.handle(
        "report",
        Effect.fnUntraced(function* ({ query }) {
          const by = groupsIn(query.by ?? "model")
          if (typeof by === "string") return yield* refuse(badGroup(by))
          const now = yield* Clock.currentTimeMillis
          const to = Math.ceil((query.until ?? now) / hourMs) * hourMs
          const from = Math.floor((query.since ?? now - dayMs) / hourMs) * hourMs
          const asked = { by, from, to, shadows: query.shadows === "true" }
          // Others are late at times; a gateway that keeps none waits for nobody.
          const all = Effect.all([ledger.report(asked), ofOthers(asked)], { concurrency: "unbounded" })
          return yield* Effect.matchEffect(all, {
            onFailure: ({ reason }) => refuse(new Conflict({ message: `There is no usage to tell of: ${reason}` })),
            onSuccess: ([own, others]) => {
              const { rows, total } = reportOfAll(own, others.sums, by)
              const { answered, silent } = others
              const { failure = null, ...standing } = ledger.standing()
              return Effect.succeed({
                from,
                to,
                by,
                rows,
                total,
                ledger: { ...standing, failure },
                ...(answered + silent === 0 ? {} : { replicas: { answered, silent } }),
                budgets: told(budgets.standing())
              })
            }
          })
        })
      )
    })
  )
