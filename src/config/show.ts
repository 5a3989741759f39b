/**
 * The settings in force, each with where it comes from, and no secret among them.
 */
import { isTable, type KeyPath, idOf, showPath, type Table, valueAt } from "./path.ts"
import type { Read } from "./read.ts"
import { masked } from "./secrets.ts"
import type { Origin } from "./sources.ts"

/** One setting; `origin` is such as `default`, `nexus.toml`, `NEXUS_PORT` or `--port`. */
export interface Shown {
  readonly key: string
  readonly value: unknown
  readonly origin: string
}

/** Whether a value is a list of tables. */
export const isList = (value: unknown): value is ReadonlyArray<Table> => Array.isArray(value) && value.some(isTable)

/** Paths of all plain values and lists of them. */
export const leaves = (value: unknown, path: KeyPath): ReadonlyArray<KeyPath> => {
  if (isList(value)) return value.flatMap((each, index) => leaves(each, [...path, index]))
  if (!isTable(value)) return value === undefined ? [] : [path]
  return Object.entries(value).flatMap(([key, each]) => leaves(each, [...path, key]))
}

const originName = (origin: Origin | undefined, file: string | undefined): string => {
  if (origin === undefined) return "default"
  return origin._tag === "file" ? (file ?? "file") : origin.name
}

const isGiven = (tree: unknown, path: KeyPath): boolean => valueAt(tree, path) !== undefined

/** The settings as they are in force, defaults filled in. */
export const inForce = ({ loaded: { settings, discovery } }: Read): Table => ({
  ...settings,
  discovery: { ...settings.discovery, enabled: discovery }
})

/** Tells of the setting at a path of {@link inForce}. */
export const telling = (read: Read): ((path: KeyPath) => Shown) => {
  const { loaded, merged, written } = read
  const texts = new Map(written.map(({ path, text }) => [idOf(path), text]))
  const originOf = (path: KeyPath): Origin | undefined => {
    if (!isGiven(merged.tree, path)) return undefined
    for (let length = path.length; length > 0; length--) {
      const origin = merged.origins.get(idOf(path.slice(0, length)))
      if (origin !== undefined) return origin
    }
    return undefined
  }
  const settings = inForce(read)
  return (path) => {
    const origin = originOf(path)
    // What a variable of the file held may be a secret; the file's own text is not.
    const text = origin?._tag === "file" ? texts.get(idOf(path)) : undefined
    const value = path.at(-1) === "sha256" ? masked(String(valueAt(settings, path))) : (text ?? valueAt(settings, path))
    return { key: showPath(path), value, origin: originName(origin, loaded.path) }
  }
}

/** All settings in force, defaults included, in the order of the file. */
export const shown = (read: Read): ReadonlyArray<Shown> => leaves(inForce(read), []).map(telling(read))
