/**
 * LiteLLM's config.yaml.
 */
import { isTable, type KeyPath } from "../path.ts"
import { type Draft, literalText, addItem, setKey, type Reader, type DraftTable, sectionAt } from "./draft.ts"
import type { Format } from "./format.ts"
import { litellmMapped, litellmUnsupported } from "./litellm-keys.ts"
import { type ModelNames, modelNames } from "./served-names.ts"
import { serverUrl, backendNames, noteVariable, putSecret } from "./naming.ts"
import { type Provider, providerOf } from "./providers.ts"

const variable = /os\.environ\/([A-Za-z_][A-Za-z0-9_]*)/

// Whose addresses Nexus takes as LiteLLM does.
const asTheyAre: ReadonlySet<string> = new Set(["ollama", "azure", "anthropic", "gemini"])

const isWildcard = (name: string): boolean => name.includes("*")

/** A key of a deployment: its own, or that of the credential it names. */
const param = (read: Reader, params: KeyPath, key: string): KeyPath => {
  const own = [...params, key]
  const name = read.at([...params, "litellm_credential_name"])
  if (read.at(own) !== undefined || typeof name !== "string") return own
  const found = read.items(["credential_list"]).find((at) => read.at([...at, "credential_name"]) === name)
  if (found === undefined) return own
  read.used([...params, "litellm_credential_name"], [...found, "credential_name"])
  return [...found, "credential_values", key]
}

const addressOf = (read: Reader, draft: Draft, params: KeyPath, provider: Provider): string | undefined => {
  const own = param(read, params, "api_base")
  const from = read.at(own) === undefined ? param(read, params, "base_url") : own
  const text = read.text(from)
  if (text === undefined) return provider.url
  read.used(from)
  const version = read.text(param(read, params, "api_version"))
  if (version !== undefined) read.used(param(read, params, "api_version"))
  const base = serverUrl(draft, text, from, variable)
  const url = version === undefined ? base : `${base}?api-version=${version}`
  if (!asTheyAre.has(provider.type) && !url.endsWith("/v1") && !url.includes("${")) {
    read.note(
      from,
      "LiteLLM calls this address as it is, Nexus below /v1; `nexus doctor` tells whether it answers there"
    )
  }
  return url
}

const describeModel = (read: Reader, draft: Draft, entry: KeyPath, table: DraftTable): void => {
  const at = (key: string): KeyPath => [...entry, "model_info", key]
  const context = read.at(at("max_input_tokens")) === undefined ? "max_tokens" : "max_input_tokens"
  setKey(draft, table, "context_length", read.number(at(context)), at(context))
  setKey(draft, table, "vision", read.flag(at("supports_vision")), at("supports_vision"))
  setKey(draft, table, "tools", read.flag(at("supports_function_calling")), at("supports_function_calling"))
  setKey(draft, table, "json_mode", read.flag(at("supports_response_schema")), at("supports_response_schema"))
  const mode = read.at(at("mode"))
  if (mode === "embedding") setKey(draft, table, "embeddings", true, at("mode"))
  else if (mode === "chat" || mode === "completion") read.used(at("mode"))
}

const serverName = ({ name, type, url: standard }: Provider, url: string): string => {
  if (url === standard) return name.replace(/^text-completion-|_chat$/, "")
  const host = URL.canParse(url) ? new URL(url).host : ""
  return [type === "generic" && host !== "" ? "" : type, host].filter((part) => part !== "").join("-")
}

interface Server {
  readonly table: DraftTable
  readonly models: Map<string, DraftTable>
}

/** The backends of the deployments: those with the same address and key are one. */
const makeServers = (read: Reader, draft: Draft) => {
  const servers = new Map<string, Server>()
  const nameFor = backendNames()
  return (params: KeyPath, provider: Provider, url: string): Server => {
    const key = param(read, params, "api_key")
    const id = JSON.stringify([provider.type, url, read.at(key)])
    const known = servers.get(id)
    if (known !== undefined) {
      read.used(key)
      return known
    }
    const table = addItem(draft, draft.settings, "backends", params)
    const name = nameFor(serverName(provider, url))
    table["name"] = name
    table["url"] = url
    table["type"] = provider.type
    const secret = read.text(key)
    if (secret !== undefined) {
      putSecret(draft, table, "api_key_env", { text: secret, from: key, syntax: variable, wanted: `${name}_API_KEY` })
    } else if (provider.key !== undefined && provider.url === url) {
      table["api_key_env"] = provider.key
      noteVariable(draft, provider.key, undefined)
    }
    const server = { table, models: new Map<string, DraftTable>() }
    servers.set(id, server)
    return server
  }
}

