/**
 * Requests that wait for the shared store: nobody waits longer than he may, and one fiber looks after all of them.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Somebody who waits for what the store says. */
interface StoreWaiter {
  /** Since when, in monotonic milliseconds. */
  readonly since: number
  /** Whether he waits no more. */
  readonly isOver: () => boolean
  /** Called when he has waited as long as he may. */
  readonly giveUp: () => void
}

/** How long the store is waited for, in milliseconds. */
export interface StoreWaits {
  /** By a request. */
  readonly requestMs: number
  /** For the answer to a command. */
  readonly commandMs: number
  /** For anything over a link, before it is given up. */
  readonly silentMs: number
}

/** How long the store is waited for where nobody says otherwise. */
export const usualWaits: StoreWaits = { requestMs: 5, commandMs: 50, silentMs: 1000 }

/** How long this gateway waits for the store. */
export const StorePatience = Context.Reference<StoreWaits>("nexus/replicas/StorePatience", {
  defaultValue: () => usualWaits
})

/** Has all who are given to it wait for so many milliseconds at most. */
export const patience = (
  waitMs: number,
  fork: (effect: Effect.Effect<void>) => void
): ((waiter: StoreWaiter) => void) => {
  let waiters: Array<StoreWaiter> = []
  let isWatched = false

  const look = (): void => {
    const now = performance.now()
    const all = waiters
    waiters = []
    for (const each of all) {
      if (each.isOver()) continue
      if (now - each.since >= waitMs - 0.5) each.giveUp()
      else waiters.push(each)
    }
    watch()
  }

  const watch = (): void => {
    const [first] = waiters
    isWatched = first !== undefined
    if (first === undefined) return
    const rest = Math.max(0, first.since + waitMs - 1 - performance.now())
    // Where this process itself was late, what has come meanwhile is heard before anybody gives up.
    fork(Effect.andThen(Effect.andThen(Effect.sleep(rest), Effect.sleep(1)), Effect.sync(look)))
  }

  return (waiter) => {
    waiters.push(waiter)
    if (!isWatched) watch()
  }
}
