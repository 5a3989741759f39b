/**
 * One sweep for the time limits of all requests: a timer or a raced fiber per request would cost more than the request.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import { type SetMember, IntrusiveSet } from "../domain/intrusive-set.ts"
import { ProcessPauses } from "./ProcessPauses.ts"

/** What the sweep looks at; times are monotonic milliseconds, `Infinity` is no limit. */
export interface Deadline extends SetMember {
  /** End of the limit of the present phase. */
  at: number
  /** End of the whole request. */
  totalAt: number
  /** Moves the ends of limits that began before a moment. */
  readonly shift: (before: number, byMs: number) => void
  /** Called once for a limit that has passed; both are switched off before. */
  readonly expire: (limit: "phase" | "total") => void
  /** Called at each sweep before its limits are looked at: what is short-lived is never asked. */
  readonly lasts?: () => void
}

/**
 * Time between two sweeps for limits of these lengths, all in milliseconds: a limit ends late by at most a twentieth of
 * the shortest one, and by at most 200. A limit of 0 is none.
 */
export const sweepMs = (limitsMs: Iterable<number>): number => {
  let shortest = Infinity
  for (const limit of limitsMs) if (limit > 0 && limit < shortest) shortest = limit
  return Math.min(200, Math.max(20, shortest / 20))
}

/** Ends the watches whose time has passed at `now`. */
const sweep = (watches: IntrusiveSet<Deadline>, now: number): void =>
  watches.each((watch) => {
    watch.lasts?.()
    if (now < watch.at && now < watch.totalAt) return
    const limit = now >= watch.totalAt ? "total" : "phase"
    watch.at = Infinity
    watch.totalAt = Infinity
    watch.expire(limit)
  })

/** The watches of all requests under way. */
export class Deadlines extends Context.Service<
  Deadlines,
  {
    readonly add: (watch: Deadline) => void
    readonly remove: (watch: Deadline) => void
  }
>()("nexus/upstream/Deadlines") {
  /** Sweeps every `everyMs` milliseconds of the moment while there is something to watch, and sleeps otherwise. */
  static readonly layer = (everyMs: () => number) =>
    Layer.effect(
      Deadlines,
      Effect.gen(function* () {
        const { lostMs } = yield* ProcessPauses
        const watches = new IntrusiveSet<Deadline>()
        const some = Latch.makeUnsafe(false)
        let lost = yield* lostMs
        const round = Effect.gen(function* () {
          if (watches.size === 0) {
            some.closeUnsafe()
            yield* some.await
            lost = yield* lostMs
          }
          yield* Effect.sleep(everyMs())
          const pausedMs = (yield* lostMs) - lost
          const now = performance.now()
          if (pausedMs === 0) return sweep(watches, now)
          // What lies in the sockets is read before anybody is judged; limits that began since the pause are left alone.
          lost += pausedMs
          watches.each((watch) => watch.shift(now - pausedMs / 2, pausedMs))
        })
        yield* round.pipe(Effect.forever, Effect.forkScoped)
        return Deadlines.of({
          add: (watch) => {
            watches.add(watch)
            if (watches.size === 1) some.openUnsafe()
          },
          remove: (watch) => {
            watches.delete(watch)
          }
        })
      })
    )
}
