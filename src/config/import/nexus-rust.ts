/**
 * The nexus.toml of the Rust Nexus.
 */
import { modernise } from "../legacy.ts"
import { isTable, type KeyPath, type Table } from "../path.ts"
import { type Draft, addItem, setKey, type DraftTable } from "./draft.ts"
import type { Format } from "./format.ts"

const fill = (draft: Draft, from: Table, to: DraftTable, path: KeyPath): void => {
  for (const [key, value] of Object.entries(from)) {
    const at = [...path, key]
    if (Array.isArray(value) && value.some(isTable)) {
      for (const [index, item] of value.entries()) {
        if (isTable(item)) fill(draft, item, addItem(draft, to, key, [...at, index]), [...at, index])
      }
    } else if (isTable(value)) {
      const below: DraftTable = Object.create(null)
      to[key] = below
      fill(draft, value, below, at)
    } else setKey(draft, to, key, value, at)
  }
}

/** The importer. */
export const nexusRust: Format = {
  title: "the Rust Nexus",
  hints: [],
  // It is the only one that is TOML.
  isIt: () => false,
  mapped: [],
  unsupported: [],
  convert: (read, draft) => {
    const tree = read.at([])
    if (!isTable(tree)) return
    const modern = modernise(tree)
    fill(draft, modern.tree, draft.settings, [])
    for (const { paths, text } of modern.notes) for (const path of paths) read.note(path, text)
    for (const { path, reason } of modern.mistakes) read.note(path, reason)
  }
}
