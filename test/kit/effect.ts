/**
 * `bun:test` for effects: a test is an effect that runs with virtual time, in a scope of its own.
 */
import { test } from "bun:test"
import { Cause, Effect, Exit, type Scope } from "effect"
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
