/**
 * Variables inside the strings of the file: `${NAME}`, `${NAME:-default}`, and `$${` for a plain `${`.
 */
import type { Mistake } from "./check.ts"
import { isTable, type KeyPath, type Table } from "./path.ts"
import type { Environment } from "./sources.ts"

/** A mistake of a variable; `unset` is the name of one that is empty or not set. */
interface Unset extends Mistake {
  readonly unset?: string
}

/** The tree with its variables replaced, what was wrong with them, and the names that were spoken of. */
export interface Substituted {
  readonly tree: Table
  /** The tree as the file writes it. */
  readonly original: Table
  readonly mistakes: ReadonlyArray<Unset>
  readonly names: ReadonlySet<string>
  /** Values that hold what a variable held, as the file writes them. */
  readonly written: ReadonlyArray<{ readonly path: KeyPath; readonly text: string }>
}

const variable = /\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{/g

/** Replaces the variables in every string of a tree; keys stay as they are. */
export const substitute = (tree: Table, env: Environment): Substituted => {
  const mistakes: Array<Unset> = []
  const names = new Set<string>()
  const written: Array<{ readonly path: KeyPath; readonly text: string }> = []

  const inText = (text: string, path: KeyPath): string => {
    const replaced = text.replace(variable, (found, name: string | undefined, standard: string | undefined) => {
      if (found === "$${") return "${"
      if (name === undefined) {
        const reason = 'a "${" must be ${NAME} or ${NAME:-default}; write $${ for the characters themselves'
        mistakes.push({ path, value: text, reason })
        return found
      }
      names.add(name)
      const held = env[name]
      if (held !== undefined && held !== "") return held
      if (standard !== undefined) return standard
      const state = held === undefined ? "is not set" : `is empty; if it may be, write \${${name}:-}`
      mistakes.push({ path, value: text, reason: `the environment variable ${name} ${state}`, unset: name })
      return found
    })
    if (replaced !== text) written.push({ path, text })
    return replaced
  }

  const inValue = (value: unknown, path: KeyPath): unknown => {
    if (typeof value === "string") return value.includes("${") ? inText(value, path) : value
    if (Array.isArray(value)) return value.map((each, index) => inValue(each, [...path, index]))
    return isTable(value) ? inTable(value, path) : value
  }

  const inTable = (table: Table, path: KeyPath): Table => {
    const copy: Record<string, unknown> = Object.create(null)
    for (const [key, value] of Object.entries(table)) copy[key] = inValue(value, [...path, key])
    return copy
  }

  return { tree: inTable(tree, []), original: tree, mistakes, names, written }
}
