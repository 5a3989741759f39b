/**
 * What is shown of a value that may be a key: who wrote one in a wrong place is told of the place alone.
 */
import { looksLikeKey } from "../domain/redact.ts"
import { isTable, type KeyPath } from "./path.ts"
import { expectedText, schemaAt } from "./reference.ts"

/** The beginning of a text that may be a secret. */
export const masked = (text: string): string => (text.endsWith("…") ? text : `${text.slice(0, 4)}…`)

// Where keys stand or are named, and where those put them who do not know.
const sections: ReadonlySet<unknown> = new Set([
  "auth",
  "backends",
  "budgets",
  "capture",
  "cluster",
  "hooks",
  "telemetry"
])
const holders = /^(key|(previous_)?sha256)$/
// What says where a key is: it is often written with the key itself.
const namers = /(^|_)(env|file)$/

/** Whether something plain stands at a path that the settings know, and no key. */
const isHarmless = (path: KeyPath): boolean => {
  const node = schemaAt(path)
  const name = String(path.findLast((key) => typeof key === "string"))
  if (node === undefined || holders.test(name) || namers.test(name) || path.includes("headers")) return false
  return !["a table", "a list of tables"].includes(expectedText(node))
}

const withoutKeys = (path: KeyPath, value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((each: unknown, index) => withoutKeys([...path, index], each))
  if (isTable(value)) {
    // A table may stand where a list of them is wanted.
    const at = schemaAt(path)?.["type"] === "array" ? [...path, 0] : path
    return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, withoutKeys([...at, key], each)]))
  }
  return (typeof value === "string" || typeof value === "number") && !isHarmless(path) ? masked(String(value)) : value
}

/** A value of a webhook's address without what stands behind the host, which is often all that whoever writes there has to know. */
export const withoutHookSecret = (path: KeyPath, value: unknown): unknown =>
  path.at(-1) === "webhook_url" && typeof value === "string"
    ? value.replace(/^([a-z]+:\/*[^/?#]*)[/?#].+$/i, "$1/…")
    : value

/** A value as it may be told of. */
export const discreetValue = (path: KeyPath, value: unknown): unknown => {
  if (path.at(-1) === "webhook_url") return withoutHookSecret(path, value)
  const isNamed = typeof value === "string" && namers.test(String(path.at(-1)))
  return isNamed || !sections.has(path[0]) ? value : withoutKeys(path, value)
}

// The value of a line of the file whose key may be that of a secret, in TOML or not; what names a variable or a file is none.
const secretLine =
  /((?:^|[\s.{,"'_-])(?:api[_-]?)?(?:keys?|token|secret|pass(?:word)?|sha256|bearer|auth(?:orization)?)["']?\s*[=:]\s*)(.*)$/i

const starred = (run: string): string => run.slice(0, 4) + "*".repeat(Math.max(0, run.length - 4))

/** A line of the file without the key that may stand in it, and as long as before. */
export const discreetLine = (line: string): string =>
  line
    .replace(secretLine, (_, name: string, value: string) => name + value.replaceAll(/[^\s"',{}[\]]{5,}/g, starred))
    .replaceAll(/(?<=:\/\/[^\s/@"']*:)[^\s/@"']+(?=@)/g, starred)
    .replaceAll(/[\w-]{5,}/g, (run) => (looksLikeKey(run) ? starred(run) : run))
