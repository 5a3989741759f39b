/**
 * What those who wait for a slot are likely to take of servers, and what these can do for them.
 */
import { standingOf } from "../registry/live-state.ts"
import type { Candidate } from "../registry/snapshot.ts"
import { type Capacity, capacityOf } from "../router/expected-end.ts"
import type { Plan } from "../router/plan.ts"

// What a token takes, in milliseconds, while nothing was measured.
const usual = { readMs: 1, writeMs: 20 } as const

/** What the servers of a request's first model can do together. */
export const capacityFor = ({ needs, targets }: Plan): Capacity => capacityOf(targets[0]?.candidates ?? [], needs)

/** The places that requests have: those of this process, and those of others. */
export const placesInUse = (candidates: ReadonlyArray<Candidate>): { readonly own: number; readonly taken: number } => {
  let own = 0
  let taken = 0
  for (const { model, state } of candidates) {
    own += standingOf(state.live, model.id).running.length
    taken += state.live.siblings.inFlight
  }
  return { own, taken }
}

/** What a request is likely to take of a server, in seconds, when this share of its prompt is not read again. */
export const serviceCost = (plan: Plan, { answer, readMs, writeMs } = capacityFor(plan), cached = 0): number => {
  const { output, prompt } = plan.work
  const read = prompt * (1 - cached)
  // How many tokens an answer may have says little of how many it has.
  return (read * (readMs || usual.readMs) + Math.min(output, answer) * (writeMs || usual.writeMs)) / 1000
}

/** The share of a request's prompt that is likely to be cached at the server that has most of it, which is the one to wait for. */
export const cachedFor = ({ targets, work }: Plan): number =>
  (targets[0]?.candidates ?? []).reduce(
    (most, { model, state }) => Math.max(most, standingOf(state.live, model.id).shareCached(work)),
    0
  )

/** The name of the model that a request waits for. */
export const waitedModel = ({ requested, targets }: Plan): string =>
  targets.find(({ candidates }) => candidates.length > 0)?.name ?? requested
