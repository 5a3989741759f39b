/**
 * Names of models as kinds of servers take them: for some, several spellings are one name.
 */
import { matchesGlob } from "../domain/glob.ts"
import { type BackendType, backendTypes, kindNamed } from "./all.ts"

const spelledBy = (type: BackendType, spelling: (name: string) => string, name: string): string =>
  `${type}\u0000${spelling(name)}`

/** What all spellings of a model have in common for servers of this type; undefined where only one spelling will do. */
export const spellingOf = (type: BackendType, id: string): string | undefined => {
  const { spelling } = kindNamed(type)
  return spelling === undefined ? undefined : spelledBy(type, spelling, id)
}

const lenient = backendTypes.flatMap((type) => {
  const { spelling } = kindNamed(type)
  return spelling === undefined ? [] : [{ type, spelling }]
})

/** The same for each kind that takes several spellings. */
export const spellingsOf = (name: string): ReadonlyArray<string> =>
  lenient.map(({ spelling, type }) => spelledBy(type, spelling, name))

/** Whether a glob means a model for servers of this type, in whatever spelling of its name. */
export const spelledAlike = (type: BackendType, glob: string, id: string): boolean => {
  const { spelling } = kindNamed(type)
  return spelling !== undefined && matchesGlob(spelling(glob), spelling(id))
}

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
