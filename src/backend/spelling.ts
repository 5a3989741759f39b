/**
 * Names of models as a kind of server writes them: some take several spellings for one name.
 */
import type { BackendType } from "./all.ts"

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
