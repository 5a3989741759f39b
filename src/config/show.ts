/**
 * The settings in force, each with where it comes from, and no secret among them.
 */
import { withoutStorePassword } from "./cluster.ts"
import { masked, withoutHookSecret } from "./discreet.ts"
import { isTable, type KeyPath, pathId, showPath, type Table, valueAt } from "./path.ts"
import type { ReadConfig } from "./read.ts"
import type { SettingOrigin } from "./sources.ts"

/** One setting; `origin` is such as `default`, `nexus.toml`, `NEXUS_PORT` or `--port`. */
export interface ShownSetting {
  readonly key: string
  readonly value: unknown
  readonly origin: string
}

/** Whether a value is a list of tables. */
export const isTableList = (value: unknown): value is ReadonlyArray<Table> =>
  Array.isArray(value) && value.some(isTable)

/** Paths of all plain values and lists of them. */
export const leafPaths = (value: unknown, path: KeyPath): ReadonlyArray<KeyPath> => {
  if (isTableList(value)) return value.flatMap((each, index) => leafPaths(each, [...path, index]))
  if (!isTable(value)) return value === undefined ? [] : [path]
  return Object.entries(value).flatMap(([key, each]) => leafPaths(each, [...path, key]))
}

const originName = (origin: SettingOrigin | undefined, file: string | undefined): string => {
  if (origin === undefined) return "default"
  return origin._tag === "file" ? (file ?? "file") : origin.name
}

const isGiven = (tree: unknown, path: KeyPath): boolean => valueAt(tree, path) !== undefined

/** The settings as they are in force, defaults filled in. */
export const effectiveSettings = ({ loaded: { settings, discovery } }: ReadConfig): Table => ({
  ...settings,
  discovery: { ...settings.discovery, enabled: discovery }
})

// A digest of a key, and what a header holds that a receiver wants.
const isSecret = (path: KeyPath): boolean => path.at(-1) === "sha256" || path.at(-2) === "headers"

/** Tells of the setting at a path of {@link effectiveSettings}. */
export const describeSettings = (read: ReadConfig): ((path: KeyPath) => ShownSetting) => {
  const { loaded, merged, written } = read
  const texts = new Map(written.map(({ path, text }) => [pathId(path), text]))
  const originOf = (path: KeyPath): SettingOrigin | undefined => {
    if (!isGiven(merged.tree, path)) return undefined
    for (let length = path.length; length > 0; length--) {
      const origin = merged.origins.get(pathId(path.slice(0, length)))
      if (origin !== undefined) return origin
    }
    return undefined
  }
  const settings = effectiveSettings(read)
  return (path) => {
    const origin = originOf(path)
    // What a variable of the file held may be a secret; the file's own text is not.
    const said = origin?._tag === "file" ? texts.get(pathId(path)) : undefined
    const text = said !== undefined && path[0] === "cluster" ? withoutStorePassword(said) : said
    const value = isSecret(path) ? (text ?? masked(String(valueAt(settings, path)))) : (text ?? valueAt(settings, path))
    return { key: showPath(path), value: withoutHookSecret(path, value), origin: originName(origin, loaded.path) }
  }
}

/** All settings in force, defaults included, in the order of the file. */
export const shownSettings = (read: ReadConfig): ReadonlyArray<ShownSetting> =>
  leafPaths(effectiveSettings(read), []).map(describeSettings(read))
