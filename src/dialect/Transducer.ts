/**
 * A codec as a pure incremental step. One law holds for all of them: the output is the same under any cutting of the input,
 * run plainly or as what a `Stream` is made by (`proxy/inlet.ts`).
 */

/** One input under way. */
export interface TransducerStep<In, Out> {
  /** Takes the next piece; what it makes known. */
  readonly push: (piece: In) => ReadonlyArray<Out>
  /** The input has ended in order; what that makes known. */
  readonly end: () => ReadonlyArray<Out>
  /** What ends the output where the input broke off; absent where that is the same whatever has been said. */
  readonly broken?: (error: string) => Out
  /** Whether all has been said: nothing is made of what may still come, nor of its end. */
  readonly over?: boolean
}

/** Makes outputs of an input that comes in pieces; nothing is shared between two inputs. */
export interface Transducer<In, Out> {
  readonly start: () => TransducerStep<In, Out>
}

// There may be more than fit on a stack.
const add = <Out>(all: Array<Out>, more: ReadonlyArray<Out>): Array<Out> => {
  for (const each of more) all.push(each)
  return all
}

/** What it makes of several pieces, up to its last word. */
export const pushAll = <In, Out>(step: TransducerStep<In, Out>, pieces: Iterable<In>): ReadonlyArray<Out> => {
  const all: Array<Out> = []
  for (const piece of pieces) {
    add(all, step.push(piece))
    if (step.over === true) break
  }
  return all
}

/** Runs it plainly. */
export const transduce = <In, Out>({ start }: Transducer<In, Out>, pieces: Iterable<In>): ReadonlyArray<Out> => {
  const step = start()
  const all = pushAll(step, pieces)
  return step.over === true ? all : [...all, ...step.end()]
}

// A class, since a stream holds one for as long as it is open: closures and a getter of its own take some hundred bytes more.
class Through<In, Between, Out> implements TransducerStep<In, Out> {
  private readonly from: TransducerStep<In, Between>
  private readonly to: TransducerStep<Between, Out>
  private ended = false

  constructor(from: TransducerStep<In, Between>, to: TransducerStep<Between, Out>) {
    this.from = from
    this.to = to
  }

  get over(): boolean {
    return this.ended || this.to.over === true
  }

  push(piece: In): ReadonlyArray<Out> {
    const { from } = this
    const between = from.push(piece)
    return this.passed(between, from.over === true)
  }

  end(): ReadonlyArray<Out> {
    return this.passed(this.from.end(), true)
  }

  private passed(between: ReadonlyArray<Between>, ended: boolean): ReadonlyArray<Out> {
    const { to } = this
    const [only] = between
    if (between.length === 1 && only !== undefined && !ended) return to.push(only)
    const all: Array<Out> = []
    for (const each of between) if (to.over !== true) add(all, to.push(each))
    if (ended && to.over !== true) add(all, to.end())
    this.ended ||= ended
    return all
  }
}

/** One behind the other. */
export const through = <In, Between, Out>(
  first: Transducer<In, Between>,
  second: Transducer<Between, Out>
): Transducer<In, Out> => ({ start: () => new Through(first.start(), second.start()) })