const deployments = (read: Reader, draft: Draft, names: ModelNames): void => {
  const serverOf = makeServers(read, draft)

  const timeout = (table: DraftTable, from: KeyPath): void => {
    const value = read.number(from)
    if (value === undefined) return
    const known = table["request_timeout_seconds"]
    if (known === undefined) setKey(draft, table, "request_timeout_seconds", value, from)
    else if (known === value) read.used(from)
    else read.note(from, "the limit counts for a whole server, and another model of it has another one")
  }

  for (const entry of read.items(["model_list"])) {
    const params = [...entry, "litellm_params"]
    const name = read.text([...entry, "model_name"])
    const text = read.text([...params, "model"])
    if (name === undefined || text === undefined) {
      read.note(entry, "it has no model_name or no litellm_params.model")
      continue
    }
    const provider = read.at([...params, "custom_llm_provider"])
    const hasAddress = ["api_base", "base_url"].some((key) => read.at(param(read, params, key)) !== undefined)
    const found = providerOf(text, typeof provider === "string" ? provider : undefined, hasAddress)
    const url = typeof found === "string" ? undefined : addressOf(read, draft, params, found.provider)
    if (typeof found === "string" || url === undefined) {
      read.note(entry, typeof found === "string" ? found : `it has no api_base, and '${text}' no address of its own`)
      continue
    }
    const server = serverOf(params, found.provider, url)
    read.used([...entry, "model_name"], [...params, "model"], [...params, "custom_llm_provider"])
    timeout(server.table, [...params, "timeout"])
    if (isWildcard(name) || isWildcard(found.model)) {
      const isSame = name === "*" || name === found.model
      if (!isSame) read.note([...entry, "model_name"], "clients name these models as the server lists them")
      continue
    }
    names.stands(name, found.model, [...entry, "model_name"])
    const told = server.models.get(found.model) ?? addItem(draft, server.table, "models", [...params, "model"])
    server.models.set(found.model, told)
    setKey(draft, told, "id", literalText(found.model), [...params, "model"])
    describeModel(read, draft, entry, told)
  }
}

const strategies: ReadonlyMap<string, { readonly strategy: string; readonly only?: "load" | "latency" }> = new Map([
  ["simple-shuffle", { strategy: "random" }],
  ["least-busy", { strategy: "smart", only: "load" }],
  ["latency-based-routing", { strategy: "smart", only: "latency" }]
])

const strategy = (read: Reader, draft: Draft): void => {
  const from = ["router_settings", "routing_strategy"]
  const text = read.text(from)
  if (text === undefined) return
  const found = strategies.get(text)
  if (found === undefined) {
    return read.note(from, "there is no such strategy; smart, the default, weighs priority, load and latency")
  }
  setKey(draft, sectionAt(draft.settings, ["routing"]), "strategy", found.strategy, from)
  if (found.only === undefined) return
  const weights = sectionAt(draft.settings, ["routing", "weights"])
  for (const key of ["priority", "load", "latency"]) setKey(draft, weights, key, key === found.only ? 100 : 0, from)
}

// What router_settings says goes before what litellm_settings says.
const either = (read: Reader, key: string, other = key): KeyPath =>
  read.at(["router_settings", key]) === undefined ? ["litellm_settings", other] : ["router_settings", key]

const fallbacks = (read: Reader, names: ModelNames): void => {
  for (const item of read.items(either(read, "fallbacks"))) {
    for (const name of read.keys(item)) {
      const from = [...item, name]
      const others = read.texts(from)
      if (isWildcard(name)) read.note(from, "fallbacks are named for each model; there are none for all")
      else if (others !== undefined) {
        read.used(from)
        names.fallback(name, others, from)
      }
    }
  }
  const group = ["router_settings", "model_group_alias"]
  for (const name of read.keys(group)) {
    const from = isTable(read.at([...group, name])) ? [...group, name, "model"] : [...group, name]
    const to = read.text(from)
    if (to === undefined) continue
    read.used(from)
    names.alias(name, to, from)
  }
}

const general = (read: Reader, draft: Draft): void => {
  const number = (section: string, key: string, from: KeyPath): void =>
    setKey(draft, sectionAt(draft.settings, [section]), key, read.number(from), from)
  number("server", "request_timeout_seconds", either(read, "timeout", "request_timeout"))
  number("server", "max_body_mb", ["general_settings", "max_request_size_mb"])
  number("server", "max_concurrent_requests", ["general_settings", "global_max_parallel_requests"])
  number("routing", "max_retries", either(read, "num_retries"))
  number("health_check", "interval_seconds", ["general_settings", "health_check_interval"])
  const logging = sectionAt(draft.settings, ["logging"])
  const verbose = ["litellm_settings", "set_verbose"]
  const json = ["litellm_settings", "json_logs"]
  if (read.flag(verbose) === true) setKey(draft, logging, "level", "debug", verbose)
  if (read.flag(json) === true) setKey(draft, logging, "format", "json", json)
  for (const path of [verbose, json]) if (read.at(path) === false) read.used(path)
  const master = ["general_settings", "master_key"]
  const key = read.text(master)
  if (key === undefined) return
  const table = addItem(draft, sectionAt(draft.settings, ["auth"]), "keys", master)
  table["name"] = "master"
  putSecret(draft, table, "env", { text: key, from: master, syntax: variable, wanted: "LITELLM_MASTER_KEY" })
}

/** The importer. */
export const litellm: Format = {
  title: "LiteLLM",
  hints: ["LiteLLM listens on port 4000: with port = 4000 in [server], clients need no change."],
  isIt: (tree) => Array.isArray(tree["model_list"]) || isTable(tree["litellm_settings"]),
  mapped: litellmMapped,
  unsupported: litellmUnsupported,
  convert: (read, draft) => {
    const names = modelNames(draft)
    general(read, draft)
    strategy(read, draft)
    deployments(read, draft, names)
    fallbacks(read, names)
    names.finish()
  }
}
