/**
 * What a codec makes of values that come by calls, as an Effect stream: what a `Queue` does for many, for the one who draws
 * from a socket. Who waits is woken in the call that brings something, not in a later turn of the event loop, which would
 * cost more than all that is made of a token; and of what nothing is made nobody is woken.
 */
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import { pushAll, type TransducerStep } from "../dialect/Transducer.ts"

type Drawn<Out, E> = Pull.Pull<Arr.NonEmptyReadonlyArray<Out>, E>

/** One such stream, which is drawn from once. */
export class Inlet<In, Out, E> {
  private readonly step: TransducerStep<In, Out>
  private values: Array<In> = []
  private last: Drawn<never, E> | undefined
  private ended = false
  private resume: ((drawn: Drawn<Out, E>) => void) | undefined
  // One for all waits: there is one of every token. A reader may have paused since it looked.
  private readonly waits: Drawn<Out, E> = Effect.callback((resume) => {
    const { last, values } = this
    if (values.length > 0 || last !== undefined) return resume(Effect.suspend(() => this.drawn()))
    this.resume = resume
  })

  constructor(step: TransducerStep<In, Out>) {
    this.step = step
  }

  /** All that is made from the first value on: of those that came while nobody waited, one array. */
  get stream(): Stream.Stream<Out, E> {
    return Stream.fromPull(Effect.succeed(Effect.suspend(() => this.drawn())))
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

  private drawn(): Drawn<Out, E> {
    const { step, values } = this
    if (step.over === true) return Cause.done()
    if (values.length > 0) {
      this.values = []
      const made = this.made(pushAll(step, values))
      if (made !== undefined) return made
    }
    return this.ending() ?? this.waits
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
