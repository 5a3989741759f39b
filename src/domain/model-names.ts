/**
 * Whether two names stand for one model: servers are asked by, and answer under, longer, shorter and otherwise written
 * names than those they list.
 */
import type { BackendType } from "./backend.ts"

/**
 * A name as Ollama understands it: case does not count, no tag is `latest`, and its own registry and library are meant
 * where no other is named.
 */
export const ollamaName = (name: string): string => {
  const bare = name.toLowerCase().replace(/^(?:registry\.ollama\.ai\/)?(?:library\/)?/, "")
  return bare.lastIndexOf(":") > bare.lastIndexOf("/") ? bare : `${bare}:latest`
}

/** What all spellings of a model have in common for a server of this type; undefined where only one spelling will do. */
export const spellingOf = (type: BackendType, id: string): string | undefined =>
  type === "ollama" ? ollamaName(id) : undefined

/** Gives, model by model, the name that it is listed by: of several spellings of one model, the first that came. */
export const oneSpelling = (): ((type: BackendType, id: string) => string) => {
  const firsts = new Map<string, string>()
  return (type, id) => {
    const spelling = spellingOf(type, id)
    if (spelling === undefined) return id
    const first = firsts.get(spelling) ?? id
    firsts.set(spelling, first)
    return first
  }
}

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
