import { describe, expect, test } from "bun:test"
import fc from "fast-check"
import { EventFrames } from "../../src/dialect/event-frames.ts"
import { AnswerWindow } from "../../src/hooks/answer-window.ts"
import { event } from "../kit/answers.ts"

const encoder = new TextEncoder()

const chat = (content: string, index = 0) => event({ choices: [{ index, delta: { content }, finish_reason: null }] })

const read = (bytes: string) => {
  const frames = new EventFrames(false)
  return [...frames.push(encoder.encode(bytes)), ...frames.rest()]
}

const wordsIn = (stream: string, index = 0): string =>
  read(stream)
    .map(({ json }) => {
      const choices = (json?.["choices"] ?? []) as ReadonlyArray<{ index: number; delta: { content?: string } }>
      return choices
        .filter((each) => each.index === index)
        .map(({ delta }) => delta.content ?? "")
        .join("")
    })
    .join("")

/** Sends a stream through a window which is shown after every so many events; the judge is told each text. */
const through = (
  events: ReadonlyArray<string>,
  judge: (text: string) => string,
  { chars = 20, overlap = 0, every = 1 } = {}
): string => {
  const window = new AnswerWindow({ chars, overlap })
  let out = ""
  for (const [at, each] of events.entries()) {
    out += window.push(read(each))
    if (window.isFull || (at % every === 0 && window.isWorthIt))
      out += window.goes(
        window.texts().map((text) => judge(text.text)),
        false
      )
  }
  return (
    out +
    window.goes(
      window.texts().map((text) => judge(text.text)),
      true
    )
  )
}

const sizes = fc.record({
  chars: fc.integer({ min: 1, max: 40 }),
  overlap: fc.nat(30),
  every: fc.integer({ min: 1, max: 9 })
})

const words = fc.array(fc.tuple(fc.string({ maxLength: 12 }), fc.nat(1)), { maxLength: 40 })

describe("a window over a streamed answer", () => {
  test("lets out exactly what came in under a hook that allows all, however it is cut and shown", () => {
    fc.assert(
      fc.property(words, sizes, (said, size) => {
        const events = [...said.map(([content, index]) => chat(content, index)), ": ping\n\n", "data: [DONE]\n\n"]
        expect(through(events, (text) => text, size)).toBe(events.join(""))
      })
    )
  })

  test("says the same in the end as a hook that sees all at once, where what it takes out is no longer than the overlap", () => {
    const secret = "sk-4111"
    const redact = (text: string): string => text.replaceAll(secret, "[gone]")
    const piece = fc.oneof(fc.constantFrom("sk", "-", "4111", "sk-4", "111", " sk-4111 "), fc.string({ maxLength: 5 }))
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), sizes, (said, size) => {
        const whole = said.join("")
        const out = wordsIn(
          through(
            said.map((content) => chat(content)),
            redact,
            { ...size, overlap: secret.length }
          )
        )
        expect(out).not.toContain(secret)
        expect(out).toBe(redact(whole))
      })
    )
  })

  test("keeps every event in its order, and the texts of two choices apart", () => {
    const events = [chat("aa", 0), chat("bb", 1), chat("aa", 0), event({ usage: { total_tokens: 3 } })]
    const out = through(events, (text) => text.toUpperCase(), { chars: 1000, every: 1000 })
    expect([wordsIn(out, 0), wordsIn(out, 1)]).toEqual(["AAAA", "BB"])
    expect(read(out).at(-1)?.json).toEqual({ usage: { total_tokens: 3 } })
  })

  test("says the changed text again where a stream of Responses repeats what it has said", () => {
    const about = { output_index: 0, content_index: 0, item_id: "m" }
    const text = "my name is Ada"
    const events = [
      ...["my name", " is Ada"].map((delta) => event({ type: "response.output_text.delta", ...about, delta })),
      event({ type: "response.output_text.done", ...about, text }),
      event({ type: "response.output_item.done", item: { type: "message", content: [{ type: "output_text", text }] } }),
      event({
        type: "response.completed",
        response: { output: [{ type: "message", content: [{ type: "output_text", text }] }] }
      })
    ]
    let shown = 0
    for (const every of [1, 1000]) {
      const out = through(
        events,
        (each) => {
          shown += 1
          return each.replace("Ada", "[name]")
        },
        { chars: 10, every }
      )
      expect(out).not.toContain("Ada")
      expect(out.match(/my name is \[name\]/g)).toHaveLength(3)
    }
    expect(shown).toBeLessThan(8)
  })

  test("tells nothing of what was changed by the likelihoods of its tokens", () => {
    const spoken = event({
      choices: [{ index: 0, delta: { content: "Ada" }, logprobs: { content: [{ token: "Ada" }] } }]
    })
    expect(through([spoken], () => "[name]")).not.toContain("Ada")
  })
})
