/**
 * How other processes of the same gateway stand with the backends, laid beside what this one knows.
 */
import { hearSiblings, noSiblings } from "../registry/live-state.ts"
import type { Snapshot } from "../registry/snapshot.ts"
import type { SharedStanding, ToldBackend } from "./messages.ts"

const standingOfAll = ({ in_flight, answering = in_flight, cooling_ms, circuits }: SharedStanding, now: number) => ({
  inFlight: in_flight,
  answering,
  coolUntil: now + cooling_ms,
  circuits: circuits.map(({ retry_in_ms, ...circuit }) => ({ ...circuit, openUntil: now + retry_in_ms }))
})

/** Takes over the standings of all others, in place of what they were before; `now` in monotonic milliseconds. */
export const noteSiblings = ({ backends }: Snapshot, standings: ReadonlyArray<SharedStanding>, now: number): void => {
  const byName = new Map(standings.map((standing) => [standing.name, standing]))
  for (const [name, { live }] of backends) {
    const standing = byName.get(name)
    hearSiblings(live, "workers", standing === undefined ? noSiblings : standingOfAll(standing, now))
  }
}

/** What is older says nothing of how it is now, in milliseconds. */
const lateMs = 60_000

/** What the servers told of their work lately, for the other processes; `now` in monotonic milliseconds. */
export const toldOf = ({ backends }: Snapshot, now: number): ReadonlyArray<ToldBackend> =>
  [...backends].flatMap(([name, { live }]) => {
    const models = [...live.told].flatMap(([model, { at, ...work }]) =>
      now - at < lateMs ? [{ model, ...work, age_ms: now - at }] : []
    )
    return models.length === 0 ? [] : [{ name, models }]
  })

/** Takes over what servers told another process of their work, in place of what was known. */
export const noteToldWork = ({ backends }: Snapshot, told: ReadonlyArray<ToldBackend>, now: number): void => {
  for (const { models, name } of told) {
    const known = backends.get(name)?.live.told
    known?.clear()
    for (const { age_ms, model, ...work } of models) known?.set(model, { ...work, at: now - age_ms })
  }
}
