/**
 * Who is asked when nobody is left of whom an answer is to be expected.
 */
import type { RoutingNeeds } from "../domain/request.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { availabilityExclusion, capabilityExclusion, circuitExclusion, hasContextFor } from "./filter.ts"
import type { NameTarget } from "./names.ts"

type Test = (candidate: Candidate) => boolean

/** The one whose circuit is open for the shortest time, of those that are healthy by their probes. */
export const lastResort = (
  candidates: ReadonlyArray<Candidate>,
  needs: RoutingNeeds,
  wasAsked: Test,
  now: number
): Candidate | undefined => {
  let chosen: Candidate | undefined
  let soonest = Infinity
  for (const candidate of candidates) {
    if (wasAsked(candidate)) continue
    if (capabilityExclusion(candidate, needs) !== undefined || availabilityExclusion(candidate) !== undefined) continue
    const why = circuitExclusion(candidate, now)
    if (why?._tag !== "CircuitOpen" || why.untilMs >= soonest) continue
    chosen = candidate
    soonest = why.untilMs
  }
  return chosen
}

/**
 * One whose probes say that its key is bad: the only ones that serve a model are not taken out by that. Whoever is merely
 * busy, or asked for a pause, is worth more than they are; nobody is given where there is such a one.
 */
export const mistrusted = (
  targets: ReadonlyArray<NameTarget>,
  asked: ReadonlyArray<{ readonly candidate: Candidate }>,
  needs: RoutingNeeds,
  wasAsked: Test,
  now: number
): { readonly candidate: Candidate; readonly target: NameTarget } | undefined => {
  let chosen: { readonly candidate: Candidate; readonly target: NameTarget } | undefined
  if (asked.some(({ candidate }) => availabilityExclusion(candidate)?._tag !== "Misconfigured")) return undefined
  for (const target of targets) {
    let found: Candidate | undefined
    for (const candidate of target.candidates) {
      if (capabilityExclusion(candidate, needs) !== undefined) continue
      const why = availabilityExclusion(candidate) ?? circuitExclusion(candidate, now)
      if (why?._tag === "Full" || why?._tag === "Cooling") return undefined
      // Without its key nothing is sent.
      const { barred, keyFault } = candidate.state.backend
      if (why?._tag !== "Misconfigured" || (barred ?? keyFault) !== undefined || wasAsked(candidate)) continue
      if (found === undefined || (!hasContextFor(found, needs) && hasContextFor(candidate, needs))) found = candidate
    }
    chosen ??= found === undefined ? undefined : { candidate: found, target }
  }
  return chosen
}
