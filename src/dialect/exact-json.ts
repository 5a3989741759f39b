/**
 * JSON that is read and written again without a number being rounded: an id above 2^53 in the arguments of a call would
 * otherwise be the id of another record.
 */

declare global {
  interface JSON {
    readonly rawJSON: (text: string) => unknown
  }
}

// A number that may not be written as it came.
const suspicious = /\d{16}|\d[.eE]/

const stringsAndNumbers = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*/gs

// Stands before the text of a number; nobody who sends a text can know it.
const mark = `${crypto.randomUUID()}:`

const restored = (value: unknown): unknown => {
  if (typeof value === "string") return value.startsWith(mark) ? JSON.rawJSON(value.slice(mark.length)) : value
  if (Array.isArray(value)) return value.map(restored)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, restored(each)]))
}

/** Parses a JSON text, `plain` being what `JSON.parse` gives of it; numbers that it would round are written as they came. */
export const exactJson = (text: string, plain: unknown): unknown => {
  if (!suspicious.test(text)) return plain
  let found = false
  const marked = text.replace(stringsAndNumbers, (token) => {
    if (token.startsWith('"') || String(Number(token)) === token) return token
    found = true
    return `"${mark}${token}"`
  })
  return found ? restored(JSON.parse(marked)) : plain
}
