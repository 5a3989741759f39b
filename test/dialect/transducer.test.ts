import { describe, expect, test } from "bun:test"
import { Effect, Exit, Stream } from "effect"
import fc from "fast-check"
import { through, transduce, type Transducer } from "../../src/dialect/Transducer.ts"
import { Inlet } from "../../src/proxy/inlet.ts"
import { holdsUnderAnyCutting } from "../kit/cutting.ts"

/** The lines of a text; the last one counts without its end. */
const lines: Transducer<Uint8Array, string> = {
  start: () => {
    const decoder = new TextDecoder()
    let rest = ""
    const take = (text: string): ReadonlyArray<string> => {
      const all = (rest + text).split("\n")
      rest = all.pop() ?? ""
      return all
    }
    return {
      push: (piece) => take(decoder.decode(piece, { stream: true })),
      end: () => [...take(decoder.decode()), ...(rest === "" ? [] : [rest])]
    }
  }
}

/** How many have come. */
const count: Transducer<string, number> = {
  start: () => {
    let came = 0
    return { push: () => ((came += 1), []), end: () => [came] }
  }
}

/** All up to the first empty line, and a word behind it where none has come. */
const head: Transducer<string, string> = {
  start: () => {
    let over = false
    return {
      push: (line) => {
        if (over) return []
        over = line === ""
        return over ? [] : [line]
      },
      end: () => ["cut"],
      get over() {
        return over
      }
    }
  }
}

const bytes = (text: string) => new TextEncoder().encode(text)

const texts = fc.array(fc.oneof(fc.constantFrom("\n", "a", "é🙂", "\n\n"), fc.string()), { maxLength: 8 })

describe("a codec", () => {
  test("gives the same under any cutting of its input, run plainly and as a stream", () =>
    holdsUnderAnyCutting(
      lines,
      texts.map((all) => bytes(all.join("")))
    ))

  test("behind another one gives what it would give of all that the other has given, under any cutting", async () => {
    await holdsUnderAnyCutting(
      through(lines, head),
      texts.map((all) => bytes(all.join("")))
    )
    fc.assert(
      fc.property(texts, (all) => {
        const piece = bytes(all.join(""))
        expect(transduce(through(lines, head), [piece])).toEqual(transduce(head, transduce(lines, [piece])))
        // The second has its end also where the first has said all before the end of its input.
        const counted = through(through(lines, head), count)
        expect(transduce(counted, [piece])).toEqual([transduce(head, transduce(lines, [piece])).length])
      })
    )
  })

  test("that has said all waits for nothing more", async () => {
    const endless = new Inlet<Uint8Array, string, never>(through(lines, head).start())
    endless.push(bytes("a\n\nb\n"))
    expect(await Effect.runPromise(Stream.runCollect(endless.stream))).toEqual(["a"])
  })

  test("that is wrong is found out by the law", async () => {
    const counting: Transducer<Uint8Array, number> = {
      start: () => {
        let pieces = 0
        return { push: () => ((pieces += 1), []), end: () => [pieces] }
      }
    }
    const held = await holdsUnderAnyCutting(counting, fc.uint8Array({ minLength: 2 })).then(
      () => true,
      () => false
    )
    expect(held).toBe(false)
  })

  test("shares nothing between two inputs", () => {
    expect([transduce(lines, [bytes("a\nb")]), transduce(lines, [bytes("c")])]).toEqual([["a", "b"], ["c"]])
  })

  test("tells no end of an input that fails", async () => {
    const told: Array<string> = []
    const broken = new Inlet<Uint8Array, string, string>(lines.start())
    broken.push(bytes("a\nb"))
    broken.fail("gone")
    const read = Stream.runForEach(broken.stream, (line) => Effect.sync(() => told.push(line)))
    expect(Exit.isFailure(await Effect.runPromiseExit(read))).toBe(true)
    expect(told).toEqual(["a"])
  })
})
