/**
 * Settings as the text of a nexus.toml.
 */
import { stringify } from "smol-toml"
import { isTable, type Table } from "../path.ts"
import { printable } from "../../domain/text.ts"
import type { Draft } from "./draft.ts"

const order = ["server", "auth", "discovery", "health_check", "routing", "backends", "logging"]

const line = (key: string, value: unknown): string => stringify({ [key]: value }).trim()

const keyOf = (key: string): string => line(key, 0).replace(/ = 0$/, "")

const isTables = (value: unknown): value is ReadonlyArray<Table> =>
  Array.isArray(value) && value.length > 0 && value.every(isTable)

const commentText = (text: string): string => `# ${printable(text)}`

/** Writes the settings of a draft, with its comments. */
export const draftToml = ({ settings, comments }: Draft, heading: ReadonlyArray<string>): string => {
  const own = (table: Table, header: string): ReadonlyArray<string> => {
    const values = Object.entries(table).filter(([, value]) => !isTable(value) && !isTables(value))
    if (values.length === 0 && !header.startsWith("[[")) return []
    const above = (comments.get(table) ?? []).map(commentText)
    return [[...above, header, ...values.map(([key, value]) => line(key, value))].join("\n")]
  }
  const below = (table: Table, path: string): ReadonlyArray<string> =>
    Object.entries(table).flatMap(([key, value]) => {
      const at = path === "" ? keyOf(key) : `${path}.${keyOf(key)}`
      if (isTables(value)) return value.flatMap((item) => own(item, `[[${at}]]`).concat(below(item, at)))
      return isTable(value) ? own(value, `[${at}]`).concat(below(value, at)) : []
    })
  const sorted = Object.entries(settings).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
  return `${[heading.map(commentText).join("\n"), ...below(Object.fromEntries(sorted), "")].join("\n\n")}\n`
}
