/**
 * What each model costs at each backend: as the config says, else by a list of public prices where it is a cloud's.
 */
import { readFileSync } from "node:fs"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { Backend } from "../backend/backend.ts"
import { isInCloud } from "../backend/zone.ts"
import { hostPortOf } from "../domain/url-host.ts"
import { RequestLog } from "../telemetry/logging.ts"
import { costOf, free, type Price, PriceList, type PriceRule, ruledPrice } from "./price.ts"
import type { Cost, PriceSource, TokenCounts } from "./usage-record.ts"

/** What the config says of prices. */
export interface PriceSettings {
  readonly rules: ReadonlyArray<PriceRule>
  /** Whether public prices count where it says nothing. */
  readonly isListed: boolean
}

/** A price, and where it comes from. */
export interface FoundPrice {
  readonly price: Price
  readonly by: PriceSource
}

/** The prices of everything. */
export class Prices extends Context.Service<
  Prices,
  {
    readonly of: (backend: Backend, model: string) => FoundPrice
    /** What a request cost. */
    readonly cost: (backend: Backend | undefined, model: string, tokens: TokenCounts, durationMs: number) => Cost
  }
>()("nexus/usage/Prices") {
  /** No prices at all. */
  static readonly none = Layer.succeed(Prices, {
    of: () => ({ price: free, by: "unknown" }),
    cost: () => ({ nanos: 0, by: "unknown" })
  })

  /** By the settings of the moment; `file` is read in place of the list that Nexus comes with. */
  static readonly layer = (settings: () => PriceSettings, file: string | undefined) =>
    Layer.effect(
      Prices,
      Effect.gen(function* () {
        const log = yield* RequestLog
        const list = yield* Effect.map(tableOf(file), (table) => new PriceList(table)).pipe(
          Effect.catch((reason) => {
            log.write("error", "the list of prices cannot be read", { file, reason })
            return Effect.succeed(new PriceList({}))
          })
        )
        let known = new WeakMap<Backend, Map<string, FoundPrice>>()
        let under: PriceSettings | undefined
        // What was found last is often what is looked for next.
        let last: { readonly backend: Backend; readonly model: string; readonly found: FoundPrice } | undefined
        const find = (backend: Backend, model: string): FoundPrice => {
          const { isListed, rules } = settings()
          const ruled = ruledPrice(rules, backend, model)
          if (ruled !== undefined) return { price: ruled, by: "config" }
          // A model of one's own may have the name of one that a cloud sells.
          if (!isInCloud(backend)) return { price: free, by: "free" }
          const listed = isListed ? list.of(hostPortOf(backend.url)?.host ?? "", backend.type, model) : undefined
          return listed === undefined ? { price: free, by: "unknown" } : { price: listed, by: "list" }
        }
        const of = (backend: Backend, model: string): FoundPrice => {
          const now = settings()
          if (under !== now) {
            known = new WeakMap()
            under = now
            last = undefined
          }
          if (last?.backend === backend && last.model === model) return last.found
          let models = known.get(backend)
          if (models === undefined) known.set(backend, (models = new Map()))
          const found = models.get(model) ?? find(backend, model)
          if (models.size < mostModels) models.set(model, found)
          last = { backend, model, found }
          return found
        }
        return Prices.of({
          of,
          cost: (backend, model, tokens, durationMs) => {
            if (backend === undefined) return costsUnknown
            const { by, price } = of(backend, model)
            if (price === free) return by === "free" ? costsNothing : costsUnknown
            return { nanos: costOf(price, tokens, durationMs), by }
          }
        })
      })
    )
}

const costsNothing: Cost = { nanos: 0, by: "free" }

const costsUnknown: Cost = { nanos: 0, by: "unknown" }

// Models of one backend whose prices are kept.
const mostModels = 1000

const tableOf = (file: string | undefined): Effect.Effect<unknown, string> =>
  file === undefined
    ? Effect.map(
        Effect.promise(() => import("./public-prices.json", { with: { type: "json" } })),
        (module): unknown => module.default
      )
    : Effect.try({
        try: (): unknown => JSON.parse(readFileSync(file, "utf8")),
        catch: (error) => (error instanceof Error ? error.message : String(error))
      })
