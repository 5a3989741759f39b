/**
 * What `/v1/models` says of a snapshot.
 */
import { type Candidate, inRotation, type Snapshot } from "../registry/snapshot.ts"
import type { ModelEntry } from "./api.ts"

const servingOf = (candidates: ReadonlyArray<Candidate>): ReadonlyArray<Candidate> =>
  candidates.filter(({ state }) => inRotation(state))

const byId = (a: { readonly id: string }, b: { readonly id: string }): number => (a.id < b.id ? -1 : 1)

const listed = ["vision", "tools", "json_mode"] as const

// One that can makes the model able; only when all are known not to be able is it not.
const together = (candidates: ReadonlyArray<Candidate>): ModelEntry["capabilities"] =>
  Object.fromEntries(
    listed.flatMap((ability): ReadonlyArray<readonly [string, boolean]> => {
      const told = new Set(candidates.map(({ model }) => model.capabilities[ability]))
      if (told.has(true)) return [[ability, true]]
      return told.has(undefined) ? [] : [[ability, false]]
    })
  )

const merge = (id: string, candidates: ReadonlyArray<Candidate>, created: number): ModelEntry => {
  const lengths = candidates.flatMap(({ model }) => model.context_length ?? [])
  return {
    id,
    object: "model",
    created,
    owned_by: "nexus",
    ...(lengths.length === 0 ? {} : { context_length: Math.max(...lengths) }),
    capabilities: together(candidates),
    backends: candidates.map(({ state }) => state.backend.name)
  }
}

/** Every model that a backend in rotation serves, once, sorted by id; `created` in seconds since 1970. */
export const listModels = (snapshot: Snapshot, created: number): ReadonlyArray<ModelEntry> =>
  [...snapshot.candidates]
    .flatMap(([id, candidates]) => {
      const serving = servingOf(candidates)
      return serving.length === 0 ? [] : [merge(id, serving, created)]
    })
    .sort(byId)

/** One of them by its id, or undefined when no backend in rotation serves it. */
export const findModel = (snapshot: Snapshot, id: string, created: number): ModelEntry | undefined => {
  const serving = servingOf(snapshot.candidates.get(id) ?? [])
  return serving.length === 0 ? undefined : merge(id, serving, created)
}
