/**
 * Olla's config.yaml.
 */
import { isTable, type KeyPath } from "../path.ts"
import { type BackendType, kindNamed, plainType, typeCalled } from "../../backend/all.ts"
import { type Draft, literalText, addItem, setKey, type Reader, type DraftTable, sectionAt } from "./draft.ts"
import type { Format } from "./format.ts"
import { modelNames } from "./served-names.ts"
import { serverUrl, backendNames, putSecret, withVariables } from "./naming.ts"
import { ollaMapped, ollaUnsupported } from "./olla-keys.ts"

const variable = /\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}/

const units: Readonly<Record<string, number>> = { ns: 1e-9, us: 1e-6, µs: 1e-6, ms: 0.001, s: 1, m: 60, h: 3600 }

/** Seconds of a duration such as `1m30s`; undefined when it is none. */
const secondsIn = (text: string): number | undefined => {
  if (text === "0") return 0
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
  const sum = parts.reduce((total, [, amount, unit]) => total + Number(amount) * (units[unit ?? ""] ?? 0), 0)
  return Math.round(sum * 1000) / 1000
}

const duration = (read: Reader, path: KeyPath): number | undefined => {
  const text = read.text(path)
  if (text === undefined) return undefined
  const found = secondsIn(text)
  if (found === undefined) read.note(path, "expected a duration such as 30s")
  return found
}

const server = (read: Reader, draft: Draft): void => {
  const table = sectionAt(draft.settings, ["server"])
  const seconds = (key: string, from: KeyPath) => setKey(draft, table, key, duration(read, from), from)
  setKey(draft, table, "host", read.text(["server", "host"]), ["server", "host"])
  setKey(draft, table, "port", read.number(["server", "port"]), ["server", "port"])
  seconds("request_timeout_seconds", ["proxy", "response_timeout"])
  seconds("connect_timeout_seconds", ["proxy", "connection_timeout"])
  seconds("first_byte_timeout_seconds", ["proxy", "response_header_timeout"])
  seconds("idle_timeout_seconds", ["proxy", "read_timeout"])
  seconds("upload_timeout_seconds", ["server", "read_timeout"])
  seconds("shutdown_grace_seconds", ["server", "shutdown_timeout"])
  const size = ["server", "request_limits", "max_body_size"]
  const bytes = read.number(size)
  if (bytes !== undefined) setKey(draft, table, "max_body_mb", Math.round((bytes / 1_048_576) * 1000) / 1000, size)
  const cors = ["server", "cors"]
  if (read.at([...cors, "enabled"]) !== true) return
  const origins = [...cors, "allowed_origins"]
  setKey(draft, sectionAt(draft.settings, cors), "origins", read.texts(origins)?.map(literalText), origins)
  read.used([...cors, "enabled"])
}

const logging = (read: Reader, draft: Draft): void => {
  const table = sectionAt(draft.settings, ["logging"])
  for (const key of ["level", "format"]) {
    setKey(draft, table, key, read.text(["logging", key])?.toLowerCase(), ["logging", key])
  }
  const requests = ["server", "request_logging"]
  setKey(draft, table, "access_log", read.flag(requests), requests)
}

// To Olla this is whatever speaks the API.
const plain: ReadonlySet<string | undefined> = new Set([undefined, "openai", "openai-compatible"])

const typeOf = (read: Reader, from: KeyPath): BackendType => {
  const text = read.text(from)
  const found = text === undefined || plain.has(text) ? undefined : typeCalled(text)
  if (found !== undefined && kindNamed(found).fingerprint !== undefined) return found
  if (!plain.has(text)) read.note(from, "there is no such type: it is called like any OpenAI-compatible server")
  return plainType
}

const strategies: ReadonlyMap<string, string> = new Map([
  ["round-robin", "round_robin"],
  ["priority", "priority_only"],
  ["least-connections", "smart"]
])

const strategy = (read: Reader, draft: Draft): void => {
  const from = ["proxy", "load_balancer"]
  const text = read.text(from)
  if (text === undefined) return
  const found = strategies.get(text)
  if (found === undefined) return read.note(from, "there is no such strategy")
  setKey(draft, sectionAt(draft.settings, ["routing"]), "strategy", found, from)
  if (found !== "smart") return
  const weights = sectionAt(draft.settings, ["routing", "weights"])
  for (const key of ["priority", "load", "latency"]) setKey(draft, weights, key, key === "load" ? 100 : 0, from)
}

