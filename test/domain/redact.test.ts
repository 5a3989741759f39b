import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { redacted, redactorOf } from "../../src/domain/redact.ts"

const url = "http://gpu-box:8080"
const key = "key/for+the=box"

const said = (text: string, keys: ReadonlyArray<string> = [key], of = url) => redacted(text, redactorOf(keys, of))

describe("what a backend says is told without", () => {
  const rows: ReadonlyArray<readonly [what: string, text: string, told: string]> = [
    ["its key", `Incorrect API key: ${key}.`, "Incorrect API key: [redacted]."],
    ["its key in the header it came in", `authorization: Bearer ${key}`, "authorization: Bearer [redacted]"],
    ["its key as part of a URL", `?key=${encodeURIComponent(key)}&x`, "?key=[redacted]&x"],
    ["its key in Base64", btoa(key).replace(/=+$/, ""), "[redacted]"],
    ["its key with escapes of JSON", JSON.stringify({ a: [key] }).replaceAll("/", "\\/"), '{"a":["[redacted]"]}'],
    [
      "its key in other escapes",
      `{"a":"${[...key].map((c) => `\\u00${c.charCodeAt(0).toString(16)}`).join("")}"}`,
      '{"a":"[redacted]"}'
    ],
    ["its key as the name of a field", `{"${key}":"\\u0041"}`, '{"[redacted]":"\\u0041"}'],
    ["a key of a well-known kind", "provided: sk-proj-abcdefgh1234", "provided: [redacted]"],
    ["its address", "POST http://gpu-box:8080/v1/chat failed at gpu-box", "POST [address]/v1/chat failed at [address]"]
  ]
  for (const [what, text, told] of rows) test(what, () => expect(said(text)).toBe(told))
})

describe("what is no secret stays:", () => {
  test("a key that the backend has masked", () => {
    const text =
      "Incorrect API key provided: sk-ab***********wxyz. You can find your API key at https://platform.openai.com/account"
    expect(said(text)).toBe(text)
  })

  test("words that hold a short key", () => {
    expect(said("ollama is not ollama2, and so-ollama-so", ["ollama"])).toBe(
      "[redacted] is not ollama2, and so-ollama-so"
    )
    expect(said("a none m", ["m", "a"])).toBe("a none m")
  })

  test("a name that everybody can look up", () => {
    const text = "add credits at https://openrouter.ai/credits"
    expect(said(text, [], "https://openrouter.ai/api")).toBe(text)
  })

  test("a body of JSON to the letter, when there is nothing to take out", () => {
    const text = '{ "error" : {"message":"caf\\u00e9", "n": 1.0} }'
    expect(said(text)).toBe(text)
  })
})

const keys = fc.string({ minLength: 8, maxLength: 40 }).filter((text) => text.trim() === text && text.isWellFormed())

test("no key is left in what is told, however it is written (law)", () =>
  fc.assert(
    fc.property(keys, fc.string(), fc.string(), (own, before, after) => {
      // The letters of a mark may be those of a key.
      fc.pre(!"[redacted]".includes(own) && !own.includes("[redacted]"))
      const texts = [`${before}${own}${after}`, JSON.stringify({ error: { message: `${before} ${own} ${after}` } })]
      for (const text of texts) {
        const told = said(text, [own])
        expect(told.replaceAll("[redacted]", "\u0000").includes(own)).toBe(false)
      }
    })
  ))
