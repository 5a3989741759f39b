import { describe, expect, test } from "bun:test"
import * as fc from "fast-check"
import * as Result from "effect/Result"
import { isLarge, parsedBody, type BodyReading, buildBody } from "../../src/dialect/parsed-body.ts"
import { EventLoopTurns } from "../../src/domain/EventLoopTurns.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What a reading comes to: the value and the text that is written of it with its numbers as they came, or the refusal. */
const told = (reading: BodyReading): unknown =>
  Result.isFailure(reading)
    ? reading.failure.message
    : [reading.success.json, JSON.stringify(reading.success.exact()), JSON.stringify(reading.success.json)]

// So many blanks that a body is gone through in slices, and its long strings are read by themselves.
const padding = " ".repeat(1_100_000)

const inSlices = async (text: string): Promise<unknown> => {
  const body = bytes(text + padding)
  expect(isLarge(body)).toBe(true)
  return told(await buildBody(body, new EventLoopTurns()))
}

/** Without the place of what is wrong, which is told of the beginning of a body alone. */
const placeless = (said: unknown): string => String(said).replace(/: .*$/, "")

const pieces = fc.constantFrom(
  "plain ",
  "é",
  "🙂",
  '\\"',
  "\\\\",
  "\\n",
  "\\u4e2d",
  "\\ud83d\\ude42",
  "\\ud83d",
  "0.10"
)

/** Strings as they are written, short ones and such as are read by themselves. */
const written = fc
  .tuple(fc.array(pieces, { maxLength: 12 }), fc.constantFrom(1, 1, 40, 400))
  .map(([all, times]) => `"${all.join("").repeat(times)}"`)

const numbers = fc.constantFrom("1", "-0", "1.0", "12345678901234567890", "1e400", "0.1", "-2.50E+3")

const value: fc.Arbitrary<string> = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    written,
    numbers,
    fc.constantFrom("true", "null"),
    fc.array(tie("value"), { maxLength: 4 }).map((all) => `[${all.join(", ")}]`),
    fc
      .array(fc.tuple(written, tie("value")), { maxLength: 4 })
      .map((all) => `{${all.map(([key, each]) => `${key}:${each}`).join(",")}}`),
    tie("value").map((each) => `{"__proto__":${each},"0":${each}}`)
  )
})).value

describe("a body that is built in slices", () => {
  // Many values in one body: whoever builds it goes through the padding each time.
  test("is what it would be at once, numbers included", () =>
    fc.assert(
      fc.asyncProperty(fc.array(value, { minLength: 1, maxLength: 16 }), async (all) => {
        const text = `{"a":[${all.join(",")}]}`
        expect(await inSlices(text)).toEqual(told(parsedBody(bytes(text))))
      }),
      { numRuns: 25 }
    ))

  test("is refused where its end is missing, whatever it holds", () =>
    fc.assert(
      fc.asyncProperty(value, async (each) => {
        const text = `{"a":${each}`
        expect(placeless(await inSlices(text))).toBe(placeless(told(parsedBody(bytes(text)))))
      }),
      { numRuns: 10 }
    ))

  test("keeps the sign of a zero wherever it stands, as one built at once does", async () => {
    for (const text of ['{"a":-0}', '{"a":[-0]}', '{"a":[1,-0]}', '{"a": -0}', '{"a":[\n-0]}']) {
      for (const body of [bytes(text), bytes(text + padding)]) {
        const built = Result.getOrThrow(await buildBody(body, new EventLoopTurns()))
        expect(JSON.stringify(built.exact())).toContain("-0")
      }
    }
  })

  test("is refused for what it would be at once", async () => {
    const long = "x".repeat(2000)
    for (const text of [
      `{"a":"${long}\n"}`,
      `{"a":"${long}`,
      `{"a":"${long}"}}`,
      `{"a":"${long}\\x"}`,
      `["${long}"]`,
      `"${long}"`
    ]) {
      expect(placeless(await inSlices(text))).toBe(placeless(told(parsedBody(bytes(text)))))
    }
  })

  test("that is no text is refused for that", async () => {
    const body = bytes(`{"a":"${"x".repeat(2000)}"}${padding}`)
    body[100] = 0xff
    expect(told(await buildBody(body, new EventLoopTurns()))).toBe("The request body is not valid UTF-8 JSON")
  })

  test("holds nobody up for the whole of it", async () => {
    const turns = new EventLoopTurns()
    const body = bytes(`{"a":"${'\\"'.repeat(2_000_000)}"}`)
    const beside = { turned: 0, done: false }
    const others = (async () => {
      for (; !beside.done; beside.turned += 1) await turns.next()
    })()
    const read = await buildBody(body, turns)
    beside.done = true
    await others
    expect(Result.isSuccess(read)).toBe(true)
    // A turn for each slice of the scan, and for each of the string.
    expect(beside.turned).toBeGreaterThan(16)
  })
})
