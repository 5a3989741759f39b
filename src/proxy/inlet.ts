/**
 * Values that come by calls, as an Effect stream: what a `Queue` does for many, for the one who draws from a socket. Who
 * waits is woken in the call that brings the next value, not in a later turn of the event loop, which would cost more than
 * all that is made of a token.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"

type Drawn<A, E> = Pull.Pull<Arr.NonEmptyReadonlyArray<A>, E>

/** One such stream, which is drawn from once. */
export class Inlet<A, E> {
  private values: Array<A> = []
  private last: Drawn<A, E> | undefined
  private resume: ((drawn: Drawn<A, E>) => void) | undefined

  /** All values that come from the first on: what came while nobody waited is one array. */
  get stream(): Stream.Stream<A, E> {
    const waits: Drawn<A, E> = Effect.callback((resume) => {
      this.resume = resume
    })
    return Stream.fromPull(
      Effect.succeed(
        Effect.suspend(() => {
          const { values } = this
          if (!Arr.isArrayNonEmpty(values)) return this.last ?? waits
          this.values = []
          return Effect.succeed(values)
        })
      )
    )
  }

  /** Brings a value. */
  push(value: A): void {
    if (this.resume === undefined) this.values.push(value)
    else this.wake(Effect.succeed(Arr.of(value)))
  }

  /** No more values come. */
  end(): void {
    this.ends(Cause.done())
  }

  /** No more values come, and why. */
  fail(error: E): void {
    this.ends(Effect.fail(error))
  }

  private ends(last: Drawn<A, E>): void {
    this.last ??= last
    if (this.resume !== undefined) this.wake(this.last)
  }

  private wake(drawn: Drawn<A, E>): void {
    const { resume } = this
    this.resume = undefined
    resume?.(drawn)
  }
}
