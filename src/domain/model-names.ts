/**
 * Whether two names stand for one model: servers are asked by, and answer under, longer, shorter and otherwise written
 * names than those they list.
 */

// Case, folders, the kind of file and the tag that is meant when there is none.
const plain = (name: string): string =>
  name
    .toLowerCase()
    .replace(/^.*[/\\]/, "")
    .replace(/\.gguf$/, "")
    .replace(/:latest$/, "")

// What services put behind the name of a model to say which one of its versions it is.
const version = /^[-@:](?:\d{4}-?\d{2}-?\d{2}|\d{3,4}|v\d+(?:[.:]\d+)*|latest|preview|exp|free|beta)(?:[-:@].*)?$/

const isVersionOf = (name: string, longer: string): boolean =>
  longer.startsWith(name) && version.test(longer.slice(name.length))

/** Whether an answer that calls its model `answered` may be by the model that was asked for. */
export const maySame = (asked: string, answered: string): boolean => {
  const a = plain(asked)
  const b = plain(answered)
  if (a === b || isVersionOf(a, b) || isVersionOf(b, a)) return true
  // "…-latest", and a date on either side.
  const bare = (name: string) => name.replace(/[-@:](?:latest|\d{4}-?\d{2}-?\d{2}|\d{3,4})$/, "")
  return bare(a) === bare(b)
}
