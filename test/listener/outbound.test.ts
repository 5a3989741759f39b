import { describe, expect, test } from "bun:test"
import { Outbound } from "../../src/listener/outbound.ts"

/** A connection whose socket takes so many bytes, and what was written to it. */
const connection = (takes = Infinity) => {
  const writes: Array<string> = []
  let left = takes
  const out = new Outbound({
    write: (bytes, from, length) => {
      const taken = Math.min(left, length)
      left -= taken
      writes.push(Buffer.from(bytes.subarray(from, from + taken)).toString("latin1"))
      return taken
    }
  })
  return {
    out,
    writes,
    takeMore: () => {
      left = Infinity
    }
  }
}

const bytes = (text: string) => Buffer.from(text)

const turn = () => new Promise(setImmediate)

describe("what is given in one turn", () => {
  test("goes out in one write, head and end included", async () => {
    const { out, writes } = connection()
    out.precede("head ")
    out.chunk(bytes("one"))
    out.chunk(bytes("two"))
    out.text("0\r\n\r\n")
    await turn()
    expect(writes).toEqual(["head 3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"])
  })

  test("goes out at the end of that turn, and before another connection writes", async () => {
    const [one, two] = [connection(), connection()]
    one.out.chunk(bytes("a"))
    one.out.chunk(bytes("b"))
    expect(one.writes).toEqual([])
    two.out.chunk(bytes("c"))
    expect(one.writes).toEqual(["1\r\na\r\n1\r\nb\r\n"])
    await Promise.resolve()
    expect(two.writes).toEqual(["1\r\nc\r\n"])
  })

  test("keeps its order however little the socket takes, and however much it is", async () => {
    const large = "x".repeat(50_000)
    const { out, takeMore, writes } = connection(70_000)
    for (const text of ["first", large, large, "last"]) out.chunk(bytes(text))
    await turn()
    out.chunk(bytes("behind"))
    expect(out.unsent).toBeGreaterThan(0)
    takeMore()
    out.flush()
    expect(out.unsent).toBe(0)
    expect(writes.join("")).toBe(`5\r\nfirst\r\nc350\r\n${large}\r\nc350\r\n${large}\r\n4\r\nlast\r\n6\r\nbehind\r\n`)
  })

  test("is forgotten when the connection is dropped", async () => {
    const { out, writes } = connection()
    out.chunk(bytes("a"))
    out.clear()
    await turn()
    expect(writes).toEqual([])
  })
})
