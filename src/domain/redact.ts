/**
 * Keys and addresses taken out of what a backend says, before anybody is told of it.
 */
import * as Predicate from "effect/Predicate"
import { parseBoundedJson } from "./bounded-json.ts"

/** Takes secrets out of a text. */
export type Redact = (text: string) => string

const quoted = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/-]/g, String.raw`\$&`)

// A key this short may be a word of everyday language: it is taken out where it stands alone.
const shortKey = 8
// Shorter ones keep nobody out.
const leastKey = 4

const formsOf = (key: string): ReadonlyArray<string> => {
  const base64 = Buffer.from(key).toString("base64").replace(/=+$/, "")
  const inJson = JSON.stringify(key).slice(1, -1)
  return [...new Set([key, encodeURIComponent(key.toWellFormed()), inJson, inJson.replaceAll("/", "\\/"), base64])]
}

const patternOf = (key: string): string =>
  key.length >= shortKey
    ? formsOf(key).map(quoted).join("|")
    : String.raw`(?<![\w-])(?:${formsOf(key).map(quoted).join("|")})(?![\w-])`

// A server of the network it stands in; a name that everybody can look up is none of its secrets.
const addressOf = (url: string): string => {
  const { host, hostname, port } = new URL(url)
  const isPublic = port === "" && /[a-z]/i.test(hostname) && hostname.includes(".") && !hostname.startsWith("[")
  if (isPublic) return ""
  const bare = hostname === "localhost" ? "" : `|(?<![\\w.-])${quoted(hostname)}(?![\\w.-])`
  return `(?:https?://)?${quoted(host)}(?![\\w-])${bare}`
}

// What looks like a key of a well-known kind is somebody's, and nobody else's business; one that its server masked is none.
const anyKey = /\bsk-[\w-]{5,}(?![\w*-])|\b(?:gsk|hf|r8)_\w{20,}|\b(?:xai|nvapi|pplx)-[\w-]{20,}|\bAIza[\w-]{30,}/g

/** Whether a word looks like a key and not like a name: by its beginning, or by letters and digits in one long run. */
export const looksLikeKey = (word: string): boolean =>
  word.search(anyKey) >= 0 || /(?=[A-Za-z]*\d)(?=[A-Z0-9]*[a-z])[A-Za-z0-9]{20,}/.test(word)

const hidden = "[redacted]"

/** What takes out these keys, and the addresses of servers of a private network. */
export const redactorOf = (keys: ReadonlyArray<string>, ...urls: ReadonlyArray<string>): Redact => {
  const secret = keys.filter(({ length }) => length >= leastKey).map(patternOf)
  const keyPattern = secret.length === 0 ? undefined : new RegExp(secret.join("|"), "g")
  const address = urls
    .map(addressOf)
    .filter((each) => each !== "")
    .join("|")
  const addressPattern = address === "" ? undefined : new RegExp(address, "gi")
  return (text) => {
    const known = keyPattern === undefined ? text : text.replace(keyPattern, hidden)
    const keyless = known.replace(anyKey, hidden)
    return addressPattern === undefined ? keyless : keyless.replace(addressPattern, "[address]")
  }
}

const redactedIn = (value: unknown, redact: Redact): unknown => {
  if (typeof value === "string") return redact(value)
  if (Array.isArray(value)) return value.map((each) => redactedIn(each, redact))
  if (!Predicate.isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [redact(name), redactedIn(each, redact)]))
}

/** A text without its secrets: the very same when there are none, however a JSON text writes its letters. */
export const redacted = (text: string, redact: Redact): string => {
  const plain = redact(text)
  if (!text.includes("\\")) return plain
  const json = parseBoundedJson(plain)
  if (json === undefined) return plain
  const found = JSON.stringify(redactedIn(json, redact))
  return found === JSON.stringify(json) ? plain : found
}
