/**
 * llama-swap's config.yaml.
 */
import { isTable, type KeyPath } from "../path.ts"
import { type BackendType, plainType, typeWhere } from "../../backend/all.ts"
import {
  addComment,
  type Draft,
  literalText,
  addItem,
  setKey,
  type Reader,
  type DraftTable,
  sectionAt
} from "./draft.ts"
import type { Format } from "./format.ts"
import { llamaSwapMapped, llamaSwapUnsupported } from "./llama-swap-keys.ts"
import { expandMacros, type Macros, macrosAt, macrosIn } from "./macros.ts"
import { type ModelNames, modelNames } from "./served-names.ts"
import { serverUrl, backendNames, putSecret } from "./naming.ts"

const variable = /\$\{env\.([A-Za-z_][A-Za-z0-9_]*)\}/

const portMacro = "${PORT}"
const standardProxy = `http://localhost:${portMacro}`

const typeOf = (line: string): BackendType => typeWhere(({ command }) => command?.test(line) === true) ?? plainType

const textAt = (read: Reader, path: KeyPath, standard = ""): string => {
  const value = read.at(path)
  return typeof value === "string" ? value : standard
}

/** The port of each model, given out as llama-swap does: from `startPort` on, in the order of the names. */
const ports = (read: Reader): ReadonlyMap<string, number> => {
  const start = read.number(["startPort"]) ?? 5800
  const takesPort = (name: string): boolean => {
    const at = ["models", name]
    const texts = [textAt(read, [...at, "proxy"], standardProxy), textAt(read, [...at, "cmd"])]
    return texts.some((text) => expandMacros(text, macrosAt(read, at)).includes(portMacro))
  }
  const taking = read
    .keys(["models"])
    .filter(takesPort)
    .sort((a, b) => (a < b ? -1 : 1))
  return new Map(taking.map((name, index) => [name, start + index]))
}

const timeouts = (read: Reader, draft: Draft, at: KeyPath, table: DraftTable): void => {
  const connect = [...at, "timeouts", "connect"]
  setKey(draft, table, "connect_timeout_seconds", read.number(connect), connect)
  const head = [...at, "timeouts", "responseHeader"]
  setKey(draft, table, "first_byte_timeout_seconds", read.number(head), head)
}

const capabilities = (read: Reader, draft: Draft, at: KeyPath, table: DraftTable): void => {
  const inputs = [...at, "capabilities", "in"]
  if (read.texts(inputs)?.includes("image") === true) setKey(draft, table, "vision", true, inputs)
  const tools = [...at, "capabilities", "tools"]
  if (read.flag(tools) === true) setKey(draft, table, "tools", true, tools)
  const context = [...at, "capabilities", "context"]
  const length = read.number(context)
  if (length !== undefined && length > 0) setKey(draft, table, "context_length", length, context)
}

/** A macro counts as carried over when what names it is. */
const useMacros = (read: Reader, at: KeyPath, text: string, macros: Macros): void => {
  for (const name of macrosIn(text, macros)) {
    const own = [...at, "macros", name]
    read.used(read.at(own) === undefined ? ["macros", name] : own)
  }
}

interface Naming {
  readonly names: ModelNames
  readonly nameFor: (wanted: string) => string
}

const models = (read: Reader, draft: Draft, { names, nameFor }: Naming): void => {
  const given = ports(read)
  const servers = new Map<string, DraftTable>()

  const serverOf = (id: string, from: KeyPath, url: string, macros: Macros): DraftTable => {
    const at = ["models", id]
    const known = servers.get(url)
    if (known !== undefined) {
      read.note(from, "another model has the same address: Nexus takes both to be there at the same time")
      return known
    }
    const table = addItem(draft, draft.settings, "backends", at)
    servers.set(url, table)
    addComment(draft, table, `To be started with the command of '${id}'.`)
    table["name"] = nameFor(id)
    table["url"] = url
    table["type"] = typeOf(expandMacros(textAt(read, [...at, "cmd"]), macros))
    timeouts(read, draft, at, table)
    const limit = [...at, "concurrencyLimit"]
    const most = read.number(limit)
    if (most !== undefined && most > 0) setKey(draft, table, "max_concurrent", most, limit)
    return table
  }

  for (const id of read.keys(["models"])) {
    const at = ["models", id]
    if (!isTable(read.at(at))) {
      read.note(at, "expected the settings of a model")
      continue
    }
    const port = given.get(id)
    const macros: Macros = new Map([
      ...macrosAt(read, at),
      ["MODEL_ID", id],
      ...(port === undefined ? [] : [["PORT", String(port)] as const])
    ])
    const written = read.text([...at, "proxy"])
    const proxy = written ?? standardProxy
    const from = written === undefined ? at : [...at, "proxy"]
    useMacros(read, at, proxy, macros)
    if (proxy.includes(portMacro)) read.used(["startPort"])
    if (written !== undefined) read.used(from)
    const table = serverOf(id, from, serverUrl(draft, expandMacros(proxy, macros), from, variable), macros)
    const renamed = [...at, "useModelName"]
    const wanted = expandMacros(read.text(renamed) ?? "", macros)
    const model = wanted === "" ? id : wanted
    const isRenamed = model !== id
    if (isRenamed) read.used(renamed)
    const told = addItem(draft, table, "models", isRenamed ? renamed : at)
    told["id"] = literalText(model)
    capabilities(read, draft, at, told)
    names.stands(id, model, isRenamed ? renamed : at)
    const aliases = [...at, "aliases"]
    for (const alias of read.texts(aliases) ?? []) {
      read.used(aliases)
      names.alias(expandMacros(alias, macros), id, aliases)
    }
  }
}

