import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { faultAt, notJson } from "../../src/dialect/json-fault.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

describe("of a body that is no JSON the client is told", () => {
  test.each([
    ['{"model":"m",}', "'}' at line 1, column 14 is not expected there"],
    ['{\n  "model": "m"\n  "messages": []\n}', "'\"' at line 3, column 3 is not expected there"],
    ["{'model':'m'}", "''' at line 1, column 2 is not expected there"],
    ['{"a": tru}', "'t' at line 1, column 7 is not expected there"],
    ['{"a": 01}', "'1' at line 1, column 8 is not expected there"],
    ['{"a": "ä", b}', "'b' at line 1, column 12 is not expected there"],
    ['{"a": "x\ny"}', "'\\u000a' at line 1, column 9 is not expected there"],
    [`{"a": "${"x".repeat(200)}\t"}`, "'\\u0009' at line 1, column 208 is not expected there"],
    ['{"a": "\\x"}', "'\\' at line 1, column 8 is not expected there"],
    ['{"a": 1} {', "'{' at line 1, column 10 is not expected there"],
    ["model=m", "'m' at line 1, column 1 is not expected there"],
    ["\ufeff{}", "'\\ufeff' at line 1, column 1 is not expected there"],
    ['{"a": "x', "it ends too early, at line 1, column 9"],
    ['{"a":\n', "it ends too early, at line 2, column 1"]
  ])("of %j where it is not", (text, told) => {
    expect(notJson(bytes(text))).toBe(`The request body is not valid JSON: ${told}`)
  })

  test("that it is none, and no place, where that stands far behind its beginning", () => {
    expect(notJson(bytes(`[${"1,".repeat(200_000)}]`))).toBe("The request body is not valid JSON")
  })
})

test("the place is where no JSON can go on as the text does: what stands before it may (law)", () => {
  const bent = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom(..."{}[],:\"'\\x0-. \n\té"))
    .map(([text, at, other]) => text.slice(0, at % (text.length + 1)) + other + text.slice(at % (text.length + 1)))
  fc.assert(
    fc.property(bent, (text) => {
      const body = bytes(text)
      const at = faultAt(body)
      expect(at === undefined).toBe(isJson(text))
      if (at === undefined) return
      const before = faultAt(body.subarray(0, at))
      expect(before === undefined || before === at).toBe(true)
    }),
    { numRuns: 500 }
  )
})
