/**
 * The pure functions that build the next picture of all backends out of the last one.
 */
import * as Equal from "effect/Equal"
import type { Backend } from "../backend/backend.ts"
import type { Mode, Model, Served, ToldLoads } from "../domain/server.ts"
import type { ApiPath } from "../domain/base-url.ts"
import { spellingOf } from "../backend/spelling.ts"
import {
  type BackendHealth,
  type ProbeOutcome,
  type Thresholds,
  nextHealth,
  unknownHealth
} from "../domain/backend-health.ts"
import { updateCandidates } from "./candidates.ts"
import { newLiveState, isAnswering } from "./live-state.ts"
import { mergeModels, sameModels } from "./model-index.ts"
import type { BackendState, Candidate, Snapshot } from "./snapshot.ts"

/** What one probe changed of a backend. */
export interface ProbeChange {
  readonly before: BackendState
  readonly after: BackendState
}

/** Names kept in `known` at most; the oldest are forgotten first. */
export const knownLimit = 100_000

/** The picture before any backend is put. */
export const emptySnapshot: Snapshot = {
  generation: 0,
  backends: new Map(),
  candidates: new Map(),
  spelled: new Map(),
  known: new Set()
}

const remember = (known: ReadonlySet<string>, { backend, models }: BackendState): ReadonlySet<string> => {
  const fresh: Array<string> = []
  for (const id of models.keys()) {
    if (!known.has(id)) fresh.push(id)
    const spelling = spellingOf(backend.type, id)
    if (spelling !== undefined && !known.has(spelling)) fresh.push(spelling)
  }
  if (fresh.length === 0) return known
  const next = new Set(known)
  for (const id of fresh) next.add(id)
  for (const id of next) {
    if (next.size <= knownLimit) break
    next.delete(id)
  }
  return next
}

const replace = (snapshot: Snapshot, name: string, after: BackendState | undefined): Snapshot => {
  const before = snapshot.backends.get(name)
  const backends = new Map(snapshot.backends)
  if (after === undefined) backends.delete(name)
  else backends.set(name, after)
  return {
    generation: snapshot.generation + 1,
    backends,
    ...updateCandidates(snapshot, backends, before, after),
    known: after === undefined ? snapshot.known : remember(snapshot.known, after)
  }
}

/** Whether two definitions lead to the same server with the same key: what is known of the one holds for the other. */
export const sameServer = (a: Backend, b: Backend): boolean =>
  a.url === b.url &&
  a.address === b.address &&
  a.query === b.query &&
  a.type === b.type &&
  Equal.equals(a.apiKey, b.apiKey) &&
  Equal.equals(a.tls, b.tls)

/**
 * Adds a backend, or replaces the definition of the one with its name. A changed address, type or key starts afresh;
 * any other change keeps health, models and counters. Models that config tells of are there from the start.
 */
export const withBackend = (snapshot: Snapshot, backend: Backend): Snapshot => {
  const before = snapshot.backends.get(backend.name)
  const kept = before !== undefined && sameServer(before.backend, backend) ? before : undefined
  return replace(snapshot, backend.name, {
    backend,
    mode: before?.mode ?? "enabled",
    health: kept?.health ?? unknownHealth,
    models: mergeModels(backend, kept?.models.values() ?? []),
    listed: kept?.listed ?? false,
    ...(kept?.apiPath === undefined ? {} : { apiPath: kept.apiPath }),
    ...(kept?.served === undefined ? {} : { served: kept.served }),
    live: kept?.live ?? newLiveState()
  })
}

/** Takes a backend out; its model names stay known. The same snapshot when there is none of that name. */
export const withoutBackend = (snapshot: Snapshot, name: string): Snapshot =>
  snapshot.backends.has(name) ? replace(snapshot, name, undefined) : snapshot

/** Sets the mode of a backend; the same snapshot when it has it already, or when there is none of that name. */
export const withMode = (snapshot: Snapshot, name: string, mode: Mode): Snapshot => {
  const before = snapshot.backends.get(name)
  return before === undefined || before.mode === mode ? snapshot : replace(snapshot, name, { ...before, mode })
}

/** Sets the health of a backend for another reason than a probe; the same snapshot when there is none of that name. */
export const withHealth = (snapshot: Snapshot, name: string, health: BackendHealth): Snapshot => {
  const before = snapshot.backends.get(name)
  return before === undefined ? snapshot : replace(snapshot, name, { ...before, health })
}

const sameServed = (a: Served | undefined, b: Served | undefined): boolean => Equal.equals(a, b)

const sameHealth = (a: BackendHealth, b: BackendHealth): boolean =>
  a.status === b.status && a.streak === b.streak && a.reason === b.reason

const isSorted = (places: ReadonlyArray<number>): boolean =>
  places.every((place, at) => at === 0 || place > (places[at - 1] ?? 0))

