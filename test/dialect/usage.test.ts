import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { usageIn, usageOfJson } from "../../src/dialect/openai/usage.ts"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const count = fc.nat(2 ** 31)

describe("the usage of an answer", () => {
  test("is what the answer says, whatever is said beside it", () =>
    fc.assert(
      fc.property(fc.jsonValue(), fc.string(), count, count, count, fc.boolean(), (noise, content, a, b, c, first) => {
        const usage = {
          prompt_tokens: a,
          completion_tokens: b,
          total_tokens: a + b,
          prompt_tokens_details: { cached_tokens: c, audio_tokens: 0 }
        }
        const choices = [
          { message: { content: `${content} "usage": {"prompt_tokens": 1}`, noise: JSON.stringify(noise) } }
        ]
        const answer = first ? { usage, choices } : { choices, usage, system_fingerprint: null }
        // More than all of them are told beside them.
        const found = { prompt: c > a ? a + c : a, cached: c, completion: b }
        expect(usageOfJson(answer)).toEqual(found)
        expect(usageIn(bytes(JSON.stringify(answer)))).toEqual(found)
        expect(usageIn(bytes(JSON.stringify(answer, null, 2)))).toEqual(found)
      })
    ))

  test("is the last one of a stream, and none when there is none", () => {
    const line = (usage: unknown) => `data: ${JSON.stringify({ choices: [], usage })}\n\n`
    const some = (completion_tokens: number) => line({ prompt_tokens: 1, completion_tokens })
    expect(usageIn(bytes(`${some(1)}${some(2)}data: [DONE]\n\n`))).toEqual({ prompt: 1, cached: 0, completion: 2 })
    expect(usageIn(bytes(`${some(3)}${line(null)}data: [DONE]\n\n`))).toEqual({ prompt: 1, cached: 0, completion: 3 })
    for (const text of ["", "data: [DONE]\n\n", line(null), '{"choices":[]}', '"usage"', '"usage":{'.repeat(3)]) {
      const found = usageIn(bytes(text))
      expect(found === undefined || found.prompt + found.completion === 0).toBe(true)
    }
  })

  test("is not what else is called usage", () => {
    const answer = { usage: { prompt_tokens: 3, completion_tokens: 4 }, timings: { usage: { gpu: 1 } } }
    expect(usageIn(bytes(JSON.stringify(answer)))).toEqual({ prompt: 3, cached: 0, completion: 4 })
  })

  test("is the same of an answer that was parsed, or looked for in its bytes", () =>
    fc.assert(
      fc.property(
        fc.record(
          {
            prompt_tokens: count,
            completion_tokens: fc.option(count),
            cached_tokens: count,
            total_tokens: fc.option(count),
            details: fc.option(fc.record({ audio_tokens: count, cached_tokens: count }, { requiredKeys: [] }))
          },
          { requiredKeys: [] }
        ),
        (usage) => {
          const answer = { choices: [], usage }
          const looked = usageIn(bytes(JSON.stringify(answer)))
          expect(usageOfJson(answer) ?? looked).toEqual(looked)
        }
      )
    ))

  test("is never a wrong number, whatever the bytes", () =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.string({ unit: "binary" }), (before, after) => {
        const found = usageIn(Buffer.concat([before, bytes(`"usage":{"prompt_tokens":${after}`)]))
        const numbers = found === undefined ? [0] : Object.values(found)
        expect(numbers.every((number) => Number.isSafeInteger(number) && number >= 0)).toBe(true)
      })
    ))
})
