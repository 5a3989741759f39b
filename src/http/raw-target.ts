/**
 * The path of a request as it came, before anything makes another one of it: Bun's `request.url` has its dot segments
 * taken out and its backslashes turned round already, and a rule of a proxy in front has seen neither.
 */

/** Most segments of a path that is taken. */
const maxSegments = 16

const isDots = (segment: string): boolean => segment === "." || segment === ".."

/** Whether the decoded segments of a path make it another one for some reader than for another. */
export const isAmbiguous = (segments: ReadonlyArray<string>): boolean =>
  segments.some((segment) => segment.includes("\\") || segment.split("/").some(isDots))

const ambiguous = `The path must be written as it is routed: no '.' or '..', no '\\', no empty segment, encoded or not, and at most ${maxSegments} segments`

/** Why an ambiguous path is not taken; `origin` is where the client has reached the gateway. */
export const whyAmbiguous = (path: string, origin: string): string =>
  path.includes("//")
    ? `${ambiguous}. It has two slashes in a row: take the slash off the end of the client's base URL, as in ${origin}/v1`
    : ambiguous

/**
 * Patterns of routes, one for each number of segments, that show each segment as it came; a path that none of them matches
 * has an empty segment or too many.
 */
export const segmentPatterns: ReadonlyArray<string> = Array.from({ length: maxSegments }, (_, last) =>
  Array.from({ length: last + 1 }, (_, at) => `/:s${at}`).join("")
).flatMap((pattern) => [pattern, `${pattern}/`])

// Nothing in it can be read as another path.
const plain = /^(?:\/[\w~:@!$&'()*+,;=-][\w.~:@!$&'()*+,;=-]*)+\/?$/

const decodedOr = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** Whether a request target as it came is another path for some readers than for others. */
export const isAmbiguousTarget = (target: string): boolean => {
  const query = target.indexOf("?")
  const path = query < 0 ? target : target.slice(0, query)
  if (path === "/") return false
  const segments = path.slice(1, path.endsWith("/") ? -1 : undefined).split("/")
  if (segments.length > maxSegments) return true
  return !plain.test(path) && (segments.includes("") || isAmbiguous(segments.map(decodedOr)))
}
