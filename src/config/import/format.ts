/**
 * What an importer of one format is: how it is told, what it carries over, and what it cannot.
 */
import type { KeyPath, Table } from "../path.ts"
import type { Draft, Reader } from "./draft.ts"

/** A format of settings; its tables are also what the documentation shows. */
export interface Format {
  readonly title: string
  /** What is worth a word at the top of the result. */
  readonly hints: ReadonlyArray<string>
  /** Whether settings look like this format. */
  readonly isIt: (tree: Table) => boolean
  /** Keys that are carried over: `[]` is each item of a list, `*` any name. */
  readonly mapped: ReadonlyArray<{ readonly from: string; readonly to: string }>
  /** Keys that are not, each with all below it, and why. */
  readonly unsupported: ReadonlyArray<{ readonly key: string; readonly why: string }>
  readonly convert: (read: Reader, draft: Draft) => void
}

const part = /[^.[\]]+|\[\]/g

/** Whether a path is the one that a pattern such as `model_list[].litellm_params.*` names. */
export const isAt = (path: KeyPath, pattern: string): boolean => {
  const parts = pattern.match(part) ?? []
  return (
    parts.length === path.length &&
    parts.every((each, at) => (each === "[]" ? typeof path[at] === "number" : each === "*" || each === path[at]))
  )
}
