/**
 * What replicas tell each other of how they stand with a backend, and what each makes of it: requests under way are added up,
 * and what one has seen of a failing model or been told of a pause is taken over by all.
 */
import * as Schema from "effect/Schema"
import { hearSiblings, type LiveState, noSiblings, refreshMarked } from "./live-state.ts"

/** How one process stands with one backend; times from when it is told, in milliseconds. */
export const ToldStanding = Schema.Struct({
  in_flight: Schema.Int,
  /** How many of these have begun to be answered. */
  answering: Schema.optionalKey(Schema.Int),
  circuits: Schema.Array(
    Schema.Struct({ model: Schema.String, failures: Schema.Int, opens: Schema.Int, open_ms: Schema.Finite })
  ),
  cooling: Schema.Array(
    Schema.Struct({ model: Schema.String, for_ms: Schema.Finite, limited: Schema.Boolean, reason: Schema.String })
  )
})

/** Type of {@link ToldStanding}. */
export type ToldStanding = typeof ToldStanding.Type

/** What was taken over from others, by model, which is theirs to tell and not ours: until when, and from whom. */
export interface Adopted {
  readonly circuits: Map<string, { readonly until: number; readonly from: string }>
  readonly cooling: Map<string, number>
}

/** Nothing so far. */
export const nothingAdopted = (): Adopted => ({ circuits: new Map(), cooling: new Map() })

/** Requests at a backend that have begun to be answered. */
export const answeringAt = ({ standings }: LiveState): number => {
  let answering = 0
  for (const { speaking } of standings.values()) answering += speaking
  return answering
}

/** What this process has seen itself; undefined where that is nothing. */
export const standingToTell = (live: LiveState, adopted: Adopted, now: number): ToldStanding | undefined => {
  const answering = answeringAt(live)
  if (!live.marked)
    return live.inFlight === 0 ? undefined : { in_flight: live.inFlight, answering, circuits: [], cooling: [] }
  const circuits = [...live.circuits].flatMap(([model, { failures, openUntil, opens }]) =>
    openUntil === 0 || adopted.circuits.get(model)?.until === openUntil
      ? []
      : [{ model, failures, opens, open_ms: Math.max(0, Math.round(openUntil - now)) }]
  )
  const cooling = [...live.cooling].flatMap(([model, until]) => {
    const { limited = false, reason = "" } = live.rests.get(model) ?? {}
    return until <= now || adopted.cooling.get(model) === until
      ? []
      : [{ model, for_ms: Math.round(until - now), limited, reason }]
  })
  if (live.inFlight === 0 && circuits.length === 0 && cooling.length === 0) return undefined
  return { in_flight: live.inFlight, answering, circuits, cooling }
}

/** What a process told last, `at` in monotonic milliseconds of this one. */
export interface HeardStanding {
  readonly from: string
  readonly at: number
  readonly standing: ToldStanding | undefined
}

// Told anew four times a second, a moment is never quite the same.
const sameMs = 250

/**
 * Takes over what the processes of other replicas tell of a backend. A circuit that one of them opened is open here as well, and
 * closed when that one has closed it; of one that tells nothing any more it stays, as one of our own would.
 */
export const takeStandings = (
  live: LiveState,
  heard: ReadonlyArray<HeardStanding>,
  adopted: Adopted,
  now: number
): void => {
  let inFlight = 0
  let answering = 0
  let coolUntil = 0
  const circuits: Array<(typeof noSiblings)["circuits"][number]> = []
  for (const { at, from, standing } of heard) {
    if (standing === undefined) continue
    inFlight += standing.in_flight
    answering += standing.answering ?? standing.in_flight
    for (const { failures, model, open_ms, opens } of standing.circuits) {
      const until = at + open_ms
      circuits.push({ model, state: until > now ? "open" : "half_open", failures, openUntil: until })
      const own = live.circuits.get(model)
      if (until <= now || (own !== undefined && own.openUntil > until - sameMs)) continue
      live.circuits.set(model, { failures, opens, openUntil: until, trial: false })
      adopted.circuits.set(model, { until, from })
    }
    for (const { for_ms, limited, model, reason } of standing.cooling) {
      const until = at + for_ms
      coolUntil = Math.max(coolUntil, until)
      if (until <= now || (live.cooling.get(model) ?? 0) > until - sameMs) continue
      live.cooling.set(model, until)
      live.rests.set(model, { limited, reason })
      adopted.cooling.set(model, until)
    }
  }
  for (const [model, { from, until }] of adopted.circuits) {
    const teller = heard.find((each) => each.from === from)
    const isOurs = live.circuits.get(model)?.openUntil !== until
    if (!isOurs && teller?.standing?.circuits.some((each) => each.model === model) === true) continue
    if (!isOurs && teller !== undefined) live.circuits.delete(model)
    adopted.circuits.delete(model)
  }
  for (const [model, until] of adopted.cooling) if (until <= now) adopted.cooling.delete(model)
  refreshMarked(live)
  const isNothing = inFlight === 0 && coolUntil <= now && circuits.length === 0
  hearSiblings(live, "replicas", isNothing ? noSiblings : { inFlight, answering, coolUntil, circuits })
}
