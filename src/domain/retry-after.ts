/**
 * How long a backend asks to be left alone, in whichever way it says so.
 */

const duration = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/

/** Reads a length such as `1s`, `6m0s` or `20ms`; milliseconds, undefined when it is none. */
const parseDuration = (text: string): number | undefined => {
  const found = duration.exec(text)
  if (found === null || text === "") return undefined
  const [, hours = "0", minutes = "0", seconds = "0", millis = "0"] = found
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(millis)
}

const count = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined)

const httpDate = (text: string): number | undefined => {
  // Date.parse takes nearly anything for a date; an HTTP date names its weekday.
  const at = /^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}

/**
 * What `retry-after-ms`, `retry-after` (seconds or an HTTP date) or OpenAI's `x-ratelimit-reset-*` headers ask for, in
 * milliseconds; undefined when none of them says anything readable. A date is counted from the answer's own `date`, since
 * the two clocks need not agree; from `now`, in wall-clock milliseconds, when it has none.
 */
export const retryAfterOf = (header: (name: string) => string | null, now: number): number | undefined => {
  const millis = count(header("retry-after-ms")?.trim() ?? "")
  if (millis !== undefined) return millis
  const text = header("retry-after")?.trim() ?? ""
  const seconds = count(text)
  if (seconds !== undefined) return seconds * 1000
  const until = httpDate(text)
  if (until !== undefined) return Math.max(0, until - (httpDate(header("date")?.trim() ?? "") ?? now))
  const resets = ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]
    .map((name) => parseDuration(header(name)?.trim() ?? ""))
    .filter((ms) => ms !== undefined)
  return resets.length === 0 ? undefined : Math.max(...resets)
}
