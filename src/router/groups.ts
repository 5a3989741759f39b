/**
 * Groups: one name for several models, which may be called otherwise at each backend.
 */
import type { RoutingSettings } from "../domain/routing.ts"
import { isCalled } from "../domain/server.ts"
import { inOtherSpelling } from "../registry/candidates.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { resolveAlias } from "./alias-chains.ts"

type Names = Pick<RoutingSettings, "aliases" | "groups">

const nobody: ReadonlyArray<Candidate> = []

const listed = (name: string, { aliases }: Names, snapshot: Snapshot): ReadonlyArray<Candidate> => {
  const end = resolveAlias(name, aliases)
  return snapshot.candidates.get(end) ?? inOtherSpelling(end, snapshot)?.candidates ?? nobody
}

/** The candidates of one entry of a group: a model, or a model at one backend (`model@backend`). */
export const entryCandidates = (entry: string, names: Names, snapshot: Snapshot): ReadonlyArray<Candidate> => {
  const whole = listed(entry, names, snapshot)
  const at = entry.lastIndexOf("@")
  // The names of some models have an @ themselves.
  if (whole.length > 0 || at < 1) return whole
  const backend = entry.slice(at + 1)
  return listed(entry.slice(0, at), names, snapshot).filter(({ state }) => isCalled(backend, state.backend))
}

interface Made {
  readonly aliases: Names["aliases"]
  readonly groups: Names["groups"]
  readonly lists: Map<string, ReadonlyArray<Candidate>>
}

// The same list for the same snapshot and settings: what is known of a list is kept by it.
const made = new WeakMap<Snapshot, Made>()

const madeFor = (snapshot: Snapshot, { aliases, groups }: Names): Made["lists"] => {
  const before = made.get(snapshot)
  if (before?.aliases === aliases && before.groups === groups) return before.lists
  const lists = new Map<string, ReadonlyArray<Candidate>>()
  made.set(snapshot, { aliases, groups, lists })
  return lists
}

/** The candidates of a group, each once, in the order of its entries; undefined when there is no group of this name. */
export const groupCandidates = (
  name: string,
  names: Names,
  snapshot: Snapshot
): ReadonlyArray<Candidate> | undefined => {
  if (names.groups.size === 0) return undefined
  const entries = names.groups.get(name)
  if (entries === undefined) return undefined
  const lists = madeFor(snapshot, names)
  const known = lists.get(name)
  if (known !== undefined) return known
  const all = new Map<string, Candidate>()
  for (const candidate of entries.flatMap((entry) => entryCandidates(entry, names, snapshot))) {
    const key = JSON.stringify([candidate.state.backend.name, candidate.model.id])
    if (!all.has(key)) all.set(key, candidate)
  }
  const list = [...all.values()]
  lists.set(name, list)
  return list
}
