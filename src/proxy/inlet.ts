/**
 * What a codec makes of values that come by calls, as an Effect stream: what a `Queue` does for many, for the one who draws
 * from a socket. Who waits is woken in the call that brings something, not in a later turn of the event loop, which would
 * cost more than all that is made of a token; and of what nothing is made nobody is woken.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { pushAll, type TransducerStep } from "../dialect/Transducer.ts"

type Drawn<Out, E> = Pull.Pull<Arr.NonEmptyReadonlyArray<Out>, E>

// Such a stream acquires nothing, so nothing is ever added to it.
const noScope = Scope.makeUnsafe()

/**
 * Hands on all that such a stream makes, array by array, until it ends, which is a failure as it is of a pull. A
 * `Stream.runForEachArray` without a scope of its own: a stream that is open for long holds 0.8 KB less.
 */
export const drawAll = <Out, E>(
  { channel }: Stream.Stream<Out, E>,
  hand: (all: Arr.NonEmptyReadonlyArray<Out>) => Effect.Effect<void>
): Pull.Pull<never, E> =>
  Effect.flatMap(Channel.toPullScoped(channel, noScope), (drawn) =>
    Effect.forever(Effect.flatMap(drawn, hand), { disableYield: true })
  )

/** One such stream, which is drawn from once. */
export class Inlet<In, Out, E> {
  private readonly step: TransducerStep<In, Out>
  private values: Array<In> = []
  private last: Drawn<never, E> | undefined
  private ended = false
  private resume: ((drawn: Drawn<Out, E>) => void) | undefined
  // One for all times that it is drawn from: there is one of every token. Who looks and finds nothing waits at once.
  private readonly draws: Drawn<Out, E> = Effect.callback((resume) => {
    const drawn = this.drawn()
    if (drawn === undefined) this.resume = resume
    else resume(drawn)
  })

  constructor(step: TransducerStep<In, Out>) {
    this.step = step
  }

  /** Whether all has been made that ever will be. */
  get over(): boolean {
    return this.step.over === true
  }

  /** All that is made from the first value on: of those that came while nobody waited, one array. */
  get stream(): Stream.Stream<Out, E> {
    return Stream.fromPull(Effect.succeed(this.draws))
  }

  /** Brings a value. */
  push(value: In): void {
    if (this.resume === undefined) {
      if (this.last === undefined) this.values.push(value)
      return
    }
    try {
      this.wake(this.made(this.step.push(value)))
    } catch (defect) {
      this.wake(Effect.die(defect))
    }
  }

  /** No more values come. */
  end(): void {
    this.ended = this.last === undefined
    this.ends(Cause.done())
  }

  /** No more values come, and why. */
  fail(error: E): void {
    this.ends(Effect.fail(error))
  }

  private ends(last: Drawn<never, E>): void {
    this.last ??= last
    if (this.resume === undefined) return
    try {
      this.wake(this.ending())
    } catch (defect) {
      this.wake(Effect.die(defect))
    }
  }

  private drawn(): Drawn<Out, E> | undefined {
    const { step, values } = this
    if (step.over === true) return Cause.done()
    if (values.length > 0) {
      this.values = []
      const made = this.made(pushAll(step, values))
      if (made !== undefined) return made
    }
    return this.ending()
  }

  // What there is to draw of what was made; undefined where that is nothing, and more may come.
  private made(all: ReadonlyArray<Out>): Drawn<Out, E> | undefined {
    if (Arr.isReadonlyArrayNonEmpty(all)) return Effect.succeed(all)
    return this.step.over === true ? Cause.done() : undefined
  }

  private ending(): Drawn<Out, E> | undefined {
    if (!this.ended) return this.last
    this.ended = false
    return this.made(this.step.end()) ?? this.last
  }

  private wake(drawn: Drawn<Out, E> | undefined): void {
    if (drawn === undefined) return
    const { resume } = this
    this.resume = undefined
    resume?.(drawn)
  }
}
