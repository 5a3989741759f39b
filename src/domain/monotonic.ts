/**
 * The time that every wait, grace and age goes by. The wall clock is for people: it is set, steps and jumps.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** A clock that only goes forward, in milliseconds from a start of its own; a test moves it with its clock, or by itself. */
export const Monotonic = Context.Reference<Effect.Effect<number>>("nexus/domain/Monotonic", {
  defaultValue: () => Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1_000_000)
})

/** What {@link Monotonic} shows now. */
export const monotonicMs: Effect.Effect<number> = Effect.flatten(Monotonic)

// The two clocks are apart by something else once they differ by more than this from what was found, in milliseconds: one was set, or the
// machine has slept.
const apartMs = 2

// Two readings this close to each other are of one moment, in milliseconds; so often it is tried to have them.
const closeMs = 0.5
const mostTries = 5

/**
 * Gives by how much the wall clock shows more than the monotonic one, in milliseconds and finer; it is given what the latter shows now. It
 * stays the same until a clock was set: a process that is held up between two readings takes that for no other time, so that moments that
 * follow one another closely never change places. Nanoseconds are dear, and asked for only when that seems to be so.
 */
export const wallAhead = (clock: Pick<Clock.Clock, "currentTimeMillisUnsafe" | "currentTimeNanosUnsafe">) => {
  let aheadMs = Infinity
  const isApart = (ms: number): boolean => Math.abs(ms - aheadMs) > apartMs
  const found = (): number => {
    let closest = Infinity
    let ms = aheadMs
    for (let tries = 0; tries < mostTries && closest > closeMs; tries += 1) {
      const from = performance.now()
      const wall = Number(clock.currentTimeNanosUnsafe()) / 1_000_000
      const took = performance.now() - from
      if (took < closest) ms = wall - from
      closest = Math.min(closest, took)
    }
    return ms
  }
  return (now: number): number => {
    if (!isApart(clock.currentTimeMillisUnsafe() - now)) return aheadMs
    const ms = found()
    if (isApart(ms)) aheadMs = ms
    return aheadMs
  }
}
