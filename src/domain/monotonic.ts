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
