/**
 * What a decision saw and no snapshot keeps: the live figures of its candidates at that moment, kept as a few numbers, so
 * that the decision can be told later as it was.
 */
import type { Mutable } from "effect/Types"
import type { Circuit } from "../domain/circuit.ts"
import type { Recalled } from "../fleet/standing.ts"
import { newLiveState, type LiveState, refreshMarked, standingOf, type CooldownReason } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { baseOf, type BestSpeeds, type Claim, expectEnd, type Moment, noEnd, placesAt } from "./expected-end.ts"
import { isWithoutSlot } from "./filter.ts"

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

const perCandidate = 14

/** Figures of a witness at most. */
export const mostFigures = mostRecorded * perCandidate

/** Candidates that one decision is made among. */
interface Among {
  readonly candidates: ReadonlyArray<Candidate>
}

const nothing: ReadonlyArray<HeldAgainst> = []

/** Tells how candidates stand at a moment. */
export interface Standpoint<At> {
  /** How one in the list at a place stands then, to be read at once. */
  readonly stands: (candidate: Candidate, at: number, moment: At) => Recalled
}

const unmeasured = -1

const scratch = noEnd()
const unknownEnd = noEnd()

const stood: Mutable<Recalled> = { end: unknownEnd, baseMs: undefined, isFull: false, places: 0, seen: undefined }

/** How one stands at a moment, to be read at once; without the best speeds no end is expected of it. */
export const standingNow = (
  candidate: Candidate,
  moment: Moment & { readonly claim: Claim },
  best: BestSpeeds | undefined,
  waits: boolean
): Recalled => {
  const { live } = candidate.state
  const standing = standingOf(live, candidate.model.id)
  const places = placesAt(candidate, standing, moment.claim)
  stood.places = places
  stood.end = best === undefined ? unknownEnd : expectEnd(scratch, candidate, standing, places, best, moment)
  stood.baseMs = baseOf(live, standing)
  stood.seen = standing.slots.seen
  stood.isFull = waits && isWithoutSlot(candidate, standing, places)
  return stood
}

/** Notes how these candidates stand at the moment of a decision. */
export const recordFigures = <At extends Pick<LiveFigures, "now">>(
  all: ReadonlyArray<Among>,
  moment: At,
  from: Standpoint<At>
): LiveFigures => {
  // A plain array: a typed one costs the collector more than all that is put into it.
  let figures: Array<number> = none
  let held: Array<HeldAgainst> | undefined
  let at = -1
  for (const { candidates } of all) {
    at += 1
    for (const candidate of candidates) {
      if (figures.length === mostFigures) break
      const { model: served, state } = candidate
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
      const of = figuresOf(live, from.stands(candidate, at, moment))
      // Most decisions are among one.
      if (figures.length === 0) figures = of
      else figures.push(...of)
    }
  }
  return { now: moment.now, figures, held: held ?? nothing }
}

const none: Array<number> = []

const figuresOf = (
  { askedAt, firstByteMs, inFlight, siblings }: LiveState,
  { baseMs, end, isFull, places, seen }: Recalled
): Array<number> => [
  inFlight,
  siblings.inFlight,
  askedAt,
  firstByteMs ?? unmeasured,
  end.wait,
  end.load,
  end.read,
  end.hindrance,
  end.write,
  end.cached,
  isFull ? 1 : 0,
  places,
  baseMs ?? unmeasured,
  seen ?? unmeasured
]

const liveAt = ({ figures, held }: LiveFigures, at: number, model: string): LiveState => {
  const live = newLiveState()
  const noted = figures.slice(at, at + perCandidate)
  const [inFlight = 0, siblings = 0, askedAt = 0, latency = unmeasured, ...end] = noted
  const [wait = 0, load = 0, read = 0, hindrance = 0, write = 0, cached = 0, full = 0, ...rest] = end
  const [places = 0, base = unmeasured, seen = unmeasured] = rest
  live.inFlight = inFlight
  live.siblings = { inFlight: siblings, answering: siblings, coolUntil: 0, circuits: [] }
  live.askedAt = askedAt
  live.firstByteMs = latency === unmeasured ? undefined : latency
  standingOf(live, model).recalled = {
    end: { wait, load, read, hindrance, write, cached },
    baseMs: base === unmeasured ? undefined : base,
    isFull: full === 1,
    places,
    seen: seen === unmeasured ? undefined : seen
  }
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
