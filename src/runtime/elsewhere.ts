/**
 * How other processes of the same gateway stand with the backends, laid beside what this one knows.
 */
import type { Snapshot } from "../registry/snapshot.ts"
import type { Standing } from "./messages.ts"

/** Takes over the standings of others; `now` in monotonic milliseconds. */
export const noteElsewhere = ({ backends }: Snapshot, standings: ReadonlyArray<Standing>, now: number): void => {
  for (const { name, in_flight, cooling_ms, circuits } of standings) {
    const live = backends.get(name)?.live
    if (live === undefined) continue
    live.elsewhere = {
      inFlight: in_flight,
      coolUntil: now + cooling_ms,
      circuits: circuits.map(({ model, state, failures, retry_in_ms }) => ({
        model,
        state,
        failures,
        openUntil: now + retry_in_ms
      }))
    }
  }
}
