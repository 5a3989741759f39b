/**
 * A codec as a pure incremental step, and its lift to Effect. One law holds for all of them: the output is the same under
 * any cutting of the input, run plainly, as a `Stream` or as a `Sink`.
 */
import * as Sink from "effect/Sink"
import * as Stream from "effect/Stream"

/** One input under way. */
interface TransducerStep<In, Out> {
  /** Takes the next piece; what it makes known. */
  readonly push: (piece: In) => ReadonlyArray<Out>
  /** The input has ended in order; what that makes known. */
  readonly end: () => ReadonlyArray<Out>
  /** What ends the output where the input broke off; absent where that is the same whatever has been said. */
  readonly broken?: (error: string) => Out
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

/** Runs it plainly. */
export const transduce = <In, Out>({ start }: Transducer<In, Out>, pieces: Iterable<In>): ReadonlyArray<Out> => {
  const step = start()
  const all: Array<Out> = []
  for (const piece of pieces) add(all, step.push(piece))
  return add(all, step.end())
}

/** As a stage of a stream: what a read of several pieces makes known stays one array. A stream that fails has no end. */
export const toStream =
  <In, Out>({ start }: Transducer<In, Out>) =>
  <E, R>(pieces: Stream.Stream<In, E, R>): Stream.Stream<Out, E, R> =>
    Stream.suspend(() => {
      const step = start()
      const pushed = Stream.mapAccum(
        pieces,
        () => step,
        (_, piece) => [step, step.push(piece)]
      )
      // Not by `onHalt`, which is called for a stream that fails as well.
      return Stream.concat(
        pushed,
        Stream.suspend(() => Stream.fromIterable(step.end()))
      )
    })

/** As what takes a stream in: all outputs at its end. */
export const toSink = <In, Out>({ start }: Transducer<In, Out>): Sink.Sink<ReadonlyArray<Out>, In> =>
  Sink.reduce(
    () => ({ step: start(), all: new Array<Out>() }),
    (state, piece: In) => {
      add(state.all, state.step.push(piece))
      return state
    }
  ).pipe(Sink.map(({ all, step }) => add(all, step.end())))