// Backends of the config in its order, all others after them.
const inOrder = (snapshot: Snapshot, wanted: ReadonlyArray<Backend>): Snapshot => {
  const names = [...snapshot.backends.keys()]
  const place = new Map(names.map((name, at) => [name, wanted.length + at]))
  for (const [at, { name }] of wanted.entries()) place.set(name, at)
  const placeOf = (name: string): number => place.get(name) ?? 0
  if (isSorted(names.map(placeOf))) return snapshot
  const at = ({ state }: Candidate): number => placeOf(state.backend.name)
  const sorted = (lists: Snapshot["candidates"]): Snapshot["candidates"] =>
    new Map([...lists].map(([id, list]) => [id, list.length === 1 ? list : list.toSorted((a, b) => at(a) - at(b))]))
  return {
    ...snapshot,
    backends: new Map([...snapshot.backends].sort(([a], [b]) => placeOf(a) - placeOf(b))),
    candidates: sorted(snapshot.candidates),
    spelled: sorted(snapshot.spelled)
  }
}

/** What a new list of backends changed. */
export interface Reconciled {
  readonly snapshot: Snapshot
  /** New and changed ones. */
  readonly put: ReadonlyArray<Backend>
  readonly removed: ReadonlyArray<string>
}

/**
 * Takes over the backends of a config: new and changed ones as {@link withBackend} does, those of the last config that are not
 * among them are taken out, and whoever came by another way stays. `found` is what probes say of new ones beforehand.
 */
export const reconcile = (
  before: Snapshot,
  wanted: ReadonlyArray<Backend>,
  found: ReadonlyMap<string, ProbeOutcome>,
  thresholds: Thresholds
): Reconciled => {
  const names = new Set(wanted.map(({ name }) => name))
  const removed = [...before.backends.values()].flatMap(({ backend: { name, origin } }) =>
    origin === "config" && !names.has(name) ? [name] : []
  )
  const changed = wanted.filter((backend) => !Equal.equals(before.backends.get(backend.name)?.backend, backend))
  let snapshot = removed.reduce(withoutBackend, before)
  for (const backend of changed) {
    snapshot = withBackend(snapshot, backend)
    const outcome = found.get(backend.name)
    const isNew = snapshot.backends.get(backend.name)?.health === unknownHealth
    if (outcome !== undefined && isNew) ({ snapshot } = applyProbe(snapshot, backend.name, outcome, thresholds))
  }
  return { snapshot: inOrder(snapshot, wanted), put: changed, removed }
}

/** What another process has found out about a backend by its probes. */
export interface SiblingFindings {
  readonly mode: Mode
  readonly health: BackendHealth
  readonly models: Iterable<Model>
  readonly listed: boolean
  readonly apiPath?: ApiPath | undefined
  readonly served?: Served | undefined
}

/** Takes over what another process has found out; the very same snapshot when that is nothing new. */
export const adoptFindings = (snapshot: Snapshot, name: string, told: SiblingFindings): Snapshot => {
  const before = snapshot.backends.get(name)
  if (before === undefined) return snapshot
  const models = mergeModels(before.backend, told.models)
  const kept = sameModels(before.models, models)
  const { mode, health, listed, apiPath = before.apiPath, served = before.served } = told
  if (
    kept &&
    mode === before.mode &&
    listed === before.listed &&
    apiPath === before.apiPath &&
    sameServed(served, before.served) &&
    sameHealth(before.health, health)
  )
    return snapshot
  const at = { ...(apiPath === undefined ? {} : { apiPath }), ...(served === undefined ? {} : { served }) }
  return replace(snapshot, name, { ...before, mode, health, listed, ...at, models: kept ? before.models : models })
}

/** Takes over the slots that a server was seen to have; the very same snapshot when that is nothing new. */
export const withSlotsSeen = (snapshot: Snapshot, name: string, loads: ToldLoads): Snapshot => {
  const before = snapshot.backends.get(name)
  if (before === undefined) return snapshot
  const changed = new Map<string, Model>()
  for (const [id, { slots }] of loads) {
    const model = before.models.get(id)
    if (slots === undefined || model === undefined || model.slotsConfigured === true || model.slots === slots) continue
    changed.set(id, { ...model, slots })
  }
  if (changed.size === 0) return snapshot
  const models = new Map([...before.models].map(([id, model]) => [id, changed.get(id) ?? model]))
  return replace(snapshot, name, { ...before, models })
}

/** Applies what a probe found; the very same snapshot comes back when that changes neither health nor models. */
export const applyProbe = (
  snapshot: Snapshot,
  name: string,
  outcome: ProbeOutcome,
  thresholds: Thresholds
): { readonly snapshot: Snapshot; readonly change?: ProbeChange } => {
  const before = snapshot.backends.get(name)
  if (before === undefined) return { snapshot }
  const health = nextHealth(before.health, outcome, thresholds, isAnswering(before.live))
  const reported = outcome._tag === "Up" ? outcome.models : undefined
  const models = reported === undefined ? before.models : mergeModels(before.backend, reported)
  const listed = before.listed || reported !== undefined
  const modelsKept = sameModels(before.models, models)
  const apiPath = (outcome._tag === "Up" ? outcome.apiPath : undefined) ?? before.apiPath
  const served = (outcome._tag === "Up" ? outcome.served : undefined) ?? before.served
  const same = modelsKept && listed === before.listed && apiPath === before.apiPath && sameServed(served, before.served)
  if (same && sameHealth(before.health, health)) return { snapshot }
  const at = { ...(apiPath === undefined ? {} : { apiPath }), ...(served === undefined ? {} : { served }) }
  const after = { ...before, health, listed, ...at, models: modelsKept ? before.models : models }
  return { snapshot: replace(snapshot, name, after), change: { before, after } }
}
