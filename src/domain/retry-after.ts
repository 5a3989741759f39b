/**
 * How long a backend asks to be left alone, in whichever way it says so, and how long a client is asked to wait.
 */

const duration = /^(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?$/

/** Reads a length such as `1s`, `6m0s` or `20ms`; milliseconds, undefined when it is none. */
const parseDuration = (text: string): number | undefined => {
  const found = duration.exec(text)
  if (found === null || text === "") return undefined
  const [, hours = "0", minutes = "0", seconds = "0", millis = "0"] = found
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1000 + Number(millis)
}

/** What an error of Google's asks for inside of its body, in milliseconds; undefined when it does not. */
export const delayIn = (body: string): number | undefined =>
  parseDuration(/"retryDelay"\s*:\s*"([\d.]+m?s)"/.exec(body)?.[1] ?? "")

const count = (text: string): number | undefined => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : undefined)

// Date.parse takes nearly anything for a date; an HTTP date names its weekday, and RFC 3339 begins with its year.
const anyDate = /^[A-Z][a-z]{2,8},? |^\d{4}-\d\d-\d\dT/

const dateOf = (text: string): number | undefined => {
  const at = anyDate.test(text) ? Date.parse(text) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}

const fromDate = (text: string, now: number): number | undefined => {
  const at = dateOf(text)
  return at === undefined ? undefined : Math.max(0, at - now)
}

// Numbers from here on are moments since 1970 and no lengths: in seconds, and in milliseconds.
const epochSeconds = 1e9
const epochMillis = 1e12

/** When a limit begins anew: a length, seconds, a moment since 1970 or a date. */
const parseReset = (text: string, now: number): number | undefined => {
  const number = count(text)
  if (number === undefined) return parseDuration(text) ?? fromDate(text, now)
  if (number < epochSeconds) return number * 1000
  return Math.max(0, (number < epochMillis ? number * 1000 : number) - now)
}

type Header = (name: string) => string | null

/** The headers of one limit: what is left of it, and when it begins anew. */
type Limit = readonly [remaining: string, reset: string]

const kinds = [
  "",
  "-requests",
  "-tokens",
  "-requests-minute",
  "-requests-day",
  "-tokens-minute",
  "-tokens-day"
] as const

const limits: ReadonlyArray<Limit> = [
  ...["x-ratelimit", "ratelimit"].flatMap((family) =>
    kinds.map((kind): Limit => [`${family}-remaining${kind}`, `${family}-reset${kind}`])
  ),
  ...["requests", "tokens", "input-tokens", "output-tokens"].map((kind): Limit => [
    `anthropic-ratelimit-${kind}-remaining`,
    `anthropic-ratelimit-${kind}-reset`
  ])
]

/**
 * Until when a limit that is exhausted stays so. What has something left says nothing about the wait; where no header
 * tells what is left, the soonest reset is where it is worth asking again.
 */
const fromLimits = (header: Header, now: number): number | undefined => {
  const exhausted: Array<number> = []
  const untold: Array<number> = []
  let told = false
  for (const [remaining, reset] of limits) {
    const ms = parseReset(header(reset)?.trim() ?? "", now)
    const left = /^-?\d+(\.\d+)?$/.exec(header(remaining)?.trim() ?? "")
    if (left !== null) told = true
    if (ms === undefined) continue
    if (left === null) untold.push(ms)
    else if (Number(left[0]) <= 0) exhausted.push(ms)
  }
  if (exhausted.length > 0) return Math.max(...exhausted)
  return told || untold.length === 0 ? undefined : Math.min(...untold)
}

/** Whether an answer tells what is left of limits on what may be asked in a time. */
export const tellsLimits = (header: Header): boolean =>
  header("ratelimit") !== null || limits.some(([remaining]) => header(remaining) !== null)

/**
 * What `retry-after-ms`, `retry-after` (seconds or an HTTP date) or the reset of an exhausted limit asks for, in
 * milliseconds; undefined when none of them says anything readable. Limits are told with every answer, so that their
 * resets count only for a status that is about them. Moments are counted from the answer's own `date`, since the two
 * clocks need not agree; from `now`, in wall-clock milliseconds, when it has none.
 */
export const retryAfterOf = (header: Header, now: number, status = 429): number | undefined => {
  const millis = count(header("retry-after-ms")?.trim() ?? "")
  if (millis !== undefined) return millis
  const text = header("retry-after")?.trim() ?? ""
  const seconds = count(text)
  if (seconds !== undefined) return seconds * 1000
  const then = dateOf(header("date")?.trim() ?? "") ?? now
  return fromDate(text, then) ?? (status === 429 ? fromLimits(header, then) : undefined)
}

/** Longest wait a client is ever asked for, in seconds: some libraries ignore more and hammer, others sleep for minutes. */
export const maxWaitSeconds = 60

// A wait that long still has room to be spread.
const longestBase = 50

/**
 * The seconds a client is asked to wait when it should come back after `seconds`: whole, at least one, never above
 * {@link maxWaitSeconds}, and spread, so that those who were refused together do not come back together.
 */
export const jitteredWait = (seconds: number, random: () => number): number => {
  const least = Math.ceil(Math.min(longestBase, Math.max(1, seconds)))
  const width = Math.min(maxWaitSeconds - least, Math.max(2, Math.ceil(least / 2)))
  return least + Math.min(width, Math.floor(random() * (width + 1)))
}
