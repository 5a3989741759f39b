import { describe, expect, test } from "bun:test"
import { Effect, Exit, Stream } from "effect"
import fc from "fast-check"
import { Inlet } from "../../src/proxy/inlet.ts"

/** What a reader of the stream has got, read by read. */
const read = (inlet: Inlet<number, string>) => {
  const got: Array<ReadonlyArray<number>> = []
  const fiber = Effect.runFork(Stream.runForEachArray(inlet.stream, (some) => Effect.sync(() => got.push(some))))
  return { got, fiber }
}

describe("values that come by calls", () => {
  test("are all given in their order, whoever is first", () =>
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.nat(), (values, place) => {
        const at = place % (values.length + 1)
        const inlet = new Inlet<number, string>()
        for (const value of values.slice(0, at)) inlet.push(value)
        const { fiber, got } = read(inlet)
        for (const value of values.slice(at)) inlet.push(value)
        inlet.end()
        expect(got.flat()).toEqual(values)
        expect(fiber.pollUnsafe()).toEqual(Exit.void)
      })
    ))

  test("reach who waits in the call that brings them, and those that came before are one read", () => {
    const inlet = new Inlet<number, string>()
    inlet.push(1)
    inlet.push(2)
    const { got } = read(inlet)
    expect(got).toEqual([[1, 2]])
    inlet.push(3)
    expect(got).toEqual([[1, 2], [3]])
  })

  test("are given before the failure that follows them", async () => {
    const inlet = new Inlet<number, string>()
    inlet.push(1)
    inlet.fail("gone")
    inlet.end()
    const { fiber, got } = read(inlet)
    expect(got).toEqual([[1]])
    expect(fiber.pollUnsafe()).toEqual(Exit.fail("gone"))
  })

  test("wake nobody who has left", () => {
    const inlet = new Inlet<number, string>()
    const { fiber, got } = read(inlet)
    fiber.interruptUnsafe()
    inlet.push(1)
    inlet.end()
    expect(got).toEqual([])
    expect(Exit.hasInterrupts(fiber.pollUnsafe() ?? Exit.void)).toBe(true)
  })
})
