/**
 * What a decision saw and no snapshot keeps: the live figures of its candidates at that moment, kept as a few numbers, so
 * that the decision can be told later as it was.
 */
import type { Circuit } from "../domain/circuit.ts"
import {
  newLiveState,
  type LiveState,
  refreshMarked,
  type CooldownReason,
  settledSamples
} from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { isLatencyIgnored, type DecisionMoment, unmeasured } from "./candidate-columns.ts"

/** What recent answers said against a candidate. */
export interface HeldAgainst {
  readonly at: number
  readonly coolUntil: number | undefined
  readonly rest: CooldownReason | undefined
  readonly circuit: Circuit | undefined
}

/** The live figures of the candidates of some models, in the order of the snapshot; `now` in monotonic milliseconds. */
export interface LiveFigures {
  readonly now: number
  /** {@link perCandidate} numbers for each candidate. */
  readonly figures: ReadonlyArray<number>
  readonly held: ReadonlyArray<HeldAgainst>
}

/** Candidates whose figures are kept at most; a decision among more is told for the first of them alone. */
export const mostRecorded = 32

const perCandidate = 4

/** Figures of a witness at most. */
export const mostFigures = mostRecorded * perCandidate

/** Candidates that one decision is made among. */
interface Among {
  readonly candidates: ReadonlyArray<Candidate>
}

const nothing: ReadonlyArray<HeldAgainst> = []

// A latency that the decision looked past is kept as the number below this one by so much.
const lookedPast = unmeasured - 1

/** Notes how these candidates stand at the moment of a decision. */
export const recordFigures = (all: ReadonlyArray<Among>, moment: DecisionMoment): LiveFigures => {
  const { now, turn } = moment
  // A plain array: a typed one costs the collector more than all that is put into it.
  const figures: Array<number> = []
  let held: Array<HeldAgainst> | undefined
  for (const { candidates } of all) {
    for (const { state, model: served } of candidates) {
      if (figures.length === mostFigures) break
      const { live } = state
      if (live.marked) {
        held ??= []
        held.push({
          at: figures.length,
          coolUntil: live.cooling.get(served.id),
          rest: live.rests.get(served.id),
          circuit: live.circuits.get(served.id)
        })
      }
      const latency = live.firstByteMs ?? unmeasured
      figures.push(
        live.inFlight,
        live.siblings.inFlight,
        live.askedAt,
        latency !== unmeasured && isLatencyIgnored(live, turn, now) ? lookedPast - latency : latency
      )
    }
  }
  return { now, figures, held: held ?? nothing }
}

const liveAt = ({ figures, held, now }: LiveFigures, at: number, model: string): LiveState => {
  const live = newLiveState()
  const [inFlight = 0, siblings = 0, askedAt = 0, latency = unmeasured] = figures.slice(at, at + perCandidate)
  live.inFlight = inFlight
  live.siblings = { inFlight: siblings, coolUntil: 0, circuits: [] }
  const past = latency <= lookedPast
  live.askedAt = askedAt
  live.firstByteMs = latency === unmeasured ? undefined : past ? lookedPast - latency : latency
  // Young where it was looked past, settled and fresh where it was not.
  live.samples = past ? 1 : settledSamples
  live.measuredAt = now
  const found = held.find((each) => each.at === at)
  if (found?.coolUntil !== undefined) live.cooling.set(model, found.coolUntil)
  if (found?.rest !== undefined) live.rests.set(model, found.rest)
  if (found?.circuit !== undefined) live.circuits.set(model, found.circuit)
  refreshMarked(live)
  return live
}

/** The same candidates with the live figures that were noted, list by list; those without are left out. */
export const withFigures = (all: ReadonlyArray<Among>, seen: LiveFigures): ReadonlyArray<ReadonlyArray<Candidate>> => {
  let at = 0
  return all.map(({ candidates }) => {
    const list: Array<Candidate> = []
    for (const { state, model: served } of candidates) {
      if (at === seen.figures.length) break
      list.push({ state: { ...state, live: liveAt(seen, at, served.id) }, model: served })
      at += perCandidate
    }
    return list
  })
}
