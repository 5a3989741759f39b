/**
 * What a decision saw and no snapshot keeps: the live figures of its candidates at that moment, kept as a few numbers, so
 * that the decision can be told later as it was.
 */
import type { Circuit } from "../domain/circuit.ts"
import { idle, type Live, mark, type Rest } from "../registry/live.ts"
import type { Candidate, Snapshot } from "../registry/snapshot.ts"
import { unmeasured } from "./pool.ts"

/** What recent answers said against a candidate. */
export interface Held {
  readonly at: number
  readonly coolUntil: number | undefined
  readonly rest: Rest | undefined
  readonly circuit: Circuit | undefined
}

/** The live figures of the candidates of some models, in the order of the snapshot; `now` in monotonic milliseconds. */
export interface Witness {
  readonly now: number
  /** {@link perCandidate} numbers for each candidate. */
  readonly figures: Float64Array
  readonly held: ReadonlyArray<Held>
}

/** Candidates whose figures are kept at most; a decision among more is told for the first of them alone. */
export const mostWitnessed = 32

const perCandidate = 4

/** Figures of a witness at most. */
export const mostFigures = mostWitnessed * perCandidate

const nobody: ReadonlyArray<Candidate> = []
const nothing: ReadonlyArray<Held> = []

/** Notes how the candidates of these models stand now. */
export const witness = (snapshot: Snapshot, models: ReadonlyArray<string>, now: number): Witness => {
  let count = 0
  for (const model of models) count += snapshot.candidates.get(model)?.length ?? 0
  const figures = new Float64Array(Math.min(count, mostWitnessed) * perCandidate)
  let held: Array<Held> | undefined
  let at = 0
  for (const model of models) {
    for (const { state, model: served } of snapshot.candidates.get(model) ?? nobody) {
      if (at === figures.length) break
      const { live } = state
      if (live.marked) {
        held ??= []
        held.push({
          at,
          coolUntil: live.cooling.get(served.id),
          rest: live.rests.get(served.id),
          circuit: live.circuits.get(served.id)
        })
      }
      figures[at++] = live.inFlight
      figures[at++] = live.elsewhere.inFlight
      figures[at++] = live.requests
      figures[at++] = live.firstByteMs ?? unmeasured
    }
  }
  return { now, figures, held: held ?? nothing }
}

const liveAt = ({ figures, held }: Witness, at: number, model: string): Live => {
  const live = idle()
  const [inFlight = 0, elsewhere = 0, requests = 0, firstByteMs = unmeasured] = figures.subarray(at, at + perCandidate)
  live.inFlight = inFlight
  live.elsewhere = { inFlight: elsewhere, coolUntil: 0, circuits: [] }
  live.requests = requests
  live.firstByteMs = firstByteMs === unmeasured ? undefined : firstByteMs
  const found = held.find((each) => each.at === at)
  if (found?.coolUntil !== undefined) live.cooling.set(model, found.coolUntil)
  if (found?.rest !== undefined) live.rests.set(model, found.rest)
  if (found?.circuit !== undefined) live.circuits.set(model, found.circuit)
  mark(live)
  return live
}

/** The same snapshot with the live figures that were noted; candidates without are left out. */
export const asSeen = (snapshot: Snapshot, models: ReadonlyArray<string>, seen: Witness): Snapshot => {
  const candidates = new Map<string, ReadonlyArray<Candidate>>()
  let at = 0
  for (const model of models) {
    const list: Array<Candidate> = []
    for (const { state, model: served } of snapshot.candidates.get(model) ?? nobody) {
      if (at === seen.figures.length) break
      list.push({ state: { ...state, live: liveAt(seen, at, served.id) }, model: served })
      at += perCandidate
    }
    candidates.set(model, list)
  }
  return { ...snapshot, candidates }
}
