/**
 * How other processes of the same gateway stand with the backends, laid beside what this one knows.
 */
import { noSiblings } from "../registry/live-state.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import type { SharedStanding } from "./messages.ts"

const standingOfAll = ({ in_flight, cooling_ms, circuits }: SharedStanding, now: number) => ({
  inFlight: in_flight,
  coolUntil: now + cooling_ms,
  circuits: circuits.map(({ retry_in_ms, ...circuit }) => ({ ...circuit, openUntil: now + retry_in_ms }))
})

/** Takes over the standings of all others, in place of what they were before; `now` in monotonic milliseconds. */
export const noteSiblings = ({ backends }: Snapshot, standings: ReadonlyArray<SharedStanding>, now: number): void => {
  const byName = new Map(standings.map((standing) => [standing.name, standing]))
  for (const [name, { live }] of backends) {
    const standing = byName.get(name)
    live.siblings = standing === undefined ? noSiblings : standingOfAll(standing, now)
  }
}
