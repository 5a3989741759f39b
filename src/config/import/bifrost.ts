/**
 * Bifrost's config.json.
 */
import { isTable, type KeyPath } from "../path.ts"
import { access, type Carried } from "./bifrost-access.ts"
import { bifrostMapped, bifrostUnsupported } from "./bifrost-keys.ts"
import { type Draft, literalText, addItem, setKey, type Reader, type DraftTable, sectionAt } from "./draft.ts"
import type { Format } from "./format.ts"
import { serverUrl, backendNames, putSecret, withVariables } from "./naming.ts"
import { otherKeys, type Provider, providers } from "./providers.ts"

// A whole text is a variable, or none of it.
const variable = /^env\.([A-Za-z_][A-Za-z0-9_]*)$/

// Those that LiteLLM calls otherwise, or not at all.
const own: ReadonlyArray<Provider> = [
  { name: "vllm", type: "vllm" },
  { name: "sgl", type: "sglang" },
  { name: "fireworks", type: "openai", url: "https://api.fireworks.ai/inference/v1" },
  { name: "nebius", type: "openai", url: "https://api.tokenfactory.nebius.com/v1" },
  { name: "parasail", type: "openai", url: "https://api.parasail.io/v1" },
  { name: "vertex", type: "vertex", url: "https://aiplatform.googleapis.com" },
  { name: "bedrock", type: "bedrock" }
]

const byName = new Map([...providers, ...own].map((provider) => [provider.name, provider]))

/** A key of a provider, which is a server of its own here. */
interface Server {
  readonly provider: Provider
  /** Where the settings of the provider are. */
  readonly at: KeyPath
  /** Where those of the key are: the same for a provider without keys. */
  readonly key: KeyPath
}

const ofKind = ({ provider, key }: Server, name: string): KeyPath => [...key, `${provider.name}_key_config`, name]

const bedrockUrl = (read: Reader, from: KeyPath): string | undefined => {
  const region = read.text(from)
  if (region === undefined || variable.test(region)) return undefined
  read.used(from)
  return `https://bedrock-runtime.${literalText(region)}.amazonaws.com`
}

/** The address of a server; undefined when it has none. */
const urlOf = (read: Reader, draft: Draft, server: Server): string | undefined => {
  const { at, provider } = server
  const places = [ofKind(server, "url"), ofKind(server, "endpoint"), [...at, "network_config", "base_url"]]
  const from = places.find((path) => read.at(path) !== undefined)
  if (from === undefined) {
    return provider.type === "bedrock" ? bedrockUrl(read, ofKind(server, "region")) : provider.url
  }
  const text = read.text(from)
  if (text === undefined) return undefined
  read.used(from)
  const url = serverUrl(draft, text, from, variable)
  const version = read.text(ofKind(server, "api_version"))
  if (version === undefined) return url
  read.used(ofKind(server, "api_version"))
  return `${url}?api-version=${withVariables(draft, version, variable)}`
}

/** A name that clients may ask for, and the model that it is at one server. */
interface Served {
  readonly name: string
  readonly model: string
  readonly from: KeyPath
}

/** What a key names of its models; nothing where it serves all that its server has. */
const servedBy = (read: Reader, server: Server): ReadonlyArray<Served> => {
  const { key } = server
  const renamed = [ofKind(server, "deployments"), [...key, "aliases"]].flatMap((table) =>
    read.keys(table).flatMap((name): ReadonlyArray<Served> => {
      const model = read.text([...table, name])
      return model === undefined ? [] : [{ name, model, from: [...table, name] }]
    })
  )
  const from = [...key, "models"]
  const listed = read.texts(from)
  if (listed !== undefined) read.used(from)
  const at = ofKind(server, "model_name")
  const only = read.text(at)
  const plain = (listed ?? []).filter((name) => name !== "*" && !renamed.some((other) => other.name === name))
  if (only === undefined) return [...renamed, ...plain.map((name) => ({ name, model: name, from }))]
  return [...renamed, ...(plain.length === 0 ? [only] : plain).map((name) => ({ name, model: only, from: at }))]
}

const models = (read: Reader, draft: Draft, server: Server, table: DraftTable): ReadonlyArray<Served> => {
  const served = servedBy(read, server)
  for (const model of new Set(served.map((each) => each.model))) {
    const from = served.find((each) => each.model === model)?.from ?? server.key
    setKey(draft, addItem(draft, table, "models", from), "id", literalText(model), from)
  }
  return served
}

const network = (read: Reader, draft: Draft, { at }: Server, table: DraftTable, isAlone: boolean): void => {
  const from = (key: string): KeyPath => [...at, "network_config", key]
  const number = (key: string, path: KeyPath) => setKey(draft, table, key, read.number(path), path)
  number("request_timeout_seconds", from("default_request_timeout_in_seconds"))
  number("idle_timeout_seconds", from("stream_idle_timeout_in_seconds"))
  const anyone = from("insecure_skip_verify")
  setKey(draft, table, "insecure_skip_verify", read.flag(anyone), anyone)
  const most = [...at, "concurrency_and_buffer_size", "concurrency"]
  if (isAlone) number("max_concurrent", most)
  else if (read.at(most) !== undefined)
    read.note(most, "it counts for all keys together, max_concurrent for one backend")
}

