import { describe, expect, test } from "bun:test"
import { LineBegins, mostLineNames } from "../../src/domain/header-lines.ts"

describe("how lines of headers begin", () => {
  test("names that clients make up take no place from those in use", () => {
    const known = new Map<string, string>()
    const begins = new LineBegins(new Set(["host"]), known)
    let forgotten = 0
    for (let request = 0; request < 10 * mostLineNames.names; request += 1) {
      if (!known.has("accept")) forgotten += 1
      expect(begins.of("accept")).toBe("accept: ")
      expect(begins.of(`x-made-up-${request}`)).toBe(`x-made-up-${request}: `)
    }
    expect(forgotten).toBeLessThan(15)
    // Whoever comes next finds what is in use remembered, not what was made up first.
    expect(begins.of("content-type")).toBe("content-type: ")
    expect(known.has("content-type")).toBe(true)
    expect(known.has("x-made-up-0")).toBe(false)
    expect(known.size).toBeLessThanOrEqual(mostLineNames.names)
  })

  test("a long name is written and not remembered", () => {
    const known = new Map<string, string>()
    const begins = new LineBegins(new Set(), known)
    const long = "x".repeat(mostLineNames.length + 1)
    expect(begins.of(long)).toBe(`${long}: `)
    expect(known.size).toBe(0)
  })

  test("a name that is ours begins no line, and what is no name is none", () => {
    const begins = new LineBegins(new Set(["host"]))
    expect(begins.of("Host")).toBe("")
    expect(begins.of("a b")).toBeUndefined()
    expect(begins.of("a\r\nb")).toBeUndefined()
    expect(begins.of("")).toBeUndefined()
  })
})
