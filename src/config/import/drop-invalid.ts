/**
 * Takes out of a draft what the settings would not take, and notes each with the reason: what is left is valid.
 */
import { schemaMistakes } from "../check.ts"
import { isTable, type KeyPath, showPath, type Table, valueAt } from "../path.ts"
import { ruleMistakes } from "../rules.ts"
import { substitute } from "../substitute.ts"
import { type Draft, sourceOf, type DraftTable } from "./draft.ts"

/** The settings as they are once every variable holds an address of its own. */
const filledIn = (settings: DraftTable): Table => {
  const { names } = substitute(settings, {})
  const env = Object.fromEntries([...names].map((name) => [name, `http://${name.toLowerCase()}.example`]))
  return substitute(settings, env).tree
}

// Without its name, its address or its key, an item is nothing.
const vital = /^(backends\[\d+\]|auth\.keys\[\d+\]|backends\[\d+\]\.models\[\d+\])\.(name|url|id|env|sha256)$/

/** The path, or the nearest around it where something is: each repair takes something away. */
const there = (settings: DraftTable, path: KeyPath): KeyPath =>
  path.length <= 1 || valueAt(settings, path) !== undefined ? path : there(settings, path.slice(0, -1))

const remove = (settings: DraftTable, path: KeyPath): void => {
  let table: unknown = settings
  for (const key of path.slice(0, -1)) {
    table = Array.isArray(table) ? table[Number(key)] : isTable(table) ? table[key] : undefined
  }
  const last = path.at(-1)
  if (Array.isArray(table)) table.splice(Number(last), 1)
  else if (typeof table === "object" && table !== null) Reflect.deleteProperty(table, String(last))
}

/** Repairs the draft in place. */
export const dropInvalid = (draft: Draft): void => {
  for (;;) {
    const tree = filledIn(draft.settings)
    const shape = schemaMistakes(tree)
    const [mistake] = shape.length > 0 ? shape : ruleMistakes(tree, () => undefined)
    if (mistake === undefined) return
    const isVital = vital.test(showPath(mistake.path))
    const path = there(draft.settings, isVital ? mistake.path.slice(0, -1) : mistake.path)
    const whole = isVital ? `left out as a whole: ${String(mistake.path.at(-1))}: ` : ""
    draft.notes.push({ path: sourceOf(draft, path), why: whole + mistake.reason })
    remove(draft.settings, path)
  }
}
