/**
 * What the Schema says of each key, in words: for messages, for JSON Schema, and for the table in the README.
 */
import * as Schema from "effect/Schema"
import { isTable, type KeyPath, showPath, type Table, valueAt } from "./path.ts"
import { Settings } from "./schema.ts"

/** Makes a value when it is first asked for: most starts need nothing of this file. */
export const lazy = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}

const root = lazy((): Table => Schema.toJsonSchemaDocument(Settings, { onExcessProperty: "error" }).schema)

const tableOf = (value: unknown): Table => (isTable(value) ? value : {})

const stepInto = (node: Table, key: string | number): Table | undefined => {
  if (typeof key === "number") return isTable(node["items"]) ? node["items"] : undefined
  const properties = tableOf(node["properties"])
  const found = Object.hasOwn(properties, key) ? properties[key] : node["additionalProperties"]
  return isTable(found) ? found : undefined
}

/** The JSON Schema of the key at a path; undefined when there is no such key. */
export const schemaAt = (path: KeyPath): Table | undefined => {
  let node: Table | undefined = root()
  for (const key of path) node = node === undefined ? undefined : stepInto(node, key)
  return node
}

const range = (node: Table): string =>
  node["minimum"] === undefined ? "" : ` from ${String(node["minimum"])} to ${String(node["maximum"])}`

/** What a key takes, such as `a whole number from 0 to 65535`. */
export const expectedText = (node: Table): string => {
  if (Array.isArray(node["anyOf"])) return node["anyOf"].map((each) => expectedText(tableOf(each))).join(" or ")
  if (Array.isArray(node["enum"])) return node["enum"].map((each) => JSON.stringify(each)).join(" | ")
  switch (node["type"]) {
    case "boolean":
      return "true or false"
    case "integer":
      return `a whole number${range(node)}`
    case "number":
      return `a number${range(node)}`
    case "array": {
      const items = tableOf(node["items"])
      if (items["type"] === "object") return "a list of tables"
      if (Array.isArray(items["enum"])) return `a list of ${expectedText(items)}`
      return items["minLength"] === undefined ? "a list of texts" : "a list of texts that are not empty"
    }
    case "object":
      return "a table"
    default:
      return node["minLength"] === undefined ? "text" : "text that is not empty"
  }
}

/** Keys a table may have; undefined when it may have any. */
export const keysAt = (path: KeyPath): ReadonlyArray<string> | undefined => {
  const node = schemaAt(path)
  return node !== undefined && isTable(node["properties"]) ? Object.keys(node["properties"]) : undefined
}

/** One key of the file. */
export interface KeyEntry {
  /** `0` stands for each item of a list of tables. */
  readonly path: KeyPath
  readonly node: Table
  /** Whether it has to be given. */
  readonly required: boolean
}

const walk = (node: Table, path: KeyPath): ReadonlyArray<KeyEntry> =>
  Object.entries(tableOf(node["properties"])).flatMap(([key, value]) => {
    const child = tableOf(value)
    const at = [...path, key]
    const required = Array.isArray(node["required"]) && node["required"].includes(key)
    if (isTable(child["properties"])) return walk(child, at)
    const items = tableOf(child["items"])
    if (isTable(items["properties"])) return walk(items, [...at, 0])
    return [{ path: at, node: child, required }]
  })

/** Every key that holds a value, in the order of the Schema. */
export const keyEntries = lazy(() => walk(root(), []))

/** Keys with one plain value that are not inside a list: those a variable can set. */
export const scalarKeys = lazy(() =>
  keyEntries().filter(({ path, node }) => !path.includes(0) && node["type"] !== "array" && node["type"] !== "object")
)

const defaults = lazy(() =>
  Schema.decodeUnknownSync(Settings)({
    auth: {
      keys: [{ name: "-" }],
      issuers: [{ name: "x", issuer: "x", audience: ["x"], roles: [{ name: "x", claims: {} }] }]
    },
    models: [{ name: "-" }],
    prices: [{ model: "-" }],
    budgets: [{ name: "x" }],
    routes: [{ name: "x", canary: { share: 0 }, shadow: { share: 0 } }],
    backends: [{ name: "x", models: [{ id: "-" }] }]
  })
)

// Undefined when a key has none.
const defaultOf = ({ path, required }: KeyEntry): unknown => (required ? undefined : valueAt(defaults(), path))

const withDefaults = (node: Table, path: KeyPath): Table => {
  const properties = Object.entries(tableOf(node["properties"])).map(([key, value]) => {
    const at = [...path, key]
    const entry = keyEntries().find((each) => showPath(each.path) === showPath(at))
    const standard = entry === undefined ? undefined : defaultOf(entry)
    return [key, { ...withDefaults(tableOf(value), at), ...(standard === undefined ? {} : { default: standard }) }]
  })
  return {
    ...node,
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
    ...(isTable(node["items"]) ? { items: withDefaults(node["items"], [...path, 0]) } : {})
  }
}

/** The JSON Schema of nexus.toml, for editors. */
export const jsonSchema = (): Table => ({
  $schema: "https://json-schema.org/draft/2020-12/schema",
  title: "nexus.toml",
  ...withDefaults(root(), [])
})

const cell = (text: string): string => text.replaceAll("|", "\\|")

const shown = (value: unknown): string => (value === undefined ? "none" : `\`${JSON.stringify(value)}\``)

/** The reference table for the README, as Markdown. */
export const configMarkdown = (): string =>
  [
    "| key | type and bounds | default | meaning |",
    "| --- | --- | --- | --- |",
    ...keyEntries().map((entry) => {
      const key = showPath(entry.path).replaceAll("[0]", "[]")
      const standard = entry.required ? "required" : shown(defaultOf(entry))
      return `| \`${key}\` | ${[typeOf(entry.node), standard, String(entry.node["description"] ?? "")].map(cell).join(" | ")} |`
    })
  ].join("\n")

const typeOf = (node: Table): string => {
  if (node["type"] !== "object") return expectedText(node)
  return `a table of name = ${expectedText(tableOf(node["additionalProperties"]))}`
}
