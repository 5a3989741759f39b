/**
 * What requests cost: prices in whole millionths of a millionth of a dollar for a token, money in whole billionths of a dollar,
 * and no fraction of either anywhere.
 */
import * as Predicate from "effect/Predicate"
import { matchesGlob } from "../domain/glob.ts"
import { isNamedBy, type NamedServer } from "../domain/server.ts"
import type { TokenCounts } from "./usage-record.ts"

/** Prices of tokens, in millionths of a millionth of a dollar each. */
interface TokenPrices {
  readonly input: number
  readonly cacheRead: number
  readonly cacheWrite: number
  readonly output: number
}

/** The prices of a model at a backend; `request` and `hour` in billionths of a dollar. */
export interface Price extends TokenPrices {
  readonly request: number
  /** Of the time that a request took. */
  readonly hour: number
  /** Of all tokens of a request whose prompt has more than so many. */
  readonly long?: TokenPrices & { readonly above: number }
}

/** Nothing. */
export const free: Price = { input: 0, cacheRead: 0, cacheWrite: 0, output: 0, request: 0, hour: 0 }

/** A price of the config: in dollars, for a million tokens, a request or an hour. */
export interface PriceSetting {
  readonly model: string
  readonly backend?: string
  readonly input_usd?: number
  readonly cache_read_usd?: number
  readonly cache_write_usd?: number
  readonly output_usd?: number
  readonly request_usd?: number
  readonly hour_usd?: number
  readonly watts?: number
}

/** A price of the config, and whose it is. */
export interface PriceRule {
  readonly model: string
  readonly backend: string
  readonly price: Price
}

const milliardths = (dollars: number): number => Math.round(dollars * 1e9)

// A dollar for a million tokens is a million millionths of a millionth for each.
const perToken = (dollars: number): number => Math.round(dollars * 1e6)

/** A rule of the config; `kwhUsd` is what a kilowatt-hour costs, in dollars. */
export const priceRule = (setting: PriceSetting, kwhUsd: number): PriceRule => {
  const { backend = "*", input_usd: input = 0, model, watts = 0 } = setting
  return {
    model,
    backend,
    price: {
      input: perToken(input),
      cacheRead: perToken(setting.cache_read_usd ?? input),
      cacheWrite: perToken(setting.cache_write_usd ?? input),
      output: perToken(setting.output_usd ?? 0),
      request: milliardths(setting.request_usd ?? 0),
      hour: milliardths((setting.hour_usd ?? 0) + (watts / 1000) * kwhUsd)
    }
  }
}

const hourMs = 3_600_000

/** What a request cost, in billionths of a dollar: rounded to the nearest once, and never less than nothing. */
export const costOf = (price: Price, tokens: TokenCounts, durationMs: number): number => {
  const { cacheRead, cacheWrite, fresh, output } = tokens
  const { long } = price
  const of = long !== undefined && fresh + cacheRead + cacheWrite > long.above ? long : price
  const picos = fresh * of.input + cacheRead * of.cacheRead + cacheWrite * of.cacheWrite + output * of.output
  const nanos = Math.round(picos / 1000) + price.request + Math.round((price.hour * Math.max(0, durationMs)) / hourMs)
  return Math.min(nanos, Number.MAX_SAFE_INTEGER)
}

/** Whether nothing is paid for it. */
export const isFree = ({ cacheRead, cacheWrite, hour, input, output, request }: Price): boolean =>
  input + cacheRead + cacheWrite + output + request + hour === 0

/** The price of the config for a model at a backend: the first that fits. */
export const ruledPrice = (rules: ReadonlyArray<PriceRule>, backend: NamedServer, model: string): Price | undefined =>
  rules.find((rule) => isNamedBy([rule.backend], backend) && matchesGlob(rule.model, model))?.price

type Row = Readonly<Record<PropertyKey, unknown>>

const rowIn = (value: unknown, key: string): Row => {
  const found = Predicate.isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined
  return Predicate.isObject(found) ? found : {}
}

const isPrice = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

const tokenPrices = (row: ReadonlyArray<unknown>, from: number): TokenPrices | undefined => {
  const [input, cacheRead, cacheWrite, output] = row.slice(from)
  if (!isPrice(input) || !isPrice(cacheRead) || !isPrice(cacheWrite) || !isPrice(output)) return undefined
  return { input, cacheRead, cacheWrite, output }
}

const priceIn = (row: unknown): Price | undefined => {
  if (!Array.isArray(row)) return undefined
  const own = tokenPrices(row, 0)
  if (own === undefined) return undefined
  const above: unknown = row[5]
  const long = isPrice(above) ? tokenPrices(row, 6) : undefined
  return { ...own, request: 0, hour: 0, ...(long === undefined || !isPrice(above) ? {} : { long: { ...long, above } }) }
}

/** A list of public prices, by provider and model. */
export class PriceList {
  private readonly hosts: ReadonlyArray<readonly [host: string, provider: string]>
  private readonly rows: Row
  /** When it was made; empty where it does not say. */
  readonly made: string

  constructor(table: unknown) {
    const { made } = rowIn(table, "from")
    this.made = typeof made === "string" ? made : ""
    this.rows = rowIn(table, "rows")
    this.hosts = Object.entries(rowIn(table, "hosts")).map(([host, provider]) => [host, String(provider)] as const)
  }

  /** How many prices it has. */
  get size(): number {
    return Object.keys(this.rows).reduce((sum, provider) => sum + Object.keys(rowIn(this.rows, provider)).length, 0)
  }

  /** The price of a model at a provider, who is known by the host that is asked, or else is the one of this name. */
  of(host: string, name: string, model: string): Price | undefined {
    const [, provider = name] =
      this.hosts.find(([own]) => (own.startsWith(".") ? host.endsWith(own) : host === own)) ?? []
    const rows = rowIn(this.rows, provider)
    for (const each of [model, model.toLowerCase(), model.replace(/^models\//, "")]) {
      const price = Object.hasOwn(rows, each) ? priceIn(rows[each]) : undefined
      if (price !== undefined) return price
    }
    return undefined
  }
}
