/**
 * The law of codecs, for any of them: the same output under any cutting of the input, run plainly or as a stream.
 */
import { expect } from "bun:test"
import { Effect, Stream } from "effect"
import fc from "fast-check"
import { transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { Inlet } from "../../src/proxy/inlet.ts"
import { cutUp } from "../fuzz/arbitraries.ts"

/** What is known of a codec's outputs together: outputs that are bytes or texts may be cut in other places. */
type Joined<Out> = (all: ReadonlyArray<Out>) => unknown

/** Holds a codec to the law over inputs like these. */
export const holdsUnderAnyCutting = <Out>(
  codec: Transducer<Uint8Array, Out>,
  inputs: fc.Arbitrary<Uint8Array>,
  joined: Joined<Out> = (all) => all,
  numRuns = 200
): Promise<void> =>
  fc.assert(
    fc.asyncProperty(cutUp(inputs), fc.integer({ min: 1, max: 4 }), async (pieces, early) => {
      const whole = new Uint8Array(Buffer.concat([...pieces]))
      const wanted = joined(transduce(codec, [whole]))
      const bytes = Array.from(whole, (byte) => new Uint8Array([byte]))
      expect(joined(transduce(codec, pieces))).toEqual(wanted)
      expect(joined(transduce(codec, bytes))).toEqual(wanted)
      // Several pieces may have come before they are drawn.
      const inlet = new Inlet<Uint8Array, Out, never>(codec.start())
      for (const piece of pieces.slice(0, early)) inlet.push(piece)
      const drawn = Effect.runPromise(Stream.runCollect(inlet.stream))
      for (const piece of pieces.slice(early)) inlet.push(piece)
      inlet.end()
      expect(joined(await drawn)).toEqual(wanted)
    }),
    { numRuns }
  )

/** What a watch makes known, as a codec: each turn that its opening takes, and all that can be asked of it at the end. */
export const watchCodec = <W extends { readonly opening: string; readonly push: (piece: Uint8Array) => boolean }>(
  make: () => W,
  known: (watch: W) => unknown
): Transducer<Uint8Array, unknown> => ({
  start: () => {
    const watch = make()
    let { opening } = watch
    return {
      push: (piece) => {
        watch.push(piece)
        if (watch.opening === opening) return []
        opening = watch.opening
        return [opening]
      },
      end: () => [known(watch)]
    }
  }
})