/** Why a key is left out as a whole; undefined when it is not. */
const leftOut = (read: Reader, { key, provider }: Server): string | undefined => {
  const enabled = [...key, "enabled"]
  if (read.flag(enabled) === false) return "it is not enabled"
  read.used(enabled)
  const from = [...key, "models"]
  if (read.at(["version"]) !== 1 && read.texts(from)?.length === 0) return "it serves no model"
  const value = read.at([...key, "value"])
  const name = provider.name === "vertex" ? "vertex_ai" : provider.name
  return value === undefined || value === "" ? otherKeys.get(name) : undefined
}

/** The backends, each key of a provider one, and the names that lead to what they name of their models. */
const backends = (read: Reader, draft: Draft): ReadonlyArray<Carried> => {
  const nameFor = backendNames()
  const groups = new Map<string, Array<Served & { readonly backend: string }>>()

  const listed = read.keys(["providers"])
  const carry = (name: string, server: Server, isAlone: boolean): ReadonlyArray<Carried> => {
    const { key, provider } = server
    const why = leftOut(read, server)
    const url = why === undefined ? urlOf(read, draft, server) : undefined
    if (url === undefined) {
      read.note(key, why ?? "it has no address that can be written down here")
      return []
    }
    const table = addItem(draft, draft.settings, "backends", key)
    const called = read.text([...key, "name"])
    const backend = nameFor(called ?? name)
    setKey(draft, table, "name", backend, [...key, "name"])
    table["url"] = url
    table["type"] = provider.type === "openai" && url !== provider.url ? "generic" : provider.type
    const from = [...key, "value"]
    const text = read.text(from)
    const wanted = `${backend}_API_KEY`
    if (text !== undefined && text !== "") {
      putSecret(draft, table, "api_key_env", { text, from, syntax: variable, wanted })
    } else if (provider.type === "azure")
      read.note(from, "keys that Azure gives to machines are not asked for; set one")
    else read.used(from)
    network(read, draft, server, table, isAlone)
    for (const served of models(read, draft, server, table)) {
      const isOthers = listed.some((other) => served.name.startsWith(`${other}/`))
      for (const group of [...(isOthers ? [] : [served.name]), `${name}/${served.name}`]) {
        groups.set(group, [...(groups.get(group) ?? []), { ...served, backend }])
      }
    }
    const id = [...key, "id"]
    read.used(id)
    return [{ provider: name, backend, names: [called, read.at(id)] }]
  }

  const carried = listed.flatMap((name) => {
    const at = ["providers", name]
    const base = [...at, "custom_provider_config", "base_provider_type"]
    const kind = read.text(base) ?? name
    const provider = byName.get(kind)
    if (provider === undefined) {
      read.note(at, `Nexus does not know how to call '${kind}'`)
      return []
    }
    read.used(base)
    const keys = read.items([...at, "keys"])
    return keys.length === 0
      ? carry(name, { provider, at, key: at }, true)
      : keys.flatMap((key) => carry(name, { provider, at, key }, keys.length === 1))
  })

  const table = sectionAt(draft.settings, ["routing", "groups"])
  const own = new Set([...groups.values()].flatMap((all) => all.map(({ model }) => model)))
  for (const [group, all] of groups) {
    if (own.has(group)) {
      for (const { from, model } of all) {
        if (model !== group)
          read.note(from, `'${group}' is the name of a model as well, which clients get who ask for it`)
      }
      continue
    }
    const entries = all.map(({ backend, model }) => literalText(`${model}@${backend}`))
    setKey(draft, table, group, entries, all[0]?.from ?? [])
  }
  return carried
}

const client = (read: Reader, draft: Draft): void => {
  const size = ["client", "max_request_body_size_mb"]
  setKey(draft, sectionAt(draft.settings, ["server"]), "max_body_mb", read.number(size), size)
  const origins = ["client", "allowed_origins"]
  const cors = sectionAt(draft.settings, ["server", "cors"])
  setKey(draft, cors, "origins", read.texts(origins)?.map(literalText), origins)
}

const hasKeys = (provider: unknown): boolean =>
  isTable(provider) && ["keys", "network_config", "custom_provider_config"].some((key) => Object.hasOwn(provider, key))

/** The importer. */
export const bifrost: Format = {
  title: "Bifrost",
  hints: ["Bifrost listens on port 8080: with port = 8080 in [server], clients of its /v1 need no change."],
  isIt: ({ $schema: schema, providers: listed }) =>
    (typeof schema === "string" && schema.includes("getbifrost.ai")) ||
    (isTable(listed) && Object.values(listed).some(hasKeys)),
  mapped: bifrostMapped,
  unsupported: bifrostUnsupported,
  convert: (read, draft) => {
    client(read, draft)
    access(read, draft, backends(read, draft), variable)
  }
}
