/**
 * JSON of strangers, read within a bound on its nesting: what walks it afterwards needs no bound of its own.
 */

const mostLevels = 64

const isWithin = (value: unknown, levels: number): boolean => {
  if (typeof value !== "object" || value === null) return true
  return levels > 0 && Object.values(value).every((each) => isWithin(each, levels - 1))
}

/** The value of a JSON text; undefined when it is none, or nested too deeply to be walked. */
export const parseBoundedJson = (text: string): unknown => {
  try {
    const json: unknown = JSON.parse(text)
    return isWithin(json, mostLevels) ? json : undefined
  } catch {
    return undefined
  }
}

/** What stands at a path of a value that may be anything; undefined where there is nothing. */
export const jsonAt = (value: unknown, ...path: ReadonlyArray<string | number>): unknown =>
  path.reduce<unknown>((at, key) => (typeof at === "object" && at !== null ? Reflect.get(at, key) : undefined), value)

/** The text that stands at a path; undefined where there is none. */
export const jsonTextAt = (value: unknown, ...path: ReadonlyArray<string | number>): string | undefined => {
  const found = jsonAt(value, ...path)
  return typeof found === "string" ? found : undefined
}