const peers = (read: Reader, draft: Draft, { names, nameFor }: Naming): void => {
  const macros = macrosAt(read, [])
  for (const id of read.keys(["peers"])) {
    const at = ["peers", id]
    const proxy = read.text([...at, "proxy"])
    if (proxy === undefined) {
      read.note(at, "it has no proxy")
      continue
    }
    const table = addItem(draft, draft.settings, "backends", at)
    useMacros(read, at, proxy, macros)
    table["name"] = nameFor(id)
    setKey(draft, table, "url", serverUrl(draft, expandMacros(proxy, macros), [...at, "proxy"], variable), [
      ...at,
      "proxy"
    ])
    table["type"] = "generic"
    const from = [...at, "apiKey"]
    const key = read.text(from)
    if (key !== undefined) {
      useMacros(read, at, key, macros)
      const wanted = `${String(table["name"])}_API_KEY`
      putSecret(draft, table, "api_key_env", { text: expandMacros(key, macros), from, syntax: variable, wanted })
    }
    timeouts(read, draft, at, table)
    const listed = [...at, "models"]
    for (const model of new Set(read.texts(listed) ?? [])) {
      setKey(draft, addItem(draft, table, "models", listed), "id", literalText(model), listed)
      names.alias(`${id}/${model}`, model, listed)
    }
  }
}

const selectors = (read: Reader, { names }: Naming): void => {
  for (const id of read.keys(["selectors"])) {
    const targets = ["selectors", id, "targets"]
    const [first, ...others] = read.texts(targets) ?? []
    if (first === undefined) continue
    read.used(targets)
    names.alias(id, first, targets)
    if (others.length > 0) names.fallback(first, others, targets)
  }
}

const keys = (read: Reader, draft: Draft): void => {
  const macros = macrosAt(read, [])
  for (const [index, from] of read.items(["apiKeys"]).entries()) {
    const text = read.text(from)
    if (text === undefined) continue
    useMacros(read, [], text, macros)
    const table = addItem(draft, sectionAt(draft.settings, ["auth"]), "keys", from)
    table["name"] = `key-${index + 1}`
    const wanted = `LLAMA_SWAP_KEY_${index + 1}`
    putSecret(draft, table, "env", { text: expandMacros(text, macros), from, syntax: variable, wanted })
  }
}

/** The importer. */
export const llamaSwap: Format = {
  title: "llama-swap",
  hints: [
    "Nexus starts no servers. To have llama-swap start them as before, leave out the backends that are made of its models,",
    'and name llama-swap itself as one: url = "http://localhost:8080", with the port it listens on.'
  ],
  isIt: (tree) =>
    isTable(tree["peers"]) ||
    (isTable(tree["models"]) &&
      Object.values(tree["models"]).some((each) => isTable(each) && ("cmd" in each || "proxy" in each))),
  mapped: llamaSwapMapped,
  unsupported: llamaSwapUnsupported,
  convert: (read, draft) => {
    const naming = { names: modelNames(draft), nameFor: backendNames() }
    const logging = sectionAt(draft.settings, ["logging"])
    setKey(draft, logging, "level", read.text(["logLevel"]), ["logLevel"])
    setKey(draft, logging, "access_log", read.flag(["logRequests"]), ["logRequests"])
    keys(read, draft)
    models(read, draft, naming)
    peers(read, draft, naming)
    selectors(read, naming)
    naming.names.finish()
  }
}
