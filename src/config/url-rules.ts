/**
 * Addresses that the settings name beside those of the cluster: what is wrong with them, and with what is called there.
 */
import type { Mistake } from "./check.ts"
import { type KeyPath, type Table, tablesAt, valueAt } from "./path.ts"

// What services call a key in a query.
const keyInQuery = /([?&](?:[a-z-]*(?:api|access|subscription|auth)[_-]?)?(?:key|token|sig|secret|code)=)[^&#]*/i

/** What is wrong with a base URL; undefined when nothing is. */
export const urlFault = (text: string): string | undefined => {
  if (!/^https?:\/\//i.test(text)) {
    // A scheme with its slashes missing or too many, or spaces around it, leaves a place behind.
    const [, scheme = "http", place = ""] = /^(?:(https?):?\/+|\/{2,})?(.*)$/i.exec(text.trim()) ?? []
    const isPlace = /^(?![a-z][a-z0-9+.-]*:\/)[^\s@?#\\/][^\s@?#\\]*$/i.test(place)
    const url = `${scheme.toLowerCase()}://${place}`
    const meant = isPlace && URL.canParse(url) ? `; did you mean "${url}"?` : ""
    return `expected a URL that begins with http:// or https://${meant}`
  }
  if (!URL.canParse(text) || /^https?:\/\/[/?#]/i.test(text) || /[\s\\]/.test(text)) {
    return "expected a URL such as http://127.0.0.1:11434"
  }
  const { username, password } = new URL(text)
  if (username !== "" || password !== "") return "a URL must not hold a user or password; use api_key_env"
  if (text.endsWith("?")) return 'a base URL has no query ("?")'
  if (keyInQuery.test(text)) return "a URL must not hold a key; use api_key_env"
  return text.includes("#") ? 'a base URL has no fragment ("#")' : undefined
}

/** A URL without the user, the password and the keys that may stand in it. */
export const withoutSecrets = (text: string): string =>
  text.replace(/\/\/.*@/, "//…@").replaceAll(new RegExp(keyInQuery, "gi"), "$1…")

const urlMistakes = (path: KeyPath, url: unknown): ReadonlyArray<Mistake> => {
  if (typeof url !== "string" || url === "") return []
  const reason = urlFault(url)
  return reason === undefined ? [] : [{ path, value: withoutSecrets(url), reason }]
}

// What was spent is the sums of the hours of a period, after a start.
const periodDays: Readonly<Record<string, number>> = { day: 1, week: 7, month: 31 }

/** That sums are not kept for as long as a budget counts them. */
const forgotten = (tree: Table, { name, per = "month" }: Table): ReadonlyArray<Mistake> => {
  const path = ["usage", "sums_days"]
  const kept = valueAt(tree, path)
  const needed = typeof per === "string" ? (periodDays[per] ?? 0) : 0
  if (typeof kept !== "number" || kept >= needed) return []
  return [
    {
      path,
      value: kept,
      reason: `must not be less than ${needed}: the budget '${String(name)}' is by the ${String(per)}`
    }
  ]
}

/** What is wrong with budgets. */
export const budgetMistakes = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["budgets"]).flatMap(({ at, table }) => {
    const { hard_usd: hard, soft_usd: soft, webhook_url: hook } = table
    const limits: ReadonlyArray<Mistake> =
      hard === undefined && soft === undefined
        ? [{ path: at, reason: "a budget needs soft_usd, hard_usd, or both" }]
        : typeof hard === "number" && typeof soft === "number" && soft > hard
          ? [{ path: [...at, "soft_usd"], value: soft, reason: "must not be more than hard_usd" }]
          : []
    return limits.concat(forgotten(tree, table), urlMistakes([...at, "webhook_url"], hook))
  })

/** What is wrong with the addresses of hooks. */
export const hookMistakes = (tree: Table): ReadonlyArray<Mistake> =>
  tablesAt(tree, ["hooks"]).flatMap(({ at, table }) => urlMistakes([...at, "url"], table["url"]))
