import { describe, expect, test } from "bun:test"
import { Effect, Exit, Scheduler, Stream } from "effect"
import fc from "fast-check"
import { transduce, type Transducer, type TransducerStep } from "../../src/dialect/Transducer.ts"
import { Inlet } from "../../src/proxy/inlet.ts"

/** Each value as it is. */
const plain: TransducerStep<number, number> = { push: (value) => [value], end: () => [] }

/** Runs of the same: told when another value follows, up to a 0. */
const runs: Transducer<number, ReadonlyArray<number>> = {
  start: () => {
    let run: Array<number> = []
    let over = false
    const told = (): ReadonlyArray<ReadonlyArray<number>> => (run.length === 0 ? [] : [run])
    return {
      push: (value) => {
        const before = run.length > 0 && run[0] !== value ? told() : []
        run = before.length > 0 ? [value] : [...run, value]
        over = value === 0
        return over ? [...before, ...told()] : before
      },
      end: told,
      get over() {
        return over
      }
    }
  }
}

/** What a reader of the stream has got, read by read. */
const read = <Out>(inlet: Inlet<number, Out, string>) => {
  const got: Array<ReadonlyArray<Out>> = []
  const fiber = Effect.runFork(Stream.runForEachArray(inlet.stream, (some) => Effect.sync(() => got.push(some))))
  return { got, fiber }
}

describe("values that come by calls", () => {
  test("are all given in their order, whoever is first", () =>
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.nat(), (values, place) => {
        const at = place % (values.length + 1)
        const inlet = new Inlet<number, number, string>(plain)
        for (const value of values.slice(0, at)) inlet.push(value)
        const { fiber, got } = read(inlet)
        for (const value of values.slice(at)) inlet.push(value)
        inlet.end()
        expect(got.flat()).toEqual(values)
        expect(fiber.pollUnsafe()).toEqual(Exit.void)
      })
    ))

  test("are what a codec makes of them, whoever is first, and all of it up to its last word (law)", () =>
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 3 })), fc.nat(), (values, place) => {
        const at = place % (values.length + 1)
        const inlet = new Inlet<number, ReadonlyArray<number>, string>(runs.start())
        for (const value of values.slice(0, at)) inlet.push(value)
        const { fiber, got } = read(inlet)
        for (const value of values.slice(at)) inlet.push(value)
        inlet.end()
        expect(got.flat()).toEqual([...transduce(runs, values)])
        expect(fiber.pollUnsafe()).toEqual(Exit.void)
      })
    ))

  test("are all given where the reader pauses anywhere between looking and waiting (law)", () =>
    fc.assert(
      fc.property(
        fc.array(fc.nat(), { minLength: 1 }),
        fc.integer({ min: 3, max: 16 }),
        fc.nat({ max: 3 }),
        (values, ops, between) => {
          const pauses: Array<() => void> = []
          const scheduler = new Scheduler.MixedScheduler("async", (next) => {
            pauses.push(next)
            return () => undefined
          })
          const goOn = (): boolean => {
            pauses.shift()?.()
            return pauses.length > 0
          }
          const inlet = new Inlet<number, number, string>(plain)
          const got: Array<number> = []
          const reads = Stream.runForEachArray(inlet.stream, (some) => Effect.sync(() => void got.push(...some)))
          const fiber = Effect.runFork(Effect.provideService(reads, Scheduler.MaxOpsBeforeYield, ops), { scheduler })
          for (const value of values) {
            for (let nth = 0; nth < between; nth += 1) goOn()
            inlet.push(value)
          }
          for (let nth = 0; nth < between; nth += 1) goOn()
          inlet.end()
          for (let nth = 0; nth < 10_000 && goOn(); nth += 1);
          expect(got).toEqual(values)
          expect(fiber.pollUnsafe()).toEqual(Exit.void)
        }
      )
    ))

  test("end the stream by the fault of a codec, whoever is first", () => {
    const faulty: TransducerStep<number, number> = {
      push: () => {
        throw new Error("odd")
      },
      end: () => []
    }
    for (const first of [true, false]) {
      const inlet = new Inlet<number, number, string>(faulty)
      if (first) inlet.push(1)
      const { fiber } = read(inlet)
      if (!first) inlet.push(1)
      expect(Exit.hasDies(fiber.pollUnsafe() ?? Exit.void)).toBe(true)
    }
  })

  test("reach who waits in the call that brings them, and those that came before are one read", () => {
    const inlet = new Inlet<number, number, string>(plain)
    inlet.push(1)
    inlet.push(2)
    const { got } = read(inlet)
    expect(got).toEqual([[1, 2]])
    inlet.push(3)
    expect(got).toEqual([[1, 2], [3]])
  })

  test("are given before the failure that follows them", async () => {
    const inlet = new Inlet<number, number, string>(plain)
    inlet.push(1)
    inlet.fail("gone")
    inlet.end()
    const { fiber, got } = read(inlet)
    expect(got).toEqual([[1]])
    expect(fiber.pollUnsafe()).toEqual(Exit.fail("gone"))
  })

  test("wake nobody who has left", () => {
    const inlet = new Inlet<number, number, string>(plain)
    const { fiber, got } = read(inlet)
    fiber.interruptUnsafe()
    inlet.push(1)
    inlet.end()
    expect(got).toEqual([])
    expect(Exit.hasInterrupts(fiber.pollUnsafe() ?? Exit.void)).toBe(true)
  })
})