const auth = (read: Reader, draft: Draft, endpoint: KeyPath, table: DraftTable): void => {
  const at = [...endpoint, "auth"]
  if (!isTable(read.at(at))) return
  if (read.at([...at, "type"]) !== "bearer") return read.note(at, "a key is sent as a bearer token, in no other way")
  read.used([...at, "type"])
  const file = [...at, "token_file"]
  const path = read.text(file)
  if (path !== undefined) return setKey(draft, table, "api_key_file", withVariables(draft, path, variable), file)
  const from = [...at, "token"]
  const text = read.text(from)
  if (text === undefined) return
  if (/\$\{\w+:-/.test(text)) read.note(from, "the default of the variable is left out")
  putSecret(draft, table, "api_key_env", { text, from, syntax: variable, wanted: `${String(table["name"])}_API_KEY` })
}

/** Without `preserve_path` Olla leaves the path of an address out when it forwards. */
const urlOf = (read: Reader, draft: Draft, endpoint: KeyPath, text: string): string => {
  const url = serverUrl(draft, text, [...endpoint, "url"], variable)
  const keep = [...endpoint, "preserve_path"]
  if (read.flag(keep) !== undefined) read.used(keep)
  return read.at(keep) === true || !/^https?:/i.test(url) || !URL.canParse(url) ? url : new URL(url).origin
}

// Nexus prefers the lower number, Olla the higher one.
const priorities = (read: Reader, endpoints: ReadonlyArray<KeyPath>): ((endpoint: KeyPath) => number) => {
  const of = (endpoint: KeyPath) => {
    const value = read.at([...endpoint, "priority"])
    return typeof value === "number" ? value : 100
  }
  const highest = Math.max(...endpoints.map(of))
  return (endpoint) => highest - of(endpoint)
}

/** Nexus has one time between probes and one limit for all: the shortest and the longest of the endpoints. */
const checks = (read: Reader, draft: Draft, all: ReadonlyArray<KeyPath>): void => {
  const table = sectionAt(draft.settings, ["health_check"])
  const each = (key: string, to: string, pick: (values: ReadonlyArray<number>) => number) => {
    const given = all.flatMap((endpoint) => {
      const from = [...endpoint, key]
      const value = duration(read, from)
      return value === undefined ? [] : [{ from, value }]
    })
    if (given.length === 0) return
    const picked = pick(given.map(({ value }) => value))
    for (const { from, value } of given) {
      if (value === picked) setKey(draft, table, to, picked, from)
      else read.note(from, `${to} counts for all backends: it is ${picked}`)
    }
  }
  each("check_interval", "interval_seconds", (values) => Math.min(...values))
  each("check_timeout", "timeout_seconds", (values) => Math.max(...values))
}

const endpoints = (read: Reader, draft: Draft): void => {
  const all = read.items(["discovery", "static", "endpoints"])
  const nameFor = backendNames()
  const priorityOf = priorities(read, all)
  for (const endpoint of all) {
    const url = read.text([...endpoint, "url"])
    if (url === undefined) {
      read.note(endpoint, "it has no url")
      continue
    }
    const table = addItem(draft, draft.settings, "backends", endpoint)
    const named = [...endpoint, "name"]
    const type = [...endpoint, "type"]
    const priority = [...endpoint, "priority"]
    setKey(draft, table, "name", nameFor(read.text(named) ?? "endpoint"), named)
    setKey(draft, table, "url", urlOf(read, draft, endpoint, url), [...endpoint, "url"])
    setKey(draft, table, "type", typeOf(read, type), type)
    if (read.number(priority) !== undefined) setKey(draft, table, "priority", priorityOf(endpoint), priority)
    auth(read, draft, endpoint, table)
  }
  checks(read, draft, all)
}

const aliases = (read: Reader, draft: Draft): void => {
  const names = modelNames(draft)
  for (const name of read.keys(["model_aliases"])) {
    const from = ["model_aliases", name]
    const models = read.texts(from)
    if (models === undefined) continue
    read.used(from)
    for (const model of models) names.stands(name, model, from)
  }
  names.finish()
}

const isKeyOf = (value: unknown, ...keys: ReadonlyArray<string>): boolean =>
  isTable(value) && keys.some((key) => Object.hasOwn(value, key))

/** The importer. */
export const olla: Format = {
  title: "Olla",
  hints: [],
  isIt: (tree) =>
    isKeyOf(tree, "model_aliases", "model_registry") ||
    isKeyOf(tree["discovery"], "static", "model_discovery") ||
    isKeyOf(tree["proxy"], "load_balancer", "engine"),
  mapped: ollaMapped,
  unsupported: ollaUnsupported,
  convert: (read, draft) => {
    server(read, draft)
    strategy(read, draft)
    aliases(read, draft)
    endpoints(read, draft)
    logging(read, draft)
  }
}
