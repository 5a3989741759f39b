/**
 * Numbers and times in words, in the reader's own zone and manner.
 */
import type { OtherPlace } from "../api/page-places.ts"

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" })

const plain = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 })

const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 })

/** The time of day; milliseconds since 1970. */
export const timeOf = (at: number): string => clock.format(at)

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", timeZone: "UTC" })

/** A day of UTC; milliseconds since 1970. */
export const dayOf = (at: number): string => day.format(at)

/** A day and its time; milliseconds since 1970. */
export const dateOf = (at: number): string => moment.format(at)

const hour = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" })

/** The hour of a day; milliseconds since 1970. */
export const hourOf = (at: number): string => hour.format(at)

/** A number with one place behind the point at most. */
export const number = (value: number): string => plain.format(value)

/** A large number in few signs. */
export const count = (value: number): string => (value < 10_000 ? plain.format(value) : short.format(value))

/** A length of time; milliseconds. */
export const span = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${plain.format(ms / 1000)} s`
  const minutes = Math.floor(ms / 60_000)
  if (minutes < 60) return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`
}

/** When something that is left alone is asked again, `ms` from now: what is due waits for a request. */
export const againWords = (ms: number): string => (ms > 0 ? `in ${span(ms)}` : "with the next request")

/** A share of one as percent. */
export const percent = (share: number): string => `${plain.format(share * 100)} %`

const dollars = (digits: number): Intl.NumberFormat =>
  new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: "USD",
    currencyDisplay: "narrowSymbol",
    minimumFractionDigits: 2,
    maximumFractionDigits: digits
  })

/** Money, in dollars; of little of it as much as tells something. */
export const money = (usd: number): string =>
  dollars(usd === 0 || usd >= 1 ? 2 : Math.min(12, 2 - Math.floor(Math.log10(usd)))).format(usd)

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[?::1\]?)$/

const anywhere = new Set(["0.0.0.0", "::", "[::]"])

/** The address of the page at another place as it is reached from here; undefined where it is not. */
export const addressOf = (place: OtherPlace, here: { readonly hostname: string }): string | undefined => {
  if ("socket" in place) return undefined
  const { host, port } = place
  if (loopback.test(host) && !loopback.test(here.hostname)) return undefined
  const name = anywhere.has(host) || loopback.test(host) ? here.hostname : host
  return `http://${name.includes(":") && !name.startsWith("[") ? `[${name}]` : name}:${port}/ui/`
}

/** A place in words. */
export const placeWords = (place: OtherPlace): string =>
  "socket" in place ? `the Unix socket ${place.socket}` : `${place.host}:${place.port}`
