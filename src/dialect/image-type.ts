/**
 * What an image in base64 is. Its bytes go before what it is said to be: screenshots and files are often called by another
 * type, or by none, and there are models that look at none of those.
 */

// How the bytes of images begin.
const beginnings: ReadonlyArray<readonly [beginning: string, mediaType: string]> = [
  ["iVBORw0KGgo", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lGOD", "image/gif"],
  ["UklGR", "image/webp"]
]

const bitmap = "Qk"

const sureTypeOf = (data: string): string | undefined =>
  beginnings.find(([beginning]) => data.startsWith(beginning))?.[1]

/** What it is, by how it begins; undefined where it is none. */
export const imageTypeOf = (data: string): string | undefined =>
  sureTypeOf(data) ?? (data.startsWith(bitmap) ? "image/bmp" : undefined)

/** What it is that is said to be of a type, in the word that all servers know. */
export const shownTypeOf = (said: string, data: string): string => {
  const known = sureTypeOf(data)
  if (known !== undefined) return known
  if (said === "") return imageTypeOf(data) ?? said
  return said === "image/jpg" ? "image/jpeg" : said
}

/** Whether it is a drawing, which no model looks at. */
export const isDrawing = (mediaType: string): boolean => mediaType === "image/svg+xml"
