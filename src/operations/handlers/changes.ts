/**
 * What `/nexus/changes` answers: the state of the backends in a word, as soon as it is another one than somebody has seen.
 */
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import { Drain } from "../../admission/Drain.ts"
import { Registry } from "../../registry/Registry.ts"
import type { Snapshot } from "../../registry/snapshot.ts"

/**
 * The same for the same backends in the same state, whichever process is asked and however they came to it; what changes with
 * each request is left out.
 */
export const stateDigest = ({ backends }: Snapshot): string => {
  const all = [...backends.values()].map(({ backend, mode, health, models }) => [
    backend.name,
    backend.url,
    backend.type,
    backend.priority,
    mode,
    health.status,
    health.reason,
    [...models.values()]
  ])
  return (Hash.string(JSON.stringify(all)) >>> 0).toString(36)
}

/** Who wait for a change at a time; whoever comes beyond that is answered at once. */
const mostWaiting = 100

const defaultSeconds = 30

/** What is asked of the endpoint. */
export interface ChangesQuery {
  /** The state that is known; without it the answer comes at once. */
  readonly since?: string
  /** Seconds to wait for another one. */
  readonly wait?: number
}

/** Answers the endpoint; once the gateway is stopping nobody waits any more. */
export const makeChanges = Effect.gen(function* () {
  const { snapshot, when } = yield* Registry
  const { begun } = yield* Drain
  let waiting = 0
  let last = { snapshot: snapshot(), state: stateDigest(snapshot()) }
  const state = (now: Snapshot): string => {
    if (now !== last.snapshot) last = { snapshot: now, state: stateDigest(now) }
    return last.state
  }
  return ({ since, wait = defaultSeconds }: ChangesQuery) =>
    Effect.suspend(() => {
      if (since === undefined || waiting >= mostWaiting) return Effect.void
      waiting += 1
      return when((now) => state(now) !== since).pipe(
        Effect.raceFirst(begun),
        Effect.timeoutOption(wait * 1000),
        Effect.ensuring(Effect.sync(() => (waiting -= 1)))
      )
    }).pipe(Effect.map(() => ({ state: state(snapshot()) })))
})
