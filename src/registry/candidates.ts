/**
 * Who serves a model, by each name that somebody lists it by.
 */
import { kindNamed } from "../backend/all.ts"
import { spellingOf, spellingsOf as allSpellingsOf } from "../backend/spelling.ts"
import type { BackendState, Candidate, Snapshot } from "./snapshot.ts"

type Lists = Snapshot["candidates"]

const nobody: ReadonlyArray<Candidate> = []

const spellingFor = ({ backend }: BackendState, id: string): string | undefined => spellingOf(backend.type, id)

const isSpelled = ({ state, model }: Candidate): boolean => spellingFor(state, model.id) !== undefined

/**
 * Whether a model is to be listed by this name, rather than by another that all who serve it take for the same: a model
 * is listed once, however many spellings lead to it.
 */
export const isListedAs = (name: string, candidates: ReadonlyArray<Candidate>): boolean => {
  const first = candidates.find(isSpelled)
  if (first === undefined || first.model.id === name) return true
  return candidates.some((candidate) => candidate.model.id === name && !isSpelled(candidate))
}

/** The model of a backend by any spelling of its name; undefined where it lists none. */
export const listedModel = ({ backend: { type }, models }: BackendState, name: string): string | undefined => {
  if (models.has(name)) return name
  const spelling = spellingOf(type, name)
  return spelling === undefined ? undefined : [...models.keys()].find((id) => spellingOf(type, id) === spelling)
}

/** Whether a server has a model in memory, as far as it tells: one that loads none on demand has all that it lists. */
export const isLoaded = ({ state, model }: Candidate): boolean =>
  model.loaded ?? !kindNamed(state.backend.type).loadsOnDemand

/** Who serves a model whose name is written in another way, and the name that it is listed by. */
export const inOtherSpelling = (
  name: string,
  { candidates, spelled }: Snapshot
): { readonly id: string; readonly candidates: ReadonlyArray<Candidate> } | undefined => {
  if (spelled.size === 0) return undefined
  for (const spelling of allSpellingsOf(name)) {
    const [first] = spelled.get(spelling) ?? nobody
    if (first === undefined) continue
    const { id } = first.model
    return { id, candidates: candidates.get(id) ?? nobody }
  }
  return undefined
}

/** What the spellings of a backend's models have in common, with the model as it is served now; undefined where it no longer is. */
const spellingsOf = (
  before: BackendState | undefined,
  after: BackendState | undefined,
  own: ReadonlyMap<string, Candidate>
): ReadonlyMap<string, Candidate | undefined> => {
  const found = new Map<string, Candidate | undefined>()
  for (const state of [before, after]) {
    if (state === undefined) continue
    for (const id of state.models.keys()) {
      const spelling = spellingFor(state, id)
      if (spelling !== undefined) found.set(spelling, state === after ? own.get(id) : undefined)
    }
  }
  return found
}

/**
 * The lists once a backend has changed. Those of models the backend neither had nor has are kept as they are; the others
 * are made anew.
 */
export const updateCandidates = (
  { candidates, spelled }: Pick<Snapshot, "candidates" | "spelled">,
  backends: Snapshot["backends"],
  before: BackendState | undefined,
  after: BackendState | undefined
): Pick<Snapshot, "candidates" | "spelled"> => {
  const name = (after ?? before)?.backend.name
  const place = new Map([...backends.keys()].map((key, position) => [key, position]))
  const at = (candidate: Candidate): number => place.get(candidate.state.backend.name) ?? 0
  const inOrder = (list: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
    list.length < 2 ? list : list.toSorted((a, b) => at(a) - at(b))
  const anew = (list: ReadonlyArray<Candidate>, mine: Candidate | undefined): ReadonlyArray<Candidate> => {
    const others = list.filter(({ state }) => state.backend.name !== name)
    return inOrder(mine === undefined ? others : [...others, mine])
  }
  const put = (lists: Map<string, ReadonlyArray<Candidate>>, key: string, list: ReadonlyArray<Candidate>): void => {
    if (list.length === 0) lists.delete(key)
    else lists.set(key, list)
  }

  const own = new Map<string, Candidate>()
  if (after !== undefined) for (const [id, model] of after.models) own.set(id, { state: after, model })
  const ids = new Set([...(before?.models.keys() ?? []), ...own.keys()])
  const spellings = spellingsOf(before, after, own)
  let nextSpelled: Lists = spelled
  if (spellings.size > 0) {
    const next = new Map(spelled)
    for (const [spelling, mine] of spellings) {
      const known = next.get(spelling) ?? nobody
      const list = anew(known, mine)
      for (const { model } of [...known, ...list]) ids.add(model.id)
      put(next, spelling, list)
    }
    nextSpelled = next
  }
  const next = new Map(candidates)
  for (const id of ids) {
    const exact = anew(
      (candidates.get(id) ?? nobody).filter(({ model }) => model.id === id),
      own.get(id)
    )
    const first = exact.find(isSpelled)
    const spelling = first === undefined ? undefined : spellingFor(first.state, id)
    const others = spelling === undefined ? nobody : (nextSpelled.get(spelling) ?? nobody)
    put(next, id, others.length === 0 ? exact : inOrder([...exact.filter((each) => !isSpelled(each)), ...others]))
  }
  return { candidates: next, spelled: nextSpelled }
}
