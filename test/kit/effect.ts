/**
 * `bun:test` for effects: a test is an effect that runs with virtual time, in a scope of its own.
 */
import { test } from "bun:test"
import { Cause, Clock, Effect, Exit, type Scope } from "effect"
import { TestClock } from "effect/testing"

const settle = async <A, E>(body: Effect.Effect<A, E>): Promise<void> => {
  const exit = await Effect.runPromiseExit(body)
  if (Exit.isFailure(exit)) throw Cause.squash(exit.cause)
}

/** A test on virtual time: only `TestClock.adjust` moves it. */
export const effect = <A, E>(name: string, body: () => Effect.Effect<A, E, Scope.Scope>): void =>
  test(name, () => settle(Effect.scoped(body()).pipe(Effect.provide(TestClock.layer()))))

/** A test on the real clock, for sockets. */
export const live = <A, E>(name: string, body: () => Effect.Effect<A, E, Scope.Scope>): void =>
  test(name, () => settle(Effect.scoped(body())))

/** An effect on virtual time whose wall clock somebody sets meanwhile, by so many milliseconds. */
export const underWallClock = <A, E, R>(setBy: () => number, body: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  TestClock.testClockWith((clock) => {
    const millis = () => clock.currentTimeMillisUnsafe() + setBy()
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(setBy()) * 1_000_000n
    const set: TestClock.TestClock = {
      ...clock,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    return Effect.provideService(body, Clock.Clock, set)
  })
